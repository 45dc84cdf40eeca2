//! Text for people: numbers, sizes, dollars, times and foreign text.
//!
//! One place, so that a summary, a page, a mail and a command show the same value alike. What another program
//! reads is never formatted here. Nothing is cut off.

use std::time::Duration;

use jiff::Timestamp;

/// `text` with every character spelled out that cannot be seen: `a\u{a}b` for two lines.
///
/// Keys, labels, prefixes and messages come from users and their objects. Characters without a shape, line
/// ends and characters that turn the direction of text are spelled out; no row and no key is ever changed.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            visible.extend(c.escape_unicode());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// Control characters, line breaks, and what turns the direction of others or cannot be seen at all.
fn is_invisible(c: char) -> bool {
    let turns_or_hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    turns_or_hides || c.is_control() || (u32::from(c) & 0xfffe) == 0xfffe
}

/// `1,234,567`
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 image`, `2,000 images`
#[must_use]
pub fn images(number: u64) -> String {
    format!("{} {}", count(number), if number == 1 { "image" } else { "images" })
}

/// A number with three significant digits or all digits before the point: `1,234`, `12.5`, `0.0123`. Without
/// its sign.
#[must_use]
pub fn number(value: f64) -> String {
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

/// A score: two decimals, which are what people compare; larger values as numbers.
#[must_use]
pub fn score(score: f32) -> String {
    match f64::from(score) {
        score if score > 0.0 && score < 0.005 => "under 0.01".to_owned(),
        score if score.abs() < 100.0 => format!("{score:.2}"),
        score if score < 0.0 => format!("-{}", number(-score)),
        score => number(score),
    }
}

/// `999 bytes`, `138 kB`, `1.2 GB`: of 1,000 each, two digits at least.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for larger in ["kB", "MB", "GB", "TB"] {
        if amount < 999.5 {
            break;
        }
        (amount, unit) = (amount / 1000.0, larger);
    }
    let decimals = usize::from(unit != "bytes" && amount < 9.95);
    format!("{amount:.decimals$} {unit}")
}

/// A limit in bytes: `128 MiB`, `1,000 bytes`; a part of a MiB is left out.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 20 => format!("{} MiB", count(bytes >> 20)),
        _ => format!("{} bytes", count(bytes)),
    }
}

/// Dollars: without cents from $1,000, with cents from $0.10, else with three significant digits.
#[must_use]
pub fn dollars(usd: f64) -> String {
    let sign = if usd < 0.0 { "-" } else { "" };
    match usd.abs() {
        size if (1000.0..1e15).contains(&size) => format!("{sign}${}", count(size.round() as u64)),
        size if size >= 0.1 || size == 0.0 => format!("{sign}${size:.2}"),
        size => format!("{sign}${}", number(size)),
    }
}

/// Dollars of a bill: `$1234.50`, and six decimals below one cent.
#[must_use]
pub fn precise_dollars(usd: f64) -> String {
    match usd.abs() {
        0.0 => "$0".to_owned(),
        size if size >= 0.01 => format!("${usd:.2}"),
        _ => format!("${usd:.6}"),
    }
}

/// `12.5 %` of `all`, without a line break before the sign; 0 if there is nothing.
#[must_use]
pub fn share(part: f64, all: f64) -> String {
    let percent = if all > 0.0 { part / all * 100.0 } else { 0.0 };
    match percent {
        _ if percent >= 99.95 || percent == 0.0 => format!("{percent:.0}\u{a0}%"),
        _ if percent < 0.01 => "under 0.01\u{a0}%".to_owned(),
        _ if percent < 0.95 => format!("{percent:.2}\u{a0}%"),
        _ => format!("{percent:.1}\u{a0}%"),
    }
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

/// `0.4 s`, `12 s`, `3 min 20 s`, `5 h 3 min`
#[must_use]
pub fn duration(seconds: f64) -> String {
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

/// A time that passes or is left: `1:05`, `10:01:01`.
#[must_use]
pub fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `2026-11-23 17:00 UTC`, from seconds since 1970; `None` if that is not known or is not a time.
#[must_use]
pub fn date(seconds: u64) -> Option<String> {
    timestamp(seconds).map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The same with seconds: `2026-11-23 17:00:04 UTC`.
#[must_use]
pub fn date_with_seconds(seconds: u64) -> Option<String> {
    timestamp(seconds).map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn timestamp(seconds: u64) -> Option<Timestamp> {
    let seconds = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0)?;
    Timestamp::from_second(seconds).ok()
}

/// `0a1b2c` for three bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_cannot_be_seen_stays_as_it_is() {
        assert_eq!(visible("a\u{202e}gpj.\0\r\n\u{1b}[1m"), "a\\u{202e}gpj.\\u{0}\\u{d}\\u{a}\\u{1b}[1m");
        assert_eq!(visible("ü/שלום 🦓 <b>"), "ü/שלום 🦓 <b>");
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        let shown = [0, 999, 1000, 12_345, 300_000_000].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "300,000,000"]);
        let numbers = [0.0, 0.001_234, 0.5, 1.0, 12.34, 123.4, 12_345.6].map(number);
        assert_eq!(numbers, ["0", "0.00123", "0.500", "1.00", "12.3", "123", "12,346"]);
        let scores = [0.0, 0.001, 0.924, 12.345, -3.0, 4321.0].map(score);
        assert_eq!(scores, ["0.00", "under 0.01", "0.92", "12.35", "-3.00", "4,321"]);
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [0, 999, 1000, 137_555, 999_499, 999_500, 12_000_000_000, u64::MAX].map(size);
        let expected =
            ["0 bytes", "999 bytes", "1.0 kB", "138 kB", "999 kB", "1.0 MB", "12 GB", "18446744 TB"];
        assert_eq!(sizes, expected);
        assert_eq!([1000, 1 << 27].map(bytes), ["1,000 bytes", "128 MiB"]);
    }

    #[test]
    fn small_sums_keep_their_digits() {
        let sums = [0.0, 0.000_012, 0.25, 133.2, 1804.0].map(dollars);
        assert_eq!(sums, ["$0.00", "$0.0000120", "$0.25", "$133.20", "$1,804"]);
        let sums = [0.0, 0.000_012, 0.25, -0.004, 1804.0].map(precise_dollars);
        assert_eq!(sums, ["$0", "$0.000012", "$0.25", "$-0.004000", "$1804.00"]);
    }

    #[test]
    fn only_all_is_everything() {
        let plain = |(part, all)| share(part, all).replace('\u{a0}', " ");
        let shares =
            [(0.0, 10.0), (1.0, 8.0), (10.0, 10.0), (1.0, 1600.0), (1.0, 1e6), (1.0, 0.0)].map(plain);
        assert_eq!(shares, ["0 %", "12.5 %", "100 %", "0.06 %", "under 0.01 %", "0 %"]);
        let shares = [0.0, 0.125, 1.0, 0.000_625, 1e-6, 0.999_99, 0.995].map(percent);
        assert_eq!(shares, ["0 %", "12.5 %", "100 %", "0.06 %", "under 0.01 %", "over 99.9 %", "99.5 %"]);
    }

    #[test]
    fn times_and_dates() {
        let times = [0.42, 12.0, 200.0, 18_180.0].map(duration);
        assert_eq!(times, ["0.4 s", "12 s", "3 min 20 s", "5 h 3 min"]);
        assert_eq!([65, 36_061].map(|seconds| clock(Duration::from_secs(seconds))), ["1:05", "10:01:01"]);
        let dates = [0, 1_795_453_204, u64::MAX].map(date);
        assert_eq!(dates, [None, Some("2026-11-23 17:00 UTC".to_owned()), None]);
        assert_eq!(date_with_seconds(1_795_453_204).as_deref(), Some("2026-11-23 17:00:04 UTC"));
    }
}
