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

#[test]
fn digits_stand_in_threes() {
    let shown = [0, 999, 1000, 12_345, 300_000_000].map(count);
    assert_eq!(shown, ["0", "999", "1,000", "12,345", "300,000,000"]);
}
