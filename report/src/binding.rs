//! Which stage binds a run whose model runs on a device: decoding on the processors, copying to the device,
//! or the model on it. Measured, not guessed.
//!
//! Pure, and for people: nothing is decided by it. A run whose processors run the model has none of it.

use serde::{Deserialize, Serialize};

use tagfleet_cost::usage::DeviceUse;

/// A stage that is busy for less of its time does not hold the others up.
const BINDS: f64 = 0.5;

/// What an image goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Decoded, resized and cropped by the vCPUs.
    Decode,
    /// Copied to the device.
    Transfer,
    /// Run through the model.
    Compute,
}

/// How busy each stage was, and what came out of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The busiest stage.
    pub stage: Stage,
    /// The share of their time, of 1, in which the vCPUs of the workers' jobs decoded; above 1 if a machine
    /// lent them others.
    pub decode: f64,
    /// The share of its time in which images were copied to the device.
    pub transfer: f64,
    /// The share of its time in which the device ran the model.
    pub compute: f64,
    /// Images a second and vCPU.
    pub images_per_second_per_vcpu: f64,
    /// Images a second and GPU.
    pub images_per_second_per_gpu: f64,
}

impl Binding {
    /// The bottleneck by the stages' times; `None` if nothing was measured.
    #[must_use]
    pub fn new(used: &DeviceUse) -> Option<Self> {
        if used.vcpu_milliseconds == 0 || used.device_milliseconds == 0 {
            return None;
        }
        let (vcpus, devices) = (used.vcpu_milliseconds as f64, used.device_milliseconds as f64);
        let decode = used.decode_milliseconds as f64 / vcpus;
        let transfer = used.transfer_milliseconds as f64 / devices;
        let compute = used.compute_milliseconds as f64 / devices;
        let stage = match decode.max(transfer).max(compute) {
            most if most <= decode => Stage::Decode,
            most if most <= compute => Stage::Compute,
            _ => Stage::Transfer,
        };
        let images = used.images as f64 * 1000.0;
        Some(Self {
            stage,
            decode,
            transfer,
            compute,
            images_per_second_per_vcpu: images / vcpus,
            images_per_second_per_gpu: images / devices,
        })
    }

    /// Whether the busiest stage holds the others up. If it does not, images came too slowly, or the stages
    /// waited for one another.
    #[must_use]
    pub fn binds(&self) -> bool {
        self.decode.max(self.transfer).max(self.compute) >= BINDS
    }

