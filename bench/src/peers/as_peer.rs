//! tagfleet in the shape of a peer: takes the command line of the peers' harness, and becomes `tagfleet run`.
//!
//! It replaces itself by the command, so that what the harness measures is that command and nothing else.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::args::AsPeerOptions;

pub(crate) fn run(options: &AsPeerOptions) -> Result<()> {
    let cores = std::thread::available_parallelism().context("the number of cores")?.get();
    if cores != options.threads {
        bail!("tagfleet takes every core, here {cores}, but the harness gives {}", options.threads);
    }
    let folder = options.model.parent().context("the model is in no folder")?;
    let model = options.instead.as_deref().unwrap_or(folder);
    let mut command = Command::new(&options.tagfleet);
    command.arg("run").arg(&options.images).arg("--model").arg(model).arg("--out").arg(&options.out);
    command.args(["--new", "--quiet"]).args(&options.arguments);
    let error = command.exec();
    Err(error).with_context(|| format!("{} cannot be started", options.tagfleet.display()))
}
