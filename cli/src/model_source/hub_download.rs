//! Downloads what a model folder needs of a repository on the Hugging Face hub, into its cache, as `hf
//! download` lays it out. Only `--download` leads here.
//!
//! The `hf-hub` crate does this, too, and was not taken: version 1.0 brings 221 more crates with a second TLS
//! library (AWS-LC by reqwest), checks no hash, and knows neither our proxies nor our certificates.
//!
//! A file is linked into the snapshot only when its hash was right, and the `.onnx` file is the last one, so
//! that a download which breaks leaves no folder that passes for a model.

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tagfleet_aws::signed::path_piece;
use tagfleet_aws::web::{Url, Web, WebAnswer};
use tagfleet_model::folder::needed::{self, LARGEST_DESCRIPTION};
use tagfleet_pipeline::format::size;
use tempfile::NamedTempFile;

use super::hub::{self, HubName, is_part};
use super::save::{Expected, MOST_BYTES, of_download, save};
use crate::exit::{Failure, bad_input, broken, tell};

const ENDPOINT: &str = "https://huggingface.co";
/// No description of a repository has more bytes: 16 MiB.
const MOST_LISTED: u64 = 16 << 20;
/// A token has a few dozen characters.
const MOST_OF_TOKEN: u64 = 4096;

/// A repository at one revision, as the hub describes it.
#[derive(Deserialize)]
struct Listing {
    /// The commit.
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A download under way.
struct Download<'a> {
    name: HubName<'a>,
    web: Web,
    endpoint: Url,
    token: Option<String>,
    /// The repository's folder in the cache.
    folder: PathBuf,
    is_quiet: bool,
}

/// Puts what `name` needs into `cache`; `model_file` chooses the `.onnx` file.
pub(super) async fn fetch(
    name: HubName<'_>,
    cache: &Path,
    model_file: Option<&str>,
    is_quiet: bool,
) -> Result<(), Failure> {
    if env::var_os("HF_HUB_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0") {
        return Err(bad_input(
            "HF_HUB_OFFLINE is set, so nothing is downloaded: unset it, or leave out --download",
        ));
    }
    let web = Web::new().map_err(|error| bad_input(&error).with_detail(error.detail()))?;
    let (endpoint, token, folder) = (endpoint()?, token()?, name.folder(cache));
    let download = Download { name, web, endpoint, token, folder, is_quiet };
    let listing = download.listing().await?;
    let names: Vec<String> = listing.siblings.into_iter().map(|file| file.rfilename).collect();
    let wanted = needed::needed(&names, model_file);
    let has_models = names.iter().any(|name| needed::stays_inside(name) && name.ends_with(".onnx"));
    let wanted = wanted.map_err(|why| {
        let none = || format!("it has no .onnx file: {}", name.export());
        let why = if has_models { why.to_string() } else { none() };
        bad_input(format!("{} on the hub: {why}", name.repository))
    })?;
    download.all(&wanted, &names, &listing.sha).await
}

/// Where the hub is: `HF_ENDPOINT`, as for Hugging Face's tools.
fn endpoint() -> Result<Url, Failure> {
    let given = env::var("HF_ENDPOINT").ok().filter(|value| !value.is_empty());
    let given = given.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
    let url = Url::parse(given).map_err(|error| bad_input(format!("HF_ENDPOINT: {error}")))?;
    if !url.is_protected() {
        return Err(bad_input(format!("HF_ENDPOINT: {given} is not protected: give its https:// address")));
    }
    Ok(url)
}

/// `HF_TOKEN`, else what `hf auth login` stored. It is sent to the hub only, and never shown.
fn token() -> Result<Option<String>, Failure> {
    let given = env::var("HF_TOKEN").ok().or_else(|| {
        let path =
            env::var_os("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(hub::home()?.join("token")))?;
        let is_small = fs::metadata(&path).ok()?.len() <= MOST_OF_TOKEN;
        is_small.then(|| fs::read_to_string(path).ok())?
    });
    let given = given.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    match given {
        Some(token) if !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(bad_input("HF_TOKEN is not a token: it has characters that no token has"))
        }
        given => Ok(given),
    }
}

