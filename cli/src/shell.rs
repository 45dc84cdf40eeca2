//! What shells and readers of manuals install next to the program: completions and man pages, made from the
//! command line.
//!
//! What `--help` does not list is in neither.

use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::{self, CompletionsOptions, ManOptions};
use crate::exit::{Exit, Failure, bad_input, broken, print_raw};

/// Prints a shell's completions.
pub(crate) fn completions(options: &CompletionsOptions) -> Result<Exit, Failure> {
    print_raw(&completions_for(options.shell)?)?;
    Ok(Exit::Finished)
}

/// Prints one manual page, or writes all to a folder.
pub(crate) fn man(options: &ManOptions) -> Result<Exit, Failure> {
    match &options.out {
        Some(folder) => write_all(folder)?,
        None => print_raw(&page(options.command.as_deref())?)?,
    }
    Ok(Exit::Finished)
}

fn completions_for(shell: Shell) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "tagfleet", &mut bytes);
    String::from_utf8(bytes).map_err(broken)
}

fn write_all(folder: &Path) -> Result<(), Failure> {
    let write = || {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(args::command(), folder)
    };
    write().map_err(|error| broken(format!("{}: {error}", folder.display())))
}

fn page(name: Option<&str>) -> Result<String, Failure> {
    let mut command = args::command();
    command.build();
    if let Some(name) = name {
        let found = command.find_subcommand(name).cloned();
        command =
            found.ok_or_else(|| bad_input(format!("no command {name:?}: `tagfleet --help` lists them")))?;
    }
    let mut bytes = Vec::new();
    Man::new(command).render(&mut bytes).map_err(broken)?;
    String::from_utf8(bytes).map_err(broken)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn hidden_commands_and_values_are_in_no_completion() {
        for shell in Shell::value_variants() {
            let script = completions_for(*shell).unwrap();
            for word in ["inspect", "--model", "onnxruntime"] {
                assert!(script.contains(word.trim_start_matches("--")), "{shell}: {word}");
            }
            for hidden in ["tagger-process", "rehearsal"] {
                assert!(!script.contains(hidden), "{shell}: {hidden}");
            }
        }
    }

    #[test]
    fn each_command_has_a_page_and_hidden_ones_have_none() {
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path()).unwrap();
        let mut pages: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        pages.sort();
        insta::assert_snapshot!(pages.join("\n"));
        let run = std::fs::read_to_string(folder.path().join("tagfleet-run.1")).unwrap();
        assert!(run.contains("TAGFLEET_MODEL") && run.contains("Exit codes"), "{run}");
        assert!(page(Some("run")).unwrap().contains("tagfleet\\-run"));
        assert!(page(None).unwrap().contains("tagfleet\\-run(1)"));
        assert!(page(Some("tagger-process")).is_err());
    }
}
