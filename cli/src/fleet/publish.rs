//! Publishes a local model: its files into the stack's bucket, and beside them what they were understood to say.
//!
//! The folder's name carries a hash of all that matters, so that a model is published once, and an earlier run's model is
//! never touched. The description is written last: where it stands, all files do.

use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{EngineName, onnxruntime_elsewhere};
use tagfleet_model::folder::{ModelFile, ModelSpec};
use tagfleet_model::scores::{self, Ranker};
use tagfleet_pipeline::address::Address;
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::fleet::model::{self, PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_pipeline::reduce::put_json;
use tagfleet_pipeline::run::{EngineRecord, StackKeys, TagOptions};

use super::stack::FleetStack;
use crate::args::{Engine, SubmitOptions};
use crate::exit::{Failure, bad_input, broken, tell};
use crate::loading::Loading;
use crate::place::Place;

/// The workers' image installs what this file pins.
const REQUIREMENTS: &str = include_str!("../../../requirements.txt");
/// Each file is held in memory while it is sent: 5 GB.
const MAX_FILE_BYTES: u64 = 5_000_000_000;
/// Of a model's name in a key.
const MAX_NAME: usize = 40;

/// The model of a request: a local one is published, one that is published already is looked at. Either way the tags that
/// are asked for are its own.
pub(super) async fn model(stack: &FleetStack, options: &SubmitOptions) -> Result<Address, Failure> {
    let place = options.model.as_deref().ok_or_else(|| bad_input("give --model or --request"))?;
    match Place::parse(place)? {
        Place::Path(path) => publish(stack, &path, options).await,
        Place::S3 { bucket, prefix } => {
            let folder = Address { bucket, prefix }.folder();
            refuse_model_flags(options, &folder)?;
            let asked = super::submit::tags(options);
            let published = read(stack, &folder).await?;
            check_tags(&published, &asked.over(&published.tags))?;
            Ok(folder)
        }
    }
}

/// What was published in `folder`.
pub(super) async fn read(stack: &FleetStack, folder: &Address) -> Result<PublishedModel, Failure> {
    let bucket = (stack.pipeline().open)(&folder.bucket);
    model::read(bucket.as_ref(), folder).await.map_err(bad_input)
}

/// The error names what the model does not have.
pub(super) fn check_tags(published: &PublishedModel, tags: &TagOptions) -> Result<(), Failure> {
    let spec: ModelSpec = serde_json::from_value(published.model.spec.clone())
        .map_err(|error| bad_input(format!("the model was published by another tagfleet: {error}")))?;
    Ranker::new(&spec.labels, spec.activation, tags).map(|_| ()).map_err(bad_input)
}

/// These were decided when the model was published.
fn refuse_model_flags(options: &SubmitOptions, folder: &Address) -> Result<(), Failure> {
    let loading = &options.loading;
    let given = [
        ("--model-file", loading.model_file.is_some()),
        ("--engine", !matches!(loading.engine, Engine::Auto)),
        ("--onnxruntime", loading.onnxruntime.is_some()),
        ("--no-exif", loading.no_exif),
        ("--output", options.output.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(bad_input(format!(
            "{flag} was decided when {folder} was published: publish the model anew with it, from its local folder"
        ))),
        None => Ok(()),
    }
}

async fn publish(stack: &FleetStack, path: &Path, options: &SubmitOptions) -> Result<Address, Failure> {
    let loading = Loading::new(path, &options.loading, &options.tags, options.output.as_deref())?;
    let spec = &loading.model.spec;
    Ranker::new(&spec.labels, spec.activation, &loading.tags).map_err(bad_input)?;
    let engine = engine(&loading, options)?;
    let published = PublishedModel {
        version: PUBLISHED_MODEL_VERSION,
        model: loading.record(path)?,
        engine,
        tags: scores::default_options(spec.activation, spec.multi_label),
        labels: spec.labels.clone(),
        vector: loading.vector(options.vector),
        max_image_bytes: Limits::default().max_bytes,
    };
    let folder = Address { bucket: stack.outputs.bucket.clone(), prefix: folder(&published)? };
    if !options.quiet {
        announce(&loading, &published, &folder);
    }
    upload(stack, &loading, &published, &folder).await?;
    Ok(folder)
}

/// What the user should know before the fleet starts: every assumption, and what workers must have.
fn announce(loading: &Loading, published: &PublishedModel, folder: &Address) {
    for note in &loading.model.spec.notes {
        tell(&format!("note: {note}"));
    }
    if let Some(instructions) = &published.engine.instructions {
        tell(&format!(
            "note: the scores of an int8 model depend on the processor: workers without {instructions}, which this machine \
             has, will refuse it"
        ));
    }
    tell(&format!("model {folder}, {}", published.engine));
}

/// What runs the model in the workers' image. Where this machine has just that, the model is tried in it.
fn engine(loading: &Loading, options: &SubmitOptions) -> Result<EngineRecord, Failure> {
    let here = &loading.engine.record;
    if matches!(options.loading.engine, Engine::Tract) {
        loading.load()?;
        return Ok(here.into());
    }
    let pinned = pinned(REQUIREMENTS).ok_or_else(|| broken("requirements.txt pins no onnxruntime"))?;
    if here.name == EngineName::OnnxRuntime && here.version == pinned {
        loading.load()?;
        return Ok(here.into());
    }
    if !options.quiet {
        tell(&format!(
            "note: workers run ONNX Runtime {pinned}, this machine has {}: the model is published without having been tried",
            here.describe()
        ));
    }
    Ok((&onnxruntime_elsewhere(pinned, &loading.model)).into())
}

/// The version of ONNX Runtime in a requirements file.
fn pinned(requirements: &str) -> Option<&str> {
    requirements.lines().find_map(|line| line.strip_prefix("onnxruntime==")?.split_whitespace().next())
}

/// `models/mobilenet-0a1b2c3d4e5f/`
fn folder(published: &PublishedModel) -> Result<String, Failure> {
    let described = serde_json::to_vec(published).map_err(broken)?;
    let hash: String = Sha256::digest(&described).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}{}-{hash}/", StackKeys::MODELS, plain(&published.model.name)))
}

/// A name of `a-z`, `0-9` and `-`, as much of it as a key should carry.
fn plain(name: &str) -> String {
    let name = name.strip_suffix(".onnx").unwrap_or(name).to_ascii_lowercase();
    let pieces = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty());
    let plain: String = pieces.collect::<Vec<_>>().join("-").chars().take(MAX_NAME).collect();
    if plain.is_empty() { "model".to_owned() } else { plain.trim_end_matches('-').to_owned() }
}

