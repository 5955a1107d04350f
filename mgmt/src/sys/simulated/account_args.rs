//! The arguments of the programs that change users and groups.

/// Why a program refuses: its exit code and its message.
pub(super) type Refusal = (i32, String);

/// Options that take no value, by their short and long names.
const FLAGS: [(&str, &str); 13] = [
    ("-o", "--non-unique"),
    ("-r", "--system"),
    ("-m", "--create-home"),
    ("-M", "--no-create-home"),
    ("-U", "--user-group"),
    ("-N", "--no-user-group"),
    ("-a", "--append"),
    ("-L", "--lock"),
    ("-e", "--encrypted"),
    ("-f", "--force"),
    ("-r", "--remove"),
    ("-m", "--move-home"),
    ("-U", "--unlock"),
];
/// Options that take one.
const VALUES: [(&str, &str); 9] = [
    ("-u", "--uid"),
    ("-g", "--gid"),
    ("-G", "--groups"),
    ("-d", "--home"),
    ("-d", "--home-dir"),
    ("-s", "--shell"),
    ("-c", "--comment"),
    ("-e", "--expiredate"),
    ("-M", "--members"),
];

/// The arguments of a program, by the long names of its options.
pub(super) struct Args<'a> {
    pub(super) all: &'a [String],
    /// The options of this program.
    pub(super) takes: &'a [&'a str],
}

impl Args<'_> {
    fn is(&self, long: &str, table: &[(&str, &str)], word: &str) -> bool {
        self.takes.contains(&long)
            && table.iter().any(|(short, name)| *name == long && (*short == word || long == word))
    }

    pub(super) fn has(&self, long: &str) -> bool {
        self.all.iter().any(|word| self.is(long, &FLAGS, word))
    }

    pub(super) fn value(&self, long: &str) -> Option<&str> {
        let at = self.all.iter().rposition(|word| self.is(long, &VALUES, word))?;
        self.all.get(at + 1).map(String::as_str)
    }

    /// The last argument that is no option, which is the name of the account.
    pub(super) fn name(&self) -> Result<&str, Refusal> {
        match self.all.last() {
            Some(name) if !name.is_empty() && !name.starts_with('-') && !name.contains([':', ' ', '/']) => Ok(name),
            Some(name) => Err((3, format!("invalid name '{name}'"))),
            None => Err((2, "a name is missing".to_owned())),
        }
    }

    pub(super) fn number(&self, long: &str) -> Result<Option<u32>, Refusal> {
        let wrong = |text: &str| (3, format!("invalid number '{text}'"));
        self.value(long).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }
}
