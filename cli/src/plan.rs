//! `tagfleet plan`: estimates time and cost of a fleet run before anything runs.
//!
//! A sample is measured here, the rest is arithmetic in the pipeline. It starts nothing on AWS. With `--save`
//! it writes a request file and publishes its model.

mod ceiling;
mod earlier;
mod machines;
mod measure;
mod sample;
mod save;

use tagfleet_aws::Aws;
use tagfleet_aws::machine::MetadataService;
use tagfleet_cost::PriceBook;
use tagfleet_cost::forecast::{self, CountSource, FixedCosts, Plan, Question, Work};
use tagfleet_cost::usage::Requests;
use tagfleet_fleet::deadline;
use tagfleet_fleet::request::TagOverrides;
use tagfleet_model::engine::DeviceChoice;

use crate::args::PlanOptions;
use crate::connection;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};
use crate::inputs::Inputs;
use crate::loading::Loading;
use crate::model_source::{Fetching, ModelSource};
use crate::place::Place;
use crate::runtime::block_on;
use sample::Sample;

pub(crate) fn plan(options: &PlanOptions) -> Result<Exit, Failure> {
    block_on(plan_async(options))
}

async fn plan_async(options: &PlanOptions) -> Result<Exit, Failure> {
    let places = Place::parse_all(&options.input)?;
    let aws = buckets(options, &places).await?;
    save::check(options, &places).await?;
    let region = region(options, aws.as_ref());
    let book = book(options)?;
    let deadline = options
        .deadline
        .as_deref()
        .map(deadline::parse)
        .transpose()
        .map_err(|why| bad_input(format!("--deadline: {why}")))?;
    let fetching = Fetching::new(&options.model.loading, &options.stack.aws).with_buckets(&options.buckets);
    let source = ModelSource::resolve(&options.model.model, &fetching).await?;
    let loading = Loading::new(source, &options.model.loading, DeviceChoice::Cpu, &top_tag(), None)?;
    let inputs = Inputs::new(&places, aws.as_ref(), &options.select).await?;
    for note in &inputs.notes {
        tell(&format!("note: {note}"));
    }
    let source = earlier::source(options, &inputs, &loading.record()?, aws.as_ref()).await?;
    let before = aws.as_ref().map(Aws::requests).unwrap_or_default();
    let sample = sample::take(&inputs, &source).await?;
    let of_kms = aws.as_ref().map_or(0.0, |aws| of_kms(&aws.requests().since(&before)));
    tell(&format!("measuring {} images with each engine", sample.images.len()));
    let work = work(options.images, &sample);
    let measured = measure::measure(&loading, &options.model.loading, &sample.images)?;
    let question = Question {
        images: work.images,
        kept: work.kept,
        copies: sample.copies,
        images_are: if options.images.is_some() { CountSource::Said } else { sample.known },
        mean_bytes: sample.mean_bytes,
        prefixes: sample.prefixes,
        deadline_seconds: deadline.map(|deadline| deadline.as_secs()),
        fixed: FixedCosts::of(&work, of_kms, &region, &book).map_err(bad_input)?,
        machines: machines::with_prices(&region, &book),
        gpus: machines::gpus_with_prices(&region, &book),
        region,
        engine_rates: measured.engine_rates,
        decode_ms: measured.decode_ms,
        measured_on: measured_on().await,
        ceiling: ceiling::find(options, aws.as_ref()).await,
    };
    if question.machines.is_empty() {
        let region = &question.region;
        return Err(bad_input(format!(
            "the price book has no machine of {region}: `tagfleet prices refresh --region {region}`"
        )));
    }
    print_plan(options, &places, &forecast::plan(question)).await
}

/// A connection, if a bucket is named.
async fn buckets(options: &PlanOptions, places: &[Place]) -> Result<Option<Aws>, Failure> {
    let out = options.out.as_deref().map(Place::parse).transpose()?;
    if out.iter().chain(places).any(Place::is_s3) || options.select.is_on_s3() {
        return Ok(Some(connection::to_buckets(&options.stack.aws, &options.buckets).await?));
    }
    Ok(None)
}

/// The images to tag and to keep: as listed, or in the same proportion of the number that the user gives.
fn work(images: Option<u64>, sample: &Sample) -> Work {
    let listed = sample.count + sample.kept;
    let Some(images) = images else { return Work { images: sample.count, kept: sample.kept } };
    let kept = (images as f64 * (sample.kept as f64 / listed.max(1) as f64)).round() as u64;
    Work { images: images.saturating_sub(kept), kept }
}

async fn print_plan(options: &PlanOptions, places: &[Place], plan: &Plan) -> Result<Exit, Failure> {
    if options.json {
        print_json(&serde_json::to_string_pretty(plan).map_err(broken)?)?;
    } else {
        print(&plan.text())?;
    }
    if let Some(file) = &options.save {
        let text = save::save(options, file, places, plan).await?;
        if options.json { tell(text.trim_end()) } else { print(&text)? }
    } else if let (false, true, Some(at)) = (options.json, is_for_a_fleet(options, places), plan.recommended)
    {
        print(&save::command(options, places, plan, &plan.lines[at]))?;
    }
    Ok(Exit::Finished)
}

/// Whether a fleet can read all of it.
fn is_for_a_fleet(options: &PlanOptions, places: &[Place]) -> bool {
    let has_manifest_here = options.select.manifest.is_some() && !options.select.is_on_s3();
    places.iter().all(Place::is_s3) && !has_manifest_here
}

/// The type of this machine, if it is one of EC2's; only there a metadata service answers.
async fn measured_on() -> Option<String> {
    let service = MetadataService::new(std::env::var("AWS_EC2_METADATA_DISABLED").ok().as_deref())?;
    service.instance().await.ok()?.machine.instance_type
}

/// Of the images that were read, the share for which S3 calls KMS. It is a property of each object, not of
/// the bucket, so the sample is better evidence than the bucket's settings.
fn of_kms(requests: &Requests) -> f64 {
    let calls = |operation| requests.0.get(operation).map_or(0, |count| count.calls) as f64;
    let share = (calls("kms:Decrypt") / calls("s3:GetObject").max(1.0)).min(1.0);
    if share > 0.0 {
        let percent = (share * 100.0).round();
        tell(&format!(
            "note: {percent} % of the sample is encrypted with SSE-KMS without an S3 Bucket Key: each of these costs a request \
             to KMS"
        ));
    }
    share
}

/// All that is compared is the best tag, whatever its score.
fn top_tag() -> TagOverrides {
    TagOverrides { top_k: Some(1), threshold: Some(0.0), ..TagOverrides::default() }
}

/// The built-in prices, and over them those of `--prices`.
fn book(options: &PlanOptions) -> Result<PriceBook, Failure> {
    let built_in = PriceBook::built_in().map_err(broken)?;
    let Some(path) = &options.prices else { return Ok(built_in) };
    let named = |error: &dyn std::fmt::Display| bad_input(format!("{}: {error}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| named(&error))?;
    Ok(built_in.overlaid(PriceBook::parse(&bytes).map_err(|error| named(&error))?))
}

fn region(options: &PlanOptions, aws: Option<&Aws>) -> String {
    let configured = aws.and_then(|aws| aws.region().map(str::to_owned));
    options.stack.aws.region.clone().or(configured).unwrap_or_else(|| {
        tell("note: no region is configured: prices are those of us-east-1, --region names another");
        "us-east-1".to_owned()
    })
}
