//! Numbers of images as people write them: `300k`, `300M`.
//!
//! Parsing only.

/// `300000`, `300k`, `300M` or `3B`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'k')) => (&text[..at], 1_000),
        Some((at, 'M')) => (&text[..at], 1_000_000),
        Some((at, 'B')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number
        .filter(|number| *number > 0)
        .ok_or_else(|| format!("{text:?} is not a number such as 300000, 300k, 300M or 3B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_images() {
        assert_eq!(
            ["7", "300k", "300M", "3B"].map(|text| count(text).unwrap()),
            [7, 300_000, 300_000_000, 3_000_000_000]
        );
        for wrong in ["", "0", "M", "-1", "1.5M", "99999999999B"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