async fn upload(
    stack: &FleetStack,
    loading: &Loading,
    published: &PublishedModel,
    folder: &Address,
) -> Result<(), Failure> {
    let (bucket, description) = (stack.bucket(), StackKeys::model(&folder.prefix));
    if bucket.exists(&description).await.map_err(broken)? {
        return Ok(());
    }
    for file in &loading.model.spec.files {
        let key = format!("{}{}", folder.prefix, file.name);
        if key == description {
            let name = &file.name;
            return Err(bad_input(format!("the model has a file {name}, a name that is taken: rename it")));
        }
        bucket.put_if_absent(&key, read_file(&loading.model.root, file)?).await.map_err(broken)?;
    }
    put_json(&bucket, &description, published).await.map(|_| ()).map_err(broken)
}

/// The file as it was when the model was read.
fn read_file(root: &Path, file: &ModelFile) -> Result<Bytes, Failure> {
    let path = root.join(&file.name);
    if file.bytes > MAX_FILE_BYTES {
        let (bytes, most) = (file.bytes, MAX_FILE_BYTES / 1_000_000_000);
        return Err(bad_input(format!(
            "{}: {bytes} bytes, but a file of a model may have at most {most} GB: export it with its weights in several \
             files",
            path.display()
        )));
    }
    let bytes = std::fs::read(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if sha256 != file.sha256 {
        return Err(bad_input(format!(
            "{} was changed while it was being published: submit again",
            path.display()
        )));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_is_plain_in_a_key() {
        assert_eq!(plain("MobileNet_v2 (1.4).onnx"), "mobilenet-v2-1-4");
        assert_eq!(plain("../ß"), "model");
        assert_eq!(plain(&"a-".repeat(100)).len(), 39);
    }

    #[test]
    fn the_workers_version_is_the_one_that_is_installed_here() {
        let version = pinned(REQUIREMENTS).unwrap();
        assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
        assert_eq!(pinned("# onnxruntime\nonnxruntime==1.2.3 \\\n  --hash=x"), Some("1.2.3"));
        assert_eq!(pinned("onnx==1"), None);
    }
}
