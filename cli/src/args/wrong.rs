//! How a wrong command line ends the process: with clap's words, and the variable that a wrong value comes
//! from.
//!
//! Clap names the option only, which its user may never have typed.

use std::ffi::OsStr;

use clap::Error;
use clap::error::{ContextKind, ContextValue};

use crate::exit::tell;

/// Prints what is wrong, or the help that was asked for, and ends the process.
pub(super) fn stop(error: &Error) -> ! {
    let variable = option(error).and_then(|option| {
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
