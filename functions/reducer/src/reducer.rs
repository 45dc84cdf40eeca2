//! The function itself: one payload, one answer.

use std::time::{Duration, SystemTime};

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tagfleet_aws::mail::{OutgoingMail, Sent};
use tagfleet_aws::{Aws, SqsQueue};
use tagfleet_function::call::Call;
use tagfleet_function::{CallError, environment};
use tagfleet_pipeline::fleet::finish::{Priced, finish};
use tagfleet_pipeline::fleet::pricing::Pricing;
use tagfleet_pipeline::fleet::request::Device;
use tagfleet_pipeline::fleet::steps::{Asked, check, compact, run_id};
use tagfleet_pipeline::fleet::{ErrorType, FleetRun, Stack};
use tagfleet_pipeline::report::mail::{Failure, Mail};
use tagfleet_pipeline::run::RunId;

use crate::action::Action;
use crate::mail;

const FUNCTION: &str = "reducer";
/// Messages are only sent here; workers say how long they hide them.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(300);

/// What every call needs.
pub(crate) struct Reducer {
    aws: Aws,
    stack: Stack,
    /// Empty where no mail is sent.
    sender: String,
    /// Workers that can be there at once: with CPUs only, and with a GPU each.
    most_workers: (u32, u32),
}

impl Reducer {
    /// As the template sets it up.
    pub(crate) async fn from_environment() -> Result<Self, String> {
        let aws = environment::clients().await;
        let stack = environment::stack(&aws, &environment::variable("TAGFLEET_BUCKET")?);
        let vcpus = environment::number("TAGFLEET_MAX_VCPUS")?;
        let workers = (
            vcpus / environment::number("TAGFLEET_CPU_WORKER_VCPUS")?,
            vcpus / environment::number("TAGFLEET_GPU_WORKER_VCPUS")?,
        );
        let sender = environment::variable("TAGFLEET_SENDER")?;
        Ok(Self { aws, stack, sender, most_workers: workers })
    }

    fn most_workers(&self, device: Device) -> u32 {
        match device {
            Device::Cpu => self.most_workers.0,
            Device::Gpu => self.most_workers.1,
        }
    }

    /// Does what the payload asks for.
    pub(crate) async fn answer(&self, event: LambdaEvent<Value>) -> Result<Value, CallError> {
        let action = match Action::parse(event.payload) {
            Ok(action) => action,
            Err(error) => {
                let call = Call::begin(FUNCTION, "unknown", &event.context);
                return call.end(None, Err::<(), _>(error)).await;
            }
        };
        let mut call = Call::begin(FUNCTION, action.name(), &event.context);
        call.detail("run", action.run());
        let (fleet, result) = match self.find(action.run()).await {
            Ok((run, fleet)) => {
                let result = self.act(&mut call, &action, &run, fleet.as_ref()).await;
                (fleet.ok(), result)
            }
            Err(error) => (None, Err(error)),
        };
        call.end(fleet.as_ref(), result).await
    }

    /// The run, with why its request is wrong where it is.
    async fn find(&self, run: &str) -> Result<(RunId, Result<FleetRun, CallError>), CallError> {
        let run = run_id(run)?;
        match self.stack.find(&run).await.map_err(CallError::from) {
            Err(error) if error.error_type != ErrorType::BadRequest => Err(error),
            found => Ok((run, found)),
        }
    }

    async fn act(
        &self,
        call: &mut Call,
        action: &Action,
        run: &RunId,
        fleet: Result<&FleetRun, &CallError>,
    ) -> Result<Value, CallError> {
        match action {
            Action::Check { queue_url, round, resumed, before, problem, .. } => {
                call.detail("round", *round);
                let queue = SqsQueue::new(&self.aws, queue_url, VISIBILITY_TIMEOUT);
                let fleet = valid(fleet)?;
                let asked = Asked {
                    round: *round,
                    resumed: *resumed,
                    before: *before,
                    problem: problem.as_ref(),
                    most_workers: self.most_workers(fleet.valid.request.device),
                };
                value(check(fleet, &queue, asked).await?)
            }
            Action::Compact { group, .. } => {
                call.detail("group", *group);
                value(compact(valid(fleet)?, *group).await?)
            }
            Action::Finish { queue_url, problem, .. } => {
                let finished = finish(valid(fleet)?, problem.as_ref(), &self.priced().await?).await?;
                self.aws.delete_queue(queue_url).await?;
                value(finished)
            }
            Action::Fail { queue_url, failure, .. } => {
                call.detail("failed_state", failure.state.as_str());
                if let Some(queue_url) = queue_url {
                    self.aws.delete_queue(queue_url).await?;
                }
                Ok(json!({}))
            }
            Action::Mail { execution, failure, .. } => {
                call.detail("execution", execution.as_str());
                let told = self.tell(run, failure.as_ref()).await?;
                let codes: Vec<&str> = told.refused.iter().map(|error| error.code.as_str()).collect();
                call.detail("refused", codes.len());
                call.detail("refused_with", codes);
                Ok(json!({"sent": told.sent}))
            }
        }
    }

    async fn priced(&self) -> Result<Priced, CallError> {
        let no_region = || CallError::broken("the function's environment names no region: AWS_REGION");
        let region = self.aws.region().ok_or_else(no_region)?;
        let pricing = Pricing::load_or_why(self.stack.bucket.as_ref(), region).await?;
        Ok(Priced { pricing, now: seconds_since_1970() })
    }

    async fn tell(&self, run: &RunId, failure: Option<&Failure>) -> Result<Sent, CallError> {
        let send = async |recipients: &[String], mail: &Mail| {
            let Mail { subject, text, html } = mail;
            let outgoing = OutgoingMail { sender: &self.sender, recipients, subject, text, html };
            self.aws.send_mail(&outgoing).await
        };
        mail::tell(&self.stack, run, failure, &self.sender, send).await
    }
}

fn valid<'a>(fleet: Result<&'a FleetRun, &CallError>) -> Result<&'a FleetRun, CallError> {
    fleet.map_err(Clone::clone)
}

/// Now; no clock of Lambda's stands before that.
fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn value(answer: impl serde::Serialize) -> Result<Value, CallError> {
    serde_json::to_value(answer).map_err(|error| CallError::broken(error.to_string()))
}
