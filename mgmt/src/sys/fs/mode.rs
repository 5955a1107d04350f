//! Permissions as people write them: `0644`, or symbolic ones such as `u=rw,g=r,o=` (POSIX chmod).

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const ALL: u32 = 0o7777;
const SET_IDS: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
const EXECUTE: u32 = 0o111;
/// The umask, where POSIX refers to it: fixed, so that the outcome depends on the mode alone.
const UMASK: u32 = 0o022;
/// The most times that changes are applied to their own outcome: enough to copy permissions from class to class.
const ROUNDS_MAX: usize = 16;

/// A desired mode: the bits themselves (`0644`), or changes of the current mode (`u+x,go-w`).
///
/// Made from a number, `Mode::from(0o644)`, or from text, `"0644".parse()`, `"u=rw,g=r,o=".parse()`. In files it is
/// always text: some readers would take a number as decimal, others as octal.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mode(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Bits(Bits),
    Changes(Vec<Change>),
}

/// The bits, and whether they were given as a number, which may have been written in decimal by mistake. Text is always
/// octal. Equal bits are one mode, however they were written.
#[derive(Clone, Copy)]
struct Bits {
    bits: u32,
    is_number: bool,
}

impl PartialEq for Bits {
    fn eq(&self, other: &Bits) -> bool {
        self.bits == other.bits
    }
}

impl Eq for Bits {}

impl Hash for Bits {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.bits.hash(hasher);
    }
}

/// `go-w`: the classes, the operator, the permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Change {
    who: Who,
    op: Op,
    what: What,
}

/// The letters before the operator; none at all is different from `a`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Who {
    user: bool,
    group: bool,
    other: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Op {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    /// The bits for all classes, of which `who` selects some; and whether `X` is among the permissions.
    Bits { bits: u32, execute_if_any: bool },
    /// The permissions of the user (6), the group (3) or others (0): the number of bits by which they are shifted.
    CopyOf(u32),
}

/// Why a text or a number is not a mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModeError {
    /// The text is empty.
    #[error("the mode is empty: write it as `0644` or `u=rw,go=r`")]
    Empty,
    /// The text begins with a digit, but is no octal number.
    #[error("`{0}` is not an octal number: a mode has the digits 0 to 7, as in `0644`")]
    NotOctal(String),
    /// The mode has more than twelve bits.
    #[error("the mode {0:#o} has bits beyond 07777")]
    TooBig(u32),
    /// The number was most likely meant to be octal: its decimal digits are those of a usual mode.
    #[error(
        "the number {0} (octal {0:#o}) has the digits of the mode 0o{0}: write 0o{0}, or the text \"{0:04o}\" if {0:#o} is meant"
    )]
    Decimal(u32),
    /// The changes never settle: applied to their own outcome, they give another mode again and again.
    #[error(
        "`{0}` never comes to an end: applied to its own outcome it gives another mode again and again, as in `u=g,g=u`"
    )]
    Endless(String),
    /// A symbolic mode has another character where an operator belongs.
    #[error("`{text}` is not a mode: {found} where `+`, `-` or `=` belongs, as in `u=rw,go=r`")]
    NoOperator {
        /// The whole text.
        text: String,
        /// What is there instead.
        found: String,
    },
    /// A symbolic mode has an unknown permission.
    #[error(
        "`{text}` is not a mode: `{found}` is none of the permissions r, w, x, X, s, t, and not one of u, g, o alone"
    )]
    NoPermission {
        /// The whole text.
        text: String,
        /// The letter.
        found: char,
    },
}

impl Mode {
    /// The bits, if they do not depend on the current mode.
    pub fn bits(&self) -> Option<u32> {
        match self.0 {
            Repr::Bits(Bits { bits, .. }) => Some(bits),
            Repr::Changes(_) => None,
        }
    }

    /// The mode that an object with the mode `current` gets. Letters have the meaning that they have for chmod; where
    /// POSIX refers to the umask (`+w` without `u`, `g`, `o` or `a`), 022 is used. As with chmod, a symbolic `=` keeps
    /// the set-id bits of a directory unless it names them. Changes that copy (`g=u`) are applied until nothing changes
    /// any more: `u=g,g=o` gives both the permissions of others, however often it is applied.
    pub fn apply(&self, current: u32, is_dir: bool) -> u32 {
        self.apply_with_umask(current, is_dir, UMASK)
    }

    /// Whether `current` is the desired mode.
    pub fn is_met_by(&self, current: u32, is_dir: bool) -> bool {
        self.apply(current, is_dir) == current & ALL
    }

