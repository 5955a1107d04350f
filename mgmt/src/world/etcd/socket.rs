//! An etcd on a unix socket of this host: its address.

use std::path::Path;

/// What the address of a socket begins with.
pub(in crate::world) const UNIX: &str = "unix:";

/// The directory and the name of the socket at `unix:/PATH`. `None`: it is no such address.
pub(super) fn socket(url: &str) -> Option<(&Path, &str)> {
    let path = url.strip_prefix(UNIX).filter(|path| path.starts_with('/') && !path.starts_with("//"))?;
    let (dir, name) = path.rsplit_once('/')?;
    let is_name = !matches!(name, "" | "." | "..");
    is_name.then_some((Path::new(if dir.is_empty() { "/" } else { dir }), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_socket_has_a_whole_path() {
        assert_eq!(socket("unix:/run/etcd/client:0"), Some((Path::new("/run/etcd"), "client:0")));
        assert_eq!(socket("unix:/s"), Some((Path::new("/"), "s")));
        // The second is a name in the working directory of etcd.
        for wrong in ["unix:s", "unix://client:0", "unix:", "unix:/", "unix:/a/..", "/run/s", "https://a:1"] {
            assert_eq!(socket(wrong), None, "{wrong}");
        }
    }
}
