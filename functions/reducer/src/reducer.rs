//! The function itself: one payload, one answer.

use std::io::{self, Write};
use std::time::SystemTime;

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tagfleet_aws::mail::{InlinePicture, OutgoingMail};
use tagfleet_aws::{Aws, SqsQueue};
use tagfleet_cost::usage::{Machine, Usage};
use tagfleet_fleet::budget::{Limit, RunLimit};
use tagfleet_fleet::finish::{Priced, finish, read_summary};
use tagfleet_fleet::pricing::Pricing;
use tagfleet_fleet::problem::Problem;
use tagfleet_fleet::request::Device;
use tagfleet_fleet::rules::Rules;
use tagfleet_fleet::steps::{CheckInput, check, compact, run_id};
use tagfleet_fleet::{ErrorType, FleetRun, Stack};
use tagfleet_function::call::Call;
use tagfleet_function::deadline::Deadline;
use tagfleet_function::{CallError, environment};
use tagfleet_pipeline::queue::VISIBILITY_TIMEOUT;
use tagfleet_pipeline::run::RunId;
use tagfleet_pipeline::shard::ShardId;
use tagfleet_report::mail::{Failure, Mail};
use tokio_util::sync::CancellationToken;

use crate::action::Action;
use crate::mail::{Delivery, MailSettings, StackPlace};
use crate::{mail, metrics};

const FUNCTION: &str = "reducer";

/// What every call needs.
pub(crate) struct Reducer {
    aws: Aws,
    stack: Stack,
    rules: Rules,
    /// Empty if no mail is sent.
    sender: String,
    /// The stack's name.
    name: String,
    region: String,
    /// vCPUs that the stack may hold at once.
    most_vcpus: u32,
    cpu: Workers,
    gpu: Workers,
}

/// What the state machine knows when it asks to check.
struct CheckState<'a> {
    round: u32,
    resumed: bool,
    before: Option<u64>,
    problem: Option<&'a Problem>,
    sent: Option<ShardId>,
    stop: &'a CancellationToken,
}

/// The workers of one device.
struct Workers {
    vcpus: u32,
    /// What they may run on.
    machines: Vec<Machine>,
}

impl Reducer {
    /// As the template sets it up.
    pub(crate) async fn from_environment() -> Result<Self, CallError> {
        let aws = environment::clients().await?;
        let stack = environment::stack(&aws, &environment::variable("TAGFLEET_BUCKET")?);
        let workers = |vcpus: &str, device| {
            Ok::<_, CallError>(Workers {
                vcpus: environment::number(vcpus)?,
                machines: environment::machines(device)?,
            })
        };
        Ok(Self {
            region: environment::region(&aws)?,
            aws,
            stack,
            rules: environment::rules()?,
            sender: environment::variable("TAGFLEET_SENDER")?,
            name: environment::variable("TAGFLEET_STACK")?,
            most_vcpus: environment::number("TAGFLEET_MAX_VCPUS")?,
            cpu: workers("TAGFLEET_CPU_WORKER_VCPUS", Device::Cpu)?,
            gpu: workers("TAGFLEET_GPU_WORKER_VCPUS", Device::Gpu)?,
        })
    }

    fn workers(&self, device: Device) -> &Workers {
        match device {
            Device::Cpu => &self.cpu,
            Device::Gpu => &self.gpu,
        }
    }

    /// Does what the payload asks for.
    pub(crate) async fn answer(&self, event: LambdaEvent<Value>) -> Result<Value, CallError> {
        let action = match Action::parse(event.payload) {
            Ok(action) => action,
            Err(error) => {
                let call = Call::start(FUNCTION, "unknown", &event.context, &self.aws);
                return call.end(None, Err::<(), _>(error)).await;
            }
        };
        let mut call = Call::start(FUNCTION, action.name(), &event.context, &self.aws);
        call.detail("run", action.run());
        let found = match self.find(action.run()).await {
            Ok(found) => found,
            Err(error) => return call.end(None, Err::<(), _>(error)).await,
        };
        let deadline = Deadline::new(&event.context);
        let result = self.act(&mut call, &action, &found, &deadline.stop).await;
        call.end(found.fleet.as_ref().ok(), result).await
    }

    async fn find(&self, run: &str) -> Result<FoundRun, CallError> {
        let run = run_id(run)?;
        match self.stack.find(&run).await.map_err(CallError::from) {
            Err(error) if error.error_type != ErrorType::BadRequest => Err(error),
            fleet => Ok(FoundRun { run, fleet }),
        }
    }

