//! The mail as HTML: the same words as its text, with pictures, laid out for a phone as for a desk.
//!
//! Mail readers know little of style sheets, so each element has its own style; only the bar and the button
//! have a colour, so that a dark reader stays dark. Everything that comes from outside is escaped. It loads
//! nothing: its pictures are in the mail.

use maud::{DOCTYPE, Markup, html};
use tagfleet_cost::{Cost, CostLine, PlanVariance};
use tagfleet_pipeline::format::{dollars, score, visible};

use super::super::html::break_lines;
use super::super::verdict::Grade;
use super::words::Words;
use super::{Attached, Picture};

const FONT: &str = "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif";
const PARAGRAPH: &str = "margin:0 0 12px;overflow-wrap:anywhere";
const TABLE: &str = "width:100%;border-collapse:collapse;margin:0 0 20px;font-size:14px";
const CAPTION: &str = "text-align:left;font-weight:600;font-size:16px;padding:0 0 4px";
/// Figures and words of ours are not broken.
const CELL: &str = "text-align:left;vertical-align:top;padding:4px 8px 4px 0;border-bottom:1px solid #8886;overflow-wrap:break-word";
/// Names from outside may be of any length.
const TEXT_CELL: &str = "text-align:left;vertical-align:top;padding:4px 8px 4px 0;border-bottom:1px solid #8886;overflow-wrap:anywhere";
const LABEL_CELL: &str =
    "text-align:left;vertical-align:top;padding:2px 12px 2px 0;font-weight:600;white-space:nowrap";
const VALUE_CELL: &str = "vertical-align:top;padding:2px 0;overflow-wrap:anywhere";
const FIGURE: &str = "text-align:right;vertical-align:top;padding:4px 0 4px 8px;border-bottom:1px solid #8886;\
                      white-space:nowrap;font-variant-numeric:tabular-nums";
const CODE: &str = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:13px;overflow-wrap:anywhere";

/// A column of a table, with the style of its cells.
type Column = (&'static str, &'static str);

/// The page of a subject and the mail's text, with pictures and the bill.
pub(super) fn page(
    subject: &str,
    words: &Words,
    pictures: &[(Attached, &Picture)],
    cost: Option<&Cost>,
) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (subject) }
            }
            body style="margin:0" {
                main style={ "max-width:680px;margin:0 auto;padding:16px;" (FONT) } {
                    (lead(words))
                    (sheet(pictures))
                    (failures(&words.failures))
                    @if let Some(link) = &words.link { (button(link)) }
                    @for (what, command) in &words.commands {
                        p style=(PARAGRAPH) { (what) br; code style=(CODE) { (visible(command)) } }
                    }
                    (details(&words.details))
                    @if let Some(cost) = cost { (bill(cost)) }
                }
            }
        }
    };
    break_lines(&page)
}

/// The outcome as the heading, with a bar in the colour of the news; then what it cost, and what went wrong.
fn lead(words: &Words) -> Markup {
    let colour = match words.grade {
        Grade::Good => "#1a7f45",
        Grade::Fair => "#b57b00",
        Grade::Bad => "#c9302c",
    };
    let mut lines = words.lead.iter();
    html! {
        div style={ "border-left:6px solid " (colour) ";padding:2px 0 2px 14px;margin:0 0 16px" } {
            @if let Some(heading) = lines.next() {
                h1 style="font-size:21px;line-height:1.3;margin:0 0 4px;overflow-wrap:anywhere" { (heading) }
            }
            @for line in lines { p style="margin:0;font-size:18px;overflow-wrap:anywhere" { (line) } }
        }
        @for sentence in &words.problem { p style=(PARAGRAPH) { (sentence) } }
    }
}

/// Pictures in a row, each with its best tag.
fn sheet(pictures: &[(Attached, &Picture)]) -> Markup {
    if pictures.is_empty() {
        return Markup::default();
    }
    let style = "border-collapse:collapse;table-layout:fixed;width:100%;max-width:560px;margin:0 0 16px";
    html! {
        table role="presentation" style=(style) {
            tr { @for (attached, picture) in pictures { (cell(attached, picture)) } }
        }
    }
}

