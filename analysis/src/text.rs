//! Numbers and names in the text of an analysis.
//!
//! Pure; names are made visible, never cut off.

use tagfleet_pipeline::number::count;
use tagfleet_pipeline::visible::visible;

/// Keys that a text names of many.
const NAMED: usize = 3;

/// `1 image`, `2,000 images`
pub(crate) fn images(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "image" } else { "images" })
}

/// `12.5 %` of `all`; `-` if there is nothing.
pub(crate) fn share(part: u64, all: u64) -> String {
    if all == 0 { "-".to_owned() } else { percent(part as f64 / all as f64) }
}

/// `12.5 %`: one decimal, or two below 1 %. Only all is 100 %, and only nothing is 0 %.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent == 0.0 || percent == 100.0 => format!("{percent:.0} %"),
        _ if percent < 0.01 => "under 0.01 %".to_owned(),
        _ if percent < 0.995 => format!("{percent:.2} %"),
        _ if percent >= 99.95 => "over 99.9 %".to_owned(),
        _ => format!("{percent:.1} %"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_is_everything() {
        let shares =
            [(0, 7), (1, 8), (8, 8), (1, 1600), (1, 1_000_000), (99_999, 100_000), (1, 0), (199, 200)];
        let shares = shares.map(|(part, all)| share(part, all));
        assert_eq!(
            shares,
            ["0 %", "12.5 %", "100 %", "0.06 %", "under 0.01 %", "over 99.9 %", "-", "99.5 %"]
        );
    }
}
