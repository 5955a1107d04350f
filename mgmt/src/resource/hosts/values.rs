//! The keys of values in a world: `/mgmt/values/KEY` is shared by all hosts, and `/mgmt/values/KEY/HOST` is that of one
//! host. A value is a text.

use crate::id::{key_part, text_of_key_part};
use crate::resource::world::Keys;

const VALUES: &str = "/mgmt/values/";
/// The longest value, in bytes.
pub(crate) const VALUE_BYTES_MAX: usize = 1 << 20;

/// The key of a value; `None`: the one that all hosts share.
pub(crate) fn value_key(key: &str, host: Option<&str>) -> String {
    let shared = format!("{VALUES}{}", key_part(key));
    host.map_or(shared.clone(), |host| format!("{shared}/{}", key_part(host)))
}

/// The values of all hosts under a key, without the shared one.
pub(crate) fn values_of(key: &str) -> Keys {
    Keys::Below(value_key(key, None) + "/")
}

/// The host that has the value with this key in the world; `None`: it is not a value of a host.
pub(crate) fn host_of_value(key: &str) -> Option<String> {
    let (_, host) = key.strip_prefix(VALUES)?.split_once('/')?;
    text_of_key_part(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_key_and_any_host_have_a_key_of_their_own() {
        for (key, host) in [("port", "web1"), ("a/b", "w/1"), ("", "ä\n"), ("a%2Fb", "*")] {
            let of_host = value_key(key, Some(host));
            assert_eq!(host_of_value(&of_host).as_deref(), Some(host), "{of_host}");
            assert!(values_of(key).contain(&of_host));
            assert!(!values_of(key).contain(&value_key(key, None)));
            assert_eq!(host_of_value(&value_key(key, None)), None);
        }
        assert_eq!(host_of_value("/mgmt/values/k/%2f"), None, "another spelling of `/`");
        assert!(!values_of("a").contain(&value_key("a/b", Some("h"))));
        assert!(!values_of("a").contain(&value_key("ab", Some("h"))));
    }
}
