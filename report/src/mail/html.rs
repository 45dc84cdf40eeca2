//! The mail as HTML: the same words as its text, with pictures, laid out for a phone as for a desk.
//!
//! Mail readers know little of style sheets, so each element has its own style; only the bar and the button
//! have a colour, so that a dark reader stays dark. Everything that comes from outside is escaped. It loads
//! nothing: its pictures are in the mail.

use super::super::text::{dollars, escape, escape_markup, score};
use super::super::verdict::Grade;
use super::words::Words;
use super::{Attached, Picture};
use tagfleet_cost::{Cost, CostLine, PlanVariance};
use tagfleet_pipeline::visible::visible;

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

/// The page of a subject and the mail's text, with pictures and the bill.
pub(super) fn page(
    subject: &str,
    words: &Words,
    pictures: &[(Attached, &Picture)],
    cost: Option<&Cost>,
) -> String {
    let subject = escape_markup(subject);
    let body = [
        lead(words),
        sheet(pictures),
        failures(&words.failures),
        link(words.link.as_deref()),
        words.commands.iter().map(|(what, command)| paragraph_of(what, command)).collect(),
        details(&words.details),
        cost.map(bill).unwrap_or_default(),
    ];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{subject}</title></head>\n\
         <body style=\"margin:0\"><main style=\"max-width:680px;margin:0 auto;padding:16px;{FONT}\">\n{}\
         </main></body></html>\n",
        body.concat()
    )
}

/// The outcome as the heading, with a bar in the colour of the news; then what it cost, and what went wrong.
fn lead(words: &Words) -> String {
    let colour = match words.grade {
        Grade::Good => "#1a7f45",
        Grade::Fair => "#b57b00",
        Grade::Bad => "#c9302c",
    };
    let mut lines = words.lead.iter();
    let heading = lines.next().map_or(String::new(), |line| escape_markup(line));
    let mut html = format!(
        "<div style=\"border-left:6px solid {colour};padding:2px 0 2px 14px;margin:0 0 16px\">\n\
         <h1 style=\"font-size:21px;line-height:1.3;margin:0 0 4px;overflow-wrap:anywhere\">{heading}</h1>\n"
    );
    for line in lines {
        html.push_str(&format!(
            "<p style=\"margin:0;font-size:18px;overflow-wrap:anywhere\">{}</p>\n",
            escape_markup(line)
        ));
    }
    html.push_str("</div>\n");
    for sentence in &words.problem {
        html.push_str(&format!("<p style=\"{PARAGRAPH}\">{}</p>\n", escape_markup(sentence)));
    }
    html
}

/// Pictures in a row, each with its best tag.
fn sheet(pictures: &[(Attached, &Picture)]) -> String {
    if pictures.is_empty() {
        return String::new();
    }
    let cells: String = pictures.iter().map(|(attached, picture)| cell(attached, picture)).collect();
    format!(
        "<table role=\"presentation\" style=\"border-collapse:collapse;table-layout:fixed;width:100%;max-width:560px;margin:0 0 16px\">\n\
         <tr>{cells}</tr>\n</table>\n"
    )
}

fn cell(attached: &Attached, picture: &Picture) -> String {
    let tagged = match picture.tags.first() {
        Some(best) => format!("{} {}", escape(&best.label), score(best.score)),
        None => "no tag".to_owned(),
    };
    format!(
        "<td style=\"vertical-align:top;padding:0 8px 0 0;font-size:13px;overflow-wrap:anywhere\">\
         <img src=\"cid:{}\" alt=\"Tagged {tagged}\" style=\"display:block;width:100%;height:auto;border-radius:6px;margin:0 0 4px\">\
         {tagged}</td>",
        attached.id
    )
}

fn failures(failures: &[[String; 3]]) -> String {
    if failures.is_empty() {
        return String::new();
    }
    let mut html = format!("<table style=\"{TABLE}\"><caption style=\"{CAPTION}\">Failed images</caption>\n");
    html.push_str(&head(&[("Images", CELL), ("Reason", CELL)]));
    html.push_str("<tbody>\n");
    for [number, code, meaning] in failures {
        html.push_str(&format!(
            "<tr><td style=\"{CELL};white-space:nowrap\">{number}</td>\
             <td style=\"{TEXT_CELL}\"><strong>{}</strong><br>{meaning}</td></tr>\n",
            escape_markup(code)
        ));
    }
    html.push_str("</tbody></table>\n");
    html
}

/// A button; readers that block styles show a link.
fn link(link: Option<&str>) -> String {
    let Some(link) = link else { return String::new() };
    format!(
        "<p style=\"margin:0 0 6px\"><a href=\"{}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;background:#1d5fbf;\
         color:#ffffff;text-decoration:none;font-weight:600\">Open the report</a></p>\n\
         <p style=\"margin:0 0 16px;font-size:13px\">In the S3 console: sign in to AWS, then choose Open.</p>\n",
        escape_markup(link)
    )
}

fn paragraph_of(what: &str, command: &str) -> String {
    format!(
        "<p style=\"{PARAGRAPH}\">{}<br><code style=\"{CODE}\">{}</code></p>\n",
        escape_markup(what),
        escape(command)
    )
}

/// Names and values; a row without a name continues the one before it.
fn details(details: &[(&str, String)]) -> String {
    let mut html =
        "<table role=\"presentation\" style=\"border-collapse:collapse;margin:8px 0 20px\">\n".to_owned();
    for (name, value) in details {
        html.push_str(&format!(
            "<tr><td style=\"{LABEL_CELL}\">{name}</td><td style=\"{VALUE_CELL}\">{}</td></tr>\n",
            escape_markup(value)
        ));
    }
    html.push_str("</table>\n");
    html
}

/// The bill, with the plan if there was one, and its assumptions.
fn bill(cost: &Cost) -> String {
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

/// The text above has the causes of the difference.
fn plan_beside_actual(plan: &PlanVariance) -> String {
    let mut html =
        format!("<table style=\"{TABLE}\"><caption style=\"{CAPTION}\">Plan and actual</caption>\n");
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
