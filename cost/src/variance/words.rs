//! A plan beside what came of it, in words: rows of a table, one line, and a sentence for each reason.
//!
//! Pure text of figures that the comparison has.

use super::{Actual, MachineHours, PlanBesideActual};
use crate::forecast::{Estimate, Range};
use crate::table::dollars;
use tagfleet_pipeline::number::count;
use tagfleet_pipeline::visible::visible;

/// What differs by less than this share is told to be the same.
const SAME: f64 = 0.05;
/// Dollars that would be shown as none.
const NOTHING: f64 = 5e-7;

impl PlanBesideActual {
    /// What was planned and what came, a row for each figure: its name, planned, actual.
    #[must_use]
    pub fn rows(&self) -> Vec<[String; 3]> {
        let Self { planned, actual, .. } = self;
        let row = |name: &str, planned: String, actual: String| [name.to_owned(), planned, actual];
        vec![
            row("images", count(planned.images), count(actual.images)),
            row("images per second", range(planned.images_per_second), figure(actual.images_per_second)),
            row("hours of tagging", range(planned.tagging_hours), figure(actual.tagging_hours)),
            row("machines", visible(&machines_planned(planned)), visible(&machines_used(&actual.machines))),
            row("machine hours", range(planned.instance_hours), figure(actual.instance_hours)),
            row("of these spot", percent(planned.spot_share), percent(actual.spot_share)),
            row("requests", count(planned.requests), count(actual.requests)),
            row("dollars for machines", dollars_of(planned.machines_usd), dollars(actual.machines_usd)),
            row("dollars for requests", dollars(planned.requests_usd), dollars(actual.requests_usd)),
            row("dollars for the rest", dollars(planned.rest_usd), dollars(actual.rest_usd)),
            row("dollars in all", dollars_of(planned.usd), dollars(actual.usd)),
        ]
    }

    /// Whether the run cost what was planned: `$1.10 to $1.50; the run cost $0.12 more`.
    #[must_use]
    pub fn verdict(&self) -> String {
        let planned = dollars_of(self.planned.usd);
        match self.difference_usd {
            more if more > 0.0 => format!("{planned}; the run cost {} more", dollars(more)),
            less if less < 0.0 => format!("{planned}; the run cost {} less", dollars(-less)),
            _ => format!("{planned}; the run cost what was planned"),
        }
    }

    /// Each reason with its dollars in front, then what else differs.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        let shown = self.reasons.iter().filter(|reason| reason.usd.abs() >= NOTHING);
        let reasons = shown.map(|reason| format!("{} {}", signed(reason.usd), reason.why));
        reasons.chain(self.notes.iter().cloned()).map(|sentence| visible(&sentence))
    }

    /// The comparison in a few lines that begin with a label, as a summary's do.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = format!("planned  {}\n", self.verdict());
        for sentence in self.sentences() {
            text.push_str(&format!("         {sentence}\n"));
        }
        text
    }

    /// The rows in columns, no colour; reasons are [`Self::short`]'s.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![["plan beside actual", "planned", "actual"].map(str::to_owned)];
        rows.extend(self.rows());
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let (a, b) = (width(0), width(1));
        let line = |[name, planned, actual]: &[String; 3]| format!("{name:<a$}  {planned:<b$}  {actual}\n");
        rows.iter().map(line).collect()
    }
}

pub(super) fn images(planned: &Estimate, actual: &Actual) -> String {
    let more = if actual.images > planned.images { "more" } else { "fewer" };
    let open = match actual.not_done {
        0 => String::new(),
        open => format!("; {} are not done", count(open)),
    };
    let (actual, planned) = (count(actual.images), count(planned.images));
    format!("for {more} images than planned: {actual} instead of {planned}{open}")
}

/// `planned` is images in a machine hour.
pub(super) fn machine_time(planned: f64, actual: &Actual) -> String {
    let hours = actual.instance_hours;
    if hours <= 0.0 {
        return "for no machine hours at all".to_owned();
    }
    let rate = actual.images as f64 / hours;
    let slower = if rate < planned { "slower" } else { "faster" };
    let idle = actual.idle_hours / hours;
    let idle = if idle >= SAME { format!(", {} of it idle", percent(idle)) } else { String::new() };
    format!(
        "for {slower} machines: {} images a second each, boot and pauses counted{idle}, instead of {}",
        figure(rate / 3600.0),
        figure(planned / 3600.0)
    )
}

