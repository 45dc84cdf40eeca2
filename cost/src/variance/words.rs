//! A plan and the actual figures, as text: a table, and one line of causes.
//!
//! It only formats figures that the comparison has.

use super::{MachineHours, PlanVariance};
use crate::forecast::{Estimate, Range};
use tagfleet_pipeline::format::{count, precise_dollars, visible};

/// Dollars that would be shown as zero.
const NOTHING: f64 = 5e-7;

impl PlanVariance {
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
            row("engine", visible(&planned.engine), visible(&actual.engine)),
            row("requests", count(planned.requests), count(actual.requests)),
            row(
                "dollars for machines",
                dollars_of(planned.machines_usd),
                precise_dollars(actual.machines_usd),
            ),
            row(
                "dollars for requests",
                precise_dollars(planned.requests_usd),
                precise_dollars(actual.requests_usd),
            ),
            row("dollars for the rest", precise_dollars(planned.rest_usd), precise_dollars(actual.rest_usd)),
            row("dollars in all", dollars_of(planned.usd), precise_dollars(actual.usd)),
        ]
    }

    /// Whether the run cost what was planned: `$1.10 to $1.50; the run cost $0.12 more`.
    #[must_use]
    pub fn verdict(&self) -> String {
        let planned = dollars_of(self.planned.usd);
        match self.difference_usd {
            more if more > 0.0 => format!("{planned}; the run cost {} more", precise_dollars(more)),
            less if less < 0.0 => format!("{planned}; the run cost {} less", precise_dollars(-less)),
            _ => format!("{planned}; the run cost what was planned"),
        }
    }

    /// The causes of the difference in one line, the largest first: `machine time +$0.18, images +$0.15`.
    /// `None` if the run cost what was planned.
    #[must_use]
    pub fn causes(&self) -> Option<String> {
        let shown = self.causes.iter().filter(|cause| cause.usd.abs() >= NOTHING);
        let causes: Vec<String> =
            shown.map(|cause| format!("{} {}", visible(&cause.name), signed(cause.usd))).collect();
        (!causes.is_empty()).then(|| causes.join(", "))
    }

    /// The verdict, and the causes in a line below it, in the columns of a summary.
    #[must_use]
    pub fn short(&self) -> String {
        let causes = self.causes().map(|causes| format!("         {causes}\n")).unwrap_or_default();
        format!("planned  {}\n{causes}", self.verdict())
    }

    /// The rows in columns, without colour.
    #[must_use]
    pub fn table(&self) -> String {
        let mut rows = vec![["plan and actual", "planned", "actual"].map(str::to_owned)];
        rows.extend(self.rows());
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let (a, b) = (width(0), width(1));
        let line = |[name, planned, actual]: &[String; 3]| format!("{name:<a$}  {planned:<b$}  {actual}\n");
        rows.iter().map(line).collect()
    }
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
    format!("{}{}", if usd < 0.0 { "-" } else { "+" }, precise_dollars(usd.abs()))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn dollars_of(range: Range) -> String {
    between(range, precise_dollars)
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
