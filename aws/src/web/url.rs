//! The address of a download, as far as a client must understand it: where it goes and where a redirect
//! leads.
//!
//! Strict, because addresses come from people and redirects from strangers: plain ASCII, a host, no password.

use std::fmt;

use thiserror::Error;

/// An address that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    is_https: bool,
    /// The host, with its port if one is given.
    authority: String,
    /// The path and the query; starts with `/`.
    path: String,
}

/// The text is not the address of a download.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0} is not an address such as https://example.com/model.onnx")]
pub struct InvalidUrl(String);

impl Url {
    /// Parses `https://HOST/PATH?QUERY`; a fragment is left out.
    ///
    /// # Errors
    /// If it is another scheme than http and https, has a user or password, or characters that must be
    /// encoded.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let invalid = || InvalidUrl(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        let is_of_path = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(is_of_host) || !path.bytes().all(is_of_path) {
            return Err(invalid());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { is_https, authority: authority.to_ascii_lowercase(), path: format!("{slash}{path}") })
    }

    /// Whether it cannot be read or changed on the way: HTTPS, or this machine itself.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.is_https || self.is_loopback()
    }

    /// The address without its query, which may hold a signature.
    #[must_use]
    pub fn without_query(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{}{path}", self.origin())
    }

    /// `https://example.com:8443`
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.is_https { "https" } else { "http" }, self.authority)
    }

    /// The last part of the path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Where a redirect from here leads; `None` if it is not an address, or leaves HTTPS.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        let location = location.split('#').next().unwrap_or_default();
        let joined = if location.contains("://") {
            Self::parse(location).ok()?
        } else if let Some(rest) = location.strip_prefix("//") {
            Self::parse(&format!("{}://{rest}", if self.is_https { "https" } else { "http" })).ok()?
        } else if location.starts_with('/') {
            Self::parse(&format!("{}{location}", self.origin())).ok()?
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = &path[..=path.rfind('/')?];
            Self::parse(&format!("{}{folder}{location}", self.origin())).ok()?
        };
        (joined.is_https || !self.is_https).then_some(joined)
    }

    fn is_loopback(&self) -> bool {
        let host = match self.authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.authority.split(':').next().unwrap_or_default(),
        };
        ["localhost", "127.0.0.1", "::1"].contains(&host)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}", self.origin(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        Url::parse(text).ok().map(|url| url.to_string())
    }

    #[test]
    fn addresses() {
        assert_eq!(
            parsed("HTTPS://Example.com/A/b.onnx?x=1#sha256=0").as_deref(),
            Some("https://example.com/A/b.onnx?x=1")
        );
        assert_eq!(parsed("https://example.com").as_deref(), Some("https://example.com/"));
        assert_eq!(parsed("http://[::1]:80?q").as_deref(), Some("http://[::1]:80/?q"));
        for wrong in [
            "",
            "ftp://a/b",
            "https:///b",
            "https://user:secret@a/b",
            "https://a/b c",
            "https://a/\n",
            "a/b",
            "https://a\\b/",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let from = Url::parse("https://hub.example/a/resolve/main/model.onnx?x").unwrap();
        let to = |location: &str| from.join(location).map(|url| url.to_string());
        assert_eq!(to("https://cdn.example/x?sig=1").as_deref(), Some("https://cdn.example/x?sig=1"));
        assert_eq!(to("/b/c").as_deref(), Some("https://hub.example/b/c"));
        assert_eq!(to("//cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(to("other.onnx").as_deref(), Some("https://hub.example/a/resolve/main/other.onnx"));
        for refused in ["http://hub.example/a", "ftp://x/y", "https://u@cdn.example/", "/a b"] {
            assert_eq!(to(refused), None, "{refused}");
        }
    }

    #[test]
    fn only_this_machine_is_safe_without_tls() {
        for (text, expected) in [
            ("https://example.com/", true),
            ("http://127.0.0.1:8080/", true),
            ("http://localhost/", true),
            ("http://[::1]:1/", true),
            ("http://127.0.0.1.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_protected(), expected, "{text}");
        }
    }
}
