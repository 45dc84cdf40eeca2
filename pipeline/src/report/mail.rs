//! The mail at the end of a run: what came out and what it used, or what stopped it and how to go on.
//!
//! Pure. Names, causes and places come from users and their objects: each stands on its own line with nothing in it that
//! cannot be seen, in HTML they are escaped, in a subject only run ids and our own words stand.

mod html;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{State, Summary};
use crate::cost::table::dollars;
use crate::number::count;
use crate::run::{RunId, RunKeys};
use crate::visible::visible;

/// A cause is told up to so many characters.
const LONGEST_CAUSE: usize = 2000;

/// What is sent; who gets it is another's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// One line.
    pub subject: String,
    /// For every reader.
    pub text: String,
    /// The same for those that show HTML.
    pub html: String,
}

/// What stopped a state machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The state that failed, `Plan`.
    pub state: String,
    /// The error's name, `BadRequest`.
    pub error: String,
    /// What it says; JSON where a function or a job failed.
    #[serde(default)]
    pub cause: String,
}

impl Mail {
    /// The mail of a run that came to its end, complete or not.
    #[must_use]
    pub fn of_summary(summary: &Summary) -> Self {
        let Summary { run, images, tagged, .. } = summary;
        let (images, tagged, failed) = (count(*images), count(*tagged), count(summary.all_failed()));
        let (state, next) = match summary.state {
            State::Complete => ("complete", String::new()),
            State::Interrupted | State::Incomplete => {
                ("incomplete", format!("to go on: tagfleet resume {run}\n"))
            }
            State::StoppedAtBudget => {
                ("stopped at budget", format!("to go on: tagfleet resume {run} --max-usd N\n"))
            }
        };
        // A link signed by a role dies with its credentials, so the mail names places and a command.
        let next = format!(
            "report   {}\n\nto open it: tagfleet report {run} --open\n{next}",
            visible(&RunKeys::report_beside(&summary.results))
        );
        let mut subject =
            format!("tagfleet: {run} {state}: {images} images, {tagged} tagged, {failed} failed");
        let Some(cost) = &summary.cost else {
            return Self::new(subject, format!("{}{next}", summary.text()), "");
        };
        subject.push_str(&format!(", {}", dollars(cost.total_usd)));
        let mail = Self::new(subject, format!("{}{next}", summary.text()), &html::bill(cost));
        Self { text: format!("{}\n{}", mail.text, cost.table()), ..mail }
    }

    /// The mail of a run that failed.
    #[must_use]
    pub fn of_failure(run: &RunId, failure: &Failure) -> Self {
        let Failure { state, error, cause } = failure;
        let next = match (error.as_str(), state.as_str()) {
            ("BadRequest", "Plan") => "nothing was begun: correct the request and put it again".to_owned(),
            _ => format!("what is done is kept; once the cause is mended, to go on: tagfleet resume {run}"),
        };
        let (state, error, cause) = (visible(state), visible(error), cause_in_words(cause));
        let text = format!(
            "run      {run}: failed\nstate    {state}\nerror    {error}\ncause    {cause}\n\n{next}\n"
        );
        Self::new(format!("tagfleet: {run} failed"), text, "")
    }

    /// `more` stands behind the text, in HTML only.
    fn new(subject: String, text: String, more: &str) -> Self {
        let html = html::page(&subject, &text, more);
        Self { subject, text, html }
    }
}

/// What a cause says, without the JSON around it, on one line.
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

/// Text that stands in HTML as itself.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::*;
    use crate::cost::{COST_VERSION, Cost, CostLine};
    use crate::usage::{CallUsage, Machine, MachineTime, MachineUsage, Usage};

    fn fleet() -> Summary {
        let machine = Machine {
            instance_type: Some("g6.xlarge".to_owned()),
            zone: Some("us-east-1a".to_owned()),
            life_cycle: Some("spot".to_owned()),
        };
        let time = MachineTime { machines: 2, billed_ms: 5_400_000, worked_ms: 5_000_000, free_ms: 0 };
        let used = MachineUsage {
            machine,
            workers: 2,
            seconds: 5400,
            vcpu_seconds: 21_600,
            vcpus: 8,
            images: 1000,
            time,
            gpu: None,
        };
        let calls = CallUsage { calls: 3, milliseconds: 2000, mb_milliseconds: 2000 * 2048 };
        let functions = [("splitter split".to_owned(), calls)].into();
        let usage = Usage { machines: vec![used], functions, infer_seconds: 2700, ..Usage::default() };
        Summary { usage: Some(usage), model: "<b>net</b>".to_owned(), ..summary() }
    }

    #[test]
    fn complete() {
        let mail = Mail::of_summary(&fleet());
        insta::assert_snapshot!(format!("{}\n\n{}\n{}", mail.subject, mail.text, mail.html));
    }

    #[test]
    fn what_it_cost() {
        let line = |item: &str, quantity: f64, unit_price: f64| CostLine {
            stage: "infer".to_owned(),
            service: "EC2".to_owned(),
            item: item.to_owned(),
            quantity,
            unit: "hours".to_owned(),
            unit_price,
            usd: quantity * unit_price,
        };
        let cost = Cost {
            version: COST_VERSION,
            region: "us-east-1".to_owned(),
            prices_of: "2026-11-23".to_owned(),
            lines: vec![line("g6.xlarge spot <us-east-1a>", 2.0, 0.5), line("disks", 0.25, 0.08)],
            total_usd: 1.02,
            usd_per_million: Some(1020.0),
            spot_saved_usd: 0.6,
            notes: vec!["list prices".to_owned()],
            plan: Some(crate::cost::planned::tests::a_dear_run()),
        };
        let mail = Mail::of_summary(&Summary { cost: Some(cost), ..fleet() });
        assert!(!mail.html.contains("<us-east-1a>"));
        insta::assert_snapshot!(format!("{}\n\n{}\n{}", mail.subject, mail.text, mail.html));
    }

    #[test]
    fn incomplete() {
        let problem = Some("tagfleet: no capacity for 30 minutes".to_owned());
        let missing_shards = (0..30).map(|number| format!("00000-{number:07}")).collect();
        let summary = Summary { state: State::Incomplete, rows: 0, missing_shards, problem, ..fleet() };
        insta::assert_snapshot!(Mail::of_summary(&summary).text);
    }

    #[test]
    fn failed() {
        let run = RunId::try_from("nightly-0a1b2c".to_owned()).unwrap();
        let cause =
            r#"{"errorType":"BadRequest","errorMessage":"the request is wrong: input: <script>\nalert(1)"}"#;
        let failure = |error: &str| Failure {
            state: "Plan".to_owned(),
            error: error.to_owned(),
            cause: cause.to_owned(),
        };
        let mail = Mail::of_failure(&run, &failure("BadRequest"));
        insta::assert_snapshot!(format!("{}\n\n{}\n{}", mail.subject, mail.text, mail.html));
        assert!(Mail::of_failure(&run, &failure("Broken")).text.contains("tagfleet resume nightly-0a1b2c"));
    }
}
