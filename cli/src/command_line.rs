//! The command line of this process, as a run's report shows it, and the one that tags its failed images
//! again.
//!
//! Readers of the report see it: it has no password.

use tagfleet_report::command::quoted;

/// Options with a value that choose images of the input; a list of keys replaces them.
const SELECTING: [&str; 3] = ["--include", "--exclude", "--keys"];
/// Options of one call, without a value.
const PASSING: [&str; 5] = ["--new", "--dry-run", "--json", "--quiet", "-q"];

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
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
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
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    set.sort();
    set
}

/// A command behind assignments of variables, as a shell takes them.
fn assigned(variables: &[(String, String)], command: &str) -> String {
    let assignments = variables.iter().map(|(name, value)| format!("{name}={} ", quoted([value.as_str()])));
    assignments.collect::<String>() + command
}

/// The folder that its paths are relative to; none if that is gone.
pub(crate) fn folder() -> Option<String> {
    std::env::current_dir().ok().map(|folder| folder.display().to_string())
}

/// Commands, a line each, that tag the failed images of the run in `folder` again.
pub(crate) fn retry(variables: &[(String, String)], arguments: &[String], folder: &str) -> String {
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
    // What follows `--` are inputs.
    let end = kept.iter().position(|argument| *argument == "--").unwrap_or(kept.len());
    let (options, inputs) = kept.split_at(end);
    let command =
        quoted(options.iter().copied().chain(["--keys", "failed.txt"]).chain(inputs.iter().copied()));
    lines.push(assigned(variables, &command));
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
        retry(&[], &arguments, folder)
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
    fn options_stay_before_the_inputs_that_follow_two_hyphens() {
        let command = ["tagfleet", "run", "--model=m", "--out=tags", "--json", "--", "-photos"];
        let again = retried(&command, "tags/r-1");
        assert_eq!(
            again.lines().last(),
            Some("tagfleet run --model=m --out=tags --keys failed.txt -- -photos")
        );
    }

    #[test]
    fn variables_are_part_of_the_command() {
        let set = [("TAGFLEET_MODEL".to_owned(), "my model".to_owned())];
        let arguments = ["tagfleet", "run", "photos"].map(str::to_owned);
        insta::assert_snapshot!(retry(&set, &arguments, "tags/r-1"), @r"
        tagfleet show tags/r-1 --failed --keys-only > failed.txt
        TAGFLEET_MODEL='my model' tagfleet run photos --keys failed.txt
        ");
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
