//! The function itself: one payload, one answer.

use std::sync::Arc;

use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tagfleet_aws::queues::{NewQueue, queue_name};
use tagfleet_aws::{Aws, S3Bucket, SqsQueue};
use tagfleet_fleet::day::Standing;
use tagfleet_fleet::rules::Rules;
use tagfleet_fleet::steps::{run_id, split};
use tagfleet_fleet::{FleetError, FleetRun, Stack};
use tagfleet_function::call::Call;
use tagfleet_function::deadline::Deadline;
use tagfleet_function::{CallError, environment};
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::queue::{MAX_RECEIVE_COUNT, VISIBILITY_TIMEOUT};
use tagfleet_pipeline::run::RunId;

use crate::action::{Action, Payload};
use crate::event::{self, EventOutcome, ObjectCreated};
use crate::limits::Limits;
use crate::plan;
use crate::request;

const FUNCTION: &str = "splitter";

/// What every call needs.
pub(crate) struct Splitter {
    aws: Aws,
    stack: Stack,
    rules: Rules,
    region: String,
    queue_prefix: String,
    dead_letter_queue_arn: String,
    /// `None` if nothing raises events.
    state_machine_arn: Option<String>,
}

impl Splitter {
    /// As the template sets it up.
    pub(crate) async fn from_environment() -> Result<Self, CallError> {
        let aws = environment::clients().await?;
        let stack = environment::stack(&aws, &environment::variable("TAGFLEET_BUCKET")?);
        Ok(Self {
            stack,
            rules: environment::rules()?,
            region: environment::region(&aws)?,
            aws,
            queue_prefix: environment::variable("TAGFLEET_QUEUE_PREFIX")?,
            dead_letter_queue_arn: environment::variable("TAGFLEET_DLQ_ARN")?,
            state_machine_arn: environment::variable("TAGFLEET_STATE_MACHINE").ok(),
        })
    }

    /// Does what the payload asks for.
    pub(crate) async fn answer(&self, event: LambdaEvent<Value>) -> Result<Value, CallError> {
        let context = &event.context;
        match Payload::parse(event.payload) {
            Ok(Payload::Event(event)) => self.handle(&event, context).await,
            Ok(Payload::Action(Action::Store { run, request })) => self.store(&run, &request, context).await,
            Ok(Payload::Action(Action::Plan { run, execution })) => {
                self.plan(&run, &execution, context).await
            }
            Ok(Payload::Action(Action::Split { run, queue_url, range })) => {
                self.split(&run, &queue_url, range, context).await
            }
            Err(error) => {
                Call::start(FUNCTION, "unknown", context, &self.aws).end(None, Err::<(), _>(error)).await
            }
        }
    }

    async fn handle(&self, event: &ObjectCreated, context: &Context) -> Result<Value, CallError> {
        let mut call = Call::start(FUNCTION, "event", context, &self.aws);
        let outcome = self.start_run(event).await;
        match &outcome {
            Ok(EventOutcome::Started(run)) => {
                call.detail("run", run.to_string());
                // The run is started: plan checks its request and its output.
                if let Err(error) = self.record(&call, run).await {
                    call.detail("unrecorded", error.message);
                }
            }
            Ok(EventOutcome::Skipped(why)) => call.detail("skipped", why.as_str()),
            Err(_) => {}
        }
        call.end(None, outcome).await
    }

    async fn start_run(&self, event: &ObjectCreated) -> Result<EventOutcome, CallError> {
        let Some(machine) = &self.state_machine_arn else {
            return Err(CallError::broken("the function's environment names no TAGFLEET_STATE_MACHINE"));
        };
        let start = async |run: &RunId| {
            let input = json!({"run": run}).to_string();
            self.aws.start_execution(machine, &run.to_string(), &input).await
        };
        event::handle(&self.stack, event, start).await
    }

    async fn store(&self, run: &str, request: &Value, context: &Context) -> Result<Value, CallError> {
        let mut call = Call::start(FUNCTION, "store", context, &self.aws);
        call.detail("run", run);
        let stored = request::store(self.stack.bucket.as_ref(), run, request).await;
        if let Ok(run) = &stored
            && let Err(error) = self.record(&call, run).await
        {
            // Plan checks the request and the output.
            call.detail("unrecorded", error.message);
        }
        call.end(None, stored.map(|run| json!({ "run": run }))).await
    }

    async fn record(&self, call: &Call, run: &RunId) -> Result<(), CallError> {
        call.record(&self.stack.find(run).await?).await
    }

