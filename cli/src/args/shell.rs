//! The command lines of `tagfleet completions` and `tagfleet man`.
//!
//! Parsing only; what is made of them is in the module that prints it.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap_complete::Shell;

const INSTALL: &str = "\
Install:
  bash  tagfleet completions bash > ~/.local/share/bash-completion/completions/tagfleet
  zsh   tagfleet completions zsh > ~/.zfunc/_tagfleet, with ~/.zfunc in fpath
  fish  tagfleet completions fish > ~/.config/fish/completions/tagfleet.fish";

#[derive(Debug, ClapArgs)]
#[command(after_help = INSTALL)]
pub(crate) struct CompletionsOptions {
    /// The shell that reads them
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Read one: tagfleet man run | man -l -")]
pub(crate) struct ManOptions {
    /// The command whose page is printed; without it, that of tagfleet
    pub(crate) command: Option<String>,
    /// Write the pages of all commands to this folder instead
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub(crate) out: Option<PathBuf>,
}
