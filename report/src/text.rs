//! Text and numbers as pages and mails show them.
//!
//! Whatever a key or a label holds, it comes out as text: maud escapes markup, and characters that have no
//! shape of their own, or turn what follows, are spelled out. It never cuts anything off. Numbers are plain
//! text, without markup.

use jiff::Timestamp;
use maud::{Markup, html};
pub(crate) use tagfleet_pipeline::number::count;

use tagfleet_pipeline::visible::visible;

/// A key or a label, which may be written in any direction.
#[must_use]
pub fn name(text: &str) -> Markup {
    html! { bdi { (visible(text)) } }
}

/// Text whose lines stay lines.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// `1 image`, `2 images`
pub(crate) fn images(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "image" } else { "images" })
}

/// A number with three significant digits or all digits before the point: `1,234`, `12.5`, `0.0123`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    match size {
        _ if size == 0.0 => "0".to_owned(),
        _ if (1000.0..1e18).contains(&size) => count(size.round() as u64),
        _ if size >= 100.0 => format!("{size:.0}"),
        _ if size >= 10.0 => format!("{size:.1}"),
        _ if size >= 1.0 => format!("{size:.2}"),
        _ => format!("{size:.*}", (1.0 - size.log10().floor()).clamp(0.0, 12.0) as usize + 1),
    }
}

/// Dollars: without cents from $1,000, with cents from $0.10, else with three significant digits.
pub(crate) fn dollars(usd: f64) -> String {
    let sign = if usd < 0.0 { "-" } else { "" };
    match usd.abs() {
        size if (1000.0..1e15).contains(&size) => format!("{sign}${}", count(size.round() as u64)),
        size if size >= 0.1 || size == 0.0 => format!("{sign}${size:.2}"),
        size => format!("{sign}${}", number(size)),
    }
}

/// `0.4 s`, `12 s`, `3 min 20 s`, `5 h 3 min`
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A score: two decimals, which are what people compare; larger values as numbers.
pub(crate) fn score(score: f32) -> String {
    match f64::from(score) {
        score if score > 0.0 && score < 0.005 => "under 0.01".to_owned(),
        score if score.abs() < 100.0 => format!("{score:.2}"),
        score if score < 0.0 => format!("-{}", number(-score)),
        score => number(score),
    }
}

/// `2026-11-23 17:00 UTC`, from seconds since 1970; `None` if that is not known or is not a time.
pub(crate) fn date(seconds: u64) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    (seconds > 0).then(|| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// `128 MiB`
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 => format!("{} MiB", count(bytes >> 20)),
        _ => format!("{} bytes", count(bytes)),
    }
}

/// `12.5 %` of `all`, without a line break before the sign; 0 if there is nothing.
pub(crate) fn share(part: f64, all: f64) -> String {
    let percent = if all > 0.0 { part / all * 100.0 } else { 0.0 };
    match percent {
        _ if percent >= 99.95 || percent == 0.0 => format!("{percent:.0}\u{a0}%"),
        _ if percent < 0.01 => "under 0.01\u{a0}%".to_owned(),
        _ if percent < 0.95 => format!("{percent:.2}\u{a0}%"),
        _ => format!("{percent:.1}\u{a0}%"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_no_markup_and_nothing_invisible() {
        let shown = |text| name(text).into_string();
        assert_eq!(shown("a\u{202e}gpj.<b>\0\n"), "<bdi>a\\u{202e}gpj.&lt;b&gt;\\u{0}\\u{a}</bdi>");
        assert_eq!(shown("ü/שלום 🦓 &amp;\""), "<bdi>ü/שלום 🦓 &amp;amp;&quot;</bdi>");
    }

    #[test]
    fn numbers() {
        let counts = [0, 999, 1000, 300_000_000].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "300,000,000"]);
        let numbers = [0.0, 0.001_234, 0.5, 1.0, 12.34, 123.4, 12_345.6].map(number);
        assert_eq!(numbers, ["0", "0.00123", "0.500", "1.00", "12.3", "123", "12,346"]);
        let sums = [0.0, 0.000_012, 0.25, 133.2, 1804.0].map(dollars);
        assert_eq!(sums, ["$0.00", "$0.0000120", "$0.25", "$133.20", "$1,804"]);
        let times = [0.42, 12.0, 200.0, 18_180.0].map(duration);
        assert_eq!(times, ["0.4 s", "12 s", "3 min 20 s", "5 h 3 min"]);
        let scores = [0.0, 0.001, 0.924, 12.345, -3.0, 4321.0].map(score);
        assert_eq!(scores, ["0.00", "under 0.01", "0.92", "12.35", "-3.00", "4,321"]);
        let dates = [0, 1_795_453_204, u64::MAX].map(date);
        assert_eq!(dates, [None, Some("2026-11-23 17:00 UTC".to_owned()), None]);
        assert_eq!([1000, 1 << 27].map(bytes), ["1,000 bytes", "128 MiB"]);
        let plain = |(part, all)| share(part, all).replace('\u{a0}', " ");
        let shares =
            [(0.0, 10.0), (1.0, 8.0), (10.0, 10.0), (1.0, 1600.0), (1.0, 1e6), (1.0, 0.0)].map(plain);
        assert_eq!(shares, ["0 %", "12.5 %", "100 %", "0.06 %", "under 0.01 %", "0 %"]);
    }
}
