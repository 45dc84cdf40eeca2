//! A run: its id, and everything that decides its rows.
//!
//! [`keys`] names every object that belongs to it. Nothing here reads or writes one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bucket::KeyRange;
use crate::format::visible;

mod difference;
pub mod keys;
pub mod remedy;
pub mod stack_keys;

pub use keys::RunKeys;
pub use stack_keys::StackKeys;

/// The version of a request's stored form, and of the rows that follow from it: a run of another version is
/// not continued.
pub const REQUEST_VERSION: u32 = 2;

/// The version of what decodes images. A change that gives any image other pixels, or another reason to
/// fail, raises it.
pub const DECODER_VERSION: u32 = 1;

/// The form of a time in an id.
const TIME_FORM: &str = "00000000-000000";

/// A run's id: 1 to 64 of `a-z`, `0-9` and `-`, so that it is safe in a key, a path, a queue's name and a
/// mail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// The text is not a run ID.
#[derive(Debug, Error)]
#[error("{0:?} is not a run ID: use 1 to 64 characters of a-z, 0-9 and '-'")]
pub struct InvalidRunId(String);

impl RunId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the run started, by its id: `20261126-012330` of `nightly-20261126-012330-0a1b2c`, in UTC. `None`
    /// if another tool named it.
    #[must_use]
    pub fn started(&self) -> Option<&str> {
        let (before, _) = self.0.rsplit_once('-')?;
        // The name of a request file may come before it.
        let time = before.get(before.len().checked_sub(TIME_FORM.len())?..)?;
        let is_like = |(found, form): (u8, u8)| found == form || (form == b'0' && found.is_ascii_digit());
        time.bytes().zip(TIME_FORM.bytes()).all(is_like).then_some(time)
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(text: String) -> Result<Self, InvalidRunId> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(InvalidRunId(text))
        }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a run's inputs come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The source: a folder, or a bucket with the prefix that was listed.
    pub location: String,
    /// The prefixes that were listed below the location, if there are several or files were also named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// The SHA-256 of the sorted key list in hexadecimal, if keys were given, alone or with prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_sha256: Option<String>,
    /// The manifest that listed the keys, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRecord>,
    /// Globs; a key is an input only if one of these matches (or there are none).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Globs; a key is not an input if one of these matches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Whether files were read that are not meant as images: what systems leave behind, hidden files, plain
    /// text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_files: bool,
}

/// Which manifest listed the keys of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ManifestRecord {
    /// The file or folder, as people know it.
    pub location: String,
    /// What its files are, in hexadecimal: SHA-256 of their names, sizes, and bytes or etags.
    pub sha256: String,
    /// The column that was named for its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_column: Option<String>,
}

/// The model of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// What people call it: the folder's or the file's name.
    pub name: String,
    /// Over all files of the model, in hexadecimal.
    pub sha256: String,
    /// The place of its published files, for workers on other machines:
    /// `s3://bucket/models/mobilenet-0a1b2c3d4e5f/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Whether an image may have several labels at once, as with a sigmoid; else the best tag is the model's
    /// answer.
    #[serde(default)]
    pub multi_label: bool,
    /// Why its results are probably wrong, if its preprocessing had to be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// What the model crate resolved (preprocessing, labels, outputs); only that crate reads it.
    pub spec: serde_json::Value,
}

/// What [`ModelRecord::id`] keeps of the hash: 8 hexadecimal digits, which distinguish 10,000 models of one
/// name with 99 % certainty.
const ID_DIGITS: usize = 8;

impl ModelRecord {
    /// What rows and tables call the model: `mobilenetv2@1a2b3c4d`, its name and the first 8 digits of its
    /// hash. Two models of one name differ in it, and so does one model before and after any of its files is
    /// changed.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}@{}", visible(&self.name), self.short_hash())
    }

    /// The first 8 digits of the hash.
    #[must_use]
    pub fn short_hash(&self) -> &str {
        self.sha256.get(..ID_DIGITS).unwrap_or(&self.sha256)
    }
}

/// The engine of a run: resolved once, before split; a worker that cannot load just this one stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EngineRecord {
    /// `onnxruntime`, `openvino` or `tract`.
    pub name: String,
    /// Its version, `1.32.0`.
    pub version: String,
    /// How it computes: `fp32`, `fp16`, `bf16`, `int8`.
    pub precision: String,
    /// For int8 and bf16: the widest instruction set of the machine that started the run, because sums may
    /// depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// `cuda`; none for the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl fmt::Display for EngineRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.name, self.version, self.precision)?;
        for more in self.instructions.iter().chain(&self.device) {
            write!(formatter, " {more}")?;
        }
        Ok(())
    }
}

