//! Where a model is: a path, or a name in the local Hugging Face cache.
//!
//! `--model google/vit-base-patch16-224` is a folder of that cache if a tool of Hugging Face put it there. It
//! exists so that the name on a model's page is enough. It never downloads anything: an error names the
//! command that does.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tagfleet_report::command::quoted;

use crate::exit::{Failure, bad_input};

/// How the address of a model on the hub starts.
const HUB: &str = "hf://";
/// The branch that a name without a revision means.
const MAIN: &str = "main";

/// A model that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelSource {
    /// Its file or folder.
    pub(crate) path: PathBuf,
    /// What a run calls it.
    pub(crate) name: String,
}

/// A name on the hub: `google/vit-base-patch16-224`, with a branch, tag or commit after `@` if given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HubName<'a> {
    /// `google/vit-base-patch16-224`
    repository: &'a str,
    /// `main` unless given.
    revision: &'a str,
}

impl ModelSource {
    /// The model that `--model` names.
    ///
    /// # Errors
    /// If it is an address, or a name that is not in the cache: what to run first. A path that does not exist
    /// is returned, because opening it gives the better error.
    pub(crate) fn find(given: &Path) -> Result<Self, Failure> {
        Self::find_in(given, hub_cache())
    }

    fn find_in(given: &Path, cache: Option<PathBuf>) -> Result<Self, Failure> {
        let Some(text) = given.to_str().filter(|_| !given.exists()) else { return Ok(Self::at(given)) };
        if let Some(why) = download_first(text) {
            return Err(bad_input(why));
        }
        let address = text.strip_prefix(HUB);
        let Some(name) = HubName::parse(address.unwrap_or(text)) else {
            return match address {
                Some(_) => Err(bad_input(format!("{text} is not a model's address such as hf://OWNER/NAME"))),
                None => Ok(Self::at(given)),
            };
        };
        let cache = cache.ok_or_else(|| {
            bad_input(format!("{text} is not a file or a folder, and no home folder is known: set HF_HOME"))
        })?;
        name.snapshot(&cache).map_err(|why| match address {
            Some(_) => bad_input(why),
            None => bad_input(format!("{text} is not a file or a folder, and {why}")),
        })
    }

    fn at(path: &Path) -> Self {
        let real = fs::canonicalize(path).ok();
        let name = real.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Self { path: path.to_owned(), name: name.unwrap_or_else(|| path.display().to_string()) }
    }
}

impl<'a> HubName<'a> {
    /// `None` if the text is not a name that the hub would accept.
    fn parse(text: &'a str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (owner, name) = repository.split_once('/')?;
        let is_revision = !revision.is_empty() && revision.split('/').all(is_part);
        (is_part(owner) && is_part(name) && is_revision).then_some(Self { repository, revision })
    }

    /// Its folder in the cache; the error continues a sentence.
    fn snapshot(self, cache: &Path) -> Result<ModelSource, String> {
        let Self { repository, revision } = self;
        let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
        let option = if revision == MAIN { String::new() } else { format!(" --revision {revision}") };
        let download = format!("`hf download {repository}{option}`");
        if !folder.is_dir() {
            return Err(format!(
                "{repository} is not in the Hugging Face cache ({}): {download} puts it there",
                cache.display()
            ));
        }
        let commit = fs::read_to_string(folder.join("refs").join(revision)).ok();
        let commit = commit.as_deref().map_or(revision, str::trim);
        let path = folder.join("snapshots").join(commit);
        if !is_part(commit) || !path.is_dir() {
            return Err(format!(
                "{repository} is in the Hugging Face cache without revision {revision}: {download} gets it"
            ));
        }
        if !has_onnx(&path) {
            return Err(format!(
                "{repository} is in the Hugging Face cache without an .onnx file: `optimum-cli export onnx --model \
                 {repository} {name}-onnx` writes a folder for --model (or get a repository that has one, often \
                 onnx-community/{name})",
                name = self.name()
            ));
        }
        Ok(ModelSource { path, name: self.name().to_owned() })
    }

    fn name(self) -> &'a str {
        self.repository.split_once('/').map_or(self.repository, |(_, name)| name)
    }
}

/// Whether it is an address on the hub, which is not a path.
pub(crate) fn is_hub_address(text: &OsStr) -> bool {
    text.to_str().is_some_and(|text| text.starts_with(HUB))
}

