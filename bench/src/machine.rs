//! The machine that figures were measured on, its load, and the date.
//!
//! It reads `/proc` and the clock. A fact that is missing there is "unknown".

use std::fs;

use serde::{Deserialize, Serialize};

/// The instruction sets that decide how fast models run, widest last.
const INSTRUCTIONS: [&str; 9] = [
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_bf16",
    "amx_int8",
];

/// The machine. Figures of another machine are never mixed with this one's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Its processor's name.
    pub(crate) processor: String,
    /// Cores that a process may use.
    pub(crate) cores: usize,
    /// Those of [`INSTRUCTIONS`] that it has.
    pub(crate) instructions: Vec<String>,
    /// Memory in GiB, rounded.
    pub(crate) memory_gib: u64,
    /// Operating system and architecture.
    pub(crate) system: String,
    /// The name of its GPU, if one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gpu: Option<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            processor: field(&cpuinfo, "model name").unwrap_or("unknown").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            instructions: instructions(field(&cpuinfo, "flags").unwrap_or_default()),
            memory_gib: memory_gib(field(&meminfo, "MemTotal").unwrap_or_default()),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            gpu: None,
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn instructions(flags: &str) -> Vec<String> {
    let has = |set: &&str| flags.split_whitespace().any(|flag| flag == *set);
    INSTRUCTIONS.iter().filter(|set| has(set)).map(|&set| set.to_owned()).collect()
}

/// `24662308 kB` is 24.
fn memory_gib(total: &str) -> u64 {
    let kib = total.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kib.map_or(0, |kib| (kib + (1 << 19)) >> 20)
}

/// Processes that ran or waited for a core over the last minute; `None` if the system does not report it.
pub(crate) fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next()?.parse().ok()
}

/// `2026-11-25`.
pub(crate) fn today() -> String {
    jiff::Timestamp::now().to_string().chars().take("2026-11-25".len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_understood() {
        let cpuinfo =
            "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: fpu avx2 amx_bf16x avx512_vnni\n";
        assert_eq!(field(cpuinfo, "model name"), Some("Some CPU @ 2.00GHz"));
        assert_eq!(field(cpuinfo, "model"), None);
        assert_eq!(instructions(field(cpuinfo, "flags").unwrap()), ["avx2", "avx512_vnni"]);
        assert_eq!(memory_gib("24662308 kB"), 24);
        assert_eq!(today().len(), 10);
    }
}
