//! `tagfleet inspect`: how a model is read, and the tags of one picture.
//!
//! It writes nothing and starts no run.

mod describe;
mod prepare;

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::json;
use tagfleet_model::decode::Limits;
use tagfleet_model::isolation::Isolation;
use tagfleet_pipeline::tags::Outcome;

use crate::args::InspectOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json};
use crate::loading::Loading;
use crate::model_source::{Fetching, ModelSource};

pub(crate) fn inspect(options: &InspectOptions) -> Result<Exit, Failure> {
    let fetching = Fetching::new(&options.loading, &options.aws);
    let source = ModelSource::resolve_now(&options.model, &fetching)?;
    let loading = Loading::new(source, &options.loading, options.device, &options.tags.overrides(), None)?;
    let isolation = loading.isolate(1)?;
    let outcome = match &options.image {
        Some(image) => Some(tag(image, &isolation)?),
        None => None,
    };
    if let (Some(image), Some(Outcome::Failed(failure)), false) = (&options.image, &outcome, options.json) {
        return Err(bad_input(format!("{} cannot be tagged: {failure}", image.display())));
    }
    if options.json {
        print_json(&as_json(&loading, outcome.as_ref())?)?;
    } else {
        print(&as_text(&loading, outcome.as_ref()))?;
    }
    Ok(if matches!(outcome, Some(Outcome::Failed(_))) { Exit::FailedImages } else { Exit::Finished })
}

fn tag(image: &Path, isolation: &Isolation) -> Result<Outcome, Failure> {
    let bytes = read(image).map_err(|error| bad_input(format!("{}: {error}", image.display())))?;
    let mut taggers = isolation.taggers();
    let tagger = taggers.first_mut().ok_or_else(|| broken("the model's process has no thread"))?;
    let outcomes = tagger.tag(&[&bytes]).map_err(broken)?;
    outcomes.into_iter().next().ok_or_else(|| broken("the model gave no outcome"))
}

/// A file of at most one byte more than the decoder takes, which then reports that it is too large.
fn read(image: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(image)?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(image)?.take(Limits::default().max_bytes + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn as_text(loading: &Loading, outcome: Option<&Outcome>) -> String {
    let mut text = describe::text(&loading.model, &loading.engine);
    match outcome {
        None | Some(Outcome::Failed(_)) => {}
        Some(Outcome::Tagged(tagged)) => {
            text.push_str(&format!("\n{}x{} pixels\n", tagged.width, tagged.height));
            if tagged.tags.is_empty() {
                text.push_str("no label reaches the threshold\n");
            }
            for tag in &tagged.tags {
                text.push_str(&format!("{:8.4}  {}\n", tag.score, tag.label));
            }
        }
    }
    text
}

fn as_json(loading: &Loading, outcome: Option<&Outcome>) -> Result<String, Failure> {
    let outcome = outcome.map(|outcome| match outcome {
        Outcome::Failed(failure) => {
            json!({"failed": {
                "error_code": failure.reason(),
                "error_message": failure.message(),
                "error_detail": failure.detail.text(),
            }})
        }
        Outcome::Tagged(tagged) => {
            json!({"width": tagged.width, "height": tagged.height, "tags": tagged.tags})
        }
    });
    let all = json!({"model": loading.model.spec, "engine": loading.engine.record, "image": outcome});
    serde_json::to_string_pretty(&all).map_err(broken)
}
