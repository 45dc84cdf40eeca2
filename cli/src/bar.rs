//! Progress on stderr: a bar on a terminal, a plain line every few seconds elsewhere.
//!
//! It only reads counts; a run continues even if the display cannot be seen.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tagfleet_pipeline::progress::{Counts, Progress};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::exit::tell;

/// How often a plain line is written.
const LINE_EVERY: Duration = Duration::from_secs(5);
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

    /// Leaves the last state standing.
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
    let speed = Speed::default();
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
            bar.set_message(speed.describe(counts));
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
    let speed = Speed::default();
    let mut ticks = tokio::time::interval(LINE_EVERY);
    // After a pause (a laptop that slept) one line is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.tick().await;
    loop {
        let is_last = tokio::select! {
            _ = ticks.tick() => false,
            _ = &mut stopped => true,
        };
        let counts = progress.counts();
        tell(&format!("{}/{} {}", counts.done(), counts.total, speed.describe(counts)));
        if is_last {
            return;
        }
    }
}

/// Images per second since this process started.
struct Speed {
    began: Instant,
}

impl Default for Speed {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Speed {
    fn describe(&self, counts: Counts) -> String {
        describe(counts, self.began.elapsed().as_secs_f64())
    }
}

/// `12 failed, 240 images/s, 1:05 left`
fn describe(counts: Counts, seconds: f64) -> String {
    let mut text = format!("{} failed", counts.failed);
    let here = counts.done().saturating_sub(counts.before) as f64;
    if here > 0.0 && seconds > 0.5 {
        let rate = here / seconds;
        let left = Duration::from_secs_f64(counts.total.saturating_sub(counts.done()) as f64 / rate);
        text.push_str(&format!(", {rate:.1} images/s, {} left", clock(left)));
    }
    text
}

/// `1:05`, `10:01:01`
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told() {
        let counts = Counts { total: 10_000, before: 1000, tagged: 490, failed: 10, committed: 0 };
        insta::assert_snapshot!(describe(counts, 2.0), @"10 failed, 250.0 images/s, 0:34 left");
        insta::assert_snapshot!(describe(counts, 0.1), @"10 failed");
        insta::assert_snapshot!(clock(Duration::from_secs(36_061)), @"10:01:01");
    }
}
