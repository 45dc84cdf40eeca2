//! What this worker used, reported regularly while it runs: a usage record next to the run, a line in the
//! log.
//!
//! A worker that is killed loses its usage since its last record, a minute at most. A record that cannot be
//! written is logged and costs no image.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tagfleet_aws::Aws;
use tagfleet_aws::machine::Instance;
use tagfleet_cost::usage::{self, Gpu, RECORD_SECONDS, USAGE_VERSION, UsageRecord, WorkerEnd, WorkerUsage};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::progress::Progress;
use tagfleet_pipeline::run::RunKeys;
use tagfleet_report::binding::Binding;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::log;

const EVERY: Duration = Duration::from_secs(RECORD_SECONDS);
/// A worker that starts later than this after its machine's launch is not the first one there, because
/// booting and fetching the image take a few minutes.
const LONGEST_BOOT: Duration = Duration::from_secs(600);

/// Writes the usage records of one worker.
#[derive(Clone)]
pub(crate) struct Reporter {
    pub(crate) output: Arc<dyn Bucket>,
    pub(crate) keys: RunKeys,
    pub(crate) name: String,
    pub(crate) vcpus: u32,
    pub(crate) instance: Instance,
    pub(crate) gpu: Option<Gpu>,
    /// Whether EC2 has sent a spot interruption notice.
    pub(crate) reclaimed: Arc<AtomicBool>,
    /// What sends all of the worker's requests.
    pub(crate) aws: Aws,
    pub(crate) began: SystemTime,
    pub(crate) progress: Arc<Progress>,
}

impl Reporter {
    /// Reports at once and then each minute, until it is asked to end. A record that is being written is
    /// written to its end: given up in the middle, it could still come after the last one.
    pub(crate) async fn each_minute(self, end: Arc<Notify>) {
        let mut minutes = interval(EVERY);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        minutes.tick().await;
        self.put(None).await;
        loop {
            tokio::select! {
                _ = minutes.tick() => self.report("working", None).await,
                () = end.notified() => return,
            }
        }
    }

    /// The last report: why the worker ends.
    pub(crate) async fn end(&self, end: &WorkerEnd) {
        self.report("ended", Some(end)).await;
    }

    async fn report(&self, event: &str, ended: Option<&WorkerEnd>) {
        log::event(event, self.fields(ended));
        self.put(ended).await;
    }

    /// The fields of a log line about the work so far.
    fn fields(&self, ended: Option<&WorkerEnd>) -> Value {
        let (counts, failures) = (self.progress.counts(), self.progress.shard_failures());
        let mut fields = json!({"tagged": counts.tagged, "failed": counts.failed, "committed": counts.committed, "images_at_once": self.progress.batch_size()});
        if let Some(last) = failures.last {
            fields["shards_given_back"] = json!(failures.count);
            fields["last_shard_failure"] = json!(last);
        }
        for (trouble, times) in self.progress.troubles() {
            fields["troubles"][trouble.to_string()] = json!({"count": times.count, "last": times.last});
        }
        let used = self.usage(SystemTime::now(), ended).device_use();
        if let Some(binding) = used.as_ref().and_then(Binding::new) {
            fields["stages"] = json!(binding);
        }
        if let Some(why) = ended {
            fields["why"] = json!(why);
        }
        fields
    }

    async fn put(&self, ended: Option<&WorkerEnd>) {
        let mut usage = self.usage(SystemTime::now(), ended);
        // The request that writes this down.
        usage.requests.count("s3:PutObject");
        let record = UsageRecord::Worker(usage);
        if let Err(error) = usage::put(self.output.as_ref(), &self.keys, &self.name, &record).await {
            log::event("usage not recorded", json!({"error": error.to_string()}));
        }
    }

    /// What the worker used until now.
    pub(crate) fn usage(&self, now: SystemTime, ended: Option<&WorkerEnd>) -> WorkerUsage {
        let counts = self.progress.counts();
        let is_first = |launched: &SystemTime| {
            self.began.duration_since(*launched).is_ok_and(|boot| boot <= LONGEST_BOOT)
        };
        WorkerUsage {
            version: USAGE_VERSION,
            machine: self.instance.machine.clone(),
            instance: self.instance.id.clone(),
            machine_vcpus: machine_vcpus(),
            reclaimed: self.reclaimed.load(Relaxed),
            launched: self.instance.launched.filter(is_first).map(seconds),
            began: seconds(self.began),
            updated: seconds(now),
            ended: ended.cloned(),
            vcpus: self.vcpus,
            tagged: counts.tagged,
            failed: counts.failed,
            requests: self.aws.requests(),
            threads: self.progress.thread_time(),
            gpu: self.gpu.clone(),
            device: self.progress.device_time(),
        }
    }
}

/// vCPUs of the whole machine. On EC2, AWS Batch only sets the weight of a job, so a job sees every CPU.
fn machine_vcpus() -> Option<u32> {
    let all = std::thread::available_parallelism().map(NonZeroUsize::get);
    all.ok().and_then(|all| u32::try_from(all).ok())
}

