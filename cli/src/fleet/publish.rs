//! Publishes a local model: its files into the stack's bucket, and next to them its description.
//!
//! The folder's name has a hash of all that matters, so that a model is published once, and an earlier run's
//! model is never touched. The description is written last: if it is there, all files are.

use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tagfleet_fleet::address::Address;
use tagfleet_fleet::model::{self, PUBLISHED_MODEL_VERSION, PublishedModel};
use tagfleet_fleet::request::Device;
use tagfleet_model::decode::Limits;
use tagfleet_model::engine::{
    self, DeviceChoice, EngineChoice, EngineName, Precision, cuda_elsewhere, remote_onnxruntime,
};
use tagfleet_model::folder::{ModelFile, ModelSpec};
use tagfleet_model::scores::{self, Ranker};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::format::hex;
use tagfleet_pipeline::record;
use tagfleet_pipeline::run::{EngineRecord, StackKeys, TagOptions};

use super::stack::FleetStack;
use crate::args::{LoadOptions, SubmitOptions};
use crate::exit::{Failure, bad_input, broken, tell};
use crate::loading::{Loading, warn};
use crate::model_source::{self, Fetching, ModelSource};
use crate::place::Place;

/// The image of CPU workers installs what this file pins.
const CPU_REQUIREMENTS: &str = include_str!("../../../requirements.txt");
/// The image of GPU workers installs what this file pins.
const GPU_REQUIREMENTS: &str = include_str!("../../../batch-worker/gpu.txt");
/// The image of CPU workers installs OpenVINO as this file pins it; that of GPU workers has none.
const OPENVINO: &str = include_str!("../../../scripts/openvino.txt");
/// What an int8 model's scores may depend on: the stack's default instance types all have it, whatever this
/// machine has.
const FLEET_INSTRUCTIONS: &str = "vnni";
/// A model's files together: 1.5 GiB. A worker keeps them in its /tmp, which holds 2 GiB by the template,
/// next to what else is written there.
const MAX_MODEL_BYTES: u64 = 3 << 29;
/// The most characters of a model's name in a key.
const MAX_NAME: usize = 40;

/// The model of a request: a local one is published, one that is published already is looked at. Either way
/// the tags that are asked for are its own.
pub(super) async fn model(stack: &FleetStack, options: &SubmitOptions) -> Result<Address, Failure> {
    let place = options.model.as_deref().ok_or_else(|| bad_input("give --model or --request"))?;
    let place =
        if model_source::is_address(place) { Place::Path(place.into()) } else { Place::parse(place)? };
    match place {
        Place::Path(path) => publish(stack, &path, options).await,
        Place::S3 { bucket, prefix } => {
            let folder = Address { bucket, prefix }.folder();
            refuse_model_flags(options, &folder)?;
            let published = read(stack, &folder).await?;
            check_device(&published, options.device, &folder)?;
            check_tags(&published, &options.tags.overrides().over(&published.tags))?;
            Ok(folder)
        }
    }
}

/// The model that was published in `folder`.
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

/// A published model names one engine in one version, which the other device's image may not have.
pub(super) fn check_device(
    published: &PublishedModel,
    device: Device,
    folder: &Address,
) -> Result<(), Failure> {
    let flag = match device {
        Device::Cpu => "cpu",
        Device::Gpu => "gpu",
    };
    let is_for_gpu = published.engine.device.is_some();
    if is_for_gpu == (device == Device::Gpu) {
        return Ok(());
    }
    Err(bad_input(format!(
        "{folder} was published for {}, which {flag} workers would refuse: publish it for them from its local folder, with \
         --device {flag}",
        published.engine
    )))
}

