//! Time of whole machines, out of the records of the workers on them.
//!
//! EC2 bills a machine from its launch to its end, by the second and for 60 at least, whatever part of it
//! workers take. A worker's part is that of its vCPUs or of its GPUs, whichever is larger: what is left of
//! the other is of no use. A spot machine that EC2 takes back within its first hour costs nothing. Whether
//! other runs used a machine too is not known here: a machine is counted whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Machine, MachineUsage, Usage, WorkerUsage};
use crate::instances::gpus_of;

/// EC2 bills no less for a machine.
const MIN_BILLED_MS: u64 = 60_000;
/// A spot machine that EC2 takes back sooner costs nothing.
const FREE_BEFORE_SECONDS: u64 = 3600;

/// Time of whole machines of one kind, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MachineTime {
    /// Machines.
    pub machines: u64,
    /// Time that EC2 bills.
    pub billed_ms: u64,
    /// Of this, the workers' parts; the rest is boot, pauses, and vCPUs or GPUs that no worker took.
    pub worked_ms: u64,
    /// Time of spot machines that EC2 took back within their first hour: not billed, and in nothing above but
    /// their count.
    pub free_ms: u64,
}

/// One machine, in seconds since 1970.
#[derive(Default)]
struct Span {
    /// `None` if no worker knows when it was launched: its first hour may have passed then.
    launched: Option<u64>,
    began: u64,
    ended: u64,
    worked_ms: u64,
    reclaimed: bool,
}

impl Usage {
    /// Adds the time of the machines that these workers ran on: all workers of a run together, because they
    /// may share machines.
    pub fn add_machine_time(&mut self, workers: &[WorkerUsage]) {
        let mut spans: BTreeMap<(&Machine, &str), Span> = BTreeMap::new();
        for worker in workers {
            match &worker.instance {
                Some(instance) => {
                    let first = || Span { began: u64::MAX, ..Span::default() };
                    spans.entry((&worker.machine, instance)).or_insert_with(first).add(worker);
                }
                // A machine without a name: the worker's share of it is all that is known to be the run's.
                None => {
                    let mut span = Span { began: u64::MAX, ..Span::default() };
                    span.add(worker);
                    let billed_ms = share_ms(worker, span.billed_ms());
                    span.worked_ms = billed_ms;
                    span.count(&worker.machine, billed_ms, &mut self.machine(&worker.machine).time);
                }
            }
        }
        for ((machine, _), span) in spans {
            span.count(machine, span.billed_ms(), &mut self.machine(machine).time);
        }
    }

    /// The entry of a kind of machine.
    pub(super) fn machine(&mut self, machine: &Machine) -> &mut MachineUsage {
        let position = self.machines.iter().position(|known| known.machine == *machine);
        let at = position.unwrap_or_else(|| {
            self.machines.push(MachineUsage { machine: machine.clone(), ..MachineUsage::default() });
            self.machines.len() - 1
        });
        &mut self.machines[at]
    }
}

impl Span {
    fn add(&mut self, worker: &WorkerUsage) {
        let earliest = self.launched.into_iter().chain(worker.launched).min();
        self.launched = earliest;
        self.began = self.began.min(worker.launched.unwrap_or(worker.began));
        self.ended = self.ended.max(worker.updated);
        let worked_ms = worker.updated.saturating_sub(worker.began).saturating_mul(1000);
        self.worked_ms = self.worked_ms.saturating_add(share_ms(worker, worked_ms));
        self.reclaimed |= worker.reclaimed;
    }

    fn billed_ms(&self) -> u64 {
        self.ended.saturating_sub(self.began).saturating_mul(1000).max(MIN_BILLED_MS)
    }

    fn is_free(&self, machine: &Machine) -> bool {
        let is_early =
            self.launched.is_some_and(|launched| self.ended.saturating_sub(launched) < FREE_BEFORE_SECONDS);
        self.reclaimed && is_early && machine.is_spot()
    }

    fn count(&self, machine: &Machine, billed_ms: u64, time: &mut MachineTime) {
        time.machines += 1;
        if self.is_free(machine) {
            time.free_ms = time.free_ms.saturating_add(billed_ms);
            return;
        }
        time.billed_ms = time.billed_ms.saturating_add(billed_ms);
        time.worked_ms = time.worked_ms.saturating_add(self.worked_ms.min(billed_ms));
    }
}

/// The worker's part of its machine in this time; all of it if the machine's size is not known.
fn share_ms(worker: &WorkerUsage, milliseconds: u64) -> u64 {
    let Some(all_vcpus) = worker.machine_vcpus else { return milliseconds };
    let of_vcpus = part(milliseconds, worker.vcpus, all_vcpus);
    let all_gpus = worker.machine.instance_type.as_deref().and_then(gpus_of);
    let of_gpus = match (&worker.gpu, all_gpus) {
        (Some(gpu), Some(all)) => part(milliseconds, gpu.count, all),
        // A machine without GPUs, or of a type whose GPUs are not known.
        _ => 0,
    };
    of_vcpus.max(of_gpus)
}

/// This many of all, of this time.
fn part(milliseconds: u64, taken: u32, all: u32) -> u64 {
    let (taken, all) = (u64::from(taken), u64::from(all));
    if taken >= all {
        return milliseconds;
    }
    // Whole first, so that it fits whatever the numbers are.
    milliseconds / all * taken + milliseconds % all * taken / all
}

#[cfg(test)]
mod tests {
    use super::super::{Gpu, USAGE_VERSION};
    use super::*;

