//! Where a model is: a path, a name on the Hugging Face hub, the address of an `.onnx` file, or a folder of a
//! bucket.
//!
//! `--model google/vit-base-patch16-224` is a folder of the local cache if a tool of Hugging Face put it
//! there. A model that is not on this machine is downloaded only with `--download`; without it the error
//! names the command. A folder of a bucket is read as images are, with the user's credentials.

mod bucket_model;
mod cache;
mod hub;
mod hub_download;
mod save;
mod web_model;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_fleet::address::Address;

use crate::args::{AwsOptions, BucketOptions, LoadOptions};
use crate::exit::{Failure, bad_input};
use crate::runtime::block_on;
use hub::{HUB, HubName};
use web_model::WebModel;

/// A model that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelSource {
    /// Its file or folder.
    pub(crate) path: PathBuf,
    /// Its name in a run.
    pub(crate) name: String,
}

/// How a model that is elsewhere may be fetched.
#[derive(Clone, Copy)]
pub(crate) struct Fetching<'a> {
    /// Whether anything may be downloaded from the hub or the web.
    download: bool,
    /// Which `.onnx` file is meant.
    model_file: Option<&'a str>,
    aws: &'a AwsOptions,
    buckets: Option<&'a BucketOptions>,
    is_quiet: bool,
}

impl<'a> Fetching<'a> {
    pub(crate) fn new(options: &'a LoadOptions, aws: &'a AwsOptions) -> Self {
        let model_file = options.model_file.as_deref();
        Self { download: options.download, model_file, aws, buckets: None, is_quiet: false }
    }

    /// The same with the options for other people's buckets.
    pub(crate) fn with_buckets(self, buckets: &'a BucketOptions) -> Self {
        Self { buckets: Some(buckets), ..self }
    }

    /// The same without messages.
    pub(crate) fn quiet(self, is_quiet: bool) -> Self {
        Self { is_quiet, ..self }
    }
}

/// A value of `--model` that is not a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum RemoteModel<'a> {
    /// A name on the hub; one that was given as an address cannot be a path.
    Hub {
        name: HubName<'a>,
        is_address: bool,
    },
    Web(WebModel),
    Bucket(&'a str),
}

impl ModelSource {
    /// The model that `--model` names, fetched if it is not on this machine and that is allowed.
    ///
    /// # Errors
    /// If it is not there: what to run first. A path that does not exist is returned, because opening it
    /// gives the better error.
    pub(crate) async fn resolve(given: &Path, fetching: &Fetching<'_>) -> Result<Self, Failure> {
        let Some(text) = given.to_str().filter(|_| !given.exists()) else { return Ok(Self::at(given)) };
        match remote(text)? {
            None => Ok(Self::at(given)),
            Some(RemoteModel::Web(model)) => model.get(fetching).await,
            Some(RemoteModel::Bucket(folder)) => bucket_model::get(folder, fetching).await,
            Some(RemoteModel::Hub { name, is_address }) => {
                let about = if is_address { "" } else { &format!("{text} is not a file or a folder, and ") };
                Self::of_hub(name, about, fetching).await
            }
        }
    }

    /// The same for a command without a runtime.
    pub(crate) fn resolve_now(given: &Path, fetching: &Fetching<'_>) -> Result<Self, Failure> {
        block_on(Self::resolve(given, fetching))
    }

    /// A model on this machine.
    pub(crate) fn at(path: &Path) -> Self {
        let real = fs::canonicalize(path).ok();
        let name = real.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Self { path: path.to_owned(), name: name.unwrap_or_else(|| path.display().to_string()) }
    }

    /// `about` starts the error of a name that is not in the cache.
    async fn of_hub(name: HubName<'_>, about: &str, fetching: &Fetching<'_>) -> Result<Self, Failure> {
        let no_home = || bad_input(format!("{about}no home folder is known: set HF_HOME"));
        let cache = hub::cache().ok_or_else(no_home)?;
        match name.snapshot(&cache) {
            Ok(found) if !fetching.download || found.has(fetching.model_file) => return Ok(found),
            Err(failure) if !fetching.download => return Err(failure.with_prefix(about)),
            _ => {}
        }
        hub_download::fetch(name, &cache, fetching.model_file, fetching.is_quiet).await?;
        name.snapshot(&cache)
    }

    /// Whether its folder has the file that is meant.
    fn has(&self, model_file: Option<&str>) -> bool {
        let is_there = |name: &str| {
            ["", "onnx", "visual"].iter().any(|folder| self.path.join(folder).join(name).exists())
        };
        model_file.is_none_or(is_there)
    }
}

/// Whether it is an address from which a model is fetched, and neither a path nor a place in a bucket.
pub(crate) fn is_address(text: &OsStr) -> bool {
    let scheme =
        text.to_str().and_then(|text| text.split_once("://")).map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| ["hf", "http", "https"].contains(&scheme.as_str()))
}

fn remote(text: &str) -> Result<Option<RemoteModel<'_>>, Failure> {
    if let Some(name) = text.strip_prefix(HUB) {
        let name = HubName::parse(name);
        let name = name
            .ok_or_else(|| bad_input(format!("{text} is not a model's address such as hf://OWNER/NAME")))?;
        return Ok(Some(RemoteModel::Hub { name, is_address: true }));
    }
    if Address::is_meant(text) {
        return Ok(Some(RemoteModel::Bucket(text)));
    }
    if is_address(OsStr::new(text)) {
        return WebModel::parse(text).map(|model| Some(RemoteModel::Web(model)));
    }
    match text.split_once("://") {
        Some((scheme, _)) => Err(bad_input(format!(
            "--model: {scheme}:// is not supported: give a file, a folder, OWNER/NAME of the Hugging Face hub, an https:// \
             address of an .onnx file, or s3://bucket/prefix"
        ))),
        None => Ok(HubName::parse(text).map(|name| RemoteModel::Hub { name, is_address: false })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_a_path_and_a_name_may_be_on_the_hub() {
        for given in ["./nowhere", "nowhere", "a/b/c.onnx", "../acme/tagger", "/acme/tagger"] {
            assert_eq!(remote(given).unwrap(), None, "{given}");
        }
        let name = HubName { repository: "acme/tagger", revision: "v2" };
        assert_eq!(remote("acme/tagger@v2").unwrap(), Some(RemoteModel::Hub { name, is_address: false }));
        assert_eq!(remote("hf://acme/tagger@v2").unwrap(), Some(RemoteModel::Hub { name, is_address: true }));
        assert_eq!(remote("s3://shop/m/").unwrap(), Some(RemoteModel::Bucket("s3://shop/m/")));
    }

    #[test]
    fn other_addresses_are_refused() {
        let error = |text: &str| remote(text).unwrap_err().message().to_owned();
        insta::assert_snapshot!(error("hf://acme"), @"hf://acme is not a model's address such as hf://OWNER/NAME");
        insta::assert_snapshot!(error("gs://shop/m"), @"--model: gs:// is not supported: give a file, a folder, OWNER/NAME of the Hugging Face hub, an https:// address of an .onnx file, or s3://bucket/prefix");
    }
}
