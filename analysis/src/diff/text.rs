//! A diff in words, for the terminal.
//!
//! Pure text; the JSON has everything, the text what people look at first.

use std::collections::BTreeMap;

use tagfleet_pipeline::format::{count, images, percent};
use tagfleet_pipeline::reduce::Counted;

use super::{Diff, Flip, LabelShare, psi};
use crate::text::{by_name, columns, label, share, some};

/// Labels and pairs of labels that are printed.
const SHOWN: usize = 10;

impl Diff {
    /// The diff as lines that start with a name.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, value) in [
            ("A", self.a.in_words()),
            ("B", self.b.in_words()),
            ("images", self.fates()),
            ("flipped", self.flipped()),
            ("failed", self.failures()),
            ("psi", self.psi_in_words()),
        ] {
            text.push_str(&format!("{name:<9}{value}\n"));
        }
        text.push_str(&self.shares());
        text.push_str(&self.pairs());
        text
    }

    /// One line for a mail or a report: `0.63 % of the labels changed since nightly-1 (limit 1 %)`.
    #[must_use]
    pub fn line(&self) -> String {
        let limit = self.max_flips.map(|max| format!(" (limit {})", percent(max))).unwrap_or_default();
        let run = &self.a.run;
        match self.flip_share {
            Some(share) => format!("{} of the labels changed since {run}{limit}", percent(share)),
            None => format!("no image is tagged in this run and in {run}"),
        }
    }

    fn fates(&self) -> String {
        let fates = &self.images;
        format!(
            "{} kept, {} flipped, {} new, {} deleted",
            count(fates.kept),
            count(fates.flipped),
            count(fates.new),
            count(fates.deleted)
        )
    }

    fn flipped(&self) -> String {
        let fates = &self.images;
        let tagged = fates.kept + fates.flipped;
        if tagged == 0 {
            return "no image is tagged in both".to_owned();
        }
        let what = if self.flips_are_of_sets() { "set of labels" } else { "label" };
        let mut text = format!(
            "{} of {} tagged in both have another {what}",
            share(fates.flipped, tagged),
            images(tagged)
        );
        if let Some(max) = self.max_flips {
            let verdict = if self.exceeds_max_flips { "more than" } else { "within" };
            text.push_str(&format!(", {verdict} the limit of {}", percent(max)));
        }
        if fates.replaced_and_flipped > 0 {
            text.push_str(&format!(" (images replaced in between: {})", count(fates.replaced_and_flipped)));
        }
        text
    }

    fn flips_are_of_sets(&self) -> bool {
        self.counted == Counted::All
    }

    fn failures(&self) -> String {
        let fates = &self.images;
        format!(
            "{} newly{}, {} healed{}, {} in both",
            count(fates.failed),
            reasons(&self.failed),
            count(fates.healed),
            reasons(&self.healed),
            count(fates.failed_in_both)
        )
    }

    fn psi_in_words(&self) -> String {
        match self.psi {
            Some(index) => format!("{index:.4}, {}", psi::in_words(index)),
            None if self.flips_are_of_sets() => {
                "by label only, because images have several labels".to_owned()
            }
            None => "none, because a run has no tagged image".to_owned(),
        }
    }

    fn shares(&self) -> String {
        let changed: Vec<&LabelShare> = self.labels.iter().filter(|share| share.psi > 0.0).collect();
        if changed.is_empty() {
            return "\nno label has another share\n".to_owned();
        }
        let mut rows = vec![["label", "share in A", "share in B", "psi"].map(str::to_owned).to_vec()];
        for share in changed.iter().take(SHOWN) {
            rows.push(vec![
                label(share.label.as_deref()),
                percent(share.share_a),
                percent(share.share_b),
                format!("{:.4}", share.psi),
            ]);
        }
        format!("\n{}{}", columns(&[1, 2, 3], &rows), more(changed.len(), "label"))
    }

    fn pairs(&self) -> String {
        if self.flips.is_empty() {
            return String::new();
        }
        let (from, to) = if self.flips_are_of_sets() { ("lost", "gained") } else { ("from", "to") };
        let mut rows = vec![["images", from, to, "for example"].map(str::to_owned).to_vec()];
        for flip in self.flips.iter().take(SHOWN) {
            rows.push(self.row(flip));
        }
        let others: u64 =
            self.flips.iter().skip(SHOWN).map(|flip| flip.images).sum::<u64>() + self.other_flips;
        let more = match others {
            0 => String::new(),
            others => format!("and {} of other pairs of labels\n", images(others)),
        };
        format!("\n{}{more}", columns(&[0], &rows))
    }

    fn row(&self, flip: &Flip) -> Vec<String> {
        let keys: Vec<String> = flip.examples.iter().map(|example| example.key.clone()).collect();
        let name = |name: Option<&str>| match name {
            // Of several labels only one of a pair is there.
            None if self.flips_are_of_sets() => "-".to_owned(),
            name => label(name),
        };
        let (from, to) = (name(flip.from.as_deref()), name(flip.to.as_deref()));
        vec![count(flip.images), from, to, some(&keys, flip.images)]
    }
}

/// In brackets; nothing if there are none.
fn reasons(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() { String::new() } else { format!(" ({})", by_name(counts.iter())) }
}

fn more(all: usize, what: &str) -> String {
    match all.saturating_sub(SHOWN) {
        0 => String::new(),
        1 => format!("and 1 more {what}\n"),
        more => format!("and {more} more {what}s\n"),
    }
}
