//! A list of keys, as `--keys` names it: read whole, understood by what exists, sorted.
//!
//! It is bounded in bytes before anything is made of it, packed or not. It never drops an entry: one that
//! cannot be a key of the input stays as it is written, and its row will report that it is missing.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use tagfleet_pipeline::bucket::Bucket;

use super::evidence::{self, Choice};
use super::forms::Root;
use crate::exit::{Failure, bad_input};
use crate::place::Place;

/// A list of keys has at most this many bytes: 1 GiB, some 10 million keys.
const MAX_LIST_BYTES: u64 = 1 << 30;
/// No key of S3 (1,024 bytes) and no path of Linux (4,096) is longer, also not with every byte
/// percent-encoded.
const MAX_ENTRY_BYTES: usize = 3 * 4096;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A list of keys that was read.
#[derive(Default)]
pub(super) struct KeyList {
    /// Sorted, each once.
    pub(super) keys: Vec<String>,
    /// What the user should know of how it was read.
    pub(super) notes: Vec<String>,
}

/// Reads the list at `path`.
pub(super) async fn read(
    path: &Path,
    root: &Root,
    bucket: &dyn Bucket,
    place: &Place,
) -> Result<KeyList, Failure> {
    let name = format!("--keys {}: ", path.display());
    let read = async {
        let bytes = text(path)?;
        let choice = evidence::choose(&bytes, root, bucket, &place.to_string()).await?;
        choice.map_or_else(|| Ok(KeyList::default()), |choice| all(&bytes, root, &choice))
    };
    let mut list = read.await.map_err(|failure: Failure| failure.with_prefix(&name))?;
    list.notes.iter_mut().for_each(|note| note.insert_str(0, &name));
    Ok(list)
}

/// Every key of the list; a note counts the entries that cannot be keys of the input.
fn all(bytes: &[u8], root: &Root, choice: &Choice) -> Result<KeyList, Failure> {
    let mut keys = Vec::new();
    let (mut unfit, mut first_unfit) = (0_u64, 0);
    for entry in choice.layout.entries(bytes) {
        let line = entry.line;
        if entry.text.len() > MAX_ENTRY_BYTES {
            return Err(bad_input(format!(
                "line {line} has {} bytes, and no key is longer than {MAX_ENTRY_BYTES}",
                entry.text.len()
            )));
        }
        if let Some(key) = root.key(&entry.text, choice.form) {
            keys.push(key);
            continue;
        }
        let text = String::from_utf8(entry.text.into_owned());
        keys.push(text.map_err(|_| bad_input(format!("line {line} is not UTF-8: keys are")))?);
        first_unfit = if unfit == 0 { line } else { first_unfit };
        unfit += 1;
    }
    keys.sort_unstable();
    keys.dedup();
    let unfit = (unfit > 0).then(|| {
        format!("{unfit} entries cannot be keys of this input, line {first_unfit} first: their rows will be missing")
    });
    Ok(KeyList { keys, notes: choice.in_words().into_iter().chain(unfit).collect() })
}

/// The list as text of one byte per letter: unpacked, and without UTF-16.
fn text(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path == Path::new("-") {
        bounded(io::stdin().lock())
    } else {
        fs::File::open(path).map_err(bad_input).and_then(bounded)
    }?;
    let bytes = if bytes.starts_with(&GZIP) { bounded(MultiGzDecoder::new(&bytes[..]))? } else { bytes };
    Ok(match without_utf16(&bytes)? {
        Cow::Owned(text) => text,
        Cow::Borrowed(text) => text.to_owned(),
    })
}

fn bounded(reader: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = reader.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(bad_input)?;
    if read as u64 > MAX_LIST_BYTES {
        return Err(bad_input(format!(
            "more than {MAX_LIST_BYTES} bytes: split the list, or tag the folder"
        )));
    }
    Ok(bytes)
}

/// Windows starts UTF-16 with a byte order mark; in front of UTF-8 it means nothing.
fn without_utf16(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    let (rest, is_little) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        [0xef, 0xbb, 0xbf, rest @ ..] => return Ok(Cow::Borrowed(rest)),
        _ => return Ok(Cow::Borrowed(bytes)),
    };
    let (pairs, odd) = rest.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| if is_little { u16::from_le_bytes(*pair) } else { u16::from_be_bytes(*pair) };
    let units = pairs.iter().map(unit);
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if odd.is_empty() => Ok(Cow::Owned(text.into_bytes())),
        _ => Err(bad_input("it starts as UTF-16 and is not: write it as UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn encodings_and_packing_mean_nothing() {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"\xef\xbb\xbf\xc3\xbc.jpg\n").unwrap();
        let texts: [&[u8]; 4] = [
            b"\xef\xbb\xbf\xc3\xbc.jpg\n",
            b"\xff\xfe\xfc\0.\0j\0p\0g\0\n\0",
            b"\xfe\xff\0\xfc\0.\0j\0p\0g\0\n",
            &packed.finish().unwrap(),
        ];
        for text in texts {
            assert_eq!(super::text(written(text).path()).unwrap(), "ü.jpg\n".as_bytes());
        }
        for broken in [&b"\xff\xfea"[..], b"\xff\xfe\0\xd8", b"\x1f\x8b\0\0"] {
            assert!(text(written(broken).path()).is_err(), "{broken:?}");
        }
    }
}