/// `hour_usd` is what a machine hour was planned to cost.
pub(super) fn price(planned: &Estimate, hour_usd: f64, actual: &Actual) -> String {
    let hours = actual.instance_hours;
    if hours <= 0.0 {
        return "for machines that ran for no time".to_owned();
    }
    let paid = actual.machines_usd / hours;
    let dearer = if paid > hour_usd { "dearer" } else { "cheaper" };
    let mut text = format!(
        "for {dearer} machine hours: {} each, disk and address counted, instead of {}",
        dollars(paid),
        dollars(hour_usd)
    );
    for other in actual.machines.iter().filter(|of| of.instance_type != planned.instance_type) {
        text.push_str(&format!(
            "; {} hours were of {} instead of {}",
            figure(other.hours),
            other.instance_type,
            planned.instance_type
        ));
    }
    let more_on_demand = planned.spot_share - actual.spot_share;
    if more_on_demand.abs() >= SAME {
        text.push_str(&format!(
            "; {} of the hours were of spot machines instead of {}",
            percent(actual.spot_share),
            percent(planned.spot_share)
        ));
    }
    if actual.free_hours > 0.0 {
        text.push_str(&format!(
            "; {} hours cost nothing, for EC2 took the machines back",
            figure(actual.free_hours)
        ));
    }
    text
}

/// `k` times as many images as planned were done.
pub(super) fn requests(planned: &Estimate, k: f64, actual: &Actual) -> String {
    let expected = figure((planned.requests as f64 * k).round());
    format!(
        "for requests: {}, retries counted, instead of {expected} for so many images",
        count(actual.requests)
    )
}

/// `expected` is dollars.
pub(super) fn rest(expected: f64, actual: &Actual) -> String {
    format!(
        "for functions, state transitions and mails: {} instead of {} for so many images",
        dollars(actual.rest_usd),
        dollars(expected)
    )
}

/// What the dollars do not tell: how long it took and why, and another engine.
pub(super) fn notes(planned: &Estimate, actual: &Actual) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(time(planned, actual));
    if actual.engine != planned.engine {
        notes.push(format!("the model ran in {} instead of {}", actual.engine, planned.engine));
    }
    notes
}

/// Why tagging took longer or shorter than planned; none where it did not.
fn time(planned: &Estimate, actual: &Actual) -> Option<String> {
    let (hours, range_of) = (actual.tagging_hours, planned.tagging_hours);
    let is_longer = hours > range_of.high * (1.0 + SAME);
    if hours <= 0.0 || !(is_longer || hours < range_of.low * (1.0 - SAME)) {
        return None;
    }
    // Of their vCPUs, what workers had: boot is no part of it.
    let at_once = (actual.instance_hours - actual.idle_hours - actual.free_hours).max(0.0) / hours;
    let rates = planned.images_per_second.map(|rate| rate / f64::from(planned.instances));
    let rate = if at_once > 0.0 { actual.images_per_second / at_once } else { 0.0 };
    let mut why = Vec::new();
    // What worked the other way explains nothing.
    if differs(planned.images as f64, actual.images as f64, is_longer) {
        why.push(format!("{} images instead of {}", count(actual.images), count(planned.images)));
    }
    if differs(at_once, f64::from(planned.instances), is_longer) {
        why.push(format!("{} machines at once on average instead of {}", figure(at_once), planned.instances));
    }
    if differs(rate, if is_longer { rates.low } else { rates.high }, is_longer) {
        why.push(format!("{} images a second of each instead of {}", figure(rate), range(rates)));
    }
    let longer = if is_longer { "longer" } else { "shorter" };
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
    Some(format!("tagging took {longer}, {} hours instead of {}{why}", figure(hours), range(range_of)))
}

/// Whether the first is less than the second, or more where it took shorter, by more than nothing.
fn differs(less: f64, more: f64, is_longer: bool) -> bool {
    let (less, more) = if is_longer { (less, more) } else { (more, less) };
    less < more * (1.0 - SAME)
}

fn machines_planned(planned: &Estimate) -> String {
    format!("{} of {} at once", planned.instances, planned.instance_type)
}

fn machines_used(machines: &[MachineHours]) -> String {
    let one = |of: &MachineHours| {
        let bought = if of.is_spot { "spot" } else { "on demand" };
        format!("{} h of {} {bought}", figure(of.hours), of.instance_type)
    };
    if machines.is_empty() {
        return "none".to_owned();
    }
    machines.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn signed(usd: f64) -> String {
    format!("{}{}", if usd < 0.0 { "-" } else { "+" }, dollars(usd.abs()))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn dollars_of(range: Range) -> String {
    between(range, dollars)
}

fn range(range: Range) -> String {
    between(range, figure)
}

fn between(range: Range, of: impl Fn(f64) -> String) -> String {
    let (low, high) = (of(range.low), of(range.high));
    if low == high { low } else { format!("{low} to {high}") }
}

/// A figure of any size, to three or four digits that count.
fn figure(figure: f64) -> String {
    match figure.abs() {
        size if (1000.0..1e18).contains(&size) && figure > 0.0 => count(size.round() as u64),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 10.0 => format!("{figure:.1}"),
        size if size >= 1.0 || size == 0.0 => format!("{figure:.2}"),
        size => format!("{figure:.*}", ((2.0 - size.log10()).ceil() as usize).min(9)),
    }
}
