//! Which requests go through a proxy.
//!
//! The connector finds the proxy's address and password in the environment and knows the usual forms of
//! `NO_PROXY`: names, domains, addresses, networks. This module decides before it: entries with a port, which
//! the AWS CLI knows, too; and the link-local addresses of instance and container metadata, which no proxy
//! can reach. It never shows a password.

use std::env;
use std::net::IpAddr;

use super::setup::SetupError;

const PROXY_VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// The IPv6 addresses of an EC2 instance's metadata and of ECS's credentials.
const METADATA_V6: [&str; 2] = ["fd00:ec2::254", "fd00:ec2::23"];

/// The proxy settings of the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    is_set: bool,
    /// Hosts that are asked directly, as `NO_PROXY` spells them.
    direct: Vec<String>,
}

impl Proxies {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a proxy is named that cannot be used: the SDK would pass over it and connect directly.
    pub(crate) fn from_environment() -> Result<Self, SetupError> {
        let mut is_set = false;
        for name in PROXY_VARIABLES {
            let Some(value) = env::var(name).ok().filter(|value| !value.is_empty()) else { continue };
            check(name, &value)?;
            is_set = true;
        }
        let list = NO_PROXY_VARIABLES.iter().find_map(|name| env::var(name).ok()).unwrap_or_default();
        Ok(Self { is_set, direct: entries(&list) })
    }

    /// True if a request for `uri` goes to the proxy, if there is one for its scheme.
    pub(crate) fn are_asked_for(&self, uri: &str) -> bool {
        if !self.is_set {
            return false;
        }
        let authority = authority(uri);
        let host = host(authority);
        !is_metadata(host) && !self.direct.iter().any(|entry| matches(entry, host, authority))
    }
}

/// Refuses what the connector would silently ignore.
fn check(name: &str, value: &str) -> Result<(), SetupError> {
    let scheme = value.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let host = host(authority(value));
    match scheme.as_deref() {
        None | Some("http" | "https") if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(()),
        _ => Err(SetupError::new(format!(
            "{name} does not name a proxy that tagfleet can use: give http://HOST:PORT, or unset it"
        ))),
    }
}

fn entries(list: &str) -> Vec<String> {
    let entries = list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(str::to_ascii_lowercase).collect()
}

/// `host:port` of an address, without user and password.
fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn host(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}

fn is_metadata(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => METADATA_V6.iter().any(|known| known.parse() == Ok(address)),
        Err(_) => false,
    }
}

/// True if the entry matches this host: it is `*`, the host, a domain above it, or one of these with the
/// port. The connector handles networks (`10.0.0.0/8`).
fn matches(entry: &str, host: &str, authority: &str) -> bool {
    let (host, authority) = (host.to_ascii_lowercase(), authority.to_ascii_lowercase());
    let suffix = entry.trim_start_matches('*').trim_start_matches('.');
    if suffix.is_empty() {
        return entry.starts_with('*');
    }
    [host, authority].iter().any(|name| name == suffix || name.ends_with(&format!(".{suffix}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(no_proxy: &str) -> Proxies {
        Proxies { is_set: true, direct: entries(no_proxy) }
    }

    #[test]
    fn no_proxy_is_read_as_the_aws_cli_reads_it() {
        let cases = [
            ("", "http://127.0.0.1:9000/b", true),
            ("127.0.0.1", "http://127.0.0.1:9000/b", false),
            ("127.0.0.1:9000", "http://127.0.0.1:9000/b", false),
            ("127.0.0.1:9001", "http://127.0.0.1:9000/b", true),
            ("localhost, minio.corp", "https://minio.corp/b?x=http://other", false),
            (".amazonaws.com", "https://shop.s3.eu-central-1.amazonaws.com/", false),
            ("amazonaws.com", "https://shop.s3.eu-central-1.amazonaws.com/", false),
            ("*.corp", "https://A.Corp:443/", false),
            ("amazonaws.com", "https://notamazonaws.com/", true),
            ("*", "https://anything/", false),
            ("::1", "http://[::1]:80/", false),
        ];
        for (no_proxy, uri, is_proxied) in cases {
            assert_eq!(proxies(no_proxy).are_asked_for(uri), is_proxied, "{no_proxy} {uri}");
        }
        assert!(!Proxies::default().are_asked_for("https://anything/"));
    }

    #[test]
    fn no_proxy_is_asked_for_credentials_of_the_machine() {
        for uri in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2",
            "http://[fd00:ec2::254]/latest",
        ] {
            assert!(!proxies("").are_asked_for(uri), "{uri}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error_that_hides_its_password() {
        for good in ["proxy:3128", "http://proxy:3128", "http://user:p%40ss@proxy:3128/", "HTTPS://proxy"] {
            assert!(check("HTTPS_PROXY", good).is_ok(), "{good}");
        }
        for bad in ["socks5://user:secret@proxy:1080", "http://", "http://user:secret@"] {
            let error = check("HTTPS_PROXY", bad).unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY") && !error.contains("secret"), "{error}");
        }
    }
}