/// Refuses flags that were decided when the model was published.
fn refuse_model_flags(options: &SubmitOptions, folder: &Address) -> Result<(), Failure> {
    let loading = &options.loading;
    let given = [
        ("--model-file", loading.model_file.is_some()),
        ("--engine", loading.engine != EngineChoice::Auto),
        ("--precision", loading.precision != Precision::Fp32),
        ("--onnxruntime", loading.onnxruntime.is_some()),
        ("--openvino", loading.openvino.is_some()),
        ("--no-exif", loading.no_exif),
        ("--exact", loading.exact),
        ("--output", options.output.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(bad_input(format!(
            "{flag} was decided when {folder} was published: publish the model again with it, from its local folder"
        ))),
        None => Ok(()),
    }
}

async fn publish(stack: &FleetStack, path: &Path, options: &SubmitOptions) -> Result<Address, Failure> {
    let fetching = Fetching::new(&options.loading, &options.stack.aws).quiet(options.quiet);
    let source = ModelSource::resolve(path, &fetching).await?;
    let loading = read_model(source, options)?;
    let spec = &loading.model.spec;
    check_size(&spec.files)?;
    Ranker::new(&spec.labels, spec.activation, &loading.tags).map_err(bad_input)?;
    let engine = match options.device {
        Device::Cpu => on_processors(&loading, options)?,
        Device::Gpu => on_gpus(&loading, options)?,
    };
    let published = PublishedModel {
        version: PUBLISHED_MODEL_VERSION,
        model: loading.record()?,
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
    warn(&loading.model.spec);
    upload(stack, &loading, &published, &folder).await?;
    Ok(folder)
}

/// Prints what the user should know before the fleet starts: assumptions, and what workers must have.
fn announce(loading: &Loading, published: &PublishedModel, folder: &Address) {
    for note in &loading.model.spec.notes {
        tell(&format!("note: {note}"));
    }
    if let Some(instructions) = &published.engine.instructions {
        let advice = if published.engine.precision == "bf16" {
            "give the stack CpuInstanceTypes that all have it"
        } else {
            "the stack's default instance types all have it"
        };
        tell(&format!(
            "note: the scores of this model depend on the processor, and workers without {instructions} will refuse it: {advice}"
        ));
    }
    tell(&format!("model {folder}, {}", published.engine));
}

/// The model as this machine's processor would run it, in fp32 if the workers have GPUs.
fn read_model(source: ModelSource, options: &SubmitOptions) -> Result<Loading, Failure> {
    let mut loading = options.loading.clone();
    if options.device == Device::Gpu {
        loading = LoadOptions { precision: Precision::Fp32, engine: EngineChoice::Auto, ..loading };
    }
    let (tags, vector) = (options.tags.overrides(), options.output.as_deref());
    Loading::new(source, &loading, DeviceChoice::Cpu, &tags, vector)
}

/// The engine of GPU workers. Their graph of the model is tried on this machine's processor.
fn on_gpus(loading: &Loading, options: &SubmitOptions) -> Result<EngineRecord, Failure> {
    let loading_options = &options.loading;
    if matches!(loading_options.engine, EngineChoice::Tract | EngineChoice::OpenVino)
        || loading_options.openvino.is_some()
    {
        return Err(bad_input(
            "gpu workers run models with ONNX Runtime: leave out --engine and --openvino, or --device gpu",
        ));
    }
    let precision = loading_options.precision;
    if precision == Precision::Bf16 {
        return Err(bad_input("gpu workers compute in fp32 or fp16: give --precision fp16, or none"));
    }
    let there = cuda_elsewhere(pinned(Device::Gpu)?, &loading.model, precision).map_err(bad_input)?;
    engine::rehearse(&loading.model, precision).map_err(bad_input)?;
    if !options.quiet {
        tell(&format!(
            "note: workers run {}; the graph that they get was tried on the processor here, not on a GPU",
            there.describe()
        ));
    }
    Ok((&there).into())
}

/// The engine of CPU workers. The model is tried in it if this machine has the same engine.
fn on_processors(loading: &Loading, options: &SubmitOptions) -> Result<EngineRecord, Failure> {
    let here = &loading.engine.record;
    let mut there = match (options.loading.engine, here.name) {
        (EngineChoice::Tract, _) => here.clone(),
        (_, EngineName::OpenVino) => here.elsewhere(openvino()?),
        _ => remote_onnxruntime(pinned(Device::Cpu)?, &loading.model),
    };
    if options.loading.precision == Precision::Fp32 {
        there.instructions = there.instructions.map(|_| FLEET_INSTRUCTIONS.to_owned());
    }
    if there.name == EngineName::OnnxRuntime {
        // Whatever version is here, workers make the same graph.
        engine::graph_for_processor(&loading.model).map_err(bad_input)?;
    }
    if *here == there {
        loading.isolate(1)?;
    } else if !options.quiet {
        tell(&format!(
            "note: workers run {}, this machine has {}: the model is published without having been tried",
            there.describe(),
            here.describe()
        ));
    }
    Ok((&there).into())
}

/// The version of OpenVINO in the image of CPU workers.
fn openvino() -> Result<&'static str, Failure> {
    version(OPENVINO, "openvino==").ok_or_else(|| broken("scripts/openvino.txt pins no openvino"))
}

/// The version of ONNX Runtime in the image of a device's workers.
fn pinned(device: Device) -> Result<&'static str, Failure> {
    let (requirements, package, file) = match device {
        Device::Cpu => (CPU_REQUIREMENTS, "onnxruntime==", "requirements.txt"),
        Device::Gpu => (GPU_REQUIREMENTS, "onnxruntime-gpu==", "batch-worker/gpu.txt"),
    };
    version(requirements, package).ok_or_else(|| broken(format!("{file} pins no {package}")))
}

