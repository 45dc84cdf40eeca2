//! What the run cost, line by line, and where the money went.
//!
//! It shows a bill and adds nothing to it.

use super::table::{bar, table};
use crate::text::{dollars, escape, name, number, share};
use tagfleet_cost::{Cost, CostLine, PlanVariance};

/// Empty for a run that nothing was paid for.
pub(super) fn section(cost: Option<&Cost>, problem: Option<&str>) -> String {
    let bill = match (cost, problem) {
        (Some(cost), _) => bill(cost),
        (None, Some(problem)) => format!("<p>Cost unknown: {}.</p>\n", name(problem)),
        (None, None) => return String::new(),
    };
    format!("<section aria-labelledby=\"cost\">\n<h2 id=\"cost\">Cost</h2>\n{bill}</section>\n")
}

fn bill(cost: &Cost) -> String {
    let per_million = cost.usd_per_million.map(|usd| format!(", {} per million images", dollars(usd)));
    let mut html = format!(
        "<p><strong>{}</strong> in total{}, at the list prices of {} as of {}. {}</p>\n",
        dollars(cost.total_usd),
        per_million.unwrap_or_default(),
        escape(&cost.region),
        escape(&cost.prices_of),
        saved(cost)
    );
    if let Some(plan) = &cost.plan {
        html.push_str(&planned(plan));
    }
    html.push_str(&by_service(cost));
    let columns = [
        ("Stage", false),
        ("Service", false),
        ("Item", false),
        ("Quantity", true),
        ("Unit", false),
        ("Unit price", true),
        ("Amount", true),
    ];
    let rows: Vec<Vec<String>> = cost.lines.iter().map(line).collect();
    let mut foot = vec![String::new(); columns.len()];
    foot[0] = "Total".to_owned();
    foot[6] = dollars(cost.total_usd);
    html.push_str(&table("The bill, line by line", &columns, &rows, Some(&foot)));
    if !cost.notes.is_empty() {
        html.push_str("<ul class=\"notes\">\n");
        for note in &cost.notes {
            html.push_str(&format!("<li>{}</li>\n", name(note)));
        }
        html.push_str("</ul>\n");
    }
    html
}

/// The plan and the actual figures, and the causes of the difference.
fn planned(plan: &PlanVariance) -> String {
    let mut html = format!("<p>Planned were {}.</p>\n", escape(&plan.verdict()));
    if let Some(causes) = plan.causes() {
        html.push_str(&format!("<p>The difference: {}.</p>\n", name(&causes)));
    }
    let columns = [("Figure", false), ("Planned", false), ("Actual", false)];
    let rows: Vec<Vec<String>> =
        plan.rows().iter().map(|row| row.iter().map(|cell| name(cell)).collect()).collect();
    html.push_str(&table("Plan and actual", &columns, &rows, None));
    html
}

fn saved(cost: &Cost) -> String {
    if cost.spot_saved_usd <= 0.0 {
        return String::new();
    }
    format!("Spot machines saved {} against on-demand.", dollars(cost.spot_saved_usd))
}

/// Where the money went: a bar for each service and stage, the most expensive first.
fn by_service(cost: &Cost) -> String {
    let mut sums: Vec<(String, f64)> = Vec::new();
    for line in &cost.lines {
        let what = format!("{} ({})", escape(&line.service), escape(&line.stage));
        match sums.iter_mut().find(|(known, _)| *known == what) {
            Some((_, usd)) => *usd += line.usd,
            None => sums.push((what, line.usd)),
        }
    }
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = sums.first().map_or(0.0, |(_, usd)| *usd);
    let row =
        |(what, usd): (String, f64)| vec![what, bar(usd, most), dollars(usd), share(usd, cost.total_usd)];
    let rows: Vec<Vec<String>> = sums.into_iter().map(row).collect();
    let columns = [("Service (stage)", false), ("", false), ("Amount", true), ("Share", true)];
    table("Where the money went", &columns, &rows, None)
}

fn line(line: &CostLine) -> Vec<String> {
    vec![
        escape(&line.stage),
        escape(&line.service),
        name(&line.item),
        number(line.quantity),
        escape(&line.unit),
        dollars(line.unit_price),
        dollars(line.usd),
    ]
}
