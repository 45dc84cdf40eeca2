//! The body of a download, into a file: bounded while it comes, and refused if its hash is another one.
//!
//! A refused file never has its final name, because callers write to a temporary one.

use std::io::Write;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use tagfleet_aws::web::{WebAnswer, WebError};
use tagfleet_pipeline::format::hex;

use crate::exit::{Failure, bad_input, broken};

/// The most bytes of one file of a model: 8 GiB.
pub(super) const MOST_BYTES: u64 = 8 << 30;
/// The most bytes of a file that Git itself keeps, and not Git LFS: 16 MiB.
const MOST_IN_GIT: u64 = 16 << 20;

/// The expected hash of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The SHA-256 of its bytes, as Git LFS names it.
    Sha256(String),
    /// The SHA-1 by which Git names a file that it keeps itself.
    Git(String),
    /// No hash is known.
    Any,
}

impl Expected {
    /// An entity tag of the hub, which is one of the two hashes.
    pub(super) fn of_etag(etag: &str) -> Option<Self> {
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
        match etag.len() {
            64 if is_hex(&etag) => Some(Self::Sha256(etag)),
            40 if is_hex(&etag) => Some(Self::Git(etag)),
            _ => None,
        }
    }

    /// The hash, which names the file in Hugging Face's cache.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Sha256(hash) | Self::Git(hash) => hash,
            Self::Any => "",
        }
    }
}

pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Writes the body of `answer` to `file` and returns its SHA-256. `shown` names it in errors.
///
/// # Errors
/// If it is longer than `most`, its hash is another one than `expected`, or it does not come whole.
pub(super) async fn save(
    answer: WebAnswer,
    file: &mut impl Write,
    shown: &str,
    expected: &Expected,
    most: u64,
) -> Result<String, Failure> {
    if let Expected::Git(hash) = expected {
        let bytes = answer.bytes(MOST_IN_GIT.min(most)).await.map_err(|error| of_download(&error))?;
        check(shown, hash, &git_hash(&bytes))?;
        file.write_all(&bytes).map_err(|error| unwritable(&error))?;
        return Ok(hex(&Sha256::digest(&bytes)));
    }
    let sha256 = stream(answer, file, shown, most).await?;
    if let Expected::Sha256(hash) = expected {
        check(shown, hash, &sha256)?;
    }
    Ok(sha256)
}

async fn stream(
    mut answer: WebAnswer,
    file: &mut impl Write,
    shown: &str,
    most: u64,
) -> Result<String, Failure> {
    let too_large = || bad_input(format!("{shown} has more than {most} bytes, and is not downloaded"));
    if answer.length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let (length, mut hash, mut bytes) = (answer.length, Sha256::new(), 0_u64);
    while let Some(piece) = answer.next().await.map_err(|error| of_download(&error))? {
        bytes += piece.len() as u64;
        if bytes > most {
            return Err(too_large());
        }
        hash.update(&piece);
        file.write_all(&piece).map_err(|error| unwritable(&error))?;
    }
    if length.is_some_and(|length| length != bytes) {
        return Err(broken(format!("{shown}: the download ended early: run the same command again")));
    }
    Ok(hex(&hash.finalize()))
}

/// A download that broke: another try may work.
pub(super) fn of_download(error: &WebError) -> Failure {
    broken(error).with_remedy("check the network and HTTPS_PROXY, then run the same command again")
}

fn unwritable(error: &std::io::Error) -> Failure {
    broken(format!("the download cannot be written: {error}"))
}

fn check(shown: &str, expected: &str, found: &str) -> Result<(), Failure> {
    if expected == found {
        return Ok(());
    }
    Err(bad_input(format!(
        "{shown} is not the file that was asked for: its hash is {found}, not {expected}; nothing of it is kept"
    )))
}

/// How Git names a file: over its kind, its length and its bytes.
fn git_hash(bytes: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gits_name_of_a_file() {
        // `printf 'hello\n' | git hash-object --stdin`
        assert_eq!(git_hash(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn an_entity_tag_is_one_of_two_hashes_or_refused() {
        let of = |etag: &str| Expected::of_etag(etag);
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(of(&format!("W/\"{git}\"")), Some(Expected::Git(git.to_owned())));
        assert_eq!(of(&format!("\"{}\"", "A".repeat(64))), Some(Expected::Sha256("a".repeat(64))));
        for etag in ["", "\"abc\"", &"g".repeat(64), "../../x", &"0".repeat(63)] {
            assert_eq!(of(etag), None, "{etag}");
        }
    }
}
