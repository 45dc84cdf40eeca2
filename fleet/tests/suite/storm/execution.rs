//! Executions of the state machine, one after the other, until the run is complete: the order of the steps,
//! the tries and the rounds are those of `infra/state-machine.asl.json`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tagfleet_fleet::finish::{Finished, Priced, finish};
use tagfleet_fleet::plan::plan;
use tagfleet_fleet::problem::{Problem, TIMEOUT};
use tagfleet_fleet::steps::{CheckInput, CheckResult, check, compact, split};
use tagfleet_pipeline::shard::ShardId;
use tagfleet_pipeline::testing::faults::{Random, Storm};
use tagfleet_report::State;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use tagfleet_pipeline::testing::rows::{Rows, assert_same};

use super::check as checks;
use super::steps::{StepFailed, Steps};
use super::worker::{Death, Job, Life, now};
use super::world::World;

const ROUNDS: u32 = 3;
/// Times that AWS Batch restarts a job whose machine is gone.
const ATTEMPTS: u32 = 5;
/// The most executions that a chaos phase leaves behind.
const MOST_EXECUTIONS: u32 = 200;

/// What a storm was like, for people.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) executions: u32,
    pub(super) failed: u32,
    pub(super) incomplete: u32,
    pub(super) workers: usize,
    pub(super) killed: usize,
    pub(super) checkpoints: usize,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.executions += other.executions;
        self.failed += other.failed;
        self.incomplete += other.incomplete;
        self.workers += other.workers;
        self.killed += other.killed;
        self.checkpoints += other.checkpoints;
    }
}

/// A fleet and all that ever lived in it.
struct Fleet {
    world: Arc<World>,
    storm: Storm,
    clock: Instant,
    lives: Arc<Mutex<BTreeMap<String, (Life, Death)>>>,
}

/// One whole run in the storm of `seed`.
pub(super) async fn storm(seed: u64) -> Seen {
    let quiet = run(seed, Storm::calm(), true).await.1;
    let (seen, rows) = run(seed, Storm::of(seed), false).await;
    assert_same(&rows, &quiet);
    seen
}

/// A run that `is_full` keeps no row of an earlier run.
async fn run(seed: u64, storm: Storm, is_full: bool) -> (Seen, Rows) {
    let world = Arc::new(World::new(seed, is_full).await);
    let fleet = Fleet { world: world.clone(), storm, clock: Instant::now(), lives: Arc::default() };
    let mut seen = Seen::default();
    while !fleet.comes_to_its_end(&mut seen).await {
        assert!(seen.executions < MOST_EXECUTIONS, "it comes to no end");
        sleep_until(Instant::now() + Duration::from_secs(60)).await;
    }
    let rows = checks::assert_complete(&world).await;
    // A frozen process wakes, and late messages come.
    sleep_until(Instant::now() + Duration::from_secs(3600)).await;
    assert_eq!(checks::assert_complete(&world).await, rows, "what comes late changes nothing");
    world.assert_nothing_else_was_touched().await;
    seen.checkpoints = checks::assert_checkpoints(&world, &rows).await;
    let lives = fleet.lives.lock().unwrap().clone();
    checks::assert_usage(&world, &lives).await;
    seen.workers = lives.len();
    seen.killed = lives.values().filter(|(_, death)| *death == Death::Killed).count();
    (seen, rows)
}

impl Fleet {
    /// One execution: true where the run is complete.
    async fn comes_to_its_end(&self, seen: &mut Seen) -> bool {
        let is_calm = self.storm.is_over();
        let ended = self.execute(seen.executions).await;
        seen.executions += 1;
        match ended {
            Ok(finished) if finished.state == State::Complete => return true,
            ended if is_calm => panic!("not complete without a storm: {ended:?}"),
            Ok(finished) => {
                checks::assert_incomplete(&self.world, &finished).await;
                seen.incomplete += 1;
            }
            Err(failed) => {
                let is_full = failed.why.ends_with("no space left on device");
                assert!(failed.is_temporary || is_full, "{}", failed.why);
                seen.failed += 1;
            }
        }
        false
    }

    async fn execute(&self, number: u32) -> Result<Finished, StepFailed> {
        let receipts = 2 + Random::of(("receipts", self.storm.seed, number)).below(19) as u32;
        let queue = self.world.queue(if self.storm.is_over() { 20 } else { receipts });
        let name = format!("e{number}");
        let (world, storm) = (self.world.clone(), self.storm.clone());
        let steps = Steps { world, storm, clock: self.clock, queue, name };
        let ended = self.steps(&steps).await;
        steps.queue.delete_queue();
        ended
    }

