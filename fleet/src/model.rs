//! A published model: its files in a bucket, and next to them the description that was read from them.
//!
//! Published once by the command that can read models, so that the functions need no engine. Its folder's
//! name carries a hash of all that matters; every worker checks each file's sha256 against the run.

use serde::{Deserialize, Serialize};

use super::FleetError;
use crate::address::Address;
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::record::{self, RecordError};
use tagfleet_pipeline::run::{EngineRecord, ModelRecord, StackKeys, TagOptions, Vector};

/// The version of the stored form.
pub const PUBLISHED_MODEL_VERSION: u32 = 1;

/// The description of a published model, `model.json` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedModel {
    /// [`PUBLISHED_MODEL_VERSION`].
    pub version: u32,
    /// The model; its location is the folder that this is read from.
    pub model: ModelRecord,
    /// What runs it, in the workers' image.
    pub engine: EngineRecord,
    /// The tags to keep if a request does not choose them.
    pub tags: TagOptions,
    /// The labels that a request may name.
    pub labels: Vec<String>,
    /// The vector that every row keeps, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<Vector>,
    /// Images of more bytes than this become failed rows.
    pub max_image_bytes: u64,
}

/// Reads the description of the model that was published in `folder` of `bucket`.
///
/// # Errors
/// If none is there, it cannot be read, or it is of another version.
pub async fn read(bucket: &dyn Bucket, folder: &Address) -> Result<PublishedModel, FleetError> {
    let unusable = |why: String| FleetError::Unusable(format!("model: {folder}: {why}"));
    let key = StackKeys::model(&folder.prefix);
    let mut published: PublishedModel = match record::read(bucket, &key).await {
        Ok(published) => published,
        Err(RecordError::Bucket(error)) if error.kind == Kind::Temporary => return Err(error.into()),
        Err(RecordError::Bucket(error)) if error.kind == Kind::Missing => {
            return Err(unusable(
                "no model is published here: publish one with `tagfleet submit --model`".to_owned(),
            ));
        }
        Err(error) => return Err(unusable(error.to_string())),
    };
    if published.version != PUBLISHED_MODEL_VERSION {
        let version = published.version;
        return Err(unusable(format!("version {version}, this tagfleet reads {PUBLISHED_MODEL_VERSION}")));
    }
    published.model.location = Some(folder.to_string());
    Ok(published)
}
