//! Polls a run until it has ended: a bar or lines while `submit` waits, the whole text redrawn for `status
//! --watch`.
//!
//! Ctrl-C ends only the command: the run continues.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tagfleet_fleet::ErrorType;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::run_status::{RunState, RunStatus, StatusPoller};
use super::status_text::{line, text};
use crate::bar::{self, Schedule};
use crate::exit::{Exit, Failure, bad_input, broken, print, tell};
use crate::run_id::now;
use crate::summary_output;

/// How often a run is polled.
const EVERY: Duration = Duration::from_secs(5);
/// How often it is polled at first: a wrong request, or a run of a few images, ends soon.
const EARLY_EVERY: Duration = Duration::from_secs(1);
const EARLY_POLLS: u32 = 10;

/// Waits for the end of a run that was just started, and reports it as `tagfleet run` does.
pub(super) async fn wait(mut poller: StatusPoller<'_>, quiet: bool, json: bool) -> Result<Exit, Failure> {
    let mut display = ProgressDisplay::new(quiet, io::stderr().is_terminal());
    let run_status = until_end(&mut poller, |run_status| {
        display.show(run_status);
        Ok(())
    })
    .await?;
    display.end();
    match run_status {
        Some(run_status) => report(&poller, &run_status, json),
        None => Ok(continues(&poller)),
    }
}

/// The text of `tagfleet status`, again and again until the run has ended.
pub(super) async fn redraw(poller: &mut StatusPoller<'_>) -> Result<Exit, Failure> {
    let screen = io::stdout().is_terminal().then(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let resume = poller.resume();
    let mut lines = Lines::default();
    let began = Instant::now();
    let run_status = until_end(poller, |run_status| match &screen {
        Some(bar) => {
            bar.set_message(crate::exit::printable(text(run_status, &resume, now()).trim_end()));
            bar.tick();
            Ok(())
        }
        None if run_status.state.is_end() => Ok(()),
        None if lines.are_due(run_status.state, began.elapsed()) => print(&format!("{}\n", line(run_status))),
        None => Ok(()),
    })
    .await?;
    if let Some(bar) = screen {
        bar.finish_and_clear();
    }
    let Some(run_status) = run_status else { return Ok(continues(poller)) };
    print(&text(&run_status, &resume, now()))?;
    exit(&run_status, &resume)
}

/// Shows the status of the run until it has ended; `None` if the user interrupts it.
async fn until_end(
    poller: &mut StatusPoller<'_>,
    mut show: impl FnMut(&RunStatus) -> Result<(), Failure>,
) -> Result<Option<RunStatus>, Failure> {
    // Registered once, so that no signal is lost while the run is polled.
    let mut interrupts = signal(SignalKind::interrupt()).map_err(broken)?;
    for polls in 0_u32.. {
        if polls > 0 && is_interrupted(&mut interrupts, polls).await {
            break;
        }
        let run_status = poller.poll().await?;
        show(&run_status)?;
        if run_status.state.is_end() {
            return Ok(Some(run_status));
        }
    }
    Ok(None)
}

/// Waits for the next poll; true if the user interrupts it.
async fn is_interrupted(interrupts: &mut Signal, polls: u32) -> bool {
    let pause = if polls < EARLY_POLLS { EARLY_EVERY } else { EVERY };
    tokio::time::timeout(pause, interrupts.recv()).await.is_ok()
}

fn continues(poller: &StatusPoller<'_>) -> Exit {
    let run = poller.run();
    tell(&format!(
        "run {run} continues: {}, or {}",
        poller.stack().command(&format!("status {run} --watch")),
        poller.stack().command(&format!("cancel {run}"))
    ));
    Exit::Resumable
}

/// The summary if there is one of this end, else why there is none.
fn report(poller: &StatusPoller<'_>, run_status: &RunStatus, json: bool) -> Result<Exit, Failure> {
    match (run_status.state, poller.summary()) {
        (
            RunState::Complete | RunState::Incomplete | RunState::StoppedAtBudget | RunState::PriceUnknown,
            Some(summary),
        ) => {
            let exit = summary_output::report(summary, json)?;
            if exit == Exit::Resumable {
                tell(&format!("to resume: {}", resume_command(run_status.state, &poller.resume())));
            }
            Ok(exit)
        }
        _ => exit(run_status, &poller.resume()),
    }
}

/// The exit code for the end of a run; a failure is printed. `resume` is the command that resumes it.
fn exit(run_status: &RunStatus, resume: &str) -> Result<Exit, Failure> {
    let run = &run_status.run;
    let cause =
        run_status.cause.as_deref().or(run_status.error.as_deref()).unwrap_or("nothing more is known");
    match run_status.state {
        RunState::Complete if run_status.failed == 0 => Ok(Exit::Finished),
        RunState::Complete => Ok(Exit::FailedImages),
        RunState::Failed if run_status.error.as_deref() == Some(ErrorType::BadRequest.name()) => {
            Err(bad_input(cause))
        }
        RunState::Failed => Err(broken(cause)),
        _ => {
            let resume = resume_command(run_status.state, resume);
            tell(&format!("run {run} is {}: to resume: {resume}", run_status.state.word()));
            Ok(Exit::Resumable)
        }
    }
}

/// The command that resumes a run; one that its limit stopped needs a higher limit.
fn resume_command(state: RunState, resume: &str) -> String {
    if state == RunState::StoppedAtBudget { format!("{resume} --max-usd N") } else { resume.to_owned() }
}

/// Plain lines: one when the state changes, and now and then between.
#[derive(Default)]
struct Lines {
    schedule: Schedule,
    state: Option<RunState>,
}

impl Lines {
    /// Whether to write one, `time` after the start.
    fn are_due(&mut self, state: RunState, time: Duration) -> bool {
        let is_new = self.state.replace(state) != Some(state);
        self.schedule.is_due(time) || is_new
    }
}

/// Progress on stderr.
enum ProgressDisplay {
    Nothing,
    Lines(Lines, Instant),
    Bar(ProgressBar),
}

impl ProgressDisplay {
    fn new(quiet: bool, is_terminal: bool) -> Self {
        match (quiet, is_terminal) {
            (true, _) => Self::Nothing,
            (false, false) => Self::Lines(Lines::default(), Instant::now()),
            (false, true) => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(bar::style());
                Self::Bar(bar)
            }
        }
    }

    fn show(&mut self, run_status: &RunStatus) {
        match self {
            Self::Nothing => {}
            Self::Lines(lines, began) => {
                if lines.are_due(run_status.state, began.elapsed()) {
                    tell(&line(run_status));
                }
            }
            Self::Bar(bar) => {
                if let Some(images) = run_status.images {
                    bar.set_length(images.all);
                    bar.set_position(images.done);
                }
                bar.set_message(line(run_status));
                bar.tick();
            }
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.abandon();
            // The bar ends without one.
            tell("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_state_is_written_at_once_and_the_same_one_now_and_then() {
        let mut lines = Lines::default();
        let looks = [
            (RunState::Planning, 0),
            (RunState::Planning, 1),
            (RunState::Splitting, 2),
            (RunState::Running, 3),
            (RunState::Running, 5),
            (RunState::Running, 10),
            (RunState::Running, 15),
        ];
        let written: Vec<u64> = looks
            .into_iter()
            .filter(|(state, second)| lines.are_due(*state, Duration::from_secs(*second)))
            .map(|(_, second)| second)
            .collect();
        assert_eq!(written, [0, 2, 3, 5, 15]);
    }
}