    /// Checks that the mode makes sense: it has at most twelve bits, and is not `644` (which is 01204) where `0o644`
    /// was meant. A number is refused if its decimal digits are those of a usual mode; as text, `"01204"`, every mode
    /// is allowed.
    pub fn validate(&self) -> Result<(), ModeError> {
        match self.0 {
            Repr::Bits(Bits { bits, is_number: true }) if reads_as_usual(bits) => Err(ModeError::Decimal(bits)),
            Repr::Bits(Bits { bits, .. }) if bits > ALL => Err(ModeError::TooBig(bits)),
            Repr::Changes(ref changes) if is_endless(changes) => Err(ModeError::Endless(self.to_string())),
            _ => Ok(()),
        }
    }

    fn apply_with_umask(&self, current: u32, is_dir: bool, umask: u32) -> u32 {
        match &self.0 {
            Repr::Bits(Bits { bits, .. }) => bits & ALL,
            Repr::Changes(changes) => settled(changes, current & ALL, is_dir, umask).0,
        }
    }
}

/// The mode in which the changes result, and whether they settle: whether applying them again changes nothing.
fn settled(changes: &[Change], current: u32, is_dir: bool, umask: u32) -> (u32, bool) {
    let mut mode = current;
    for _ in 0..ROUNDS_MAX {
        let next = changes.iter().fold(mode, |mode, change| change.apply(mode, is_dir, umask));
        if next == mode {
            return (mode, true);
        }
        mode = next;
    }
    (mode, false)
}

/// Whether there is a mode from which these changes never settle.
fn is_endless(changes: &[Change]) -> bool {
    // All other changes set, add or remove the same bits every time.
    let depends = |change: &Change| {
        matches!(change.what, What::CopyOf(_)) || matches!(change.what, What::Bits { execute_if_any: true, .. })
    };
    // No change depends on the set-id bits or the sticky bit.
    changes.iter().any(depends)
        && (0..=0o777).any(|mode| [false, true].iter().any(|is_dir| !settled(changes, mode, *is_dir, UMASK).1))
}

impl Change {
    fn apply(&self, mode: u32, is_dir: bool, umask: u32) -> u32 {
        let asked = match self.what {
            What::Bits { bits, execute_if_any } => {
                let execute = execute_if_any && (is_dir || mode & EXECUTE != 0);
                bits | if execute { EXECUTE } else { 0 }
            }
            // Three bits, repeated for each class.
            What::CopyOf(shift) => (mode >> shift & 0o7) * 0o111,
        };
        let selected = if self.who.nobody() { asked & !(umask & 0o777) } else { asked & self.who.mask() };
        match self.op {
            Op::Add => mode | selected,
            Op::Remove => mode & !selected,
            Op::Set => {
                let cleared = if self.who.nobody() { ALL } else { self.who.mask() };
                let spared = if is_dir { SET_IDS & !asked } else { 0 };
                mode & !(cleared & !spared) | selected
            }
        }
    }
}

impl Who {
    fn nobody(self) -> bool {
        !(self.user || self.group || self.other)
    }

    fn mask(self) -> u32 {
        let part = |yes, bits| if yes { bits } else { 0 };
        part(self.user, 0o4700) | part(self.group, 0o2070) | part(self.other, 0o1007)
    }
}

/// Whether the decimal digits of this number are those of a usual mode: each class has at most the permissions of the
/// class before it, and no class can write without reading. With the sticky bit or a set-id bit, only modes of
/// directories and programs are usual. (0510 and 0511 are left out: their digits are those of the decimal values of
/// 0776 and 0777.)
fn reads_as_usual(number: u32) -> bool {
    let text = number.to_string();
    let Ok(mode) = u32::from_str_radix(&text, 8) else { return false };
    let [special, user, group, other] = [9, 6, 3, 0].map(|shift| mode >> shift & 0o7);
    let usual = |class: u32, before: u32| ![2, 3].contains(&class) && class & !before == 0;
    let nested = user >= 4 && usual(group, user) && usual(other, group);
    let runs = user & 0o1 != 0 && (user == 7 || group & 0o1 != 0);
    (3..=4).contains(&text.len()) && nested && (special == 0 || runs) && ![0o510, 0o511].contains(&mode)
}

impl From<u32> for Mode {
    fn from(bits: u32) -> Mode {
        Mode(Repr::Bits(Bits { bits, is_number: true }))
    }
}

