//! Kinds of the YAML format that no build of this library has: the known part of each, so that files that use them can
//! be read.

use crate::gapi::yaml::absent::{any, kind, output, secret, text, texts, truth, whole};
use crate::resource::KindSpec;

/// A row for each kind: `"kind" "What it is." [fields: their sorts] [outputs]`.
macro_rules! kinds {
    ($($kind:literal $doc:literal [$($field:ident: $sort:ident),*] [$($output:ident),*])*) => {
        &[$(
            kind($kind, $doc, &[$($sort(stringify!($field), "")),*], &[$(output(stringify!($output)),)* output("?")])
        ),*]
    };
}

/// The feature of the library that a kind needs, if this build may lack it.
pub(super) fn feature_of(kind: &str) -> Option<&'static str> {
    match kind {
        "gzip" | "tar" | "unpack" => Some("archive"),
        "http:client" => Some("http-client"),
        "http:file" | "http:server" => Some("http"),
        "cron" | "hostname" | "nspawn" | "svc" => Some("dbus"),
        "virt" => Some("virt"),
        "remote" => Some("ssh"),
        _ => None,
    }
}

pub(super) static ELSEWHERE: &[KindSpec] = kinds! {
    "augeas" "Settings in configuration files of many formats, through Augeas." [file: text, lens: text, sets: any] []
    "aws:ec2" "A virtual machine on AWS EC2."
        [state: text, region: text, type: text, imageid: text, watchendpoint: text, watchlistenaddr: text,
         erroronmalformedpost: truth, userdata: secret]
        [publicipv4, privateipv4, instanceid]
    "bmc:firmware" "The firmware of a machine, through its management controller."
        [hostname: text, port: whole, username: text, password: secret, insecure_password: truth, driver: text] []
    "bmc:power" "The power of a machine, through its management controller."
        [hostname: text, port: whole, username: text, password: secret, insecure_password: truth, driver: text,
         state: text] []
    "cloudflare:dns" "A DNS record at Cloudflare."
        [apitoken: secret, comment: text, content: text, priority: any, proxied: any, purged: any, recordname: text,
         state: text, ttl: any, type: text, zone: text] []
    "config:etcd" "The size of the etcd cluster." [idealclustersize: whole, allowsizeshutdown: truth] []
    "consul:kv" "A value in Consul." [key: text, value: text, scheme: text, address: text, token: secret] []
    "deploy:tar" "An archive of what is deployed." [path: text] []
    "dhcp:host" "The DHCP lease of one machine." [server: text, mac: text, ip: text, nbp: text, nbppath: text] []
    "dhcp:range" "A range of DHCP leases."
        [server: text, network: text, from: text, to: text, mask: text, skip: texts, nbp: text, persist: truth] []
    "dhcp:server" "A DHCP server."
        [address: text, interface: text, serverid: text, leasetime: text, dns: texts, routers: texts, nbp: text] []
    "docker:container" "A Docker container."
        [state: text, image: text, cmd: texts, env: secret, ports: any, apiversion: text, force: truth] []
    "docker:image" "A Docker image." [state: text, apiversion: text] []
    "docker:network" "A Docker network." [state: text, apiversion: text] []
    "esphome" "An ESPHome device." [host: text, port: whole, password: secret, key: secret] [value]
    "firewalld" "What a firewalld zone lets through." [zone: text, state: text, services: texts, ports: texts] []
    "fwattr" "A firmware setting." [value: any] []
    "fwupd" "Updates of firmware." [state: text] []
    "fwupd:device" "The firmware of one device." [state: text, version: text] []
    "fwupd:remote" "A source of firmware." [state: text] []
    "fwupd:system" "How firmware is updated." [state: text] []
    "gsettings" "A desktop setting." [user: text, schema: text, key: text, type: text, value: text] []
    "hetzner:vm" "A virtual machine at Hetzner."
        [apitoken: secret, state: text, allowrebuild: text, servertype: text, datacenter: text, image: text,
         userdata: secret, serverrescuemode: text, serverrescuekeys: texts, waitinterval: whole, waittimeout: whole] []
    "http:flag" "A value that a client sends to the server." [server: text, path: text, key: text] [value]
    "http:proxy" "What the server gets from another one." [server: text, sub: text, head: text, cache: text] []
    "http:server:file" "A file of the server; `http:file` here."
        [server: text, filename: text, path: text, data: text] []
    "http:server:flag" "A value that a client sends to the server." [server: text, path: text, key: text] [value]
    "http:server:proxy" "What the server gets from another one." [server: text, sub: text, head: text, cache: text] []
    "http:server:ui" "A page of the server with inputs." [server: text, path: text, data: any] []
    "http:server:ui:input" "An input on a page of the server."
        [path: text, id: text, value: text, store: text, type: text, sort: text] [value]
    "http:ui" "A page of the server with inputs." [server: text, path: text, data: any] []
    "http:ui:input" "An input on a page of the server."
        [path: text, id: text, value: text, store: text, type: text, sort: text] [value]
    "json:edit" "Values in a JSON file." [path: text, file: text, key: text, value: any, state: text] []
    "panic" "Ends the program with a panic." [] []
    "pippet" "A Puppet resource." [type: text, title: text, params: any] []
    "tftp:file" "A file of a TFTP server." [server: text, filename: text, path: text, data: text] []
    "tftp:server" "A TFTP server." [address: text, timeout: whole, root: text] []
    "virt:builder" "An image of a virtual machine." [path: text, format: text, size: any, os: text] []
    "virt:network" "A network of virtual machines." [uri: text, state: text] []
};

#[cfg(test)]
mod tests {
    use super::feature_of;
    use crate::gapi::yaml::options::YamlOptions;

    #[test]
    fn a_kind_that_not_every_build_has_names_its_feature() {
        for kind in ["gzip", "tar", "unpack", "http:client", "http:file", "http:server"] {
            let feature = feature_of(kind).expect("a feature");
            let is_built = match feature {
                "archive" => cfg!(feature = "archive"),
                "http" => cfg!(feature = "http"),
                _ => cfg!(feature = "http-client"),
            };
            assert_eq!(YamlOptions::default().kinds.get(kind).is_some(), is_built, "{kind}");
        }
    }
}
