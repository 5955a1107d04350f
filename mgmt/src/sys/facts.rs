//! Facts about this host, from `/proc` and `/etc`. What can't be read is empty or zero.

use std::fs;

/// Its name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The release of its kernel.
pub fn kernel() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Its operating system, as `/etc/os-release` names it for people.
pub fn os() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map(|name| name.trim_matches('"').to_owned()).unwrap_or_default()
}

/// How many processors this process may use.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A line of `/proc/meminfo`, in bytes.
pub fn memory(line: &str) -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let value = text
        .lines()
        .find_map(|l| l.strip_prefix(line))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    value.unwrap_or(0) * 1024
}

/// The load average of the last minute.
pub fn load() -> f64 {
    first_number("/proc/loadavg").unwrap_or(0.0)
}

/// Seconds since it started.
pub fn uptime() -> u64 {
    // Whole seconds: the fraction is noise.
    first_number("/proc/uptime").unwrap_or(0.0) as u64
}

fn first_number(path: &str) -> Option<f64> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}