fn cell(attached: &Attached, picture: &Picture) -> Markup {
    let tagged = match picture.tags.first() {
        Some(best) => format!("{} {}", visible(&best.label), score(best.score)),
        None => "no tag".to_owned(),
    };
    let style = "display:block;width:100%;height:auto;border-radius:6px;margin:0 0 4px";
    html! {
        td style="vertical-align:top;padding:0 8px 0 0;font-size:13px;overflow-wrap:anywhere" {
            img src={ "cid:" (attached.id) } alt={ "Tagged " (tagged) } style=(style);
            (tagged)
        }
    }
}

fn failures(failures: &[[String; 3]]) -> Markup {
    if failures.is_empty() {
        return Markup::default();
    }
    html! {
        table style=(TABLE) {
            caption style=(CAPTION) { "Failed images" }
            (head(&[("Images", CELL), ("Reason", CELL)]))
            tbody {
                @for [number, code, meaning] in failures {
                    tr {
                        td style={ (CELL) ";white-space:nowrap" } { (number) }
                        td style=(TEXT_CELL) { strong { (code) } br; (meaning) }
                    }
                }
            }
        }
    }
}

/// A button; readers that block styles show a link.
fn button(link: &str) -> Markup {
    let style = "display:inline-block;padding:10px 18px;border-radius:6px;background:#1d5fbf;color:#ffffff;\
                 text-decoration:none;font-weight:600";
    html! {
        p style="margin:0 0 6px" { a href=(link) style=(style) { "Open the report" } }
        p style="margin:0 0 16px;font-size:13px" { "In the S3 console: sign in to AWS, then choose Open." }
    }
}

/// Names and values; a row without a name continues the one before it.
fn details(details: &[(&str, String)]) -> Markup {
    html! {
        table role="presentation" style="border-collapse:collapse;margin:8px 0 20px" {
            @for (name, value) in details {
                tr { td style=(LABEL_CELL) { (name) } td style=(VALUE_CELL) { (value) } }
            }
        }
    }
}

/// The bill, with the plan if there was one, and its assumptions.
fn bill(cost: &Cost) -> Markup {
    let of = format!("{}, prices of {}", visible(&cost.region), visible(&cost.prices_of));
    html! {
        @if let Some(plan) = &cost.plan { (plan_beside_actual(plan)) }
        table style=(TABLE) {
            caption style=(CAPTION) { "Cost: " (dollars(cost.total_usd)) " (" (of) ")" }
            (head(&[("Item", CELL), ("Quantity and price", CELL), ("USD", FIGURE)]))
            tbody { @for line in &cost.lines { (row(line)) } }
            tfoot {
                tr {
                    th scope="row" colspan="2" style=(CELL) { "Total" }
                    td style=(FIGURE) { strong { (format!("{:.6}", cost.total_usd)) } }
                }
            }
        }
        @if !cost.notes.is_empty() {
            ul style="margin:0;padding:0 0 0 18px;font-size:13px" {
                @for note in &cost.notes { li { (visible(note)) } }
            }
        }
    }
}

fn row(line: &CostLine) -> Markup {
    let [stage, service, item, quantity, unit, price, usd] = line.cells().map(|cell| visible(&cell));
    html! {
        tr {
            td style=(TEXT_CELL) { (service) " " (item) br; small { (stage) } }
            td style=(CELL) { (quantity) br; small { (unit) " at " (price) } }
            td style=(FIGURE) { (usd) }
        }
    }
}

/// The text above has the causes of the difference.
fn plan_beside_actual(plan: &PlanVariance) -> Markup {
    html! {
        table style=(TABLE) {
            caption style=(CAPTION) { "Plan and actual" }
            (head(&[("Figure", CELL), ("Planned", CELL), ("Actual", CELL)]))
            tbody {
                @for [name, planned, actual] in plan.rows() {
                    tr {
                        th scope="row" style={ (CELL) ";font-weight:400" } { (visible(&name)) }
                        td style=(CELL) { (visible(&planned)) }
                        td style=(TEXT_CELL) { (visible(&actual)) }
                    }
                }
            }
        }
    }
}

fn head(columns: &[Column]) -> Markup {
    html! {
        thead { tr { @for (name, style) in columns { th scope="col" style=(style) { (name) } } } }
    }
}
