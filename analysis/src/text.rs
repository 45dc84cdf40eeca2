//! Numbers and names in the text of an analysis.
//!
//! Pure; names are made visible, never cut off.

use tagfleet_pipeline::format::{count, percent, visible};

/// Keys that a text names of many.
const NAMED: usize = 3;

/// `12.5 %` of `all`; `-` if there is nothing.
pub(crate) fn share(part: u64, all: u64) -> String {
    if all == 0 { "-".to_owned() } else { percent(part as f64 / all as f64) }
}

/// A label, or that there is none.
pub(crate) fn label(name: Option<&str>) -> String {
    name.map_or_else(|| "no tag".to_owned(), visible)
}

/// `a.jpg, b.jpg, ...`
pub(crate) fn some(names: &[String], all: u64) -> String {
    let named: Vec<String> = names.iter().take(NAMED).map(|name| visible(name)).collect();
    let more = if all > named.len() as u64 { ", ..." } else { "" };
    format!("{}{more}", named.join(", "))
}

/// Names and how many have each: `corrupt 30, missing 10`.
pub(crate) fn by_name<'a>(counts: impl Iterator<Item = (&'a String, &'a u64)>) -> String {
    let counts: Vec<String> =
        counts.map(|(name, number)| format!("{} {}", visible(name), count(*number))).collect();
    counts.join(", ")
}

/// Columns as wide as their widest cell; those of `numbers` are aligned to the right.
pub(crate) fn columns(numbers: &[usize], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            if numbers.contains(&column) {
                line.push_str(&format!("{cell:>width$}  "));
            } else {
                line.push_str(&format!("{cell:<width$}  "));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
