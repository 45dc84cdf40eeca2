//! Commands in the pages: every `tagfleet`, `make` and `scripts/...` command of a page exists, with its
//! options.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use tagfleet_tests::command::{built, run, tagfleet};
use tagfleet_tests::project;

use super::pages::{Page, all, lines, quoted};

/// The page that `make reference` writes.
pub(super) const REFERENCE: &str = "docs/reference/cli.md";

/// A command line of a page, without its comment.
struct Shown {
    page: String,
    words: Vec<String>,
}

/// Every command that starts with `program`, in code and between backticks.
fn shown(program: &str) -> Vec<Shown> {
    let mut shown = Vec::new();
    for page in all().into_iter().filter(|page| page.name != REFERENCE && page.name != "STYLE.md") {
        for line in code_of(&page) {
            for command in line.split(['|', ';', '`']) {
                let words = words(command);
                let words: Vec<String> = words.into_iter().skip_while(|word| is_variable(word)).collect();
                if words.first().is_some_and(|first| first == program) {
                    shown.push(Shown { page: page.name.clone(), words });
                }
            }
        }
    }
    shown
}

/// Lines of code with their continuations, and code between backticks in prose.
fn code_of(page: &Page) -> Vec<String> {
    let mut code: Vec<String> = Vec::new();
    let mut prose = String::new();
    let mut is_continued = false;
    for line in lines(&page.text) {
        if !line.is_code {
            prose.push_str(line.text);
            prose.push(' ');
            continue;
        }
        let text = line.text.trim();
        match code.last_mut().filter(|_| is_continued) {
            Some(last) => *last = format!("{} {text}", last.trim_end_matches('\\')),
            None => code.push(text.to_owned()),
        }
        is_continued = text.ends_with('\\');
    }
    code.extend(quoted(&prose).map(str::to_owned));
    code
}

/// The words of a command as a shell splits them, without its comment.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    for c in command.chars() {
        match quote {
            Some(mark) if c == mark => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' && word.is_empty() => break,
            None if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// `NAME=value` before a command.
fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// The help of commands, by their words.
#[derive(Default)]
struct Helps(BTreeMap<Vec<String>, String>);

impl Helps {
    fn of(&mut self, command: &[String]) -> &str {
        let print = || {
            let arguments = command.iter().map(String::as_str).chain(["--help"]);
            let ran = run(&mut tagfleet(arguments));
            assert_eq!(ran.code, Some(0), "tagfleet {} does not exist", command.join(" "));
            ran.stdout
        };
        self.0.entry(command.to_vec()).or_insert_with(print)
    }

    /// Whether `tagfleet COMMAND` has commands below it.
    fn has_commands(&mut self, command: &[String]) -> bool {
        self.of(command).contains("\nCommands:\n")
    }
}

/// The command of a line: `["prices", "show"]`. A line of a table of commands may be shorter.
fn command_of(words: &[String], helps: &mut Helps) -> Vec<String> {
    let mut command: Vec<String> = Vec::new();
    for word in words.iter().skip(1) {
        let is_name = word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        if !is_name || !helps.has_commands(&command) {
            break;
        }
        command.push(word.clone());
    }
    command
}

#[test]
fn every_tagfleet_command_and_option_exists() {
    let mut helps = Helps::default();
    let commands = shown("tagfleet");
    assert!(commands.len() > 80, "{} commands are shown", commands.len());
    for Shown { page, words } in commands {
        let command = command_of(&words, &mut helps);
        let help = helps.of(&command);
        for option in words.iter().filter(|word| word.starts_with('-') && word.len() > 1) {
            let name = option.split('=').next().unwrap();
            let is_known = help.split([' ', ',', '\n']).any(|word| word == name);
            assert!(is_known, "{page}: tagfleet {} has no {name}", command.join(" "));
        }
    }
}

#[test]
fn every_make_target_and_script_exists() {
    let makefile = fs::read_to_string(project("Makefile")).unwrap();
    let second = |shown: Shown| shown.words.into_iter().nth(1);
    let targets: Vec<String> = shown("make").into_iter().filter_map(second).collect();
    for target in ["demo", "test", "install", "deploy"] {
        assert!(targets.iter().any(|shown| shown == target), "no page shows make {target}");
    }
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}:")), "the Makefile has no target {target}");
    }
    for page in all() {
        let all = code_of(&page);
        for word in all.iter().flat_map(|line| words(line)).filter(|word| word.starts_with("scripts/")) {
            assert!(project(&word).exists(), "{}: {word} does not exist", page.name);
        }
    }
}

#[test]
fn the_readme_has_the_two_commands() {
    let readme = all().into_iter().find(|page| page.name == "README.md").unwrap();
    for command in ["make demo", "make test"] {
        assert!(code_of(&readme).iter().any(|line| line.starts_with(command)), "{command}");
    }
}

#[test]
fn the_reference_is_what_the_help_prints() {
    let python = project(".venv/bin/python");
    let mut command = Command::new(python);
    let ran = run(command.arg(project("scripts/cli_reference.py")).arg(built("tagfleet")));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let page = fs::read_to_string(project(REFERENCE)).unwrap();
    assert!(page == ran.stdout, "{REFERENCE} is not what the help prints: run `make reference`");
}

#[test]
fn commands_are_split_as_a_shell_splits_them() {
    assert_eq!(
        words("tagfleet show ./tags --label \"tench, Tinca tinca\"  # best"),
        ["tagfleet", "show", "./tags", "--label", "tench, Tinca tinca"]
    );
    assert!(is_variable("SOURCE_BUCKETS=shop") && !is_variable("--max-usd=4"));
}
