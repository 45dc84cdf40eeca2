//! Command lines that people copy: quoted for a POSIX shell, without secrets.
//!
//! Nothing here runs one.

/// The arguments as one line that a shell splits into just these. A user and a password before the host of an
/// address are replaced by `***`.
#[must_use]
pub fn quoted<'a>(arguments: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> =
        arguments.into_iter().map(|argument| quote(&without_secret(argument))).collect();
    quoted.join(" ")
}

fn quote(argument: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(is_plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

fn without_secret(argument: &str) -> String {
    let Some((scheme, rest)) = argument.split_once("://") else { return argument.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => argument.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_splits_it_into_the_same_arguments() {
        let line = quoted(["tagfleet", "run", "my photos", "--include", "*.jpg", "it's", "", "$(rm)"]);
        assert_eq!(line, r"tagfleet run 'my photos' --include '*.jpg' 'it'\''s' '' '$(rm)'");
    }

    #[test]
    fn it_holds_no_password() {
        let line = quoted([
            "--endpoint-url",
            "http://me:secret@127.0.0.1:9000/a@b",
            "--endpoint-url=https://k:s@host",
            "s3://a/b@c",
        ]);
        assert_eq!(
            line,
            "--endpoint-url 'http://***@127.0.0.1:9000/a@b' '--endpoint-url=https://***@host' s3://a/b@c"
        );
    }
}
