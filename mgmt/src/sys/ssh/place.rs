//! What a host reports of itself, and where the executable is or can be there.

use super::diagnosis::short;
use super::elf::Needs;
use super::error::LinkProblem;
use crate::sys::facts::version;

/// A directory that can't be used there, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub(super) String);

/// A directory that can be used there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number in the order of preference.
    pub(super) number: u32,
    pub(super) dir: String,
    /// Whether the executable is there, not verified yet.
    pub(super) has: bool,
}

/// What a host reports of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct There {
    /// The number of the user.
    pub uid: u32,
    /// The name of the user that the executable will run as.
    pub user: String,
    /// The system: `Linux`.
    pub system: String,
    /// The machine, as `uname -m` prints it.
    pub machine: String,
    /// The C library: `glibc 2.36`, `musl`; empty if it is not known.
    pub libc: String,
    /// The dynamic linker that the executable needs and that is missing there.
    pub(super) lacks: Option<String>,
    /// The program that computes a SHA-256.
    pub(super) tool: String,
    pub(super) has_gzip: bool,
    pub(super) place: Option<Place>,
    pub(super) refused: Vec<Refused>,
}

impl There {
    /// Takes a report of the script.
    pub(super) fn take(&mut self, word: &str, rest: &str) {
        match word {
            "hello" => {
                let (uid, user) = rest.split_once(' ').unwrap_or((rest, ""));
                self.uid = uid.parse().unwrap_or(u32::MAX);
                self.user = if user.is_empty() { uid.to_owned() } else { user.to_owned() };
            }
            "system" => self.system = rest.to_owned(),
            "machine" => self.machine = rest.to_owned(),
            "libc" => self.libc = rest.to_owned(),
            "lacks" => self.lacks = Some(rest.to_owned()),
            "tool" => self.tool = rest.to_owned(),
            "gzip" => self.has_gzip = true,
            "refused" => self.refused.push(Refused(rest.to_owned())),
            "place" | "have" => {
                let (number, dir) = rest.split_once(' ').unwrap_or(("0", rest));
                let has = word == "have";
                self.place = Some(Place { number: number.parse().unwrap_or_default(), dir: dir.to_owned(), has });
            }
            _ => {}
        }
    }

    /// Whether an executable with these needs runs there.
    ///
    /// # Errors
    /// What is in the way, and what to do.
    pub(super) fn suits(&self, needs: &Needs) -> Result<(), LinkProblem> {
        let target = needs.target_for(&self.machine);
        if self.system != "Linux" || !needs.runs_on(&self.machine) {
            let ours = format!("Linux on {}", needs.machine());
            let system = if self.system.is_empty() { "an unknown system" } else { &self.system };
            return Err(LinkProblem::WrongMachine { ours, theirs: format!("{system} on {}", self.machine), target });
        }
        if let Some(linker) = &self.lacks {
            let libc = if self.libc.is_empty() { "no C library that is known" } else { &self.libc };
            let needed = format!("the dynamic linker {linker}");
            return Err(LinkProblem::WrongLibrary { needed, found: format!("none ({libc})"), target });
        }
        let found = self.libc.strip_prefix("glibc ").and_then(version);
        match (needs.glibc, found) {
            (Some(needed), Some(found)) if needed > found => {
                let needed = format!("glibc {}.{} or later", needed.0, needed.1);
                Err(LinkProblem::WrongLibrary { needed, found: self.libc.clone(), target })
            }
            _ => Ok(()),
        }
    }

    /// Libraries are missing that an executable with these needs is linked with.
    pub(super) fn lacks_libraries(&self, needs: &Needs, libraries: &str) -> LinkProblem {
        let needed = format!("libraries of that machine ({})", short(libraries));
        let (found, target) = ("none of them".to_owned(), needs.target_for(&self.machine));
        LinkProblem::WrongLibrary { needed, found, target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(machine: &str, libc: &str) -> There {
        There { system: "Linux".into(), machine: machine.into(), libc: libc.into(), ..There::default() }
    }

    #[test]
    fn reports_are_taken_and_unknown_ones_ignored() {
        let mut there = There::default();
        for (word, rest) in [
            ("hello", "1000 ann b"),
            ("libc", "glibc 2.36"),
            ("refused", "/x: no"),
            ("have", "2 /home/ann/with space"),
            ("later", "?"),
        ] {
            there.take(word, rest);
        }
        assert_eq!((there.uid, there.user.as_str()), (1000, "ann b"));
        let place = Place { number: 2, dir: "/home/ann/with space".into(), has: true };
        assert_eq!((there.place, there.refused.len()), (Some(place), 1));
    }

    #[test]
    fn another_machine_or_an_older_library_is_refused_with_the_target_to_build() {
        let needs = Needs { machine: 62, is_little: true, interpreter: Some("/lib64/ld".into()), glibc: Some((2, 34)) };
        assert!(there("x86_64", "glibc 2.36").suits(&needs).is_ok());
        assert!(there("x86_64", "").suits(&needs).is_ok());
        let error = there("x86_64", "glibc 2.31").suits(&needs).unwrap_err().to_string();
        assert!(error.contains("glibc 2.34 or later") && error.contains("glibc 2.31"), "{error}");
        assert!(error.contains("x86_64-unknown-linux-musl") && error.contains("--remote-binary"), "{error}");
        let error = there("aarch64", "glibc 2.36").suits(&needs).unwrap_err().to_string();
        assert!(error.contains("Linux on x86_64") && error.contains("aarch64-unknown-linux-musl"), "{error}");
        let mac = There { system: "Darwin".into(), ..there("x86_64", "") };
        assert!(matches!(mac.suits(&needs), Err(LinkProblem::WrongMachine { .. })));
        let musl = There { lacks: Some("/lib64/ld".into()), ..there("x86_64", "musl") };
        let error = musl.suits(&needs).unwrap_err().to_string();
        assert!(error.contains("/lib64/ld") && error.contains("(musl)"), "{error}");
    }
}
