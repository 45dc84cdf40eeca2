//! The mail as HTML: the same words as its text, laid out for a phone as for a desk.
//!
//! Mail readers know little of style sheets, so each element has its own style, and no colours, so that a dark reader
//! stays dark. Everything that comes from outside is escaped; it loads nothing.

use super::escape;
use crate::cost::table::dollars;
use crate::cost::{Cost, CostLine, PlanBesideActual};
use crate::visible::visible;

/// Characters of a label in a text.
const LABEL: usize = 9;
const FONT: &str = "font:15px/1.45 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif";
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

/// The page of a subject, a text, and what stands below it, which is HTML already.
pub(super) fn page(subject: &str, text: &str, more: &str) -> String {
    let subject = escape(subject);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{subject}</title></head>\n\
         <body style=\"margin:0\"><main style=\"max-width:680px;margin:0 auto;padding:16px;{FONT}\">\n\
         <h1 style=\"font-size:19px;line-height:1.3;margin:0 0 12px;overflow-wrap:anywhere\">{subject}</h1>\n{}{more}\
         </main></body></html>\n",
        body(text)
    )
}

/// Lines with labels become a table, all others paragraphs.
fn body(text: &str) -> String {
    let (mut html, mut rows) = (String::new(), Vec::<(String, Vec<String>)>::new());
    for line in text.lines() {
        match labelled(line) {
            Some(("", more)) if !rows.is_empty() => {
                if let Some((_, values)) = rows.last_mut() {
                    values.push(escape(more.trim_start()));
                }
            }
            Some((label, value)) => rows.push((escape(label), vec![escape(value.trim_start())])),
            None => {
                html.push_str(&labels(&std::mem::take(&mut rows)));
                html.push_str(&paragraph(line));
            }
        }
    }
    html.push_str(&labels(&rows));
    html
}

/// A line that begins with a label of lower-case letters, or that goes on with what the last one said.
fn labelled(line: &str) -> Option<(&str, &str)> {
    let (head, value) = line.split_at_checked(LABEL)?;
    let label = head.strip_suffix(' ')?.trim_end();
    label.bytes().all(|byte| byte.is_ascii_lowercase()).then_some((label, value))
}

fn labels(rows: &[(String, Vec<String>)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut html =
        "<table role=\"presentation\" style=\"border-collapse:collapse;margin:0 0 16px\">\n".to_owned();
    for (label, values) in rows {
        html.push_str(&format!(
            "<tr><td style=\"{LABEL_CELL}\">{label}</td><td style=\"{VALUE_CELL}\">{}</td></tr>\n",
            values.join("<br>")
        ));
    }
    html.push_str("</table>\n");
    html
}

/// A command at the end of a line stands out.
fn paragraph(line: &str) -> String {
    if line.trim().is_empty() {
        return String::new();
    }
    let command = line.find(": tagfleet ").map(|colon| line.split_at(colon + 2));
    let inner = match command {
        Some((before, command)) => {
            format!("{}<br><code style=\"{CODE}\">{}</code>", escape(before), escape(command))
        }
        None => escape(line),
    };
    format!("<p style=\"margin:0 0 12px\">{inner}</p>\n")
}

/// The bill, with the plan beside it where there was one, and what was assumed.
pub(super) fn bill(cost: &Cost) -> String {
    let mut html = String::new();
    if let Some(plan) = &cost.plan {
        html.push_str(&plan_beside_actual(plan));
    }
    html.push_str(&format!(
        "<table style=\"{TABLE}\"><caption style=\"{CAPTION}\">Cost: {} ({}, prices of {})</caption>\n",
        dollars(cost.total_usd),
        escape(&visible(&cost.region)),
        escape(&visible(&cost.prices_of))
    ));
    html.push_str(&head(&[("Item", CELL), ("Quantity and price", CELL), ("USD", FIGURE)]));
    html.push_str("<tbody>\n");
    for line in &cost.lines {
        html.push_str(&row(line));
    }
    html.push_str(&format!(
        "</tbody>\n<tfoot><tr><th scope=\"row\" colspan=\"2\" style=\"{CELL}\">Total</th>\
         <td style=\"{FIGURE}\"><strong>{:.6}</strong></td></tr></tfoot></table>\n",
        cost.total_usd
    ));
    if !cost.notes.is_empty() {
        let notes: String =
            cost.notes.iter().map(|note| format!("<li>{}</li>", escape(&visible(note)))).collect();
        html.push_str(&format!("<ul style=\"margin:0;padding:0 0 0 18px;font-size:13px\">{notes}</ul>\n"));
    }
    html
}

fn row(line: &CostLine) -> String {
    let [stage, service, item, quantity, unit, price, usd] = line.cells().map(|cell| escape(&cell));
    format!(
        "<tr><td style=\"{TEXT_CELL}\">{service} {item}<br><small>{stage}</small></td>\
         <td style=\"{CELL}\">{quantity}<br><small>{unit} at {price}</small></td><td style=\"{FIGURE}\">{usd}</td></tr>\n"
    )
}

/// Why they differ stands in the text above.
fn plan_beside_actual(plan: &PlanBesideActual) -> String {
    let mut html =
        format!("<table style=\"{TABLE}\"><caption style=\"{CAPTION}\">Plan beside actual</caption>\n");
    html.push_str(&head(&[("Figure", CELL), ("Planned", CELL), ("Actual", CELL)]));
    html.push_str("<tbody>\n");
    for [name, planned, actual] in plan.rows() {
        html.push_str(&format!(
            "<tr><th scope=\"row\" style=\"{CELL};font-weight:400\">{}</th><td style=\"{CELL}\">{}</td>\
             <td style=\"{TEXT_CELL}\">{}</td></tr>\n",
            escape(&name),
            escape(&planned),
            escape(&actual)
        ));
    }
    html.push_str("</tbody></table>\n");
    html
}

fn head(columns: &[(&str, &str)]) -> String {
    let cells: String = columns
        .iter()
        .map(|(name, style)| format!("<th scope=\"col\" style=\"{style}\">{name}</th>"))
        .collect();
    format!("<thead><tr>{cells}</tr></thead>\n")
}
