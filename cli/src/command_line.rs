//! The command line of this process, as a run's report shows it, and the one that tags its failed images
//! again.
//!
//! Readers of the report see it, so queries of web addresses are left out.

use tagfleet_pipeline::run::RunId;
use tagfleet_report::command::quoted;

/// Options with a value that choose images of the input; an earlier run replaces them.
const SELECTING: [&str; 5] = ["--include", "--exclude", "--keys", "--since", "--retry"];
/// Options of one call, or of a selection, without a value.
const PASSING: [&str; 6] = ["--new", "--dry-run", "--json", "--quiet", "-q", "--all-files"];

/// The variables that set options of `run`.
const VARIABLES: [&str; 7] = [
    "TAGFLEET_MODEL",
    "TAGFLEET_OUT",
    "TAGFLEET_ENGINE",
    "TAGFLEET_DEVICE",
    "TAGFLEET_ONNXRUNTIME",
    "TAGFLEET_OPENVINO",
    "TAGFLEET_STACK",
];

/// The arguments of this process, the program's name first.
pub(crate) fn arguments() -> Vec<String> {
    let arguments = std::env::args_os().skip(1).map(|argument| without_query(&argument.to_string_lossy()));
    std::iter::once("tagfleet".to_owned()).chain(arguments).collect()
}

/// The command line of this process, with the variables that it reads.
pub(crate) fn this() -> String {
    let arguments = arguments();
    assigned(&variables(), &quoted(arguments.iter().map(String::as_str)))
}

/// Each of the program's variables that is set, with its value. An empty one counts as set, as it does for
/// clap.
pub(crate) fn variables() -> Vec<(String, String)> {
    let is_ours = |name: &str| VARIABLES.contains(&name);
    let set = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let mut set: Vec<(String, String)> = set
        .filter(|(name, _)| is_ours(name))
        .map(|(name, value)| (name, without_query(&value.to_string_lossy())))
        .collect();
    set.sort();
    set
}

/// An argument without the query of a web address, which may be a signature or a key.
fn without_query(argument: &str) -> String {
    let is_address = argument.contains("https://") || argument.contains("http://");
    match argument.split_once('?').filter(|_| is_address) {
        Some((before, query)) => {
            let fragment = query.find('#').map_or("", |start| &query[start..]);
            format!("{before}?QUERY{fragment}")
        }
        None => argument.to_owned(),
    }
}

/// A command behind assignments of variables, as a shell takes them.
fn assigned(variables: &[(String, String)], command: &str) -> String {
    let assignments = variables.iter().map(|(name, value)| format!("{name}={} ", quoted([value.as_str()])));
    assignments.collect::<String>() + command
}

/// The folder that its paths are relative to; `None` if it was deleted.
pub(crate) fn folder() -> Option<String> {
    std::env::current_dir().ok().map(|folder| folder.display().to_string())
}

/// The command that tags the failed images of a run again and keeps its other rows.
pub(crate) fn retry(variables: &[(String, String)], arguments: &[String], run: &RunId) -> String {
    let kept = without_selection(arguments);
    // What follows `--` are inputs.
    let end = kept.iter().position(|argument| *argument == "--").unwrap_or(kept.len());
    let (options, inputs) = kept.split_at(end);
    let retry = ["--retry", run.as_str()];
    assigned(variables, &quoted(options.iter().copied().chain(retry).chain(inputs.iter().copied())))
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

    fn retried(variables: &[(String, String)], arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        retry(variables, &arguments, &RunId::try_from("r-1".to_owned()).unwrap())
    }

    #[test]
    fn an_earlier_run_replaces_what_was_selected() {
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
        assert_eq!(retried(&[], &command), "tagfleet run 'my photos' --model m --out tags --retry r-1");
    }

    #[test]
    fn options_stay_before_the_inputs_that_follow_two_hyphens() {
        let command = ["tagfleet", "run", "--model=m", "--out=tags", "--json", "--", "-photos"];
        let again = retried(&[], &command);
        assert_eq!(again, "tagfleet run --model=m --out=tags --retry r-1 -- -photos");
    }

    #[test]
    fn variables_are_part_of_the_command() {
        let set = [("TAGFLEET_MODEL".to_owned(), "my model".to_owned())];
        let again = retried(&set, &["tagfleet", "run", "photos", "--since", "latest"]);
        assert_eq!(again, "TAGFLEET_MODEL='my model' tagfleet run photos --retry r-1");
    }

    #[test]
    fn no_signature_of_an_address_is_recorded() {
        assert_eq!(
            without_query("--model=https://x.example/m.onnx?X-Amz-Signature=secret#sha256=0a"),
            "--model=https://x.example/m.onnx?QUERY#sha256=0a"
        );
        for plain in ["what?", "https://x.example/m.onnx#sha256=0a", "photos"] {
            assert_eq!(without_query(plain), plain);
        }
    }

    #[test]
    fn every_variable_of_the_command_line_is_recorded() {
        let command = crate::args::command();
        let mut variables = std::collections::BTreeSet::new();
        for command in command.get_subcommands() {
            variables.extend(command.get_arguments().filter_map(|arg| arg.get_env()?.to_str()));
        }
        assert_eq!(variables, VARIABLES.into_iter().collect());
    }
}
