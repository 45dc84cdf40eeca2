//! The mail at the end of a run: what came out, what it cost, and what to do next, to be read on a phone in
//! ten seconds.
//!
//! Pure. Names, causes and places come from users and their objects: each is on its own line with nothing in
//! it that cannot be seen, in HTML they are escaped, and a subject holds only run ids and our own words. What
//! only an operator needs is in the report.

mod html;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::samples::Highlights;
use super::{State, Summary};
use crate::command::quoted;
use tagfleet_pipeline::format::{count, dollars, duration, visible};
use tagfleet_pipeline::run::RunId;
use tagfleet_pipeline::thumbnails::Picture;

/// A cause is reported up to this many characters.
const LONGEST_CAUSE: usize = 2000;

/// The content of a mail; the caller knows the recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// For every reader.
    pub text: String,
    /// The same for those that show HTML.
    pub html: String,
    /// The pictures that the HTML shows.
    pub pictures: Vec<Attached>,
}

/// A picture of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// How the HTML names it: `cid:` and this.
    pub id: String,
    /// A JPEG in base64.
    pub jpeg: String,
}

/// What a mail needs in addition to the run's summary.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Options that each command needs to find the run: `--stack tagfleet --region eu-west-1`.
    pub options: Vec<String>,
    /// The report's address for a browser; `None` if no link is wanted.
    pub link: Option<String>,
    /// Pictures to show.
    pub highlights: Highlights,
}

impl Surroundings {
    /// Those of a run of `stack` in `region`, submitted with the AWS profile `profile`.
    #[must_use]
    pub fn of_stack(stack: &str, region: &str, profile: Option<&str>) -> Self {
        let mut options =
            vec!["--stack".to_owned(), stack.to_owned(), "--region".to_owned(), region.to_owned()];
        options.extend(profile.into_iter().flat_map(|profile| ["--profile".to_owned(), profile.to_owned()]));
        Self { options, ..Self::default() }
    }

    /// A `tagfleet` command with the options that find the run.
    fn command(&self, arguments: &[&str]) -> String {
        let own = self.options.iter().map(String::as_str);
        quoted(std::iter::once("tagfleet").chain(arguments.iter().copied()).chain(own))
    }
}

/// What stopped a state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The state that failed, `Plan`.
    pub state: String,
    /// The error's name, `BadRequest`.
    pub error: String,
    /// The message; JSON if a function or a job failed.
    #[serde(default)]
    pub cause: String,
}

impl Mail {
    /// The mail of a run that came to its end, complete or not.
    #[must_use]
    pub fn of_summary(summary: &Summary, around: &Surroundings) -> Self {
        let words = words::of_summary(summary, around);
        let pictures: Vec<(Attached, &Picture)> = (1..)
            .zip(&around.highlights.pictures)
            .map(|(number, picture)| {
                let jpeg = picture.jpeg.clone();
                (Attached { id: format!("picture-{number}"), jpeg }, picture)
            })
            .collect();
        let subject = subject(summary);
        Self {
            text: words::text(&words, summary.cost.as_ref()),
            html: html::page(&subject, &words, &pictures, summary.cost.as_ref()),
            subject,
            pictures: pictures.into_iter().map(|(attached, _)| attached).collect(),
        }
    }

    /// The mail of a run that failed.
    #[must_use]
    pub fn of_failure(run: &RunId, failure: &Failure, around: &Surroundings) -> Self {
        let words = words::of_failure(run, failure, around);
        let subject = format!("tagfleet: {run} failed");
        let html = html::page(&subject, &words, &[], None);
        Self { text: words::text(&words, None), html, subject, pictures: Vec::new() }
    }
}

/// Outcome, failures, too many flips, dollars, hours.
fn subject(summary: &Summary) -> String {
    let state = match summary.state {
        State::Complete => "complete",
        State::Interrupted | State::Incomplete => "incomplete",
        State::StoppedAtBudget => "stopped at budget",
    };
    let (images, failed) = (count(summary.images), count(summary.all_failed()));
    let mut subject = format!("tagfleet: {} {state}: {images} images, {failed} failed", summary.run);
    if summary.has_too_many_flips() {
        subject.push_str(", too many flips");
    }
    if let Some(cost) = &summary.cost {
        subject.push_str(&format!(", {}", dollars(cost.total_usd)));
    }
    if summary.seconds_here > 0.0 {
        subject.push_str(&format!(", {}", duration(summary.seconds_here)));
    }
    subject
}

/// The message of a cause, without the JSON around it, on one line.
#[must_use]
pub fn cause_in_words(cause: &str) -> String {
    let words = serde_json::from_str::<Value>(cause).ok().and_then(|json| {
        let said = ["errorMessage", "StatusReason"].iter().find_map(|&field| json.get(field)?.as_str());
        Some(said?.to_owned())
    });
    let words = words.unwrap_or_else(|| cause.to_owned());
    let line: String = words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = visible(&line);
    match line.char_indices().nth(LONGEST_CAUSE) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
