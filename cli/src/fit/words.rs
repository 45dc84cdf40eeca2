//! A ranking in words, for the terminal.
//!
//! Pure text; nothing is decided by it.

use std::fmt::Write as _;

use super::pictures::Pictures;
use super::rank::{Ranking, Trial};
use super::verdict::{Aspect, Verdict};

/// The number of candidates that are printed, and the present description.
const SHOWN: usize = 10;

/// What was tried on what, and the best candidates.
pub(super) fn ranking(ranking: &Ranking, pictures: &Pictures) -> String {
    let mut text = String::new();
    for note in &ranking.notes {
        let _ = writeln!(text, "note     {note}");
    }
    let _ = writeln!(text, "pictures {}", measure(ranking, pictures));
    let _ = writeln!(text, "tried    {}\n", count(ranking.trials.len(), "candidate"));
    let _ = writeln!(text, "rank  {}  preprocessing", heads(ranking).join("  "));
    for (rank, trial) in (1..).zip(&ranking.trials) {
        if rank <= SHOWN || trial.candidate.is_present {
            text.push_str(&row(ranking, rank, trial));
        }
    }
    text
}

/// What the order goes by.
pub(super) fn measure(ranking: &Ranking, pictures: &Pictures) -> String {
    let number = count(pictures.all.len(), "picture");
    if !ranking.is_labelled {
        return format!(
            "{number} without labels: ranked by the information of the tags, mean of three views (bits)"
        );
    }
    let mut labels: Vec<&[u32]> = pictures.all.iter().map(|picture| picture.truth.as_slice()).collect();
    labels.sort_unstable();
    labels.dedup();
    format!(
        "{number} with {}: ranked by right best tags, then by the mean log-probability of the right label",
        count(labels.len(), "label")
    )
}

/// `1 picture`, `2 pictures`
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// The names of the columns of numbers.
pub(super) fn heads(ranking: &Ranking) -> Vec<&'static str> {
    if ranking.is_labelled { vec!["   right", "  log p"] } else { vec!["  bits", "confidence", "agreement"] }
}

/// The columns of numbers, as wide as their heads.
pub(super) fn numbers(ranking: &Ranking, trial: &Trial) -> Vec<String> {
    let score = &trial.score;
    if ranking.is_labelled {
        let right = format!("{}/{}", score.rights(), score.right.len());
        return vec![format!("{right:>8}"), format!("{:>7.3}", score.mean())];
    }
    let agreement = score.agreement.map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0));
    vec![format!("{:>6.3}", score.mean()), format!("{:>10.3}", score.confidence), format!("{agreement:>9}")]
}

fn row(ranking: &Ranking, rank: usize, trial: &Trial) -> String {
    let present = match (trial.candidate.is_present, ranking.is_guess) {
        (false, _) => "",
        (true, true) => "  <- guessed without a description",
        (true, false) => "  <- the present description",
    };
    let numbers = numbers(ranking, trial).join("  ");
    format!("{rank:>4}  {numbers}  {}{present}\n", ranking.name(&trial.candidate))
}

/// What the ranking proves.
pub(super) fn verdict(ranking: &Ranking, verdict: &Verdict<'_>) -> String {
    let mut text = format!("\nbest     {}\n", ranking.name(&ranking.best().candidate));
    let aspects = [("values", &verdict.samples), ("size", &verdict.geometry), ("filter", &verdict.filter)];
    for (name, found) in aspects {
        if let Some(found) = found {
            let _ = writeln!(text, "{name:<8} {}", aspect(ranking, found));
        }
    }
    let _ = writeln!(text, "present  {}", present(ranking, verdict));
    if !verdict.is_decided() {
        text.push_str(
            "\nThese pictures cannot decide channel order and values: the margin is within noise.\n",
        );
    }
    text
}

fn aspect(ranking: &Ranking, Aspect { rival, margin }: &Aspect<'_>) -> String {
    let (best, name) = (ranking.best(), ranking.name(&rival.candidate));
    let unit = if ranking.is_labelled { "nats" } else { "bits" };
    let mut by = format!("{:.3} \u{b1} {:.3} {unit} per picture", margin.mean, margin.noise);
    if ranking.is_labelled {
        let rights = (best.score.rights(), rival.score.rights());
        by = format!("{} right instead of {}, {by}", rights.0, rights.1);
    }
    let outcome = if margin.is_decided { "decided" } else { "not decided" };
    format!("{outcome}: next is {name} ({by})")
}

fn present(ranking: &Ranking, verdict: &Verdict<'_>) -> String {
    let what = if ranking.is_guess { "what was guessed" } else { "the present description" };
    let Some(rank) = ranking.present_rank() else { return format!("{what} could not be tried") };
    let than = match verdict.present {
        None => "it is the best",
        Some(margin) if margin.is_decided => "the best is better by more than noise",
        Some(_) => "the best is better, but within noise",
    };
    format!("{what} has rank {rank} of {}: {than}", ranking.trials.len())
}