    fn worker(instance: Option<&str>, launched: Option<u64>, began: u64, updated: u64) -> WorkerUsage {
        let life_cycle = Some("spot".to_owned());
        let machine = Machine { instance_type: Some("c7a.4xlarge".to_owned()), zone: None, life_cycle };
        WorkerUsage {
            version: USAGE_VERSION,
            machine,
            instance: instance.map(str::to_owned),
            machine_vcpus: Some(16),
            launched,
            began,
            updated,
            vcpus: 8,
            ..WorkerUsage::default()
        }
    }

    fn time(workers: &[WorkerUsage]) -> MachineTime {
        let mut usage = Usage::default();
        usage.add_machine_time(workers);
        usage.machines[0].time.clone()
    }

    #[test]
    fn a_machine_is_counted_whole_and_once() {
        let workers = [
            worker(Some("i-1"), Some(1000), 1100, 1400),
            // In parallel with the first, and longer.
            worker(Some("i-1"), Some(1000), 1100, 1500),
            // Another job, later, on the same machine.
            worker(Some("i-1"), None, 1700, 1800),
        ];
        // 1000 to 1800, whole; 300 + 400 + 100 s of half a machine.
        let expected = MachineTime { machines: 1, billed_ms: 800_000, worked_ms: 400_000, free_ms: 0 };
        assert_eq!(time(&workers), expected);
    }

    /// Four GPUs and 48 vCPUs.
    fn on_four_gpus(instance: Option<&str>, updated: u64) -> WorkerUsage {
        let machine = Machine { instance_type: Some("g6.12xlarge".to_owned()), ..Machine::default() };
        WorkerUsage {
            machine,
            machine_vcpus: Some(48),
            vcpus: 4,
            gpu: Some(Gpu { name: "NVIDIA L4".to_owned(), count: 1 }),
            ..worker(instance, Some(1000), 1100, updated)
        }
    }

    #[test]
    fn of_a_machine_with_gpus_a_worker_has_the_larger_share() {
        // 1000 to 1500, whole; a quarter of 400 s and of 200 s, although the vCPUs alone were a twelfth.
        let workers = [on_four_gpus(Some("i-1"), 1500), on_four_gpus(Some("i-1"), 1300)];
        let expected = MachineTime { machines: 1, billed_ms: 500_000, worked_ms: 150_000, free_ms: 0 };
        assert_eq!(time(&workers), expected);
        // Half of the vCPUs are more than a quarter of the GPUs: 200 s of 400 s.
        let greedy = WorkerUsage { vcpus: 24, ..on_four_gpus(Some("i-1"), 1500) };
        assert_eq!(time(&[greedy]).worked_ms, 200_000);
        // Without a name, a quarter of 500 s is all that is known to be the run's.
        assert_eq!(time(&[on_four_gpus(None, 1500)]).billed_ms, 125_000);
        // A worker that found no GPU has its vCPUs, and so has one on a type whose GPUs are not known: 400 s
        // / 12.
        let unseen = WorkerUsage { gpu: None, ..on_four_gpus(Some("i-1"), 1500) };
        let mut elsewhere = on_four_gpus(Some("i-1"), 1500);
        elsewhere.machine.instance_type = Some("p9.12xlarge".to_owned());
        assert_eq!([time(&[unseen]).worked_ms, time(&[elsewhere]).worked_ms], [33_333, 33_333]);
    }

    #[test]
    fn workers_never_have_more_than_the_machine() {
        // Each reports three of four GPUs.
        let gpu = Some(Gpu { name: "NVIDIA L4".to_owned(), count: 3 });
        let workers = [1500, 1500]
            .map(|updated| WorkerUsage { gpu: gpu.clone(), ..on_four_gpus(Some("i-1"), updated) });
        assert_eq!(time(&workers).worked_ms, 500_000);
        let endless = WorkerUsage {
            gpu: Some(Gpu { name: String::new(), count: u32::MAX }),
            updated: u64::MAX,
            ..on_four_gpus(Some("i-1"), 1500)
        };
        assert_eq!(time(&[endless]).worked_ms, u64::MAX);
    }

    #[test]
    fn of_a_machine_without_a_name_the_share_is_counted() {
        let workers = [worker(None, Some(1000), 1100, 1400), worker(None, None, 1500, 1501)];
        // 400 s and the minimum of 60 s, each of half a machine.
        let expected = MachineTime { machines: 2, billed_ms: 230_000, worked_ms: 230_000, free_ms: 0 };
        assert_eq!(time(&workers), expected);
    }

    #[test]
    fn a_minute_is_billed_at_least() {
        let time = time(&[worker(Some("i-1"), Some(1000), 1010, 1020)]);
        assert_eq!((time.billed_ms, time.worked_ms), (60_000, 5_000));
    }

    #[test]
    fn a_spot_machine_taken_back_in_its_first_hour_is_free() {
        let reclaimed = |launched, updated| WorkerUsage {
            reclaimed: true,
            ..worker(Some("i-1"), launched, 1100, updated)
        };
        let free = MachineTime { machines: 1, billed_ms: 0, worked_ms: 0, free_ms: 3_599_000 };
        assert_eq!(time(&[reclaimed(Some(1000), 4599)]), free);
        assert_eq!(time(&[reclaimed(Some(1000), 4600)]).free_ms, 0);
        assert_eq!(time(&[reclaimed(None, 4599)]).free_ms, 0, "it may be hours old");
        let mut on_demand = reclaimed(Some(1000), 4599);
        on_demand.machine.life_cycle = Some("on-demand".to_owned());
        assert_eq!(time(&[on_demand]).free_ms, 0);
    }
}
