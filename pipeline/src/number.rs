//! Numbers as people get to see them: three digits at a time.
//!
//! For summaries, mails and pages only; what another program reads has its digits together.

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

#[test]
fn sizes_are_short() {
    let sizes = [0, 999, 1000, 137_555, 999_499, 999_500, 12_000_000_000, u64::MAX].map(size);
    let expected = ["0 bytes", "999 bytes", "1.0 kB", "138 kB", "999 kB", "1.0 MB", "12 GB", "18446744 TB"];
    assert_eq!(sizes, expected);
}

#[test]
fn digits_stand_in_threes() {
    let shown = [0, 999, 1000, 12_345, 300_000_000].map(count);
    assert_eq!(shown, ["0", "999", "1,000", "12,345", "300,000,000"]);
}