/// Whether the hub accepts it as part of a name. It is then also safe as the name of a folder.
fn is_part(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty()
        && text.bytes().all(is_allowed)
        && !text.starts_with(['.', '-'])
        && !text.contains("..")
        && !text.contains("--")
}

/// In the folder itself or one below, where exports put it.
fn has_onnx(folder: &Path) -> bool {
    let is_onnx = |path: &Path| path.extension().is_some_and(|extension| extension == "onnx");
    let inside = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default()
    };
    let own = inside(folder);
    own.iter().any(|path| is_onnx(path))
        || own.iter().filter(|path| path.is_dir()).any(|below| inside(below).iter().any(|path| is_onnx(path)))
}

/// How to get what is elsewhere.
fn download_first(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {
            let file = rest.split(['?', '#']).next()?.rsplit('/').next().filter(|name| !name.is_empty());
            let file = file.unwrap_or("model.onnx");
            let curl = quoted(["curl", "-L", "-o", file, text]);
            Some(format!("{text} is not on this machine: `{curl}` gets it, then give --model {file}"))
        }
        "s3" => {
            let copy = quoted(["aws", "s3", "cp", "--recursive", text, "model"]);
            Some(format!("{text} is not on this machine: `{copy}` gets it, then give --model model"))
        }
        _ => None,
    }
}

/// Where Hugging Face's tools keep models: as `huggingface_hub.constants` finds it.
fn hub_cache() -> Option<PathBuf> {
    let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).or_else(|| {
        let home = || path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        Some(path("HF_HOME").or_else(|| Some(home()?.join("huggingface")))?.join("hub"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const COMMIT: &str = "3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3";

    /// A cache with one model, as `hf download` writes it.
    fn cache(file: &str) -> TempDir {
        let cache = tempfile::tempdir().unwrap();
        let model = cache.path().join("models--acme--tagger");
        for folder in ["refs", "blobs"] {
            fs::create_dir_all(model.join(folder)).unwrap();
        }
        fs::write(model.join("refs/main"), COMMIT).unwrap();
        let file = model.join("snapshots").join(COMMIT).join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, b"").unwrap();
        cache
    }

    fn found(given: &str, cache: &TempDir) -> Result<ModelSource, String> {
        let found = ModelSource::find_in(Path::new(given), Some(cache.path().to_owned()));
        found.map_err(|failure| failure.message().replace(cache.path().to_str().unwrap(), "CACHE"))
    }

    #[test]
    fn a_name_of_the_hub_is_its_snapshot() {
        let cache = cache("onnx/model.onnx");
        let path = cache.path().join("models--acme--tagger/snapshots").join(COMMIT);
        let expected = Ok(ModelSource { path, name: "tagger".to_owned() });
        for given in ["acme/tagger", "hf://acme/tagger", "acme/tagger@main", &format!("acme/tagger@{COMMIT}")]
        {
            assert_eq!(found(given, &cache), expected, "{given}");
        }
    }

    #[test]
    fn what_is_not_there_names_the_command_that_gets_it() {
        let errors: Vec<String> = [
            ("acme/other", "model.onnx"),
            ("hf://acme/other", "model.onnx"),
            ("acme/tagger@v2", "model.onnx"),
            ("acme/tagger", "pytorch_model.bin"),
            ("hf://acme", "model.onnx"),
            ("https://example.com/a/resnet.onnx?download=true", "model.onnx"),
            ("s3://shop/models/a/", "model.onnx"),
        ]
        .iter()
        .map(|(given, file)| found(given, &cache(file)).unwrap_err())
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn a_path_stays_a_path() {
        let cache = cache("model.onnx");
        for given in ["./nowhere", "nowhere", "a/b/c.onnx", "../acme/tagger", "/acme/tagger"] {
            assert_eq!(found(given, &cache).unwrap().path, Path::new(given));
        }
    }

    proptest! {
        /// Whatever is given, or stored as a branch's commit.
        #[test]
        fn nothing_outside_the_cache_is_found(given in "[a./@~-]{1,12}", commit in "[a./]{1,8}") {
            let cache = cache("model.onnx");
            fs::write(cache.path().join("models--acme--tagger/refs/main"), commit).unwrap();
            for given in [format!("hf://{given}"), "acme/tagger".to_owned()] {
                if let Ok(found) = found(&given, &cache) {
                    let path = found.path.canonicalize().unwrap();
                    prop_assert!(path.starts_with(cache.path().canonicalize().unwrap().join("models--acme--tagger/snapshots")));
                }
            }
        }
    }
}
