//! `tagfleet fit`: finds a model's preprocessing by trying the usual candidates on pictures.
//!
//! It exists because many published models come without a description, and a wrong one gives wrong tags
//! without an error. It ranks; it never claims more than the pictures show. Pictures are decoded in child
//! processes only.

mod candidates;
mod geometry;
mod page;
mod pictures;
mod rank;
mod score;
mod search;
mod trial;
mod truth;
mod verdict;
mod words;
mod write;

use tagfleet_fleet::request::TagOverrides;
use tagfleet_model::engine::DeviceChoice;
use tagfleet_model::folder::ModelSpec;
use tagfleet_model::preprocessing::Activation;

use crate::args::FitOptions;
use crate::exit::{Exit, Failure, bad_input, print, tell};
use crate::loading::Loading;
use crate::model_source::{Fetching, ModelSource};
use page::Page;
use pictures::Pictures;
use verdict::Verdict;

/// The number of tags that are kept of a picture: the rest of the scores is too small to change a ranking.
const KEPT: u32 = 100;

pub(crate) fn fit(options: &FitOptions) -> Result<Exit, Failure> {
    let loading = loading(options)?;
    let target = write::Target::new(options, &loading.model)?;
    let mut pictures = Pictures::choose(options, &loading.model.spec.labels)?;
    for note in &pictures.notes {
        tell(&format!("note: {note}"));
    }
    let ranking = search::search(&loading, &mut pictures)?;
    let verdict = Verdict::of(&ranking);
    print(&words::ranking(&ranking, &pictures))?;
    print(&words::verdict(&ranking, &verdict))?;
    if options.dry_run {
        print("nothing is written because of --dry-run\n")?;
        return Ok(Exit::Finished);
    }
    let page = Page { loading: &loading, ranking: &ranking, verdict: &verdict, pictures: &pictures };
    write_all(options, &page, &target)?;
    Ok(Exit::Finished)
}

/// The model, with scores that can be ranked.
fn loading(options: &FitOptions) -> Result<Loading, Failure> {
    let fetching = Fetching::new(&options.loading, &options.aws);
    let source = ModelSource::resolve_now(&options.model, &fetching)?;
    let mut loading =
        Loading::new(source, &options.loading, DeviceChoice::Cpu, &TagOverrides::default(), None)?;
    let spec = &loading.model.spec;
    check(spec).map_err(|why| bad_input(format!("{}: {why}", loading.model.path().display())))?;
    loading.tags.top_k = KEPT.min(u32::try_from(spec.labels.len()).unwrap_or(KEPT));
    loading.tags.threshold = if spec.activation == Activation::None { f32::MIN } else { 0.0 };
    Ok(loading)
}

fn check(spec: &ModelSpec) -> Result<(), &'static str> {
    match spec.labels.len() {
        0 => Err("the output is not one score per label, so tags cannot show which preprocessing is right"),
        1 => Err("the output is one score of one label, so tags cannot show which preprocessing is right"),
        _ => Ok(()),
    }
}

fn write_all(options: &FitOptions, page: &Page<'_>, target: &write::Target) -> Result<(), Failure> {
    page.write(&options.page)?;
    print(&format!("\npage     {}\n", options.page.display()))?;
    match page.verdict.withholds(page.ranking) {
        Some(why) if !options.force => print(&format!("{why}; --force writes it anyway\n")),
        _ => {
            target.write(&page.loading.model.spec, &page.ranking.best().candidate.steps)?;
            print(&format!("wrote    {}\n", target.path.display()))
        }
    }
}