/// The version that follows `package` in a requirements file.
fn version<'a>(requirements: &'a str, package: &str) -> Option<&'a str> {
    requirements.lines().find_map(|line| line.strip_prefix(package)?.split_whitespace().next())
}

/// A model that a worker cannot hold would fail on every worker, after it has booted.
fn check_size(files: &[ModelFile]) -> Result<(), Failure> {
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    if bytes <= MAX_MODEL_BYTES {
        return Ok(());
    }
    let (megabytes, most) = (bytes >> 20, MAX_MODEL_BYTES >> 20);
    Err(bad_input(format!(
        "the model's files have {megabytes} MiB together, but a worker keeps them in its /tmp, which takes {most} MiB of \
         them: export it in half precision or int8"
    )))
}

/// `models/mobilenet-0a1b2c3d4e5f/`
fn folder(published: &PublishedModel) -> Result<String, Failure> {
    let described = serde_json::to_vec(published).map_err(broken)?;
    let hash = hex(&Sha256::digest(&described)[..6]);
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
    record::create(&bucket, &description, published).await.map(|_| ()).map_err(broken)
}

/// The file as it was when the model was read.
fn read_file(root: &Path, file: &ModelFile) -> Result<Bytes, Failure> {
    let path = root.join(&file.name);
    let bytes = std::fs::read(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    if hex(&Sha256::digest(&bytes)) != file.sha256 {
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
    fn each_devices_image_pins_a_version() {
        for version in [pinned(Device::Cpu), pinned(Device::Gpu), openvino()] {
            let version = version.unwrap();
            assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{version}");
        }
        let requirements = "# onnxruntime\nonnxruntime-gpu==3.2.1\nonnxruntime==1.2.3 \\\n  --hash=x";
        assert_eq!(version(requirements, "onnxruntime=="), Some("1.2.3"));
        assert_eq!(version("onnx==1", "onnxruntime=="), None);
    }

    #[test]
    fn a_model_that_no_worker_could_keep_is_refused() {
        let file = |bytes| ModelFile { name: "model.onnx".to_owned(), bytes, sha256: String::new() };
        assert!(check_size(&[file(MAX_MODEL_BYTES - 10), file(10)]).is_ok());
        let refused = check_size(&[file(MAX_MODEL_BYTES), file(1 << 20)]).unwrap_err();
        insta::assert_snapshot!(refused.message(), @"the model's files have 1537 MiB together, but a worker keeps them in its /tmp, which takes 1536 MiB of them: export it in half precision or int8");
    }
}