impl FromStr for Mode {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Mode, ModeError> {
        match text.bytes().next() {
            None => Err(ModeError::Empty),
            Some(b'0'..=b'9') => {
                let digits = text.strip_prefix("0o").unwrap_or(text);
                let octal =
                    !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
                match u32::from_str_radix(digits, 8) {
                    Ok(bits) if octal && bits <= ALL => Ok(Mode(Repr::Bits(Bits { bits, is_number: false }))),
                    Ok(bits) if octal => Err(ModeError::TooBig(bits)),
                    _ => Err(ModeError::NotOctal(text.to_owned())),
                }
            }
            Some(_) => {
                let mut changes = Vec::new();
                for clause in text.split(',') {
                    parse_clause(text, clause, &mut changes)?;
                }
                Ok(Mode(Repr::Changes(changes)))
            }
        }
    }
}

/// Parses a clause such as `ug+rw-x`: the classes, then at least one operator with its permissions.
fn parse_clause(text: &str, clause: &str, changes: &mut Vec<Change>) -> Result<(), ModeError> {
    let ops = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    let letters = &clause[..clause.len() - ops.len()];
    let has = |letter| letters.contains(letter) || letters.contains('a');
    let who = Who { user: has('u'), group: has('g'), other: has('o') };
    let mut rest = ops;
    loop {
        let mut chars = rest.chars();
        let op = match chars.next() {
            Some('+') => Op::Add,
            Some('-') => Op::Remove,
            Some('=') => Op::Set,
            found => {
                let found = found.map_or("the end".to_owned(), |c| format!("`{c}`"));
                return Err(ModeError::NoOperator { text: text.to_owned(), found });
            }
        };
        let after = chars.as_str();
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        changes.push(Change { who, op, what: parse_permissions(text, &after[..end])? });
        rest = &after[end..];
        if rest.is_empty() {
            return Ok(());
        }
    }
}

