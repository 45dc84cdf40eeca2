//! Tables and bars, the same everywhere in the page.
//!
//! Cells are HTML already: the caller has escaped them.

/// A column: its heading, and whether its cells are numbers.
pub type Column = (&'static str, bool);

/// A table that scrolls by itself if it is too wide, with its caption; the first cell of each row is its
/// heading.
#[must_use]
pub fn table(caption: &str, columns: &[Column], rows: &[Vec<String>], foot: Option<&[String]>) -> String {
    let mut html = format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n\
         <caption>{caption}</caption>\n<thead><tr>"
    );
    for (heading, is_number) in columns {
        if heading.is_empty() {
            // The heading above bars, which are hidden from screen readers.
            html.push_str("<td></td>");
        } else {
            html.push_str(&format!("<th scope=\"col\"{}>{heading}</th>", class(*is_number)));
        }
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for cells in rows {
        html.push_str(&row(columns, cells));
    }
    html.push_str("</tbody>\n");
    if let Some(cells) = foot {
        html.push_str(&format!("<tfoot>\n{}</tfoot>\n", row(columns, cells)));
    }
    html.push_str("</table>\n</div>\n");
    html
}

fn row(columns: &[Column], cells: &[String]) -> String {
    let mut html = "<tr>".to_owned();
    for (place, (cell, (_, is_number))) in cells.iter().zip(columns).enumerate() {
        let class = class(*is_number);
        match place {
            0 => html.push_str(&format!("<th scope=\"row\"{class}>{cell}</th>")),
            _ => html.push_str(&format!("<td{class}>{cell}</td>")),
        }
    }
    html.push_str("</tr>\n");
    html
}

fn class(is_number: bool) -> &'static str {
    if is_number { " class=\"number\"" } else { "" }
}

/// A bar of `part` of `all`; it is hidden from screen readers, because the number is next to it.
#[must_use]
pub fn bar(part: f64, all: f64) -> String {
    let percent = if all > 0.0 { (part / all * 100.0).clamp(0.0, 100.0) } else { 0.0 };
    format!("<span class=\"bar\" aria-hidden=\"true\"><i style=\"width:{percent:.2}%\"></i></span>")
}

/// Names and what they are, two by two.
#[must_use]
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let mut html = "<dl class=\"pairs\">\n".to_owned();
    for (name, value) in pairs {
        html.push_str(&format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n"));
    }
    html.push_str("</dl>\n");
    html
}
