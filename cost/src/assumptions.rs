//! Assumptions for what is not measured yet: one figure for each, with its source.
//!
//! Constants only. A plan and the budget of a running fleet must use the same figures.

/// From a request for a machine until its worker tags, in seconds: boot and image pull. Four minutes are what
/// the plan for 300 million images reckons with; AWS promises no figure.
pub const BOOT_SECONDS: u64 = 240;
/// Share of a machine's time in which it tags nothing: image pull, the last shards. As in the plan for 300
/// million.
pub const OVERHEAD: f64 = 0.08;
/// Images per second and vCPU if nothing is measured. ResNet-50 in fp32 does about 10.
pub const IMAGES_PER_VCPU_SECOND: f64 = 5.0;
/// GET requests per second that S3 promises for one partitioned prefix (S3 User Guide, "performance
/// guidelines").
pub const S3_GETS_PER_SECOND: f64 = 5500.0;
/// Keys of a page of S3's listings (S3 API reference, `ListObjectsV2`).
pub const KEYS_A_PAGE: u64 = 1_000;
/// Keys that one call of the splitter cuts in a second, as in the plan for 300 million: what one client lists
/// in parallel.
pub const KEYS_PER_SECOND: u64 = 100_000;
/// Rows that one call of the reducer compacts in a second, as in the plan for 300 million.
pub const ROWS_PER_SECOND: u64 = 50_000;
/// Memory of the splitter, in MB: a test holds it to the template.
pub const SPLITTER_MB: u64 = 2_048;
/// Memory of the reducer, in MB: the same test holds it.
pub const REDUCER_MB: u64 = 3_008;
/// A worker has work for some minutes at least, because its machine takes as long to boot: 50,000 images.
pub const IMAGES_PER_WORKER: u64 = 50_000;
/// Workers of a request that names no number.
pub const DEFAULT_WORKERS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_functions_have_the_memory_that_the_template_gives_them() {
        let template = include_str!("../../infra/template.yaml");
        let memory: Vec<&str> =
            template.lines().filter_map(|line| line.trim().strip_prefix("MemorySize: ")).collect();
        assert_eq!(memory, [SPLITTER_MB.to_string(), REDUCER_MB.to_string()]);
    }
}
