//! A published model's files, from their folder in a bucket into one on this machine.
//!
//! Names and sizes are untrusted: a name stays below the folder, a size is the limit of the download, and the
//! sha256 of every file is the one at the start of the run. Nothing in it reads the files' content.

use std::path::{Component, Path};

use anyhow::{Context, bail, ensure};
use tagfleet_model::folder::{Model, ModelSpec};
use tagfleet_pipeline::bucket::Bucket;
use tagfleet_pipeline::run::ModelRecord;

/// Fetches the files of `record` below `prefix` of `bucket` into the folder `root`, and checks that they are
/// those.
pub(crate) async fn fetch(
    bucket: &dyn Bucket,
    prefix: &str,
    record: &ModelRecord,
    root: &Path,
) -> anyhow::Result<Model> {
    let spec: ModelSpec = serde_json::from_value(record.spec.clone())
        .context("its description is not one of this tagfleet: publish it again and start a new run")?;
    ensure!(spec.sha256 == record.sha256, "its description has another sha256 than the run's request");
    ensure!(
        spec.files.iter().any(|file| file.name == spec.model),
        "{:?} is not one of its files",
        spec.model
    );
    for file in &spec.files {
        check_name(&file.name)?;
        let fetched = bucket.get(&format!("{prefix}{}", file.name), None, file.bytes).await?;
        let path = root.join(&file.name);
        let write = move || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, &fetched.bytes)
        };
        let written = tokio::task::spawn_blocking(write).await?;
        written.with_context(|| format!("{:?} cannot be written to this machine", file.name))?;
    }
    let root = root.to_owned();
    let model = tokio::task::spawn_blocking(move || Model::from_copy(&root, spec)).await?;
    model.context("its files are not those that the run started with")
}

/// A name of plain parts only: nothing that leaves the folder.
fn check_name(name: &str) -> anyhow::Result<()> {
    let mut parts = Path::new(name).components();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !is_plain || name.contains(['\\', '\0']) {
        bail!("{name:?} is not a model file's name: it must stay within the model's folder");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_within_the_folder() {
        for name in ["model.onnx", "onnx/model.onnx", "model.onnx_data", "a b/ü"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "/etc/passwd", "../model.onnx", "onnx/../../x", "..", ".", "./x", "a\\b", "a\0"] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