    /// `decode binds`, or that nothing does.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.stage {
            _ if !self.binds() => "no bottleneck: no stage was busy for half of the time",
            Stage::Decode => "bottleneck: decode",
            Stage::Transfer => "bottleneck: transfer",
            Stage::Compute => "bottleneck: compute",
        }
    }

    /// `decode 96 % busy, transfer 4 %, compute 41 %`
    #[must_use]
    pub fn shares(&self) -> String {
        let [decode, transfer, compute] =
            [self.decode, self.transfer, self.compute].map(|share| share * 100.0);
        format!("decode {decode:.0} % busy, transfer {transfer:.0} %, compute {compute:.0} %")
    }

    /// `75.0 images/s per vCPU, 300.0 per GPU`
    #[must_use]
    pub fn rates(&self) -> String {
        let (vcpu, gpu) = (self.images_per_second_per_vcpu, self.images_per_second_per_gpu);
        format!("{vcpu:.1} images/s per vCPU, {gpu:.1} per GPU")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::Summary;
    use crate::tests::summary;
    use tagfleet_pipeline::tagger::DeviceTime;

    /// Four vCPUs and a GPU for ten seconds.
    fn used(decode_milliseconds: u64, transfer_milliseconds: u64, compute_milliseconds: u64) -> DeviceUse {
        let wall_milliseconds = 10_000;
        let time = DeviceTime {
            wall_milliseconds,
            decode_milliseconds,
            transfer_milliseconds,
            compute_milliseconds,
        };
        DeviceUse::new(time, 4, 3000)
    }

    /// One that decoding binds.
    pub(crate) fn binding() -> Binding {
        Binding::new(&used(38_400, 400, 4100)).unwrap()
    }

    #[test]
    fn times_that_cannot_be_are_finite() {
        let binding = Binding::new(&used(u64::MAX, u64::MAX, u64::MAX));
        assert!(binding.is_some_and(|binding| binding.decode.is_finite()));
    }

    #[test]
    fn the_busiest_stage_binds() {
        // 38.4 s of 40 s of four vCPUs; 0.4 s and 4.1 s of 10 s. 3000 images in 10 s.
        let expected = Binding {
            stage: Stage::Decode,
            decode: 0.96,
            transfer: 0.04,
            compute: 0.41,
            images_per_second_per_vcpu: 75.0,
            images_per_second_per_gpu: 300.0,
        };
        assert_eq!(binding(), expected);
        let verdict = |used: DeviceUse| Binding::new(&used).unwrap().verdict();
        assert_eq!(verdict(used(20_000, 400, 9700)), "bottleneck: compute");
        assert_eq!(verdict(used(20_000, 8000, 7900)), "bottleneck: transfer");
        assert_eq!(verdict(used(12_000, 400, 4900)), "no bottleneck: no stage was busy for half of the time");
        assert_eq!(verdict(used(0, 0, 0)), "no bottleneck: no stage was busy for half of the time");
    }

    #[test]
    fn a_job_that_got_more_than_its_vcpus_says_so() {
        assert!(Binding::new(&used(60_000, 0, 0)).unwrap().shares().starts_with("decode 150 % busy"));
    }

    #[test]
    fn nothing_is_said_of_what_was_not_measured() {
        assert_eq!(Binding::new(&DeviceUse::default()), None);
        let no_vcpus = DeviceUse::new(DeviceTime { wall_milliseconds: 5, ..DeviceTime::default() }, 0, 9);
        assert_eq!(Binding::new(&no_vcpus), None);
    }

    #[test]
    fn the_largest_numbers_stay_numbers() {
        let most = DeviceUse {
            images: u64::MAX,
            vcpu_milliseconds: 1,
            device_milliseconds: 1,
            decode_milliseconds: u64::MAX,
            transfer_milliseconds: u64::MAX,
            compute_milliseconds: u64::MAX,
        };
        let mut sum = most;
        sum.add(most);
        let binding = Binding::new(&sum).unwrap();
        assert!(binding.decode.is_finite() && binding.images_per_second_per_gpu.is_finite(), "{binding:?}");
    }

    #[test]
    fn a_summary_names_it() {
        let summary = Summary { threads: 4, batch_size: 64, device: Some(binding()), ..summary() };
        insta::assert_snapshot!(summary.text(), @r"
        run      20261123-170000-0a1b2c: complete
        images   1,000: 990 tagged, 10 failed
                       8 corrupt
                       2 empty
        decoder  3 damaged JPEGs were recovered
        tags     pug 400; tench, Tinca tinca 250; 5 more labels (images by best tag)
        model    mobilenet, onnxruntime 1.32.0 fp32
        speed    250.0 images/s: 1,000 in 4.0 s on 4 threads, batch 64
        stages   bottleneck: decode (decode 96 % busy, transfer 4 %, compute 41 %)
                 75.0 images/s per vCPU, 300.0 per GPU
        results  tags/20261123-170000-0a1b2c/results
        ");
        let stored = serde_json::to_string(&summary).unwrap();
        assert!(
            stored.contains(r#""device":{"stage":"decode","decode":0.96,"transfer":0.04,"compute":0.41,"#),
            "{stored}"
        );
        assert_eq!(serde_json::from_str::<Summary>(&stored).unwrap(), summary);
    }
}
