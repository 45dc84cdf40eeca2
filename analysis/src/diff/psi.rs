//! Population stability index: how far a distribution moved, as one number.
//!
//! PSI = Σ (b - a) ln(b / a) over shares a and b; it is symmetric and never negative. By the usual rule (N.
//! Siddiqi, Credit Risk Scorecards, 2006) less than 0.1 is stable, 0.1 to 0.25 is a shift to look at, and
//! more than 0.25 is a large one. A count of 0 has no logarithm and counts as half an image.

/// How many of how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) images: u64,
    /// Not 0.
    pub(super) all: u64,
}

impl Part {
    fn share(self) -> f64 {
        let images = if self.images == 0 { 0.5 } else { self.images as f64 };
        images / self.all as f64
    }

    fn rest(self) -> Self {
        Self { images: self.all.saturating_sub(self.images), all: self.all }
    }
}

/// The term of one label in the index over all labels.
pub(super) fn term(a: Part, b: Part) -> f64 {
    let (a, b) = (a.share(), b.share());
    (b - a) * (b / a).ln()
}

/// The index of a label against all others.
pub(super) fn of_label(a: Part, b: Part) -> f64 {
    term(a, b) + term(a.rest(), b.rest())
}

/// An index in words.
pub(super) fn in_words(psi: f64) -> &'static str {
    match psi {
        _ if psi < 0.1 => "stable",
        _ if psi <= 0.25 => "a shift to look at",
        _ => "a large shift",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_by_hand() {
        let part = |images| Part { images, all: 100 };
        assert_eq!(of_label(part(20), part(20)), 0.0);
        // 0.1 ln 1.5 + 0.1 ln (8 / 7)
        assert!((of_label(part(20), part(30)) - 0.053_899).abs() < 1e-6);
        assert!((of_label(part(30), part(20)) - of_label(part(20), part(30))).abs() < 1e-12);
        assert!((term(part(0), part(10)) - 0.095 * 20_f64.ln()).abs() < 1e-12);
        assert_eq!([0.0, 0.1, 0.3].map(in_words), ["stable", "a shift to look at", "a large shift"]);
    }
}
