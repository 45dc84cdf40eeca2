//! The executions of a run: named after it, the second with `-2` behind it, and so on.
//!
//! Step Functions forgets them after 90 days; the run's objects stay.

use tagfleet_aws::executions::{Execution, StartOutcome};
use tagfleet_pipeline::bucket::Kind;
use tagfleet_pipeline::run::RunId;

use super::stack::FleetStack;
use crate::connection;
use crate::exit::{Failure, broken};

/// The executions of a run that are known, by number.
pub(crate) struct Executions {
    known: Vec<Execution>,
}

/// The name of a run's execution; they are numbered from 1.
fn name(run: &RunId, number: usize) -> String {
    if number == 1 { run.to_string() } else { format!("{run}-{number}") }
}

impl Executions {
    pub(crate) async fn of(stack: &FleetStack, run: &RunId) -> Result<Self, Failure> {
        let mut known = Vec::new();
        loop {
            let arn = stack.outputs.execution(&name(run, known.len() + 1));
            match stack.aws.describe_execution(&arn).await {
                Ok(execution) => known.push(execution),
                Err(error) if error.kind == Kind::Missing => return Ok(Self { known }),
                Err(error) => return Err(connection::of_service(error)),
            }
        }
    }

    /// The execution that was started last.
    pub(crate) fn latest(self) -> Option<Execution> {
        // Of two that started in the same second the later number.
        self.known.into_iter().max_by_key(|execution| execution.started)
    }

    /// The execution that runs, if there is one.
    pub(crate) fn running(&self) -> Option<&Execution> {
        self.known.iter().find(|execution| execution.is_running())
    }

    /// The name that the next one gets.
    pub(crate) fn next_name(&self, run: &RunId) -> String {
        name(run, self.known.len() + 1)
    }
}

/// Starts an execution of `run` and returns its ARN.
pub(crate) async fn start(stack: &FleetStack, run: &RunId, name: &str) -> Result<String, Failure> {
    let input = serde_json::json!({ "run": run }).to_string();
    match stack.aws.start_execution(&stack.outputs.state_machine, name, &input).await {
        Ok(StartOutcome::New(arn)) => Ok(arn),
        Ok(StartOutcome::AlreadyExists) => Err(broken(format!(
            "an execution {name} was started by another caller: `{}` shows it",
            stack.command(&format!("status {run}"))
        ))),
        Err(error) => Err(broken(format!(
            "{error}\nrun {run} was not started; its request is kept, and `{}` starts it once that is fixed",
            stack.command(&format!("resume {run}"))
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_numbered_from_the_second_on() {
        let run = RunId::try_from("r".to_owned()).unwrap();
        assert_eq!([name(&run, 1), name(&run, 2), name(&run, 10)], ["r", "r-2", "r-10"]);
    }
}