fn parse_permissions(text: &str, letters: &str) -> Result<What, ModeError> {
    match letters {
        "u" => return Ok(What::CopyOf(6)),
        "g" => return Ok(What::CopyOf(3)),
        "o" => return Ok(What::CopyOf(0)),
        _ => {}
    }
    let (mut bits, mut execute_if_any) = (0, false);
    for letter in letters.chars() {
        match letter {
            'r' => bits |= READ,
            'w' => bits |= WRITE,
            'x' => bits |= EXECUTE,
            'X' => execute_if_any = true,
            's' => bits |= SET_IDS,
            't' => bits |= STICKY,
            found => return Err(ModeError::NoPermission { text: text.to_owned(), found }),
        }
    }
    Ok(What::Bits { bits, execute_if_any })
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Bits(Bits { bits, .. }) => write!(f, "{bits:04o}"),
            Repr::Changes(changes) => {
                for (i, change) in changes.iter().enumerate() {
                    f.write_str(if i > 0 { "," } else { "" })?;
                    fmt::Display::fmt(change, f)?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { who, op, what } = self;
        if who.user && who.group && who.other {
            f.write_str("a")?;
        } else {
            write_letters(f, &[(who.user, 'u'), (who.group, 'g'), (who.other, 'o')])?;
        }
        f.write_str(match op {
            Op::Add => "+",
            Op::Remove => "-",
            Op::Set => "=",
        })?;
        match *what {
            What::CopyOf(6) => f.write_str("u"),
            What::CopyOf(3) => f.write_str("g"),
            What::CopyOf(_) => f.write_str("o"),
            What::Bits { bits, execute_if_any } => {
                let has = |bit: u32| bits & bit != 0;
                write_letters(f, &[(has(READ), 'r'), (has(WRITE), 'w'), (has(EXECUTE), 'x'), (execute_if_any, 'X')])?;
                write_letters(f, &[(has(SET_IDS), 's'), (has(STICKY), 't')])
            }
        }
    }
}

fn write_letters(f: &mut fmt::Formatter<'_>, letters: &[(bool, char)]) -> fmt::Result {
    letters.iter().filter(|(yes, _)| *yes).try_for_each(|(_, letter)| write!(f, "{letter}"))
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Mode, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Mode;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mode as text, such as \"0644\" or \"u=rw,go=r\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Mode, E> {
                Err(E::custom(format!(
                    "the mode {number} is a number, which may be meant decimal or octal: write it as text, \"0644\""
                )))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Mode, E> {
                self.visit_u64(number.unsigned_abs())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let perms = "([rwxXst]*|[ugo])";
        let clause = format!("[ugoa]*([-+=]{perms})+");
        schemars::json_schema!({
            "type": "string",
            "description": "permissions: octal as text (`0644`), or symbolic (`u=rw,g=r,o=`)",
            "pattern": format!("^([0-7]{{1,4}}|0[0-7]{{4}}|{clause}(,{clause})*)$"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mode(text: &str) -> Mode {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn applied(text: &str, current: u32) -> u32 {
        mode(text).apply(current, false)
    }

    #[test]
    fn octal_text_and_numbers_are_the_same_mode_and_print_with_four_digits() {
        for text in ["0644", "644", "0o644", "00644"] {
            assert_eq!(mode(text), Mode::from(0o644), "{text}");
        }
        assert_eq!(Mode::from(0o644).to_string(), "0644");
        assert_eq!(Mode::from(0o4755).to_string(), "4755");
        assert_eq!(mode("0").to_string(), "0000");
        assert_eq!(Mode::from(0o640).apply(0o7777, true), 0o640);
    }

    #[test]
    fn symbolic_modes_change_what_is_there_as_posix_says() {
        assert_eq!(applied("u=rw,g=r,o=", 0o777), 0o640);
        assert_eq!(applied("u+x", 0o644), 0o744);
        assert_eq!(applied("a-w", 0o666), 0o444);
        assert_eq!(applied("go=", 0o777), 0o700);
        assert_eq!(applied("+x", 0o600), 0o711);
        assert_eq!(applied("+w", 0o444), 0o644, "022 stands in for the umask");
        assert_eq!(applied("=r", 0o777), 0o444);
        assert_eq!(applied("=", 0o7777), 0);
        assert_eq!(applied("g=u", 0o740), 0o770);
        assert_eq!(applied("o=g-w", 0o670), 0o675);
        assert_eq!(applied("u+s,g+s,+t", 0o755), 0o7755);
        assert_eq!(applied("u=rwx", 0o4755), 0o755, "a file loses set-user-id");
        assert_eq!(applied("o+s,u+t", 0o755), 0o755, "these select nothing");
        assert_eq!(applied("a+X", 0o644), 0o644);
        assert_eq!(applied("a+X", 0o744), 0o755);
        assert_eq!(mode("a+X").apply(0o644, true), 0o755);
        assert_eq!(mode("u=rwx,go=rx").apply(0o6700, true), 0o6755, "a directory keeps its set-id bits");
        assert_eq!(mode("g=rxs").apply(0o700, true), 0o2750);
        assert_eq!(mode("ug-s").apply(0o6755, true), 0o755);
    }

    #[test]
    fn what_copies_comes_to_an_end_or_is_refused() {
        for (text, before, after) in [("u=g,g=o", 0o754, 0o444), ("g=u,o=g", 0o700, 0o777), ("a+X,u=o", 0o601, 0o111)] {
            assert_eq!(format!("{:o}", applied(text, before)), format!("{after:o}"), "{text}");
            assert_eq!(mode(text).validate(), Ok(()), "{text}");
        }
        for text in ["u=o,o=g,g=u", "u=g,g=o,o=u+x,u-x"] {
            let refused = mode(text).validate().map_err(|error| error.to_string());
            assert!(refused.as_ref().is_err_and(|error| error.contains("again and again")), "{text}: {refused:?}");
        }
    }

    #[test]
    fn wrong_modes_say_what_is_wrong() {
        let error = |text: &str| text.parse::<Mode>().expect_err(text).to_string();
        assert_eq!(error(""), "the mode is empty: write it as `0644` or `u=rw,go=r`");
        assert_eq!(error("0698"), "`0698` is not an octal number: a mode has the digits 0 to 7, as in `0644`");
        assert_eq!(error("0o"), "`0o` is not an octal number: a mode has the digits 0 to 7, as in `0644`");
        assert_eq!(error("17777"), "the mode 0o17777 has bits beyond 07777");
        assert_eq!(
            error("u=rq"),
            "`u=rq` is not a mode: `q` is none of the permissions r, w, x, X, s, t, and not one of u, g, o alone"
        );
        assert_eq!(error("urw"), "`urw` is not a mode: `r` where `+`, `-` or `=` belongs, as in `u=rw,go=r`");
        assert_eq!(error("u=r,"), "`u=r,` is not a mode: the end where `+`, `-` or `=` belongs, as in `u=rw,go=r`");
        assert!(error("-rw-r--r-- ").contains("is not a mode"));
        assert!(error("u=ug").contains('u'));
        assert!(error("rw-ä").contains("is not a mode"));
    }

    #[test]
    fn a_decimal_number_where_octal_was_meant_is_an_error() {
        assert_eq!(
            Mode::from(644).validate().unwrap_err().to_string(),
            "the number 644 (octal 0o1204) has the digits of the mode 0o644: write 0o644, or the text \"1204\" if 0o1204 is meant"
        );
        assert_eq!(Mode::from(0o10000).validate(), Err(ModeError::TooBig(0o10000)));
        let usual = [
            0, 0o400, 0o440, 0o444, 0o500, 0o550, 0o555, 0o600, 0o640, 0o644, 0o660, 0o664, 0o666, 0o700, 0o710, 0o711,
            0o744, 0o750, 0o751, 0o755, 0o770, 0o775, 0o776, 0o777, 0o1755, 0o1770, 0o1775, 0o1777, 0o2711, 0o2750,
            0o2755, 0o2770, 0o2775, 0o2777, 0o4555, 0o4711, 0o4750, 0o4755, 0o6755, 0o7777,
        ];
        for usual in usual {
            assert_eq!(Mode::from(usual).validate(), Ok(()), "{usual:o}");
        }
        for misread in usual.map(|usual| format!("{usual:o}").parse::<u32>().unwrap()) {
            assert_eq!(Mode::from(misread).validate().is_err(), misread != 0, "{misread}");
        }
        // 0o620 is 400 in decimal: as a number it would be refused.
        assert_eq!("0620".parse::<Mode>().unwrap().validate(), Ok(()));
        // 0o674 is 444 in decimal, but text is always octal.
        assert_eq!("0674".parse::<Mode>().unwrap().validate(), Ok(()));
        assert_eq!("0674".parse::<Mode>().unwrap(), Mode::from(0o674));
    }

    #[test]
    fn in_files_a_mode_is_text_and_a_number_is_refused_with_the_reason() {
        assert_eq!(serde_json::to_string(&Mode::from(0o640)).unwrap(), "\"0640\"");
        assert_eq!(serde_json::from_str::<Mode>("\"u=rw,g=r,o=\"").unwrap().to_string(), "u=rw,g=r,o=");
        let error = serde_json::from_str::<Mode>("644").unwrap_err().to_string();
        assert!(error.contains("the mode 644 is a number") && error.contains("\"0644\""), "{error}");
    }

    fn clause() -> impl Strategy<Value = String> {
        let perms = prop_oneof!["[rwxXst]{0,4}", "[ugo]"];
        ("[ugoa]{0,3}", prop::collection::vec(("[-+=]", perms), 1..3))
            .prop_map(|(who, ops)| ops.into_iter().fold(who, |text, (op, perms)| text + &op + &perms))
    }

    proptest! {
        #[test]
        fn what_is_printed_means_the_same(
            clauses in prop::collection::vec(clause(), 1..4), current in 0u32..=0o7777, is_dir: bool,
        ) {
            let read = mode(&clauses.join(","));
            let again = mode(&read.to_string());
            prop_assert_eq!(&again, &read);
            prop_assert_eq!(again.apply(current, is_dir), read.apply(current, is_dir));
            prop_assert!(read.apply(current, is_dir) <= ALL);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,12}") {
            let _ = text.parse::<Mode>();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
        #[test]
        fn the_systems_chmod_agrees(
            clauses in prop::collection::vec(clause(), 1..4), current in 0u32..=0o7777, is_dir: bool,
        ) {
            use std::os::unix::fs::{MetadataExt, PermissionsExt};
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x");
            if is_dir { std::fs::create_dir(&path).unwrap() } else { std::fs::write(&path, "").unwrap() }
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(current)).unwrap();
            // Not every user may set each bit: begin with the mode that resulted.
            let before = std::fs::symlink_metadata(&path).unwrap().mode() & ALL;
            let text = clauses.join(",");
            prop_assume!(mode(&text).validate().is_ok());
            // Repeated until nothing changes any more.
            let script = "umask 022; for i in 1 2 3 4 5 6; do chmod -- \"$1\" \"$2\"; done";
            let chmod = std::process::Command::new("sh").args(["-c", script, "sh", &text]).arg(&path).output().unwrap();
            let after = std::fs::symlink_metadata(&path).unwrap().mode() & ALL;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            // chmod exits with 1 if the umask keeps a bit that `-x` would remove; it sets the mode nevertheless.
            prop_assert!(chmod.status.code().is_some_and(|code| code <= 1), "{:?}", chmod);
            prop_assert_eq!(mode(&text).apply(before, is_dir), after, "{} on {:04o}, dir: {}", text, before, is_dir);
        }
    }
}
