//! Calls of the functions, as the state machine makes them: each may die between any two of its calls, or
//! continue unheard while another try is under way.

use std::sync::Arc;
use std::time::Duration;

use tagfleet_cost::usage::{self, FunctionUsage, Requests, USAGE_VERSION, UsageRecord};
use tagfleet_fleet::{ErrorType, FleetError, FleetRun, Stack};
use tagfleet_pipeline::queue::Queue;
use tagfleet_pipeline::testing::faults::{Process, Random, Storm};
use tagfleet_pipeline::testing::faulty_queue::FaultyQueue;
use tokio::time::{Instant, sleep_until};

use super::fixture::{Fixture, WatchedQueue};
use super::worker::now;

/// Tries of one step, as `infra/state-machine.asl.json` has them.
const TRIES: u32 = 7;
/// A function that does not end is ended.
const TIMEOUT: Duration = Duration::from_secs(900);

/// What a call of a function works with.
pub(super) struct Call {
    pub(super) stack: Stack,
    pub(super) fleet: FleetRun,
    pub(super) queue: Arc<dyn Queue>,
}

/// Why a step failed for good.
#[derive(Debug)]
pub(super) struct StepFailed {
    pub(super) why: String,
    /// Whether the state machine gave up after many tries.
    pub(super) is_temporary: bool,
}

pub(super) struct Steps {
    pub(super) fixture: Arc<Fixture>,
    pub(super) storm: Storm,
    pub(super) clock: Instant,
    pub(super) queue: Arc<WatchedQueue>,
    /// Of this execution.
    pub(super) name: String,
}

impl Steps {
    /// Calls a function until it answers, as often as the state machine does.
    pub(super) async fn call<T, F>(
        &self,
        step: &str,
        action: impl Fn(Call) -> F + Clone + Send + 'static,
    ) -> Result<T, StepFailed>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, FleetError>> + Send + 'static,
    {
        let mut why = String::new();
        for attempt in 0..TRIES {
            let pause = if attempt > 0 { Duration::from_secs(1 << attempt.min(6)) } else { Duration::ZERO };
            sleep_until(Instant::now() + pause).await;
            let name = format!("call-{}-{step}-{attempt}", self.name);
            match self.call_once(&name, step, action.clone()).await {
                Ok(answer) => return Ok(answer),
                Err((ErrorType::Temporary, said)) => why = said,
                Err((_, said)) => {
                    return Err(StepFailed { why: format!("{step}: {said}"), is_temporary: false });
                }
            }
        }
        Err(StepFailed { why: format!("{step}: {why}"), is_temporary: true })
    }

    async fn call_once<T, F>(
        &self,
        name: &str,
        step: &str,
        action: impl Fn(Call) -> F + Send + 'static,
    ) -> Result<T, (ErrorType, String)>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, FleetError>> + Send + 'static,
    {
        let process = Arc::new(Process::new(&self.storm, name, 100));
        let stack = self.fixture.stack(&process);
        let queue = Arc::new(FaultyQueue::new(self.queue.clone(), process.clone()));
        let (run, record) = (self.fixture.run.clone(), self.record(name, step));
        let file = name.to_owned();
        let call = async move {
            let fleet = stack.find(&run).await?;
            let answer = action(Call { stack, fleet: fleet.clone(), queue }).await;
            // A call whose record cannot be written has failed, whatever it did.
            usage::put(fleet.output.as_ref(), &fleet.keys, &file, &record).await?;
            answer
        };
        // It continues although its caller no longer listens.
        let killed = process.killed.clone();
        let running = tokio::spawn(async move {
            tokio::select! {
                biased;
                () = killed.cancelled() => None,
                () = sleep_until(Instant::now() + TIMEOUT) => None,
                answer = call => Some(answer),
            }
        });
        let lost = (ErrorType::Temporary, "Lambda.Unknown".to_owned());
        tokio::select! {
            biased;
            () = process.told.cancelled() => Err(lost),
            ended = running => match ended.unwrap() {
                Some(Ok(answer)) => Ok(answer),
                Some(Err(error)) => Err((error.error_type(), error.to_string())),
                None => Err(lost),
            },
        }
    }

    fn record(&self, name: &str, step: &str) -> UsageRecord {
        let splits = step.starts_with("plan") || step.starts_with("split");
        let action = step.split('-').next().unwrap_or(name);
        UsageRecord::Function(FunctionUsage {
            version: USAGE_VERSION,
            function: if splits { "splitter" } else { "reducer" }.to_owned(),
            action: action.to_owned(),
            began: now(self.clock),
            milliseconds: 10,
            memory_mb: 2048,
            requests: Requests::default(),
        })
    }

    /// Whether a function is asked to stop at its next page.
    pub(super) fn is_hurried(&self, step: &str) -> bool {
        !self.storm.is_over() && Random::of(("hurry", self.storm.seed, &self.name, step)).one_in(2)
    }
}
