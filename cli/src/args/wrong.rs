//! How a wrong command line ends the process: with clap's message, a tip, and the variable that a wrong value
//! comes from.
//!
//! Clap names only the option, which the user may not have typed, and shows the messages of Rust's number
//! parsers.

use std::error::Error as _;
use std::ffi::OsStr;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::exit::tell;

/// What other tools call a command, with its name here. Clap suggests names that are spelled alike only.
const SYNONYMS: [(&str, &str); 17] = [
    ("tag", "run"),
    ("label", "run"),
    ("classify", "run"),
    ("predict", "run"),
    ("infer", "run"),
    ("estimate", "plan"),
    ("cost", "plan"),
    ("start", "submit"),
    ("deploy", "submit"),
    ("stop", "cancel"),
    ("kill", "cancel"),
    ("continue", "resume"),
    ("retry", "resume"),
    ("list", "status"),
    ("ps", "status"),
    ("check", "doctor"),
    ("describe", "inspect"),
];

/// Prints what is wrong, or the help that was asked for, and ends the process.
pub(super) fn stop(error: Error, command: &Command) -> ! {
    let error = explained(error, command);
    let variable = option(&error).and_then(|option| {
        let name = variable(option, std::env::args_os())?;
        std::env::var_os(&name).map(|_| name)
    });
    if let Some(name) = variable
        && error.print().is_ok()
    {
        tell(&format!("the value is that of the variable {name}"));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// The same error with a tip, if there is a better one than clap's.
fn explained(mut error: Error, command: &Command) -> Error {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidSubcommand)
        && let Some((_, meant)) = SYNONYMS.iter().find(|(other, _)| other == given)
    {
        let names = ContextValue::Strings(vec![(*meant).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, names);
        return error;
    }
    let Some(tip) = number_tip(&error) else { return error };
    // An error's source cannot be taken out, so this is another error.
    let mut explained = Error::new(ErrorKind::ValueValidation).with_cmd(command);
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue] {
        if let Some(value) = error.get(kind) {
            explained.insert(kind, value.clone());
        }
    }
    explained.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    explained
}

/// What a number looks like, instead of the words of Rust's parser.
fn number_tip(error: &Error) -> Option<&'static str> {
    let source = error.source()?;
    if let Some(error) = source.downcast_ref::<ParseIntError>() {
        return Some(match error.kind() {
            IntErrorKind::PosOverflow => "give a smaller whole number",
            _ => "give a whole number of at least 0, such as 5",
        });
    }
    source.downcast_ref::<ParseFloatError>()?;
    let is_of_dollars = matches!(error.get(ContextKind::InvalidArg)?,
        ContextValue::String(shown) if shown.ends_with("<USD>"));
    Some(if is_of_dollars { "give dollars as a number, such as 40" } else { "give a number, such as 0.5" })
}

/// The option that has a wrong value: `--engine` of `--engine <ENGINE>`.
fn option(error: &Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(shown) => shown.split_whitespace().next(),
        _ => None,
    }
}

/// The variable of an option that is not among the arguments.
fn variable(option: &str, mut arguments: impl Iterator<Item = impl AsRef<OsStr>>) -> Option<String> {
    let name = option.strip_prefix("--")?;
    let is_it = |argument: &str| argument == option || argument.starts_with(&format!("{option}="));
    let is_given = arguments.any(|argument| argument.as_ref().to_str().is_some_and(is_it));
    (!is_given).then(|| format!("TAGFLEET_{}", name.to_uppercase().replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synonyms_are_of_commands_that_exist_and_name_none() {
        let command = crate::args::command();
        for (other, meant) in SYNONYMS {
            assert!(command.find_subcommand(meant).is_some(), "{meant}");
            assert!(command.find_subcommand(other).is_none(), "{other}");
        }
    }

    #[test]
    fn no_command_is_hidden() {
        let command = crate::args::command();
        let hidden: Vec<&str> = command
            .get_subcommands()
            .filter(|command| command.is_hide_set())
            .map(Command::get_name)
            .collect();
        assert_eq!(hidden, [] as [&str; 0], "clap would suggest it");
    }

    #[test]
    fn a_wrong_value_comes_from_a_variable_unless_its_option_is_given() {
        let of = |arguments: &[&str]| variable("--engine", arguments.iter().copied());
        assert_eq!(of(&["tagfleet", "run", "--engines"]).as_deref(), Some("TAGFLEET_ENGINE"));
        assert_eq!(of(&["tagfleet", "run", "--engine", "x"]), None);
        assert_eq!(of(&["tagfleet", "run", "--engine=x"]), None);
        assert_eq!(variable("<INPUT>", ["tagfleet"].iter()), None);
    }

    #[test]
    fn every_variable_is_called_after_its_option() {
        let command = crate::args::command();
        let mut seen = 0;
        for arg in command.get_subcommands().flat_map(clap::Command::get_arguments) {
            let Some(name) = arg.get_env().and_then(OsStr::to_str) else { continue };
            let option = format!("--{}", arg.get_long().unwrap());
            assert_eq!(variable(&option, [""].iter()).as_deref(), Some(name));
            seen += 1;
        }
        assert!(seen > 10, "{seen}");
    }
}
