//! The earlier run whose rows a planned run would keep: found as `run --since` does, by input and model.
//!
//! It compares no engine and no option: a plan measures several.

use std::sync::Arc;

use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_fleet::earlier::other_place;
use tagfleet_pipeline::bucket::{Bucket, DirBucket};
use tagfleet_pipeline::earlier::{EarlierRun, Search, SearchFor};
use tagfleet_pipeline::run::{ModelRecord, RunKeys, RunRequest};
use tagfleet_pipeline::split::Source;

use crate::args::PlanOptions;
use crate::exit::{Failure, bad_input, broken};
use crate::inputs::Inputs;
use crate::place::{Place, with_slash};
use crate::run_id::new_run_id;

/// The inputs, compared with the earlier run if the options name one.
pub(super) async fn source(
    options: &PlanOptions,
    inputs: &Inputs,
    model: &ModelRecord,
    aws: Option<&Aws>,
) -> Result<Source, Failure> {
    let (Some(choice), Some(out)) = (&options.since, &options.out) else { return Ok(inputs.source.clone()) };
    let place = Place::parse(out)?;
    let id = new_run_id(&inputs.record)?;
    let (output, keys): (Arc<dyn Bucket>, RunKeys) = match (&place, aws) {
        (Place::Path(path), _) => (Arc::new(DirBucket::new(path)), RunKeys::new("", &id)),
        (Place::S3 { .. }, None) => return Err(broken(format!("{place}: no client for it"))),
        (Place::S3 { bucket, prefix }, Some(aws)) => {
            let folder = with_slash(prefix);
            (Arc::new(S3Bucket::new(aws, bucket)), RunKeys::in_bucket(&folder, &id))
        }
    };
    let differs = |earlier: &RunRequest| {
        let of_model = || {
            let (then, now) = (earlier.model.id(), model.id());
            (then != now).then(|| format!("its model is {then}, now {now}"))
        };
        other_place(&earlier.input, &inputs.record).or_else(of_model)
    };
    let search = SearchFor { output: output.as_ref(), keys: &keys, differs: &differs };
    let found = search.find(choice).await.map_err(bad_input)?;
    if let Search::Found(run) = found {
        let earlier = EarlierRun::to_compare(&output, keys.of_run(&run), run);
        return Ok(inputs.source.clone().since(Some(earlier)));
    }
    let why = found.problem(&format!("--out {place}")).unwrap_or_default();
    Err(bad_input(format!("--since: {why}: plan without --since")))
}
