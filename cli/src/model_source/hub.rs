//! A model's name on the Hugging Face hub, and its folder in the local cache.
//!
//! Nothing here opens a connection: an error names the command that downloads.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::ModelSource;
use crate::exit::{Failure, bad_input};

/// How the address of a model on the hub starts.
pub(super) const HUB: &str = "hf://";
/// The branch that a name without a revision means.
const MAIN: &str = "main";

/// A name on the hub: `google/vit-base-patch16-224`, with a branch, tag or commit after `@` if given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HubName<'a> {
    /// `google/vit-base-patch16-224`
    pub(super) repository: &'a str,
    /// `main` unless given.
    pub(super) revision: &'a str,
}

impl<'a> HubName<'a> {
    /// `None` if the text is not a name that the hub would accept.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (repository, revision) = text.split_once('@').unwrap_or((text, MAIN));
        let (owner, name) = repository.split_once('/')?;
        let is_revision = !revision.is_empty() && revision.split('/').all(is_part);
        (is_part(owner) && is_part(name) && is_revision).then_some(Self { repository, revision })
    }

    /// Its folder in the cache, with all revisions.
    pub(super) fn folder(self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.repository.replace('/', "--")))
    }

    /// Its revision in the cache; the error continues a sentence.
    pub(super) fn snapshot(self, cache: &Path) -> Result<ModelSource, Failure> {
        let Self { repository, revision } = self;
        let folder = self.folder(cache);
        let option = if revision == MAIN { String::new() } else { format!(" --revision {revision}") };
        let download = format!("`hf download {repository}{option}`");
        if !folder.is_dir() {
            return Err(bad_input(format!(
                "{repository} is not in the Hugging Face cache ({}): {download} puts it there, or add --download",
                cache.display()
            )));
        }
        let commit = fs::read_to_string(folder.join("refs").join(revision)).ok();
        let commit = commit.as_deref().map_or(revision, str::trim);
        let path = folder.join("snapshots").join(commit);
        if !is_part(commit) || !path.is_dir() {
            return Err(bad_input(format!(
                "{repository} is in the Hugging Face cache without revision {revision}: {download} gets it, or add --download"
            )));
        }
        if !has_onnx(&path) {
            return Err(bad_input(format!(
                "{repository} is in the Hugging Face cache without an .onnx file: {}",
                self.export()
            )));
        }
        Ok(ModelSource { path, name: self.name().to_owned() })
    }

    /// The command that makes an ONNX model of a repository without one.
    pub(super) fn export(self) -> String {
        let (repository, name) = (self.repository, self.name());
        format!(
            "`optimum-cli export onnx --model {repository} {name}-onnx` writes a folder for --model (or get a \
             repository that has one, often onnx-community/{name})"
        )
    }

    fn name(self) -> &'a str {
        self.repository.split_once('/').map_or(self.repository, |(_, name)| name)
    }
}

/// Whether the hub accepts it as part of a name. It is then also safe as the name of a folder.
pub(super) fn is_part(text: &str) -> bool {
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

/// Where Hugging Face's tools keep models: as `huggingface_hub.constants` finds it.
pub(super) fn cache() -> Option<PathBuf> {
    let given = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE"));
    given.or_else(|| Some(home()?.join("hub")))
}

/// Where they keep everything else, as the token.
pub(super) fn home() -> Option<PathBuf> {
    let caches = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    variable("HF_HOME").or_else(|| Some(caches()?.join("huggingface")))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
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
        let name = HubName::parse(given).ok_or("not a name")?;
        let found = name.snapshot(cache.path());
        found.map_err(|failure| failure.message().replace(cache.path().to_str().unwrap(), "CACHE"))
    }

    #[test]
    fn a_name_of_the_hub_is_its_snapshot() {
        let cache = cache("onnx/model.onnx");
        let path = cache.path().join("models--acme--tagger/snapshots").join(COMMIT);
        let expected = Ok(ModelSource { path, name: "tagger".to_owned() });
        for given in ["acme/tagger", "acme/tagger@main", &format!("acme/tagger@{COMMIT}")] {
            assert_eq!(found(given, &cache), expected, "{given}");
        }
    }

    #[test]
    fn what_is_not_there_names_the_command_that_gets_it() {
        let errors: Vec<String> = [
            ("acme/other", "model.onnx"),
            ("acme/tagger@v2", "model.onnx"),
            ("acme/tagger", "pytorch_model.bin"),
        ]
        .iter()
        .map(|(given, file)| found(given, &cache(file)).unwrap_err())
        .collect();
        insta::assert_snapshot!(errors.join("\n"), @r"
        acme/other is not in the Hugging Face cache (CACHE): `hf download acme/other` puts it there, or add --download
        acme/tagger is in the Hugging Face cache without revision v2: `hf download acme/tagger --revision v2` gets it, or add --download
        acme/tagger is in the Hugging Face cache without an .onnx file: `optimum-cli export onnx --model acme/tagger tagger-onnx` writes a folder for --model (or get a repository that has one, often onnx-community/tagger)
        ");
    }

    #[test]
    fn a_path_is_not_a_name() {
        for given in ["./nowhere", "nowhere", "a/b/c.onnx", "../acme/tagger", "/acme/tagger", "acme/", "a/b@"]
        {
            assert_eq!(HubName::parse(given), None, "{given}");
        }
    }

    proptest! {
        /// Whatever is given, or stored as a branch's commit.
        #[test]
        fn nothing_outside_the_cache_is_found(given in "[a./@~-]{1,12}", commit in "[a./]{1,8}") {
            let cache = cache("model.onnx");
            fs::write(cache.path().join("models--acme--tagger/refs/main"), commit).unwrap();
            for given in [given, "acme/tagger".to_owned()] {
                if let Ok(found) = found(&given, &cache) {
                    let path = found.path.canonicalize().unwrap();
                    prop_assert!(path.starts_with(cache.path().canonicalize().unwrap().join("models--acme--tagger/snapshots")));
                }
            }
        }
    }
}