    async fn steps(&self, steps: &Steps) -> Result<Finished, StepFailed> {
        let planned = steps.call("plan", |call| async move { plan(&call.stack, &call.fleet).await }).await?;
        try_join_all((0..planned.ranges).map(|range| split_range(steps, range))).await?;
        let (checked, problem) = self.rounds(steps, planned.resumed).await?;
        try_join_all((0..checked.groups).map(|group| compact_group(steps, group))).await?;
        let seconds = now(self.clock);
        let finishing = steps.call("finish", move |call| {
            let problem = problem.clone();
            async move {
                let pricing = Err("no prices in a storm".to_owned());
                finish(&call.fleet, problem.as_ref(), &Priced { pricing, now: seconds }).await
            }
        });
        finishing.await
    }

    async fn rounds(
        &self,
        steps: &Steps,
        resumed: bool,
    ) -> Result<(CheckResult, Option<Problem>), StepFailed> {
        let (mut round, mut before, mut problem, mut checks, mut sent) = (0, None, None, 0, None);
        loop {
            let (met, seconds) = (problem.clone(), now(self.clock));
            let name = format!("check-{checks}");
            let hurry = CancellationToken::new();
            if steps.is_hurried(&name) {
                hurry.cancel();
            }
            let checked = steps.call(&name, move |call| {
                let (met, stop) = (met.clone(), hurry.clone());
                async move {
                    let asked = CheckInput {
                        round,
                        resumed,
                        before,
                        problem: met.as_ref(),
                        most_workers: 100,
                        vcpus: 2,
                        now: seconds,
                        limit: None,
                        used: None,
                        sent,
                        stop: Some(&stop),
                    };
                    check(&call.fleet, call.queue.as_ref(), asked).await
                }
            });
            let checked = checked.await?;
            sent = ShardId::parse(&checked.more);
            if sent.is_some() {
                checks += 1;
                continue;
            }
            if !checked.again || round >= ROUNDS {
                return Ok((checked, problem));
            }
            before = Some(checked.missing);
            problem = self.infer(steps, checks, checked.workers).await;
            let is_timeout = problem.as_ref().is_some_and(Problem::is_timeout);
            round += u32::from(!is_timeout);
            checks += 1;
        }
    }

    /// One job of this many workers, and its problem.
    async fn infer(&self, steps: &Steps, round: u32, workers: u32) -> Option<Problem> {
        let mut random = Random::of(("round", self.storm.seed, &steps.name, round));
        let is_short = random.one_in(3) && !self.storm.is_over();
        let time = Duration::from_secs(if is_short { 1 + random.below(120) } else { 21_600 });
        let children = (0..workers).map(|child| {
            let child = self.child(steps, &format!("worker-{}-{round}-{child}", steps.name));
            tokio::spawn(child)
        });
        // Those that a round does not wait for live on: ending a job needs a while, and a machine may be cut
        // off.
        match timeout(time, join_all(children)).await {
            Err(_) => Some(Problem { error: TIMEOUT.to_owned(), cause: String::new() }),
            Ok(ended) if ended.iter().all(|death| *death.as_ref().unwrap() == Death::LocalOutcome) => None,
            Ok(_) => Some(Problem { error: "States.TaskFailed".to_owned(), cause: "it ended".to_owned() }),
        }
    }

    /// A job of one worker, restarted if its machine is gone.
    fn child(&self, steps: &Steps, name: &str) -> impl Future<Output = Death> + Send + use<> {
        let job = |name: String| Job {
            world: self.world.clone(),
            storm: self.storm.clone(),
            clock: self.clock,
            queue: steps.queue.clone(),
            name,
        };
        let jobs: Vec<Job> = (0..ATTEMPTS).map(|attempt| job(format!("{name}-{attempt}"))).collect();
        let lives = self.lives.clone();
        async move {
            let mut last = Death::Killed;
            for job in jobs {
                let name = job.name.clone();
                let (life, death) = job.live().await;
                lives.lock().unwrap().insert(name, (life, death));
                last = death;
                if death != Death::Killed {
                    break;
                }
            }
            last
        }
    }
}

async fn split_range(steps: &Steps, range: u32) -> Result<(), StepFailed> {
    for number in 0.. {
        let name = format!("split-{range}-{number}");
        let stop = CancellationToken::new();
        if steps.is_hurried(&name) {
            stop.cancel();
        }
        let said = steps.call(&name, move |call| {
            let stop = stop.clone();
            async move { split(&call.stack, &call.fleet, call.queue.as_ref(), range, &stop).await }
        });
        if said.await?.done {
            break;
        }
    }
    Ok(())
}

async fn compact_group(steps: &Steps, group: u32) -> Result<u64, StepFailed> {
    let name = format!("compact-{group}");
    let compacted = steps.call(&name, move |call| async move { compact(&call.fleet, group).await });
    Ok(compacted.await?.rows)
}
