//! What a plan recommends as a command, and as the request file that `--save` asks for.
//!
//! Both come from one list of arguments of `tagfleet submit`, so that file and command request the same run.
//! A local model is published, as `submit --save` does it; nothing is started.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Parser;
use tagfleet_cost::forecast::{self, Line, Plan};
use tagfleet_pipeline::run::StackKeys;

use crate::args::{Args, Command, FleetCommand, PlanOptions};
use crate::exit::{Failure, bad_input, broken};
use crate::fleet::{FleetStack, submit};
use crate::place::Place;

/// Finds out before anything is measured whether a request can be written.
pub(super) async fn check(options: &PlanOptions, places: &[Place]) -> Result<(), Failure> {
    if options.save.is_none() {
        return Ok(());
    }
    if let Some(place) = places.iter().find(|place| !place.is_s3()) {
        return Err(bad_input(format!(
            "--save: a fleet reads buckets only, and {place} is not in one: leave it out"
        )));
    }
    if let Some(manifest) = options.select.manifest.as_ref().filter(|_| !options.select.is_on_s3()) {
        return Err(bad_input(format!(
            "--save: a fleet reads buckets only, and --manifest {} is not in one: copy it to the stack's bucket, below {}",
            manifest.to_string_lossy(),
            StackKeys::LISTS
        )));
    }
    FleetStack::find(&options.stack).await.map(|_| ())
}

/// Writes the request for the recommended line and prints how to use it.
pub(super) async fn save(
    options: &PlanOptions,
    file: &Path,
    places: &[Place],
    plan: &Plan,
) -> Result<String, Failure> {
    let (Some(at), Some(estimate)) = (plan.recommended, plan.estimate.clone()) else {
        return Err(bad_input(format!(
            "--save {}: nothing is recommended: {}",
            file.display(),
            plan.recommendation
        )));
    };
    let mut arguments = vec![OsString::from("tagfleet")];
    arguments.extend(submit_arguments(options, places, plan, &plan.lines[at]));
    arguments.extend(["--quiet", "--save"].map(OsString::from));
    arguments.push(file.into());
    match Args::try_parse_from(arguments).map_err(broken)?.command {
        Command::Fleet(FleetCommand::Submit(submitted)) => submit::save_planned(&submitted, estimate).await,
        _ => Err(broken("the arguments of submit were taken for another command")),
    }
}

/// The command that submits the recommended line.
pub(super) fn command(options: &PlanOptions, places: &[Place], plan: &Plan, line: &Line) -> String {
    let arguments = submit_arguments(options, places, plan, line);
    let quoted: Vec<String> = arguments.iter().map(|argument| quoted(argument)).collect();
    format!("tagfleet {}\n", quoted.join(" "))
}

fn submit_arguments(options: &PlanOptions, places: &[Place], plan: &Plan, line: &Line) -> Vec<OsString> {
    let model = &options.model;
    let mut arguments: Vec<OsString> = vec!["submit".into()];
    arguments.extend(places.iter().map(|place| OsString::from(place.to_string())));
    let mut add = |flag: &str, value: &OsStr| arguments.extend([flag.into(), value.to_owned()]);
    add("--model", model.model.as_os_str());
    if let Some(manifest) = &options.select.manifest {
        add("--manifest", manifest);
    }
    if let Some(column) = &options.select.key_column {
        add("--key-column", column.as_ref());
    }
    for glob in &options.select.include {
        add("--include", glob.as_ref());
    }
    for glob in &options.select.exclude {
        add("--exclude", glob.as_ref());
    }
    if let Some(name) = &model.loading.model_file {
        add("--model-file", name.as_ref());
    }
    if let Some(path) = &model.loading.onnxruntime {
        add("--onnxruntime", path.as_ref());
    }
    if let Some(path) = &model.loading.openvino {
        add("--openvino", path.as_ref());
    }
    let workers = (line.vcpus / forecast::WORKER_VCPUS).max(1).to_string();
    add("--workers", workers.as_ref());
    if let Some(deadline) = &options.deadline {
        add("--deadline", deadline.as_ref());
    }
    let aws = &options.stack.aws;
    let places =
        [("--profile", &aws.profile), ("--region", &aws.region), ("--endpoint-url", &aws.endpoint_url)];
    for (flag, value) in places {
        if let Some(value) = value {
            add(flag, value.as_ref());
        }
    }
    if options.stack.stack != crate::args::DEFAULT_STACK {
        add("--stack", options.stack.stack.as_ref());
    }
    let measured = plan.measured.iter().find(|measured| measured.engine == line.engine);
    arguments.extend(measured.iter().flat_map(|measured| measured.flags.split(' ')).map(OsString::from));
    arguments.extend(model.loading.no_exif.then(|| "--no-exif".into()));
    arguments.extend(model.loading.exact.then(|| "--exact".into()));
    arguments.extend(options.select.all_files.then(|| "--all-files".into()));
    arguments
}

/// An argument as a shell reads it.
fn quoted(argument: &OsStr) -> String {
    let text = argument.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_quoted_where_a_shell_would_take_them_apart() {
        let quoted = ["s3://shop/a", "a b", "it's", "*.jpg", ""].map(|text| quoted(OsStr::new(text)));
        assert_eq!(quoted, ["s3://shop/a", "'a b'", r"'it'\''s'", "'*.jpg'", "''"]);
    }
}
