//! Reads and hashes the files of a model: within limits, and never through a link that leads elsewhere.
//!
//! It never knows what a file means.

pub(crate) mod links;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tagfleet_pipeline::format::hex;

use crate::error::ModelError;

pub(crate) const LARGEST_TEXT: u64 = 16 << 20;

/// One file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its path relative to the model's folder, with `/`.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 as 64 hexadecimal digits.
    pub sha256: String,
}

/// Reads a text file of at most 16 MiB, not a link; `None` if there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, ModelError> {
    let unreadable = |error| ModelError::new(format!("{} can't be read: {error}", path.display()));
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    links::refuse_any(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_TEXT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_TEXT {
        return Err(ModelError::new(format!(
            "{} is larger than 16 MiB: that is not a configuration",
            path.display()
        )));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))),
        Err(_) => Err(ModelError::new(format!("{} is not UTF-8 text: save it as UTF-8", path.display()))),
    }
}

/// Opens a regular file only: opening a pipe would wait for its writer.
fn open(path: &Path) -> io::Result<File> {
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// Reads a JSON file of at most 16 MiB; `None` if there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|error| {
        let shown = path.display();
        if stops_at_python(&text, &error) {
            return ModelError::new(format!(
                "{shown} is not JSON: Python's NaN or Infinity is in it, at line {} column {}: put a number or null there",
                error.line(),
                error.column()
            ));
        }
        ModelError::new(format!("{shown} can't be understood: {error}"))
    })
}

/// Reads a YAML file of at most 16 MiB; `None` if there is none.
pub(crate) fn read_yaml(path: &Path) -> Result<Option<serde_json::Value>, ModelError> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    // A label may be called y or no, which older YAML reads as truth values.
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    let parsed = serde_saphyr::from_str_with_options(&text, options);
    parsed
        .map(Some)
        .map_err(|error| ModelError::new(format!("{} can't be understood: {error}", path.display())))
}

/// Whether a parser gave up at what Python's `json` writes for numbers that JSON doesn't have.
fn stops_at_python(text: &str, error: &serde_json::Error) -> bool {
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let column = error.column().saturating_sub(1);
    let rest = line.get(column..).unwrap_or_default();
    error.is_syntax() && ["NaN", "Infinity"].iter().any(|word| rest.starts_with(word))
}

pub(crate) fn hash(root: &Path, names: &[String]) -> Result<Vec<ModelFile>, ModelError> {
    names.iter().map(|name| hash_one(root, name)).collect()
}

/// Reads the file at `path`, of at most `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Arc<[u8]>, ModelError> {
    let unreadable = |error| ModelError::new(format!("{} can't be read: {error}", path.display()));
    let mut file = open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size > most {
        return Err(ModelError::new(format!(
            "{} has {size} bytes, and an ONNX file at most {most}: export the model with its weights in a file next to it",
            path.display()
        )));
    }
    let size = usize::try_from(size).map_err(|error| unreadable(io::Error::other(error)))?;
    let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, size).collect();
    if let Some(bytes) = Arc::get_mut(&mut bytes) {
        file.read_exact(bytes).map_err(unreadable)?;
    }
    Ok(bytes)
}

/// The file `name` below `root`, of at most `most` bytes, if it is the one in `recorded`.
pub(crate) fn read_recorded(
    root: &Path,
    recorded: &[ModelFile],
    name: &str,
    most: u64,
) -> Result<Arc<[u8]>, ModelError> {
    let path = root.join(name);
    let bytes = read(&path, most)?;
    let is_same =
        |file: &ModelFile| file.bytes == bytes.len() as u64 && file.sha256 == hex(&Sha256::digest(&bytes));
    match recorded.iter().find(|file| file.name == name) {
        Some(file) if is_same(file) => Ok(bytes),
        _ => Err(changed(&path)),
    }
}

fn changed(path: &Path) -> ModelError {
    ModelError::new(format!(
        "{} is not the file that this run started with: put that one back, or start a new run",
        path.display()
    ))
}

/// Checks that the files under `root` are still what they were when they were hashed.
pub(crate) fn verify(root: &Path, files: &[ModelFile]) -> Result<(), ModelError> {
    for file in files {
        if hash_one(root, &file.name)? != *file {
            return Err(changed(&root.join(&file.name)));
        }
    }
    Ok(())
}

/// The SHA-256 of what `sha256sum` prints for `files`.
pub(crate) fn sha256_of(files: &[ModelFile]) -> String {
    let lines = files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name));
    hex(&Sha256::digest(lines.collect::<String>()))
}

fn hash_one(root: &Path, name: &str) -> Result<ModelFile, ModelError> {
    let path = root.join(name);
    let unreadable = |error| ModelError::new(format!("{} can't be read: {error}", path.display()));
    let mut file = open(&path).map_err(unreadable)?;
    links::refuse_far(root, &path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        bytes += count as u64;
    }
    Ok(ModelFile { name: name.to_owned(), bytes, sha256: hex(&hasher.finalize()) })
}
