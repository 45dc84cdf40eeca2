//! Which files of a listing a model folder needs: what to fetch of a repository or a bucket before anything
//! of it can be read.
//!
//! Names only, and those are hostile: none that leads out of the folder is needed. The same rules find the
//! model of a folder once its files are there.

use std::path::{Component, Path};

use super::find::{Pick, listed, pick};
use super::{DESCRIPTIONS, Overrides, labels, overrides};
use crate::error::ModelError;

/// The largest file that describes a model or has its labels: 16 MiB.
pub const LARGEST_DESCRIPTION: u64 = crate::files::LARGEST_TEXT;

/// The names, relative to the folder with `/`, in the order in which they should arrive: the `.onnx` file is
/// the last, because a folder without one is not a model yet.
///
/// `model_file` chooses the `.onnx` file, as in [`super::ModelOptions`].
///
/// # Errors
/// If no `.onnx` file is the one that is meant.
pub fn needed(names: &[String], model_file: Option<&str>) -> Result<Vec<String>, ModelError> {
    let names: Vec<&String> = names.iter().filter(|name| stays_inside(name)).collect();
    let model = choose(&names, model_file)?;
    let is_there = |name: &String| names.contains(&name);
    let mut needed: Vec<String> = Vec::new();
    for folder in ["", folder_of(&model)] {
        let known = DESCRIPTIONS.iter().chain(&labels::FILES).map(|name| format!("{folder}{name}"));
        needed.extend(known.filter(is_there).filter(|name| !needed.contains(name)).collect::<Vec<_>>());
    }
    // Weights are next to the graph and called after it: `model.onnx_data`, `model.onnx.data`.
    needed.extend(
        names.iter().filter(|name| **name != &model && name.starts_with(&model)).map(|name| (*name).clone()),
    );
    needed.push(model);
    Ok(needed)
}

/// Whether a file of the listing is a description or labels, which have at most [`LARGEST_DESCRIPTION`]
/// bytes.
#[must_use]
pub fn is_description(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    DESCRIPTIONS.contains(&file) || labels::FILES.contains(&file)
}

/// The file of labels that the `tagfleet.toml` of this folder names; `None` if there is neither.
///
/// # Errors
/// If that file cannot be understood.
pub fn labels_named_in(folder: &Path) -> Result<Option<String>, ModelError> {
    Ok(Overrides::read(folder)?.labels.filter(|name| stays_inside(name)))
}

/// The file with which [`labels_named_in`] can be asked.
pub const OVERRIDES: &str = overrides::NAME;

/// Whether a name is of plain parts only.
#[must_use]
pub fn stays_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let is_plain = parts.all(|part| matches!(part, Component::Normal(_)));
    is_plain
        && !name.is_empty()
        && !name.ends_with('/')
        && !name.contains(['\\', '\0'])
        && !name.contains("//")
}

fn folder_of(model: &str) -> &str {
    model.rfind('/').map_or("", |end| &model[..=end])
}

fn choose(names: &[&String], model_file: Option<&str>) -> Result<String, ModelError> {
    let is_model = |name: &&&String| {
        let folder = folder_of(name);
        name.ends_with(".onnx") && ["", "onnx/", "visual/"].contains(&folder)
    };
    let mut models: Vec<String> = names.iter().filter(is_model).map(|name| (**name).clone()).collect();
    models.sort();
    if let Some(file) = model_file {
        let candidates = ["", "onnx/", "visual/"].map(|folder| format!("{folder}{file}"));
        let found = candidates.into_iter().find(|candidate| names.contains(&candidate));
        return found.ok_or_else(|| {
            ModelError::new(format!("there is no model file {file:?}: it has {}", listed(&models)))
        });
    }
    match pick(&models) {
        Pick::Usual(name) | Pick::Only(name) => Ok(name.to_owned()),
        Pick::None => Err(ModelError::new("there is no .onnx file, neither in it nor in its onnx/")),
        Pick::Several => Err(ModelError::new(format!(
            "there is no model.onnx but {}: choose one with --model-file",
            listed(&models)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(names: &[&str], model_file: Option<&str>) -> Result<Vec<String>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        needed(&names, model_file).map_err(|error| error.to_string())
    }

    #[test]
    fn an_export_is_its_graph_its_weights_and_what_describes_it() {
        let names = [
            ".gitattributes",
            "README.md",
            "config.json",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model_quantized.onnx",
            "preprocessor_config.json",
            "pytorch_model.bin",
            "tokenizer.json",
        ];
        insta::assert_snapshot!(of(&names, None).unwrap().join(" "), @"config.json preprocessor_config.json onnx/model.onnx_data onnx/model.onnx");
        insta::assert_snapshot!(of(&names, Some("model_quantized.onnx")).unwrap().join(" "), @"config.json preprocessor_config.json onnx/model_quantized.onnx");
        insta::assert_snapshot!(of(&names, Some("x.onnx")).unwrap_err(), @r#"there is no model file "x.onnx": it has onnx/model.onnx, onnx/model_quantized.onnx"#);
    }

    #[test]
    fn a_repository_without_a_model_or_with_several() {
        insta::assert_snapshot!(of(&["pytorch_model.bin"], None).unwrap_err(), @"there is no .onnx file, neither in it nor in its onnx/");
        insta::assert_snapshot!(of(&["a.onnx", "b.onnx"], None).unwrap_err(), @"there is no model.onnx but a.onnx, b.onnx: choose one with --model-file");
        assert_eq!(of(&["a.onnx", "labels.txt"], None).unwrap(), ["labels.txt", "a.onnx"]);
    }

    proptest! {
        #[test]
        fn nothing_outside_of_the_folder_is_needed(names in prop::collection::vec("[a./\\\\]{1,6}(model.onnx|labels.txt|)", 1..6)) {
            if let Ok(needed) = needed(&names, None) {
                for name in needed {
                    prop_assert!(!name.split('/').any(|part| part.is_empty() || part == ".." || part == "."), "{name}");
                    prop_assert!(!name.contains('\\'));
                }
            }
        }
    }
}
