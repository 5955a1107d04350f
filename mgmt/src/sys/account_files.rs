//! The lines of `/etc/passwd`, `/etc/group` and `/etc/shadow`.

use std::fmt;

/// The file of the users.
pub const PASSWD: &str = "/etc/passwd";
/// The file of the groups.
pub const GROUP: &str = "/etc/group";
/// The file of the passwords and their validity, which only root can read.
pub const SHADOW: &str = "/etc/shadow";
/// The file that a program locks while it changes one of these.
pub const LOCK: &str = "/etc/.pwd.lock";

/// A line of `/etc/passwd`.
#[derive(Clone, PartialEq, Eq)]
pub struct UserLine {
    /// The name of the user.
    pub name: String,
    /// `x` if the password is in `/etc/shadow`.
    pub password: String,
    /// The number of the user.
    pub uid: u32,
    /// The number of the main group.
    pub gid: u32,
    /// The comment (GECOS), usually the full name.
    pub comment: String,
    /// The home directory.
    pub home: String,
    /// The program that a login starts.
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupLine {
    /// The name of the group.
    pub name: String,
    /// `x`, or the password of the group.
    pub password: String,
    /// The number of the group.
    pub gid: u32,
    /// The users for which it is a supplementary group.
    pub members: Vec<String>,
}

/// A line of `/etc/shadow`.
#[derive(Clone, PartialEq, Eq)]
pub struct ShadowLine {
    /// The name of the user.
    pub name: String,
    /// The hash of the password. `!` in front: the password is locked; `*`: there is none.
    pub password: String,
    /// When the password was last changed, the minimum and the maximum age, the time of warnings, and the time until
    /// an old password is unusable; in days, or empty.
    pub ages: [String; 5],
    /// The day from which on the account can't be used, in days since 1970; `None`: never.
    pub expires: Option<u32>,
}

/// The parts of a line, without its end.
fn parts<const N: usize>(line: &str) -> Option<[&str; N]> {
    let mut parts = line.splitn(N, ':');
    let all = [(); N].map(|()| parts.next());
    all.iter().all(Option::is_some).then(|| all.map(Option::unwrap_or_default))
}

impl UserLine {
    /// Reads a line; `None`: it is not one, such as an empty line or one for other sources of accounts (`+`).
    pub fn parse(line: &str) -> Option<UserLine> {
        let [name, password, uid, gid, comment, home, shell] = parts(line)?.map(str::to_owned);
        Some(UserLine { name, password, uid: uid.parse().ok()?, gid: gid.parse().ok()?, comment, home, shell })
    }
}

impl GroupLine {
    /// Reads a line; `None`: it is not one.
    pub fn parse(line: &str) -> Option<GroupLine> {
        let [name, password, gid, members] = parts(line)?;
        let members = members.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some(GroupLine { name: name.to_owned(), password: password.to_owned(), gid: gid.parse().ok()?, members })
    }
}

impl ShadowLine {
    /// Reads a line; `None`: it is not one.
    pub fn parse(line: &str) -> Option<ShadowLine> {
        let [name, password, a, b, c, d, e, expires, _] = parts(line)?;
        let ages = [a, b, c, d, e].map(str::to_owned);
        Some(ShadowLine { name: name.to_owned(), password: password.to_owned(), ages, expires: expires.parse().ok() })
    }
}

impl fmt::Display for UserLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UserLine { name, password, uid, gid, comment, home, shell } = self;
        write!(f, "{name}:{password}:{uid}:{gid}:{comment}:{home}:{shell}")
    }
}

impl fmt::Display for GroupLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.name, self.password, self.gid, self.members.join(","))
    }
}

impl fmt::Display for ShadowLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expires = self.expires.map(|days| days.to_string()).unwrap_or_default();
        write!(f, "{}:{}:{}:{expires}:", self.name, self.password, self.ages.join(":"))
    }
}

macro_rules! named_in_debug {
    ($($line:ident)+) => {$(
        /// Shows the name only: the line may hold the hash of a password.
        impl fmt::Debug for $line {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($line)).field("name", &self.name).finish_non_exhaustive()
            }
        }
    )+};
}
named_in_debug!(UserLine GroupLine ShadowLine);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_as_it_was_read() {
        for line in ["root:x:0:0:root:/root:/bin/bash", "a b:x:4294967294:7::/:", "u:x:1:2:A, B & C,,,:/h:/bin/a:b"] {
            assert_eq!(UserLine::parse(line).unwrap().to_string(), line);
        }
        for line in ["root:x:0:", "adm:x:4:ann,bob", "g:!:4294967294:"] {
            assert_eq!(GroupLine::parse(line).unwrap().to_string(), line);
        }
        for line in ["ann:$y$j9T$a$b:20785:0:99999:7:::", "bob:!:20785:0:99999:7::21916:", "x:*:::::::"] {
            assert_eq!(ShadowLine::parse(line).unwrap().to_string(), line);
        }
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        for line in ["", "#", "+::::::", "a:x:1", "a:x:-1:0::/:", "a:x:1:4294967296::/:"] {
            assert_eq!(UserLine::parse(line), None, "{line}");
        }
        assert_eq!(GroupLine::parse("+:::"), None);
        assert_eq!(GroupLine::parse("a:x:1: ann, bob,").unwrap().members, ["ann", "bob"]);
        assert_eq!(ShadowLine::parse("ann:x"), None);
    }

    #[test]
    fn a_hash_is_not_in_the_debug_output() {
        let line = ShadowLine::parse("ann:canary:20785:0:99999:7:::").unwrap();
        assert_eq!(format!("{line:?}"), "ShadowLine { name: \"ann\", .. }");
    }
}