/// Which tags a row keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TagOptions {
    /// At most this many tags; at least 1.
    pub top_k: u32,
    /// Only tags with at least this score: in 0..=1 for probabilities, any finite number for scores that are
    /// used as they are; `f32::MIN` keeps all.
    pub threshold: f32,
    /// Only these labels; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// By label, thresholds that hold instead of `threshold`: any finite number; [`TagOptions::NEVER`] keeps
    /// no tag of the label.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, f32>,
}

impl TagOptions {
    /// The threshold that no score reaches. JSON has no infinity.
    pub const NEVER: f32 = f32::MAX;

    /// At most `top_k` tags of any label, with at least the score `threshold`.
    #[must_use]
    pub fn new(top_k: u32, threshold: f32) -> Self {
        Self { top_k, threshold, labels: None, thresholds: BTreeMap::new() }
    }
}

/// How a vector column stores its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum VectorType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats: half the size, about three digits.
    F16,
}

/// A whole output of the model that every tagged row keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Vector {
    /// The output's name in the graph.
    pub output: String,
    /// The stored type.
    pub stored: VectorType,
    /// Values per image.
    pub length: u64,
}

/// The earlier run that a run continues: what is the same keeps its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The earlier run, in the same output.
    pub run: RunId,
    /// Whether only its failed rows are tagged again: then its inputs are those of the new run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_failed: bool,
}

/// Everything that decides a run's rows. Two equal requests over the same objects give equal rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// [`REQUEST_VERSION`].
    pub version: u32,
    /// The inputs.
    pub input: Input,
    /// The model.
    pub model: ModelRecord,
    /// What runs it.
    pub engine: EngineRecord,
    /// The tags to keep.
    pub tags: TagOptions,
    /// The vector to keep, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
    /// Images of more bytes than this become failed rows.
    pub max_image_bytes: u64,
    /// The version of what decodes images: no row of another version is kept.
    #[serde(default = "first_decoder")]
    pub decoder: u32,
    /// The earlier run whose rows are kept, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// Runs were stored without the version of the decoder at first.
fn first_decoder() -> u32 {
    1
}

/// The ranges that split works through, one after the other or side by side; stored with the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranges {
    /// Always 1.
    pub version: u32,
    /// In key order, sharing bounds and no key.
    pub ranges: Vec<KeyRange>,
}

/// The rows of one shard hold at most this much of vectors: 64 MiB.
const MAX_VECTOR_BYTES: u64 = 64 << 20;
/// A row without its vector takes 60 to 150 bytes in a part, most of it its key and its tags.
const ROW_BYTES: u64 = 128;
/// Rows that a shard keeps take about as much in a result at most: 64 MB.
const MAX_KEPT_BYTES: u64 = 64_000_000;

impl RunRequest {
    /// How many images a shard of this run may hold at most, whatever its number: fewer if each row is large.
    #[must_use]
    pub fn max_shard_images(&self) -> usize {
        let Some(vector) = &self.vector else { return usize::MAX };
        let images = MAX_VECTOR_BYTES / (vector.length.max(1) * 4);
        usize::try_from(images).unwrap_or(usize::MAX).max(1)
    }
}

/// About how many bytes a row takes in a part: a vector hardly compresses.
#[must_use]
pub fn row_bytes(vector: Option<&Vector>) -> u64 {
    let vector = vector.map_or(0, |vector| match vector.stored {
        VectorType::F32 => vector.length.saturating_mul(4),
        VectorType::F16 => vector.length.saturating_mul(2),
    });
    ROW_BYTES.saturating_add(vector)
}

/// How many rows of an earlier run a shard may keep.
#[must_use]
pub fn max_kept_rows(vector: Option<&Vector>) -> u64 {
    (MAX_KEPT_BYTES / row_bytes(vector)).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::request;

    proptest! {
        /// A run is resumed only if its stored request equals the new one.
        #[test]
        fn a_stored_request_equals_itself(threshold: f32, numbers in prop::collection::vec(-1e6_f32..1e6, 1..8)) {
            let mut request = request();
            request.tags.threshold = if threshold.is_finite() { threshold } else { f32::MIN };
            request.model.spec = serde_json::to_value(&numbers).unwrap();
            let stored = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(serde_json::from_slice::<RunRequest>(&stored).unwrap(), request);
        }

        #[test]
        fn only_safe_text_is_a_run_id(text: String) {
            let is_safe = text.len() <= 64 && !text.is_empty()
                && text.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz0123456789-".contains(&byte));
            prop_assert_eq!(RunId::try_from(text).is_ok(), is_safe);
        }
    }

    #[test]
    fn shards_of_large_rows_are_small() {
        let vector =
            |length| Some(Vector { output: "embedding".to_owned(), stored: VectorType::F32, length });
        let images = |length| RunRequest { vector: vector(length), ..request() }.max_shard_images();
        assert_eq!((images(512), images(151_296), images(u64::MAX / 8)), (32_768, 110, 1));
    }
}
