//! A tagger that looks at nothing: what remains of a run's cost is everything else.

use std::io;

use tagfleet_model::isolation;
use tagfleet_pipeline::tagger::{Tagger, TaggerError};
use tagfleet_pipeline::tags::{Outcome, Tag, Tagged};

/// Gives every image the same five tags, as many as a row has by default.
pub(super) struct Constant;

impl Constant {
    /// One per thread.
    pub(super) fn threads(count: usize) -> Vec<Box<dyn Tagger>> {
        (0..count).map(|_| Box::new(Self) as Box<dyn Tagger>).collect()
    }
}

/// Is the child process of a run, with these taggers instead of a model.
pub(super) fn serve() -> io::Result<()> {
    isolation::serve_with(|setup| Ok(Constant::threads(setup.threads)))
}

impl Tagger for Constant {
    fn batch_size(&self) -> usize {
        1
    }

    fn tag(&mut self, images: &[&[u8]]) -> Result<Vec<Outcome>, TaggerError> {
        Ok(images.iter().map(|_| Outcome::Tagged(tagged())).collect())
    }
}

fn tagged() -> Tagged {
    let tag = |index: u32| Tag { label: format!("class {index}"), index, score: 0.2 };
    let tags = (0..5).map(tag).collect();
    Tagged { width: 500, height: 375, tags, vector: None, second_decoder: false }
}
