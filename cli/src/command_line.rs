//! The command line of this process, as a run's report shows it, and the one that tags its failed images again.
//!
//! What it holds is shown to whoever reads the report: it has no password.

use tagfleet_report::command::quoted;

/// Options that say which images of the input are meant, with a value; a list of keys replaces them.
const SELECTING: [&str; 3] = ["--include", "--exclude", "--keys"];
/// Options of one call, without a value.
const PASSING: [&str; 5] = ["--new", "--dry-run", "--json", "--quiet", "-q"];

/// The arguments of this process, the program's name first.
pub(crate) fn arguments() -> Vec<String> {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once("tagfleet".to_owned()).chain(arguments).collect()
}

/// The command line of this process.
pub(crate) fn this() -> String {
    quoted(arguments().iter().map(String::as_str))
}

/// The folder that its paths are relative to; none if that is gone.
pub(crate) fn folder() -> Option<String> {
    std::env::current_dir().ok().map(|folder| folder.display().to_string())
}

/// Commands, a line each, that tag the failed images of the run in `folder` again.
pub(crate) fn retry(arguments: &[String], folder: &str) -> String {
    let folder = folder.trim_end_matches('/');
    let mut lines = Vec::new();
    let local = match folder.rsplit_once('/') {
        Some((_, run)) if folder.starts_with("s3://") => {
            lines.push(quoted(["aws", "s3", "cp", "--recursive", &format!("{folder}/"), run]));
            run
        }
        _ => folder,
    };
    lines.push(format!("{} > failed.txt", quoted(["tagfleet", "show", local, "--failed", "--keys-only"])));
    let kept = without_selection(arguments);
    lines.push(quoted(kept.iter().copied().chain(["--keys", "failed.txt"])));
    lines.join("\n")
}

fn without_selection(arguments: &[String]) -> Vec<&str> {
    let mut kept = Vec::new();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if SELECTING.contains(&argument) {
            let _ = rest.next();
            continue;
        }
        let name = argument.split_once('=').map_or(argument, |(name, _)| name);
        if !SELECTING.contains(&name) && !PASSING.contains(&name) {
            kept.push(argument);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retried(arguments: &[&str], folder: &str) -> String {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        retry(&arguments, folder)
    }

    #[test]
    fn a_list_of_keys_replaces_what_was_selected() {
        let command = [
            "tagfleet",
            "run",
            "my photos",
            "--include",
            "*.jpg",
            "--exclude=a*",
            "--model",
            "m",
            "--out",
            "tags",
            "-q",
        ];
        insta::assert_snapshot!(retried(&command, "tags/r-1"), @r"
        tagfleet show tags/r-1 --failed --keys-only > failed.txt
        tagfleet run 'my photos' --model m --out tags --keys failed.txt
        ");
    }

    #[test]
    fn results_in_a_bucket_are_fetched_first() {
        let command = ["tagfleet", "run", "s3://shop/photos/", "--model", "m", "--out", "s3://shop/tags"];
        insta::assert_snapshot!(retried(&command, "s3://shop/tags/r-1/"), @r"
        aws s3 cp --recursive s3://shop/tags/r-1/ r-1
        tagfleet show r-1 --failed --keys-only > failed.txt
        tagfleet run s3://shop/photos/ --model m --out s3://shop/tags --keys failed.txt
        ");
    }
}
