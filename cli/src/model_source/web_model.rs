//! A model by the address of its `.onnx` file: `https://example.com/model.onnx#sha256=HEX`.
//!
//! The hash behind `#` is pip's way to pin a file: an address with one is refused if its file has another. An
//! address without one is taken from HTTPS as it comes, and its hash is printed. A fetched file is found in
//! the cache without a connection.

use std::fs::File;
use std::path::PathBuf;

use tagfleet_aws::web::{Url, Web};
use tagfleet_report::command::quoted;

use super::cache::Cache;
use super::save::{Expected, MOST_BYTES, is_hex, of_download, save};
use super::{Fetching, ModelSource};
use crate::exit::{Failure, bad_input, broken, tell};

const HASH: &str = "sha256=";

/// The address of an `.onnx` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WebModel {
    url: Url,
    sha256: Option<String>,
    /// What the file is called in the cache.
    file: String,
}

impl WebModel {
    /// # Errors
    /// If it is not the address of an `.onnx` file that can be trusted on its way.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let url = Url::parse(text).map_err(|error| bad_input(format!("--model: {error}")))?;
        let fragment = text.split_once('#').map(|(_, fragment)| fragment);
        let sha256 = match fragment.map(|fragment| fragment.strip_prefix(HASH)) {
            None => None,
            Some(Some(hash)) if hash.len() == 64 && is_hex(hash) => Some(hash.to_ascii_lowercase()),
            Some(_) => {
                return Err(bad_input(format!(
                    "{text}: give #sha256= with 64 hexadecimal digits after the address"
                )));
            }
        };
        if !url.file_name().ends_with(".onnx") {
            return Err(bad_input(format!(
                "{} is not the address of an .onnx file: give one that ends in .onnx, hf://OWNER/NAME, or s3://bucket/prefix",
                url.without_query()
            )));
        }
        if sha256.is_none() && !url.is_protected() {
            return Err(bad_input(format!(
                "{} is not protected: use its https:// address, or add #sha256=HEX",
                url.without_query()
            )));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let file: String = url.file_name().chars().filter(|c| is_plain(*c)).collect();
        let file = file.trim_start_matches('.').to_owned();
        Ok(Self { file: if file == "onnx" { "model.onnx".to_owned() } else { file }, url, sha256 })
    }

    /// The file in the cache; fetched if it is not there and may be.
    pub(super) async fn get(&self, fetching: &Fetching<'_>) -> Result<ModelSource, Failure> {
        let cache = Cache::of_user()?;
        let url = self.url.to_string();
        let key = [url.as_str(), self.sha256.as_deref().unwrap_or_default()];
        let folder = match cache.find(&key) {
            Some(folder) => folder,
            None if fetching.download => self.fetch(&cache, &key, fetching.is_quiet).await?,
            None => return Err(bad_input(self.absent())),
        };
        Ok(ModelSource { path: folder.join(&self.file), name: self.file.clone() })
    }

    fn absent(&self) -> String {
        let curl = quoted(["curl", "-L", "-o", &self.file, &self.url.to_string()]);
        format!(
            "{} is not on this machine: add --download, or run `{curl}` and give --model {}",
            self.url.without_query(),
            self.file
        )
    }

    async fn fetch(&self, cache: &Cache, key: &[&str], is_quiet: bool) -> Result<PathBuf, Failure> {
        let shown = self.url.without_query();
        let web = Web::new().map_err(|error| bad_input(&error).with_detail(error.detail()))?;
        let answer = web.get(&self.url, None).await.map_err(|error| of_download(&error))?;
        match answer.status {
            200..300 => {}
            400..500 => return Err(bad_input(format!("{shown}: HTTP {}: check the address", answer.status))),
            status => return Err(broken(format!("{shown}: HTTP {status}: try again later"))),
        }
        if !is_quiet {
            tell(&format!("downloading {shown}"));
        }
        let folder = cache.new_folder()?;
        let unwritable = |error| broken(format!("{} cannot be written: {error}", folder.path().display()));
        let mut file = File::create(folder.path().join(&self.file)).map_err(unwritable)?;
        let expected = self.sha256.clone().map_or(Expected::Any, Expected::Sha256);
        let sha256 = save(answer, &mut file, &shown, &expected, MOST_BYTES).await?;
        let place = cache.finish(folder, key)?;
        if self.sha256.is_none() && !is_quiet {
            tell(&format!(
                "note: its hash was not given; to pin this file, add #{HASH}{sha256} to the address"
            ));
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        WebModel::parse(text).unwrap_err().message().to_owned()
    }

    #[test]
    fn addresses_of_models() {
        let hash = "0123456789ABCDEF".repeat(4);
        let pinned =
            WebModel::parse(&format!("http://example.com/a/resnet%2050.onnx?download=true#sha256={hash}"))
                .unwrap();
        assert_eq!((pinned.file.as_str(), pinned.sha256), ("resnet2050.onnx", Some(hash.to_lowercase())));
        assert_eq!(WebModel::parse("https://example.com/.onnx").unwrap().file, "model.onnx");
        insta::assert_snapshot!(error("https://example.com/a/resnet.zip?x"), @"https://example.com/a/resnet.zip is not the address of an .onnx file: give one that ends in .onnx, hf://OWNER/NAME, or s3://bucket/prefix");
        insta::assert_snapshot!(error("http://example.com/a.onnx"), @"http://example.com/a.onnx is not protected: use its https:// address, or add #sha256=HEX");
        insta::assert_snapshot!(error("https://example.com/a.onnx#sha256=12"), @"https://example.com/a.onnx#sha256=12: give #sha256= with 64 hexadecimal digits after the address");
        insta::assert_snapshot!(error("https://u:p@example.com/a.onnx"), @"--model: https://u:p@example.com/a.onnx is not an address such as https://example.com/model.onnx");
        insta::assert_snapshot!(WebModel::parse("https://example.com/a.onnx?key=1").unwrap().absent(), @"https://example.com/a.onnx is not on this machine: add --download, or run `curl -L -o a.onnx 'https://example.com/a.onnx?key=1'` and give --model a.onnx");
    }
}
