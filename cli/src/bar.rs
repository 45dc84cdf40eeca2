//! Progress on stderr: a bar on a terminal, else a plain line at intervals.
//!
//! It only reads counts; a run continues even if the display cannot be seen.

mod schedule;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tagfleet_pipeline::format::clock;
use tagfleet_pipeline::progress::{Counts, Progress};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::exit::tell;
pub(crate) use schedule::Schedule;

/// How often a plain line may be due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// A progress display that runs in parallel with the work.
pub(crate) struct Bar {
    drawing: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Bar {
    pub(crate) fn start(progress: &Arc<Progress>, quiet: bool) -> Self {
        if quiet {
            return Self { drawing: None };
        }
        let (stop, stopped) = oneshot::channel();
        let progress = progress.clone();
        let drawing = if io::stderr().is_terminal() {
            tokio::spawn(draw(progress, stopped))
        } else {
            tokio::spawn(write_lines(progress, stopped))
        };
        Self { drawing: Some((stop, drawing)) }
    }

    /// Stops, and leaves the last state on the screen.
    pub(crate) async fn stop(self) {
        if let Some((stop, drawing)) = self.drawing {
            // Both fail only if the display has ended by itself, and then there is nothing to stop.
            let _ = stop.send(());
            let _ = drawing.await;
        }
    }
}

async fn draw(progress: Arc<Progress>, mut stopped: oneshot::Receiver<()>) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style());
    let began = Instant::now();
    let mut ticks = tokio::time::interval(DRAW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        let counts = progress.counts();
        if counts.total > 0 {
            bar.set_length(counts.total);
            bar.set_position(counts.done());
            bar.set_message(describe(counts, began.elapsed()));
        }
        if is_last {
            bar.abandon();
            // The bar ends without one.
            return tell("");
        }
    }
}

/// A bar over the whole width, the counts, and a message behind them.
pub(crate) fn style() -> ProgressStyle {
    let template = "{wide_bar} {pos}/{len} {msg}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

async fn write_lines(progress: Arc<Progress>, mut stopped: oneshot::Receiver<()>) {
    let began = Instant::now();
    let mut schedule = Schedule::default();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    // After a pause (a laptop that slept) one line is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        if schedule.is_due(began.elapsed()) || is_last {
            tell(&line(progress.counts(), began.elapsed()));
        }
        if is_last {
            return;
        }
    }
}

/// `2500/10000 (25 %), 12 failed, 240.0 images/s, 0:31 left`
fn line(counts: Counts, time: Duration) -> String {
    if counts.total == 0 {
        return "listing the images".to_owned();
    }
    // Rounded down: 100 % is the end.
    let percent = u128::from(counts.done()) * 100 / u128::from(counts.total);
    format!("{}/{} ({percent} %), {}", counts.done(), counts.total, describe(counts, time))
}

/// `12 failed, 240.0 images/s, 1:05 left`, of a process that has worked for `time`.
fn describe(counts: Counts, time: Duration) -> String {
    let (mut text, seconds) = (format!("{} failed", counts.failed), time.as_secs_f64());
    let here = counts.done().saturating_sub(counts.before) as f64;
    if here > 0.0 && seconds > 0.5 {
        let rate = here / seconds;
        let left = Duration::from_secs_f64(counts.total.saturating_sub(counts.done()) as f64 / rate);
        text.push_str(&format!(", {rate:.1} images/s, {} left", clock(left)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let counts = Counts { total: 10_000, before: 1000, tagged: 490, failed: 10, committed: 0 };
        let after = |seconds| line(counts, Duration::from_secs_f64(seconds));
        insta::assert_snapshot!(after(2.0), @"1500/10000 (15 %), 10 failed, 250.0 images/s, 0:34 left");
        insta::assert_snapshot!(after(0.1), @"1500/10000 (15 %), 10 failed");
        assert_eq!(line(Counts::default(), Duration::ZERO), "listing the images");
        let almost = Counts { total: 1000, tagged: 999, ..Counts::default() };
        assert!(line(almost, Duration::ZERO).starts_with("999/1000 (99 %)"));
    }
}
