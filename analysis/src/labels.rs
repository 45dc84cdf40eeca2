//! Labels by number, so that counting a row costs a look-up and no text is kept twice.
//!
//! Bounded: labels beyond the bound are counted as one.

use std::collections::HashMap;
use std::sync::Arc;

/// Labels that are counted each by itself: more than any model of pictures has.
const MAX_LABELS: usize = 100_000;

/// The number of a label in [`Labels`], [`NO_TAG`] or [`OTHER`].
pub(crate) type LabelId = u32;
/// No label at all: a row without tags.
pub(crate) const NO_TAG: LabelId = u32::MAX;
/// Any label beyond the bound.
pub(crate) const OTHER: LabelId = u32::MAX - 1;

/// The labels seen so far.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    names: Vec<Arc<str>>,
    ids: HashMap<Arc<str>, LabelId>,
}

impl Labels {
    /// The number of a label, which is new if it was not seen before.
    pub(crate) fn id(&mut self, name: &str) -> LabelId {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        if self.names.len() >= MAX_LABELS {
            return OTHER;
        }
        let (id, name): (LabelId, Arc<str>) = (self.names.len() as LabelId, name.into());
        self.names.push(name.clone());
        self.ids.insert(name, id);
        id
    }

    /// The label; none for [`NO_TAG`].
    pub(crate) fn name(&self, id: LabelId) -> Option<&str> {
        match id {
            NO_TAG => None,
            OTHER => Some("(other labels)"),
            id => self.names.get(id as usize).map(|name| &**name),
        }
    }

    /// All labels by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LabelId, &str)> {
        (0..).zip(self.names.iter().map(|name| &**name))
    }
}

/// Numbers by label; labels that were not counted have 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts(Vec<u64>);

impl Counts {
    /// Counts one of `id`, unless it is [`NO_TAG`] or [`OTHER`].
    pub(crate) fn add(&mut self, id: LabelId) {
        if id >= OTHER {
            return;
        }
        let place = id as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] += 1;
    }

    pub(crate) fn of(&self, id: LabelId) -> u64 {
        self.0.get(id as usize).copied().unwrap_or(0)
    }
}
