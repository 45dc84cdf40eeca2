//! A model's folder in a bucket: one that `tagfleet submit` published, or one that a user copied there.
//!
//! Only the files that a model needs are read, bounded, and what was published is checked against its hashes.
//! A fetched model is found in the cache as long as the bucket lists the same objects.

use std::path::Path;

use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tagfleet_aws::S3Bucket;
use tagfleet_fleet::address::Address;
use tagfleet_fleet::model;
use tagfleet_model::folder::ModelSpec;
use tagfleet_model::folder::needed::{self, LARGEST_DESCRIPTION};
use tagfleet_pipeline::bucket::{Bucket, KeyRange, Object};
use tagfleet_pipeline::format::{hex, size};
use tagfleet_pipeline::run::StackKeys;

use super::cache::{self, Cache};
use super::{Fetching, ModelSource};
use crate::connection;
use crate::exit::{Failure, bad_input, tell};

/// A model's folder has a few dozen objects.
const MOST_OBJECTS: usize = 1000;
/// The most bytes of one file: 1.5 GiB, as a fleet's workers take. It is held in memory.
const MOST_BYTES: u64 = 3 << 29;

/// A folder in a bucket.
struct Folder {
    bucket: S3Bucket,
    address: Address,
    /// Below the prefix, with their names relative to it.
    objects: Vec<(String, Object)>,
}

/// Fetches the model below `text`, `s3://bucket/models/x/`, unless it is in the cache.
pub(super) async fn get(text: &str, fetching: &Fetching<'_>) -> Result<ModelSource, Failure> {
    let address = Address::parse(text).map_err(bad_input)?;
    if address.prefix.ends_with(".onnx") {
        return Err(bad_input(format!(
            "{text} is a file: give its folder, and --model-file if it has several"
        )));
    }
    let address = address.folder();
    let aws = match fetching.buckets {
        Some(buckets) => connection::to_buckets(fetching.aws, buckets).await?,
        None => connection::to_stack(fetching.aws).await?,
    };
    let folder = Folder::list(S3Bucket::new(&aws, &address.bucket), address).await?;
    let path = folder.fetch(fetching).await?;
    let name = folder.address.prefix.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let name = if name.is_empty() { &folder.address.bucket } else { name };
    Ok(ModelSource { path, name: name.to_owned() })
}

impl Folder {
    async fn list(bucket: S3Bucket, address: Address) -> Result<Self, Failure> {
        let mut pages = bucket.list(&KeyRange::prefix(&address.prefix));
        let mut objects = Vec::new();
        while let Some(page) = pages.try_next().await.map_err(bad_input)? {
            let named = |object: Object| {
                let name = object.key.strip_prefix(&address.prefix)?.to_owned();
                needed::stays_inside(&name).then_some((name, object))
            };
            objects.extend(page.into_iter().filter_map(named));
            if objects.len() > MOST_OBJECTS {
                return Err(bad_input(format!(
                    "{address} has more than {MOST_OBJECTS} objects: give the folder of one model"
                )));
            }
        }
        Ok(Self { bucket, address, objects })
    }

    async fn fetch(&self, fetching: &Fetching<'_>) -> Result<std::path::PathBuf, Failure> {
        let published = self.published().await?;
        let names: Vec<String> = self.objects.iter().map(|(name, _)| name.clone()).collect();
        let wanted: Vec<String> = match &published {
            Some(spec) => spec.files.iter().map(|file| file.name.clone()).collect(),
            None => needed::needed(&names, fetching.model_file)
                .map_err(|why| bad_input(format!("{}: {why}", self.address)))?,
        };
        let cache = Cache::of_user()?;
        let key = self.key(&wanted)?;
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        if let Some(path) = cache.find(&key) {
            return Ok(path);
        }
        if !fetching.is_quiet {
            tell(&format!("reading the model from {}", self.address));
        }
        let filled = cache.new_folder()?;
        for name in &wanted {
            self.one(name, filled.path(), published.as_ref()).await?;
            if published.is_none() && name == needed::OVERRIDES {
                let labels = needed::labels_named_in(filled.path()).map_err(bad_input)?;
                if let Some(labels) = labels.filter(|labels| names.contains(labels)) {
                    self.one(&labels, filled.path(), None).await?;
                }
            }
        }
        cache.finish(filled, &key)
    }

    /// The description that `submit` published here; `None` if there is none.
    async fn published(&self) -> Result<Option<ModelSpec>, Failure> {
        let description = StackKeys::model(&self.address.prefix);
        if !self.objects.iter().any(|(_, object)| object.key == description) {
            return Ok(None);
        }
        let published = model::read(&self.bucket, &self.address).await.map_err(bad_input)?;
        let spec: ModelSpec = serde_json::from_value(published.model.spec).map_err(|error| {
            bad_input(format!("{} was published by another tagfleet: {error}", self.address))
        })?;
        if let Some(file) = spec.files.iter().find(|file| !needed::stays_inside(&file.name)) {
            return Err(bad_input(format!(
                "{}: {:?} is not the name of a model's file",
                self.address, file.name
            )));
        }
        Ok(Some(spec))
    }

    /// Its key in the cache: a replaced object makes it another model.
    fn key(&self, wanted: &[String]) -> Result<Vec<String>, Failure> {
        let mut key = vec![self.address.to_string()];
        for name in wanted {
            let object = self.object(name)?;
            key.push(format!("{name}\n{}\n{}", object.etag, object.size));
        }
        let others = self.objects.iter().filter(|(name, _)| name.ends_with(".txt") || name.ends_with(".csv"));
        key.extend(others.map(|(name, object)| format!("{name}\n{}", object.etag)));
        Ok(key)
    }

    fn object(&self, name: &str) -> Result<&Object, Failure> {
        let found = self.objects.iter().find(|(known, _)| known == name);
        let missing =
            || bad_input(format!("{}{name} does not exist: publish or copy the model again", self.address));
        found.map(|(_, object)| object).ok_or_else(missing)
    }

    async fn one(&self, name: &str, root: &Path, published: Option<&ModelSpec>) -> Result<(), Failure> {
        let object = self.object(name)?;
        let most = if needed::is_description(name) { LARGEST_DESCRIPTION } else { MOST_BYTES };
        if object.size > most {
            let (bytes, most) = (size(object.size), size(most));
            return Err(bad_input(format!(
                "{}{name} has {bytes}, and at most {most} are read",
                self.address
            )));
        }
        let etag = Some(object.etag.as_str()).filter(|etag| !etag.is_empty());
        let fetched = self.bucket.get(&object.key, etag, object.size).await.map_err(bad_input)?;
        let recorded = published.and_then(|spec| spec.files.iter().find(|file| file.name == name));
        if recorded.is_some_and(|file| file.sha256 != hex(&Sha256::digest(&fetched.bytes))) {
            return Err(bad_input(format!(
                "{}{name} is not the file that was published: publish the model again",
                self.address
            )));
        }
        cache::write(root, name, &fetched.bytes)
    }
}
