//! What the repositories have, as `apt-cache policy` prints it.

use std::collections::HashMap;

/// A package of which apt has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The version that would be installed; `None`: there is none, as for a name that other packages provide.
    pub(super) candidate: Option<String>,
    pub(super) versions: Vec<Offered>,
}

/// A version of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) version: String,
    /// Where it is, such as `http://packages.test/debian bookworm/main amd64 Packages`.
    pub(super) sources: Vec<String>,
}

impl Known {
    pub(super) fn version(&self, version: &str) -> Option<&Offered> {
        self.versions.iter().find(|offered| offered.version == version)
    }
}

/// Reads the answer for several packages: those that are not in it are unknown. With an architecture in the question,
/// the answer has it too, unless it is that of this host.
pub(super) fn parse(text: &str) -> HashMap<String, Known> {
    let mut all = HashMap::new();
    let mut name = None;
    for line in text.lines() {
        if !line.starts_with(' ') {
            name = line.strip_suffix(':').map(str::to_owned);
            if let Some(name) = &name {
                all.insert(name.clone(), Known::default());
            }
            continue;
        }
        let Some(known) = name.as_ref().and_then(|name| all.get_mut(name)) else { continue };
        if let Some(candidate) = line.strip_prefix("  Candidate: ") {
            known.candidate = Some(candidate.to_owned()).filter(|candidate| candidate != "(none)");
        } else if let Some(source) = line.strip_prefix("        ") {
            // A priority comes first.
            let source = source.trim_start().split_once(' ').map(|(_, source)| source.to_owned());
            if let (Some(offered), Some(source)) = (known.versions.last_mut(), source) {
                offered.sources.push(source);
            }
        } else if let Some(version) = line.strip_prefix("     ").or_else(|| line.strip_prefix(" *** ")) {
            let version = version.split_whitespace().next().unwrap_or_default().to_owned();
            known.versions.push(Offered { version, sources: Vec::new() });
        }
    }
    all
}

/// The component of a source; `None`: it has none.
pub(super) fn component(source: &str) -> Option<&str> {
    source.split(' ').nth(1)?.rsplit_once('/').map(|(_, component)| component).filter(|component| !component.is_empty())
}

/// The origins of all sources, as `apt-cache policy` without packages prints them.
pub(super) fn origins(text: &str) -> HashMap<String, String> {
    let mut all = HashMap::new();
    let mut source = None;
    for line in text.lines() {
        if let Some(release) = line.strip_prefix("     release ") {
            let origin = release.split(',').find_map(|part| part.strip_prefix("o="));
            if let (Some(source), Some(origin)) = (source.take(), origin) {
                all.insert(source, origin.to_owned());
            }
        } else if !line.starts_with("     ") {
            source = line.trim_start().split_once(' ').map(|(_, source)| source.to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_versions_and_their_sources_are_read() {
        let text = "dpkg:\n  Installed: 1.21.22\n  Candidate: 1.21.23\n  Version table:\n     1.21.23 500\n        \
                    500 http://packages.test/debian bookworm/main amd64 Packages\n *** 1.21.22 100\n        \
                    100 /var/lib/dpkg/status\nmta:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n";
        let all = parse(text);
        let dpkg = &all["dpkg"];
        assert_eq!(dpkg.candidate.as_deref(), Some("1.21.23"));
        let sources = &dpkg.version("1.21.23").unwrap().sources;
        assert_eq!(sources, &["http://packages.test/debian bookworm/main amd64 Packages"]);
        assert_eq!(component(&sources[0]), Some("main"));
        assert_eq!(component(&dpkg.version("1.21.22").unwrap().sources[0]), None);
        assert_eq!((component("file:/repo ./ Packages"), component("/var/lib/dpkg/status")), (None, None));
        assert_eq!(all["mta"], Known::default());
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn the_origin_of_each_source_is_read() {
        let text = "Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n 500 file:/repo ./ Packages\n     \
                    release c=\n     origin \n 500 http://x bookworm/main amd64 Packages\n     \
                    release v=12,o=Debian,a=stable,c=main,b=amd64\n     origin x\nPinned packages:\n";
        let all = origins(text);
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            [("http://x bookworm/main amd64 Packages".into(), "Debian".into())]
        );
    }
}