    async fn plan(&self, run: &str, execution: &str, context: &Context) -> Result<Value, CallError> {
        let mut call = Call::start(FUNCTION, "plan", context, &self.aws);
        call.detail("run", run);
        call.detail("execution", execution);
        let fleet = match self.find(run).await {
            Ok(fleet) => fleet,
            Err(error) => return call.end(None, Err::<(), _>(error)).await,
        };
        let planned = self.plan_found(&fleet, execution, call.began()).await;
        call.end(Some(&fleet), planned).await
    }

    async fn plan_found(
        &self,
        fleet: &FleetRun,
        execution: &str,
        now: u64,
    ) -> Result<impl serde::Serialize, CallError> {
        let machines = environment::machines(fleet.valid.request.device)?;
        plan::check_machines(&machines)?;
        self.rules.check(&fleet.valid, &self.stack.name).map_err(FleetError::from)?;
        let limit = Limits { stack: &self.stack, rules: &self.rules, region: &self.region };
        let limited = limit.check(fleet, &machines).await?;
        let stack = self.stack_for(fleet).await?;
        let source_region = async || S3Bucket::new(&self.aws, &fleet.valid.source).region().await;
        let create_queue = async || {
            let queue = NewQueue {
                name: &queue_name(&self.queue_prefix, execution),
                run: &fleet.run.to_string(),
                dead_letter_queue_arn: &self.dead_letter_queue_arn,
                visibility_timeout: VISIBILITY_TIMEOUT,
                max_receive_count: MAX_RECEIVE_COUNT,
            };
            if let Some(limited) = &limited {
                let standing = async |execution: &str| self.standing(execution).await;
                limit.reserve(fleet, execution, limited, now, standing).await?;
            }
            Ok(self.aws.create_queue(&queue).await?)
        };
        plan::plan(&stack, fleet, &self.region, source_region, create_queue).await
    }

    /// Whether another execution of the stack's state machine still runs; an unknown one may still spend.
    async fn standing(&self, execution: &str) -> Result<Standing, CallError> {
        let Some(machine) = &self.state_machine_arn else { return Ok(Standing::Running) };
        let arn = format!("{}:{execution}", machine.replacen(":stateMachine:", ":execution:", 1));
        match self.aws.describe_execution(&arn).await {
            Ok(found) => Ok(found.stopped.map_or(Standing::Running, Standing::Ended)),
            Err(error) if error.kind == Kind::Missing => Ok(Standing::Running),
            Err(error) => Err(error.into()),
        }
    }

    async fn split(
        &self,
        run: &str,
        queue_url: &str,
        range: u32,
        context: &Context,
    ) -> Result<Value, CallError> {
        let mut call = Call::start(FUNCTION, "split", context, &self.aws);
        call.detail("run", run);
        call.detail("range", range);
        let fleet = match self.find(run).await {
            Ok(fleet) => fleet,
            Err(error) => return call.end(None, Err::<(), _>(error)).await,
        };
        let result = self.split_found(&fleet, queue_url, range, context).await;
        call.end(Some(&fleet), result).await
    }

    async fn split_found(
        &self,
        fleet: &FleetRun,
        queue_url: &str,
        range: u32,
        context: &Context,
    ) -> Result<impl serde::Serialize, CallError> {
        let stack = self.stack_for(fleet).await?;
        let queue = SqsQueue::new(&self.aws, queue_url, VISIBILITY_TIMEOUT);
        let deadline = Deadline::new(context);
        Ok(split(&stack, fleet, &queue, range, &deadline.stop).await?)
    }

    async fn find(&self, run: &str) -> Result<FleetRun, CallError> {
        Ok(self.stack.find(&run_id(run)?).await?)
    }

    /// The stack, with the source opened in its own region if that may be another.
    async fn stack_for(&self, fleet: &FleetRun) -> Result<Stack, CallError> {
        if !fleet.valid.request.any_region {
            return Ok(self.stack.clone());
        }
        let source = S3Bucket::new(&self.aws, &fleet.valid.source);
        let region = source.region().await.map_err(|error| plan::of_source(fleet, error))?;
        let source: Arc<dyn Bucket> = Arc::new(source.in_region(&region));
        let (name, open) = (fleet.valid.source.clone(), self.stack.open.clone());
        let open_there = move |bucket: &str| if bucket == name { source.clone() } else { open(bucket) };
        Ok(Stack { open: Arc::new(open_there), ..self.stack.clone() })
    }
}