impl Download<'_> {
    async fn listing(&self) -> Result<Listing, Failure> {
        let HubName { repository, revision } = self.name;
        let answer = self.get(&format!("/api/models/{repository}/revision/{}", path_piece(revision))).await?;
        let bytes = answer.bytes(MOST_LISTED).await.map_err(|error| of_download(&error))?;
        let listing: Listing = serde_json::from_slice(&bytes).map_err(|error| {
            broken(format!("{} does not answer as a Hugging Face hub: {error}", self.endpoint.origin()))
        })?;
        if !is_part(&listing.sha) {
            return Err(broken(format!("{} names no commit of {repository}", self.endpoint.origin())));
        }
        Ok(listing)
    }

    async fn all(&self, wanted: &[String], listed: &[String], commit: &str) -> Result<(), Failure> {
        let snapshot = self.folder.join("snapshots").join(commit);
        for name in wanted {
            self.one(name, commit, &snapshot).await?;
            if name == needed::OVERRIDES
                && let Some(labels) = needed::labels_named_in(&snapshot).map_err(bad_input)?
                && listed.contains(&labels)
            {
                self.one(&labels, commit, &snapshot).await?;
            }
        }
        self.point(commit).map_err(|error| self.unwritable(&error))
    }

    /// Puts one file into the snapshot, unless it is there.
    async fn one(&self, name: &str, commit: &str, snapshot: &Path) -> Result<(), Failure> {
        let link = snapshot.join(name);
        if link.exists() {
            return Ok(());
        }
        let path: Vec<String> = name.split('/').map(path_piece).collect();
        let answer =
            self.get(&format!("/{}/resolve/{commit}/{}", self.name.repository, path.join("/"))).await?;
        let shown = format!("{}: {name}", self.name.repository);
        let etag = answer.header("x-linked-etag").or(answer.header("etag")).and_then(Expected::of_etag);
        let expected = etag.ok_or_else(|| {
            broken(format!("{shown}: the hub names no hash of it, so it is not downloaded"))
        })?;
        let blob = self.folder.join("blobs").join(expected.name());
        if !blob.exists() {
            self.save(answer, &blob, &shown, &expected, name).await?;
        }
        self.link(&link, name, expected.name()).map_err(|error| self.unwritable(&error))
    }

    async fn save(
        &self,
        answer: WebAnswer,
        blob: &Path,
        shown: &str,
        expected: &Expected,
        name: &str,
    ) -> Result<(), Failure> {
        if !self.is_quiet {
            let length = answer.length.map_or(String::new(), |length| format!(" ({})", size(length)));
            tell(&format!("downloading {shown}{length} from {}", self.endpoint.origin()));
        }
        let blobs = self.folder.join("blobs");
        let mut file = temporary(&blobs).map_err(|error| self.unwritable(&error))?;
        let most = if needed::is_description(name) { LARGEST_DESCRIPTION } else { MOST_BYTES };
        save(answer, &mut file, shown, expected, most).await?;
        file.persist(blob).map_err(|error| self.unwritable(&error.error))?;
        Ok(())
    }

    /// As `hf download` links: relative, so that the cache can be moved.
    fn link(&self, link: &Path, name: &str, blob: &str) -> io::Result<()> {
        if let Some(folder) = link.parent() {
            fs::create_dir_all(folder)?;
        }
        let up = "../".repeat(name.matches('/').count() + 2);
        if link.is_symlink() && !link.exists() {
            // Its file was removed.
            fs::remove_file(link)?;
        }
        match symlink(format!("{up}blobs/{blob}"), link) {
            // Another process did the same.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    }

    /// Records that the revision is this commit. A commit itself needs no record.
    fn point(&self, commit: &str) -> io::Result<()> {
        if self.name.revision == commit {
            return Ok(());
        }
        let path = self.folder.join("refs").join(self.name.revision);
        let file = temporary(path.parent().unwrap_or(&path))?;
        fs::write(file.path(), commit)?;
        file.persist(&path).map(|_| ()).map_err(|error| error.error)
    }

    async fn get(&self, path: &str) -> Result<WebAnswer, Failure> {
        let url = Url::parse(&format!("{}{path}", self.endpoint.to_string().trim_end_matches('/')));
        let url = url.map_err(bad_input)?;
        let answer = self.web.get(&url, self.token.as_deref()).await.map_err(|error| of_download(&error))?;
        let HubName { repository, revision } = self.name;
        match answer.status {
            200..300 => Ok(answer),
            401 | 403 => Err(bad_input(format!(
                "the hub does not show {repository}: check the name; for a gated or private model, ask for access on its \
                 page and set HF_TOKEN"
            ))),
            404 => Err(bad_input(format!(
                "the hub has no model {repository} with revision {revision}: check both"
            ))),
            status => Err(broken(format!("{}: HTTP {status}: try again later", url.without_query()))),
        }
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        broken(format!("{} cannot be written: {error}; HF_HOME names another place", self.folder.display()))
    }
}

/// A temporary file that others may read, as Hugging Face's tools create it.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    fs::create_dir_all(folder)?;
    let readable = Permissions::from_mode(0o644);
    tempfile::Builder::new().suffix(".incomplete").permissions(readable).tempfile_in(folder)
}
