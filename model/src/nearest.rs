//! Which labels are spelt like a word, for messages that name what was likely meant.

/// The labels of `known` that are most like `label`, at most three, the most alike first.
pub(crate) fn nearest<'a>(label: &str, known: &'a [String]) -> Vec<&'a str> {
    let label = label.to_lowercase();
    let mut ranked = Vec::new();
    for candidate in known {
        let lower = candidate.to_lowercase();
        let distance = if lower.contains(&label) { 0 } else { edits(&label, &lower) };
        ranked.push((distance, candidate.as_str()));
    }
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// Levenshtein's distance over the first 64 characters.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_labels_contain_the_word_or_are_spelt_alike() {
        let known = ["tabby cat", "red wolf", "goldfish", "cart"].map(str::to_owned);
        assert_eq!(nearest("Cat", &known)[..2], ["tabby cat", "cart"]);
        assert_eq!(nearest("goldfsh", &known)[0], "goldfish");
    }

    #[test]
    fn edits_are_counted() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }
}