    async fn act(
        &self,
        call: &mut Call,
        action: &Action,
        found: &FoundRun,
        stop: &CancellationToken,
    ) -> Result<Value, CallError> {
        match action {
            Action::Check { queue_url, round, resumed, before, problem, sent, .. } => {
                call.detail("round", *round);
                let (sent, problem) = (ShardId::parse(sent), problem.as_ref());
                let state =
                    CheckState { round: *round, resumed: *resumed, before: *before, problem, sent, stop };
                self.check(call, found.valid()?, queue_url, state).await
            }
            Action::Compact { group, .. } => {
                call.detail("group", *group);
                value(compact(found.valid()?, *group).await?)
            }
            Action::Finish { queue_url, problem, .. } => {
                let fleet = found.valid()?;
                let finished = finish(fleet, problem.as_ref(), &self.priced().await?).await?;
                self.aws.delete_queue(queue_url).await?;
                self.measure(fleet).await?;
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
                let delivery = self.send_mail(&found.run, failure.as_ref()).await?;
                let codes: Vec<&str> =
                    delivery.sent.refused.iter().map(|error| error.code.as_str()).collect();
                call.detail("strangers", delivery.strangers);
                call.detail("refused", codes.len());
                call.detail("refused_with", codes);
                Ok(json!({"sent": delivery.sent.sent}))
            }
        }
    }

    async fn priced(&self) -> Result<Priced, CallError> {
        let pricing = Pricing::load_or_why(self.stack.bucket.as_ref(), &self.region).await?;
        Ok(Priced { pricing, now: seconds_since_1970() })
    }

    async fn check(
        &self,
        call: &Call,
        fleet: &FleetRun,
        queue_url: &str,
        state: CheckState<'_>,
    ) -> Result<Value, CallError> {
        let queue = SqsQueue::new(&self.aws, queue_url, VISIBILITY_TIMEOUT);
        let workers = self.workers(fleet.valid.request.device);
        let limited = self.limited(fleet).await?;
        // An invalid price book leaves every price unknown, which ends the run as such.
        let price = limited
            .as_ref()
            .map(|limited| |usage: &Usage| limited.pricing.as_ref().map_err(Clone::clone)?.usd(usage));
        let limit = limited.as_ref().zip(price.as_ref()).map(|(limited, price)| Limit {
            limit: limited.limit,
            price,
            machines: &workers.machines,
            vcpus: workers.vcpus,
        });
        let used = call.used();
        let input = CheckInput {
            round: state.round,
            resumed: state.resumed,
            before: state.before,
            problem: state.problem,
            most_workers: self.most_vcpus / workers.vcpus,
            vcpus: workers.vcpus,
            now: call.began(),
            limit,
            used: Some(&used),
            sent: state.sent,
            stop: Some(state.stop),
        };
        value(check(fleet, &queue, input).await?)
    }

    /// The run's limit and the prices to watch it; without a limit no price is read.
    async fn limited(&self, fleet: &FleetRun) -> Result<Option<PricedLimit>, CallError> {
        let Some(limit) = self.stack.limit(fleet, &self.rules).await? else { return Ok(None) };
        let pricing = Pricing::load_or_why(self.stack.bucket.as_ref(), &self.region).await?;
        Ok(Some(PricedLimit { limit, pricing }))
    }

    /// Writes the run's metrics into the log.
    async fn measure(&self, fleet: &FleetRun) -> Result<(), CallError> {
        let line = metrics::line(&self.name, &read_summary(fleet).await?, seconds_since_1970() * 1000);
        // Without a log there are no metrics, and no place to report that.
        let _ = writeln!(io::stdout().lock(), "{line}");
        Ok(())
    }

    async fn send_mail(&self, run: &RunId, failure: Option<&Failure>) -> Result<Delivery, CallError> {
        let send = async |recipients: &[String], mail: &Mail| {
            let Mail { subject, text, html, pictures } = mail;
            let pictures: Vec<InlinePicture<'_>> = pictures
                .iter()
                .map(|picture| InlinePicture { id: &picture.id, jpeg: &picture.jpeg })
                .collect();
            let outgoing =
                OutgoingMail { sender: &self.sender, recipients, subject, text, html, pictures: &pictures };
            self.aws.send_mail(&outgoing).await
        };
        let place = StackPlace { stack: &self.name, region: &self.region };
        let settings = MailSettings { sender: &self.sender, rules: &self.rules, place };
        mail::send(&self.stack, run, failure, settings, send).await
    }
}

/// A run that the state machine named.
struct FoundRun {
    run: RunId,
    /// Why its request is wrong, if it is.
    fleet: Result<FleetRun, CallError>,
}

impl FoundRun {
    fn valid(&self) -> Result<&FleetRun, CallError> {
        self.fleet.as_ref().map_err(Clone::clone)
    }
}

/// A run's limit, and the prices to watch it, or why there are none.
struct PricedLimit {
    limit: RunLimit,
    pricing: Result<Pricing, String>,
}

/// Now; no clock of Lambda's is before that.
fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn value(answer: impl serde::Serialize) -> Result<Value, CallError> {
    serde_json::to_value(answer).map_err(|error| CallError::broken(error.to_string()))
}
