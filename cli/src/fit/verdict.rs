//! What a ranking proves: whether the best candidate is better than its nearest rivals by more than chance.
//!
//! Each aspect is judged by itself: pictures often decide the values, and rarely the filter.

use super::rank::{Ranking, Trial};
use super::score::Margin;

/// The pictures' verdict on one aspect.
pub(super) struct Aspect<'a> {
    /// The nearest candidate that differs in this aspect.
    pub(super) rival: &'a Trial,
    pub(super) margin: Margin,
}

/// The pictures' verdict on each aspect; none if nothing else was tried.
pub(super) struct Verdict<'a> {
    /// Channel order, range and layout.
    pub(super) samples: Option<Aspect<'a>>,
    pub(super) geometry: Option<Aspect<'a>>,
    pub(super) filter: Option<Aspect<'a>>,
    /// How much better the best is than the present description; none if it is the best.
    pub(super) present: Option<Margin>,
}

impl<'a> Verdict<'a> {
    pub(super) fn of(ranking: &'a Ranking) -> Self {
        let best = &ranking.best().candidate;
        let has_samples = |trial: &Trial| trial.candidate.has_samples_of(best);
        let has_geometry = |trial: &Trial| trial.candidate.geometry() == best.geometry();
        let present = ranking.present().filter(|trial| !trial.candidate.is_like(best));
        Self {
            samples: aspect(ranking, |trial| !trial.candidate.has_samples_close_to(best)),
            geometry: aspect(ranking, |trial| has_samples(trial) && !has_geometry(trial)),
            filter: aspect(ranking, |trial| {
                has_samples(trial) && has_geometry(trial) && trial.candidate.filter() != best.filter()
            }),
            present: present.map(|trial| Margin::of(&ranking.best().score, &trial.score)),
        }
    }

    /// Whether the pictures decide channel order and values.
    pub(super) fn is_decided(&self) -> bool {
        self.samples.as_ref().is_none_or(|aspect| aspect.margin.is_decided)
    }

    /// Why the best candidate is not written, if there is a reason.
    pub(super) fn withholds(&self, ranking: &Ranking) -> Option<&'static str> {
        if !ranking.is_labelled && !self.is_decided() {
            return Some(
                "nothing is written, because the pictures cannot decide: sort ten or more into folders named after labels",
            );
        }
        let rights = |trial: &Trial| trial.score.rights();
        let present = ranking.present().map_or(0, rights);
        let has_more_right = rights(ranking.best()) > present;
        let is_better = has_more_right || self.present.is_some_and(|margin| margin.is_decided);
        (!ranking.is_guess && !is_better)
            .then_some("nothing is written, because the present description is as good as any")
    }
}

fn aspect<'a>(ranking: &'a Ranking, is_rival: impl Fn(&Trial) -> bool) -> Option<Aspect<'a>> {
    let best = ranking.best();
    let rivals = || ranking.trials.iter().filter(|trial| is_rival(trial));
    // Scores of different stages cannot be compared.
    let rival = rivals().find(|trial| trial.is_finalist == best.is_finalist).or(rivals().next())?;
    Some(Aspect { rival, margin: Margin::of(&best.score, &rival.score) })
}
