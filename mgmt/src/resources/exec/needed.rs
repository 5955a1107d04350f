//! What a command needs: the programs that it names, their packages, the directories and files that it uses, its user.

use std::path::{Path, PathBuf};

use crate::resource::{Group, Known, Need, Reach, Ships, Uid, User};
use crate::resources::exec::command::{Line, PATH};
use crate::resources::exec::env::Env;
use crate::resources::exec::kind::{Exec, path_key};
use crate::sys::fs::without_dots;

/// Words of a shell after which a command follows.
const BEFORE_COMMANDS: [&str; 16] =
    ["|", "||", "&&", ";", "&", "|&", "!", "if", "then", "elif", "else", "while", "until", "do", "exec", "{"];

impl Exec {
    /// Everything that the command needs, as far as the fields are known.
    pub(super) fn needed(&self, known: &Known<'_>) -> Vec<Need> {
        let mut needed = Vec::new();
        for (field, shell, line) in self.lines() {
            if let Some(program) = line.shell.filter(|_| known.is_known(shell)) {
                self.program(known, program, None, &mut needed);
            }
            // Whether the text is a script depends on the shell.
            if !known.are_known([field, shell]) || field == "cmd" && !known.is_known("args") {
                continue;
            }
            for program in programs(&line) {
                self.program(known, program, line.cwd, &mut needed);
            }
        }
        let dirs = [
            ("cwd", &self.cwd),
            ("watchcwd", &self.watchcwd),
            ("ifcwd", &self.ifcwd),
            ("nifcwd", &self.nifcwd),
            ("donecwd", &self.donecwd),
            ("undocwd", &self.undocwd),
        ];
        for (_, dir) in dirs.into_iter().filter(|(field, _)| known.is_known(field)) {
            needed.extend(
                dir.iter().filter_map(path_key).map(|dir| Need::after(dir).because("the directory it runs in")),
            );
        }
        let files = [
            ("watchfiles", &self.watchfiles, "a file that it watches"),
            ("mtimes", &self.mtimes, "a file that it compares"),
        ];
        for (_, files, why) in files.into_iter().filter(|(field, ..)| known.is_known(field)) {
            needed.extend(files.iter().filter_map(path_key).map(|file| Need::after(file).because(why)));
        }
        let made = self.creates.as_ref().filter(|_| known.is_known("creates")).and_then(|made| made.parent());
        needed.extend(made.and_then(path_key).map(|dir| Need::after(dir).because("the directory of what it creates")));
        let user = self.user.as_ref().filter(|_| known.is_known("user"));
        needed.extend(user.map(|user| Need::after(Uid::of(User(user.clone()))).because("its user")));
        let group = self.group.as_ref().filter(|_| known.is_known("group"));
        needed.extend(group.map(|group| Need::after(Uid::of(Group(group.clone()))).because("its group")));
        needed
    }

    /// The file of a program, and the package that ships it. A name without a slash is looked for as the kernel would,
    /// in each directory of `PATH`.
    fn program(&self, known: &Known<'_>, program: &str, cwd: Option<&Path>, needed: &mut Vec<Need>) {
        let mut add = |path: PathBuf, reach| {
            let file = Uid::Path(path.clone());
            needed.push(Need::after(file).reach(reach).because("its program"));
            needed.push(Need::after(Uid::of(Ships(path))).because("the package of its program"));
        };
        if program.contains('/') {
            let path = cwd.map_or_else(|| PathBuf::from(program), |cwd| cwd.join(program));
            if let Some(path) = without_dots(&path) {
                add(path, Reach::Above);
            }
            return;
        }
        if !known.is_known("env") || program.is_empty() {
            return;
        }
        let own = self.env.iter().flat_map(Env::iter).find(|(name, _)| *name == "PATH");
        let dirs = own.map_or(PATH, |(_, path)| path.plain());
        for path in dirs.split(':').filter_map(|dir| without_dots(&Path::new(dir).join(program))) {
            add(path, Reach::Exact);
        }
    }
}

/// The programs that a command names: its first word, or, in the script of a shell, each word where a command begins.
fn programs<'a>(line: &Line<'a>) -> Vec<&'a str> {
    match (line.shell, line.args) {
        (None, Some(_)) => vec![line.text],
        (None, None) => line.text.split_whitespace().next().into_iter().collect(),
        (Some(_), _) => commands_of_script(line.text),
    }
}

fn commands_of_script(script: &str) -> Vec<&str> {
    let mut programs = Vec::new();
    for line in script.lines() {
        let mut is_first = true;
        for word in line.split_whitespace() {
            if word.starts_with('#') {
                break;
            }
            let name = word.trim_start_matches(['$', '(', '`']).trim_end_matches([';', ')', '`']);
            let is_name = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
            if BEFORE_COMMANDS.contains(&word) {
                is_first = true;
                continue;
            }
            if is_first && !word.contains('=') {
                programs.extend((!name.is_empty() && name.chars().all(is_name)).then_some(name));
                is_first = false;
            }
            is_first |= word.ends_with(';');
        }
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_a_program_where_a_command_begins() {
        let script = "A=1 /opt/a/run -x | grep y && ./b; \"c d\"\nif test -e /x; then exec /opt/e; fi # no /opt/f";
        assert_eq!(commands_of_script(script), ["/opt/a/run", "grep", "./b", "test", "/opt/e", "fi"]);
        assert_eq!(commands_of_script("$(date) ${x}"), ["date"]);
        assert!(commands_of_script("${x} y").is_empty());
    }
}
