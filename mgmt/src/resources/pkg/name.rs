//! Names of packages.

use std::fmt;

/// The name of a package, with an architecture or without.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PkgName {
    pub(super) name: String,
    pub(super) architecture: Option<String>,
}

impl PkgName {
    /// A name such as `nginx` or `libc6:i386`.
    ///
    /// # Errors
    /// Why it is none. Such a text could be read as an option or a pattern by the tools that get it.
    pub(super) fn parse(text: &str) -> Result<PkgName, String> {
        let (name, architecture) = match text.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (text, None),
        };
        let begins = |text: &str| text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let other = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || "+-._".contains(c));
        if let Some(c) = name.chars().find(|c| c.is_ascii_uppercase()) {
            return Err(format!("has a capital `{c}`: names of packages are in lower case"));
        }
        if !begins(name) || name.len() < 2 {
            return Err(
                "is no name of a package: it has two characters or more, and begins with a letter or digit".into()
            );
        }
        if let Some(c) = name.chars().find(|c| other(*c)) {
            return Err(format!("has `{}`, which no name of a package has", c.escape_debug()));
        }
        match architecture {
            Some(architecture) if !begins(architecture) || architecture.contains(|c: char| other(c)) => {
                Err("has no architecture after the colon, such as `amd64`".into())
            }
            _ => Ok(PkgName { name: name.to_owned(), architecture: architecture.map(str::to_owned) }),
        }
    }
}

impl fmt::Display for PkgName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.architecture.iter().try_for_each(|architecture| write!(f, ":{architecture}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_packages_and_nothing_else() {
        for good in ["nginx", "g++", "libc6:i386", "0ad", "libstdc++6", "a2", "x.y_z"] {
            assert_eq!(PkgName::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a",
            "-y",
            "--force",
            "a b",
            "nginx=1",
            "nginx/sid",
            "x*",
            "libc6:",
            "libc6:-x",
            "a:b:c",
            "./a.deb",
            "ä1",
        ] {
            assert!(PkgName::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(PkgName::parse("Nginx").unwrap_err(), "has a capital `N`: names of packages are in lower case");
    }
}
