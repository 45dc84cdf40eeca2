//! What the run cost, line by line, and where the money went.
//!
//! It shows a bill and adds nothing to it.

use maud::{Markup, html};
use tagfleet_cost::{Cost, CostLine, PlanVariance};
use tagfleet_pipeline::format::{dollars, number, share, visible};

use super::table::{Column, Table, bar, text};
use crate::text::name;

const BILL: [Column; 7] = [
    ("Stage", false),
    ("Service", false),
    ("Item", false),
    ("Quantity", true),
    ("Unit", false),
    ("Unit price", true),
    ("Amount", true),
];

/// Empty for a run that nothing was paid for.
pub(super) fn section(cost: Option<&Cost>, problem: Option<&str>) -> Markup {
    if cost.is_none() && problem.is_none() {
        return Markup::default();
    }
    html! {
        section aria-labelledby="cost" {
            h2 #cost { "Cost" }
            @if let Some(cost) = cost { (bill(cost)) }
            @else if let Some(problem) = problem { p { "Cost unknown: " (name(problem)) "." } }
        }
    }
}

fn bill(cost: &Cost) -> Markup {
    let mut foot = vec![Markup::default(); BILL.len()];
    foot[0] = text("Total");
    foot[6] = text(dollars(cost.total_usd));
    let rows = cost.lines.iter().map(line).collect();
    html! {
        p {
            strong { (dollars(cost.total_usd)) } " in total"
            @if let Some(usd) = cost.usd_per_million { ", " (dollars(usd)) " per million images" }
            ", at the list prices of " (visible(&cost.region)) " as of " (visible(&cost.prices_of)) "."
            @if cost.spot_saved_usd > 0.0 {
                " Spot machines saved " (dollars(cost.spot_saved_usd)) " against on-demand."
            }
        }
        @if let Some(plan) = &cost.plan { (planned(plan)) }
        (by_service(cost))
        (Table { caption: "The bill, line by line", columns: &BILL, rows, foot })
        @if !cost.notes.is_empty() {
            ul.notes { @for note in &cost.notes { li { (name(note)) } } }
        }
    }
}

/// The plan and the actual figures, and the causes of the difference.
fn planned(plan: &PlanVariance) -> Markup {
    let rows = plan.rows().iter().map(|row| row.iter().map(|cell| name(cell)).collect()).collect();
    let columns = &[("Figure", false), ("Planned", false), ("Actual", false)];
    html! {
        p { "Planned were " (visible(&plan.verdict())) "." }
        @if let Some(causes) = plan.causes() { p { "The difference: " (name(&causes)) "." } }
        (Table { caption: "Plan and actual", columns, rows, foot: vec![] })
    }
}

/// Where the money went: a bar for each service and stage, the most expensive first.
fn by_service(cost: &Cost) -> Table<'static> {
    let mut sums: Vec<(String, f64)> = Vec::new();
    for line in &cost.lines {
        let what = format!("{} ({})", line.service, line.stage);
        match sums.iter_mut().find(|(known, _)| *known == what) {
            Some((_, usd)) => *usd += line.usd,
            None => sums.push((what, line.usd)),
        }
    }
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = sums.first().map_or(0.0, |(_, usd)| *usd);
    let row = |(what, usd): &(String, f64)| {
        let share = share(*usd, cost.total_usd);
        vec![text(visible(what)), bar(*usd, most), text(dollars(*usd)), text(share)]
    };
    Table {
        caption: "Where the money went",
        columns: &[("Service (stage)", false), ("", false), ("Amount", true), ("Share", true)],
        rows: sums.iter().map(row).collect(),
        foot: vec![],
    }
}

fn line(line: &CostLine) -> Vec<Markup> {
    vec![
        text(visible(&line.stage)),
        text(visible(&line.service)),
        name(&line.item),
        text(number(line.quantity)),
        text(visible(&line.unit)),
        text(dollars(line.unit_price)),
        text(dollars(line.usd)),
    ]
}
