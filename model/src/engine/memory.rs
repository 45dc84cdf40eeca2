//! How much memory is left for this process. It reads the system's figures and allocates nothing.

use std::fs;

/// Where containers find their limit and their use: version 2 of control groups, then version 1.
const GROUPS: [(&str, &str); 2] = [
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
];

/// Bytes that this process can still get: of the machine, and of its container. `None` if the system does not
/// report them.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let available = field(&read("/proc/meminfo")?, "MemAvailable:")?;
    let groups = GROUPS.iter().filter_map(|(limit, used)| left(&read(limit)?, &read(used)?));
    Some(groups.fold(available, u64::min))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// A field of `/proc` in bytes; it is given in kB.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What a group has left; `None` if it has no limit.
fn left(limit: &str, used: &str) -> Option<u64> {
    let (limit, used) = (limit.trim().parse::<u64>().ok()?, used.trim().parse().ok()?);
    Some(limit.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let status = "Name:\ttagfleet\nVmHWM:\t  2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(field(status, "VmSwap:"), None);
        assert_eq!(left("1000\n", "400\n"), Some(600));
        assert_eq!(left("1000\n", "4000\n"), Some(0));
        assert_eq!(left("max\n", "400\n"), None);
    }
}