/// Seconds since 1970; no clock is before that.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use tagfleet_aws::client::Options;
    use tagfleet_pipeline::bucket::KeyRange;
    use tagfleet_pipeline::bucket::memory::MemoryBucket;
    use tagfleet_pipeline::filter::Filter;
    use tagfleet_pipeline::infer::Stop;
    use tagfleet_pipeline::local;
    use tagfleet_pipeline::run::{Ranges, RunId};
    use tagfleet_pipeline::split::Source;
    use tagfleet_pipeline::tagger::{DeviceTime, Tagger, TaggerError};
    use tagfleet_pipeline::tags::Outcome;
    use tagfleet_pipeline::testing::{self, LengthTagger};

    use super::*;

    async fn reporter(output: &MemoryBucket, launched: u64) -> Reporter {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Reporter {
            output: Arc::new(output.clone()),
            keys: RunKeys::in_bucket("", &RunId::try_from("r".to_owned()).unwrap()),
            name: "worker-a-1".to_owned(),
            vcpus: 4,
            instance: Instance { launched: Some(at(launched)), ..Instance::default() },
            gpu: None,
            reclaimed: Arc::default(),
            aws: Aws::for_tests(&Options::default()).await,
            began: at(10_000),
            progress: Arc::new(Progress::default()),
        }
    }

    #[tokio::test]
    async fn a_boot_is_counted_by_the_first_worker_on_a_machine_only() {
        let output = MemoryBucket::default();
        let launched = async |at| reporter(&output, at).await.usage(SystemTime::now(), None).launched;
        assert_eq!(launched(9_700).await, Some(9_700));
        assert_eq!(launched(5_000).await, None, "another job has used the machine before");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_record_from_the_start_and_it_says_why_the_worker_ended() {
        let output = MemoryBucket::default();
        let reporter = reporter(&output, 9_700).await;
        let key = reporter.keys.usage(&reporter.name);
        let _ = tokio::time::timeout(EVERY / 2, reporter.clone().each_minute(Arc::default())).await;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let first = text(&output.get(&key, None, 1000).await.unwrap().bytes);
        assert!(!first.contains("ended"), "{first}");
        reporter.end(&WorkerEnd::QueueEmpty).await;
        let last = text(&output.get(&key, None, 1000).await.unwrap().bytes);
        assert!(last.contains(r#""ended":"queue_empty""#), "{last}");
        assert!(last.contains("s3:PutObject"), "the record itself is a request: {last}");
        assert!(!last.contains("reclaimed"), "{last}");
    }

    /// Its model runs on a device.
    struct OnDevice;

    impl Tagger for OnDevice {
        fn batch_size(&self) -> usize {
            2
        }

        fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
            LengthTagger { batch_size: 2 }.tag(images)
        }

        fn device_time(&self) -> Option<DeviceTime> {
            Some(DeviceTime {
                wall_milliseconds: 1000,
                decode_milliseconds: 3600,
                transfer_milliseconds: 40,
                compute_milliseconds: 500,
            })
        }
    }

    #[tokio::test]
    async fn a_gpu_and_what_its_stages_did_are_recorded_and_in_the_log() {
        let (source, output) = (Arc::new(MemoryBucket::default()), MemoryBucket::default());
        for key in ["a.jpg", "b.jpg"] {
            source.put(key, "picture".into()).await.unwrap();
        }
        let worker = testing::worker(source.clone(), Arc::new(output.clone()), EVERY);
        let gpu = Some(Gpu { name: "NVIDIA L4".to_owned(), count: 1 });
        let reporter = Reporter { gpu, progress: worker.progress.clone(), ..reporter(&output, 9_700).await };
        assert_eq!(reporter.fields(None).get("stages"), None, "nothing is tagged yet");
        let ranges = Ranges { version: 1, ranges: vec![KeyRange::default()] };
        let taggers = || Ok(vec![Box::new(OnDevice) as Box<dyn Tagger>]);
        let listed = Source::Listed(source, Filter::default());
        local::run(&testing::request(), &ranges, &listed, &worker, &taggers, &Stop::default()).await.unwrap();
        // 3.6 s of 4 s of its vCPUs; 2 images in 1 s.
        let expected = json!({"stage": "decode", "decode": 0.9, "transfer": 0.04, "compute": 0.5,
            "images_per_second_per_vcpu": 0.5, "images_per_second_per_gpu": 2.0});
        assert_eq!(reporter.fields(None)["stages"], expected);
        reporter.end(&WorkerEnd::QueueEmpty).await;
        let key = reporter.keys.usage(&reporter.name);
        let record: Value =
            serde_json::from_slice(&output.get(&key, None, 2000).await.unwrap().bytes).unwrap();
        assert_eq!(record["gpu"], json!({"name": "NVIDIA L4", "count": 1}));
        assert_eq!(record["device"]["decode_milliseconds"], 3600);
    }

    #[tokio::test]
    async fn told_to_end_it_writes_the_record_at_hand_and_no_other() {
        let output = MemoryBucket::default();
        let reporter = reporter(&output, 9_700).await;
        let end = Arc::new(Notify::new());
        end.notify_one();
        reporter.clone().each_minute(end).await;
        assert!(output.exists(&reporter.keys.usage(&reporter.name)).await.unwrap());
    }
}
