//! File names as parts of keys, and back: a key is text, a name on a file system is any bytes.
//!
//! A UTF-8 name is the key unchanged, also with `%` in it. A name that is not has its other bytes
//! percent-encoded, and `%` with them. A UTF-8 name that could be taken for such a one, because decoding it
//! again and again comes to bytes that are not UTF-8 (`caf%E9.jpg`), is encoded too (`caf%25E9.jpg`). So two
//! names never have one key, and one rule decodes all: see [`name_of`]. Names only; no file is looked at.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Component, Path};

use percent_encoding::percent_decode;

/// No file system has longer names: 255 units of UTF-16 are at most 765 bytes.
const MAX_NAME_BYTES: usize = 1024;

/// A name's spelling in a key.
#[must_use]
pub fn key_of(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !is_encoded(name) => text.to_owned(),
        _ => encoded(name),
    }
}

/// The name that such a key spells. If repeated percent-decoding gives bytes that are not UTF-8, these bytes;
/// else the text itself. `None` if no name has this key.
#[must_use]
pub fn name_of(part: &str) -> Option<Cow<'_, [u8]>> {
    if !is_encoded(part.as_bytes()) {
        return Some(Cow::Borrowed(part.as_bytes()));
    }
    let name = decoded(part.as_bytes());
    (encoded(&name) == part).then_some(Cow::Owned(name))
}

/// The key of a path below a folder; none if it leads elsewhere.
#[must_use]
pub fn key_of_path(path: &Path) -> Option<String> {
    let mut key = String::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if key.is_empty() => key = key_of(name.as_encoded_bytes()),
            Component::Normal(name) => {
                key.push('/');
                key.push_str(&key_of(name.as_encoded_bytes()));
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!key.is_empty()).then_some(key)
}

/// A name as the system takes it; none if it has no such names.
pub(super) fn os_name(name: &[u8]) -> Option<OsString> {
    #[cfg(unix)]
    return Some(std::os::unix::ffi::OsStringExt::from_vec(name.to_vec()));
    #[cfg(not(unix))]
    return std::str::from_utf8(name).ok().map(OsString::from);
}

/// True if decoding again and again comes to bytes that are not UTF-8. Each time takes bytes away, so this
/// ends.
fn is_encoded(name: &[u8]) -> bool {
    let mut name = Cow::Borrowed(name);
    loop {
        if std::str::from_utf8(&name).is_err() {
            return true;
        }
        if !name.contains(&b'%') {
            return false;
        }
        let decoded = decoded(&name);
        if decoded.len() == name.len() || name.len() > MAX_NAME_BYTES {
            return false;
        }
        name = Cow::Owned(decoded);
    }
}

fn decoded(name: &[u8]) -> Vec<u8> {
    percent_decode(name).collect()
}

fn encoded(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        shown.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            let _ = write!(shown, "%{byte:02X}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names that meet the rule's corners: percent signs, digits, and bytes that are not UTF-8.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "(%|%25|%2|%FF|%ff|%E9|%C3%A9|%41|%2F|%00|a|ü|5|F){1,3}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn names_as_people_have_them() {
        let names: [(&[u8], &str); 9] = [
            (b"a.jpg", "a.jpg"),
            ("写真 100%.jpg".as_bytes(), "写真 100%.jpg"),
            (b"a%20b.jpg", "a%20b.jpg"),
            (b"caf%C3%A9.jpg", "caf%C3%A9.jpg"),
            (b"caf\xe9.jpg", "caf%E9.jpg"),
            (b"caf%E9.jpg", "caf%25E9.jpg"),
            (b"caf%25E9.jpg", "caf%2525E9.jpg"),
            (b"100%\xff.jpg", "100%25%FF.jpg"),
            (b"a%20\xff.jpg", "a%2520%FF.jpg"),
        ];
        for (name, key) in names {
            assert_eq!(key_of(name), key);
            assert_eq!(name_of(key).as_deref(), Some(name), "{key}");
        }
        assert_eq!(name_of("a%20%FF"), None, "the key of this name is a %FF");
        assert_eq!(name_of("%ff"), None, "the key of this name is %FF");
    }

    #[test]
    fn paths() {
        assert_eq!(key_of_path(Path::new("./a//b/./c.jpg")).as_deref(), Some("a/b/c.jpg"));
        for elsewhere in ["", ".", "/a", "../a", "a/../b"] {
            assert_eq!(key_of_path(Path::new(elsewhere)), None, "{elsewhere}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_name_comes_back_from_its_key(name in name()) {
            let key = key_of(&name);
            let back = name_of(&key);
            prop_assert_eq!(back.as_deref(), Some(name.as_slice()));
        }

        #[test]
        fn a_key_that_has_a_name_is_the_key_of_that_name(key in "(%|%25|%2|%FF|%ff|%E9|%C3%A9|%41|a|ü|5|F){1,6}") {
            if let Some(name) = name_of(&key) {
                prop_assert_eq!(key_of(&name), key);
            }
        }

        #[test]
        fn two_names_never_have_one_key(a in name(), b in name()) {
            prop_assert_eq!(a == b, key_of(&a) == key_of(&b));
        }
    }
}
