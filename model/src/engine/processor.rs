//! Which of the instruction sets that change scores this processor has.
//!
//! It exists so that a run can record them and a worker that lacks them refuses. It measures nothing and sets
//! nothing.

/// The widest set that sums of 8-bit integers depend on: kernels saturate differently before VNNI, so int8
/// scores differ between these sets, and only these.
#[cfg(target_arch = "x86_64")]
pub(super) fn int8_instruction_set() -> &'static str {
    if is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni") {
        VNNI
    } else if is_x86_feature_detected!("avx2") {
        "avx2"
    } else {
        "sse2"
    }
}

/// The widest set that sums of 8-bit integers depend on; on other architectures the architecture itself.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn int8_instruction_set() -> &'static str {
    std::env::consts::ARCH
}

/// The set with which int8 is fast and does not saturate.
pub(super) const VNNI: &str = "vnni";

/// The set that multiplies 16-bit brain floats here, if there is one. The two add in different orders, so
/// scores differ.
pub(super) fn bf16_instruction_set() -> Option<&'static str> {
    // A fact of the kernel, not of the processor: it must allow the use of AMX.
    std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| brain_floats_in(&text))
}

/// Sets that make models faster, as `/proc/cpuinfo` calls them: floats, 8-bit integers, 16-bit brain floats.
const FASTER: [&str; 13] = [
    "avx2",
    "fma",
    "avx512f",
    "avx_vnni",
    "avx512_vnni",
    "avx512_bf16",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
];

/// Those of the processor's instruction sets that make models faster; `None` if the system does not report
/// any.
#[must_use]
pub fn instruction_sets() -> Option<Vec<&'static str>> {
    faster_in(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn faster_in(cpuinfo: &str) -> Option<Vec<&'static str>> {
    let is_list = |line: &&str| line.starts_with("flags") || line.starts_with("Features");
    let flags: Vec<&str> = cpuinfo.lines().find(is_list)?.split_whitespace().collect();
    Some(FASTER.into_iter().filter(|set| flags.contains(set)).collect())
}

fn brain_floats_in(cpuinfo: &str) -> Option<&'static str> {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    ["amx_bf16", "avx512_bf16"].into_iter().find(|set| flags.split_whitespace().any(|flag| flag == *set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wider_set_of_brain_floats_counts() {
        let both = "processor\t: 0\nflags\t\t: fpu avx512_bf16 amx_bf16\n\nprocessor\t: 1\n";
        assert_eq!(brain_floats_in(both), Some("amx_bf16"));
        assert_eq!(brain_floats_in("flags\t\t: fpu avx512_bf16"), Some("avx512_bf16"));
        assert_eq!(brain_floats_in("flags\t\t: fpu avx512_bf16_not"), None);
        assert_eq!(faster_in(both), Some(vec!["avx512_bf16", "amx_bf16"]));
        assert_eq!(faster_in("Features\t: fp asimd bf16"), Some(vec!["asimd", "bf16"]));
        assert_eq!(faster_in("processor: 0"), None);
        assert_eq!(brain_floats_in("Features\t: fp asimd bf16"), None);
    }
}
