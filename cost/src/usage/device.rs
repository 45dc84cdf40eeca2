//! GPUs in the records: which one a worker had, how many a type of machine has, and what the stages did if a
//! device ran the model.
//!
//! Numbers only, as workers recorded them: sums saturate. The report decides which stage is the bottleneck.

use serde::{Deserialize, Serialize};

use super::WorkerUsage;
use tagfleet_pipeline::tagger::DeviceTime;

/// The GPUs of a worker, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// As the driver names it: `NVIDIA L4`.
    pub name: String,
    /// How many are used.
    pub count: u32,
}

/// What the stages of processes did whose model ran on a device, one for each process, and for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// Images tagged or failed.
    pub images: u64,
    /// Milliseconds since the first image, times the vCPUs of each process.
    pub vcpu_milliseconds: u64,
    /// Milliseconds since the first image, of all devices together.
    pub device_milliseconds: u64,
    /// As in [`DeviceTime::decode_milliseconds`].
    pub decode_milliseconds: u64,
    /// As in [`DeviceTime::transfer_milliseconds`].
    pub transfer_milliseconds: u64,
    /// As in [`DeviceTime::compute_milliseconds`].
    pub compute_milliseconds: u64,
}

impl DeviceUse {
    /// What one process did with this many vCPUs, for this many images.
    #[must_use]
    pub fn new(time: DeviceTime, vcpus: u64, images: u64) -> Self {
        Self {
            images,
            vcpu_milliseconds: time.wall_milliseconds.saturating_mul(vcpus),
            device_milliseconds: time.wall_milliseconds,
            decode_milliseconds: time.decode_milliseconds,
            transfer_milliseconds: time.transfer_milliseconds,
            compute_milliseconds: time.compute_milliseconds,
        }
    }

    /// Adds what other processes did.
    pub fn add(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.images, other.images);
        add(&mut self.vcpu_milliseconds, other.vcpu_milliseconds);
        add(&mut self.device_milliseconds, other.device_milliseconds);
        add(&mut self.decode_milliseconds, other.decode_milliseconds);
        add(&mut self.transfer_milliseconds, other.transfer_milliseconds);
        add(&mut self.compute_milliseconds, other.compute_milliseconds);
    }
}

impl WorkerUsage {
    /// What its stages did; `None` if the processor ran the model.
    #[must_use]
    pub fn device_use(&self) -> Option<DeviceUse> {
        let images = self.tagged.saturating_add(self.failed);
        Some(DeviceUse::new(self.device?, u64::from(self.vcpus), images))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::usage_of_a_worker;
    use crate::usage::{UsageRecord, sum};

    #[test]
    fn a_record_of_before_reads_and_is_written_as_it_was() {
        let old = r#"{"kind":"worker","version":1,"machine":{},"began":10,"updated":20,"vcpus":2,"tagged":0,"failed":0,"requests":{},"threads":{"waiting_milliseconds":0,"tagging_milliseconds":0}}"#;
        let read: UsageRecord = serde_json::from_str(old).unwrap();
        assert_eq!(read, UsageRecord::Worker(usage_of_a_worker()));
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
    }

    fn with_gpu(name: &str, device: DeviceTime) -> WorkerUsage {
        let gpu = Some(Gpu { name: name.to_owned(), count: 1 });
        WorkerUsage { gpu, device: Some(device), vcpus: 4, tagged: 900, failed: 100, ..usage_of_a_worker() }
    }

    #[test]
    fn a_record_with_a_gpu_is_kept_as_it_is() {
        let device = DeviceTime {
            wall_milliseconds: 1000,
            decode_milliseconds: 3600,
            transfer_milliseconds: 50,
            compute_milliseconds: 400,
        };
        let record = UsageRecord::Worker(with_gpu("NVIDIA L4", device));
        let stored = serde_json::to_string(&record).unwrap();
        assert!(
            stored.contains(r#""gpu":{"name":"NVIDIA L4","count":1},"device":{"wall_milliseconds":1000,"#),
            "{stored}"
        );
        assert_eq!(serde_json::from_str::<UsageRecord>(&stored).unwrap(), record);
    }

    #[test]
    fn gpus_and_what_they_did_are_added_up() {
        let device = |wall_milliseconds, decode_milliseconds| DeviceTime {
            wall_milliseconds,
            decode_milliseconds,
            transfer_milliseconds: 10,
            compute_milliseconds: 100,
        };
        let workers = [with_gpu("NVIDIA L4", device(1000, 3000)), with_gpu("NVIDIA L4", device(500, 1000))];
        let usage = sum([workers.to_vec(), vec![usage_of_a_worker()]]
            .concat()
            .into_iter()
            .map(UsageRecord::Worker)
            .collect());
        assert_eq!(usage.machines[0].gpu, Some(Gpu { name: "NVIDIA L4".to_owned(), count: 2 }));
        // 4 x 1000 + 4 x 500 of vCPUs; the worker without a device is in none of it.
        let expected = DeviceUse {
            images: 2000,
            vcpu_milliseconds: 6000,
            device_milliseconds: 1500,
            decode_milliseconds: 4000,
            transfer_milliseconds: 20,
            compute_milliseconds: 200,
        };
        assert_eq!(usage.device, Some(expected));
        assert_eq!(sum(vec![UsageRecord::Worker(usage_of_a_worker())]).device, None);
    }
}
