//! `tagfleet submit`: a request from flags or a file, checked, stored with the run, and started.
//!
//! It finds errors before anything starts; the run's plan finds those that only AWS can show.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tagfleet_cost::forecast::Estimate;
use tagfleet_fleet::address::Address;
use tagfleet_fleet::request::{Device, FLEET_REQUEST_VERSION, FleetRequest, MAX_REQUEST_BYTES, ValidRequest};
use tagfleet_pipeline::bucket::{Bucket, Put};
use tagfleet_pipeline::run::{RunId, StackKeys};

use super::run_status::StatusPoller;
use super::stack::FleetStack;
use super::{executions, publish, watch};
use crate::args::SubmitOptions;
use crate::command_line;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};
use crate::run_id::new_run_id;

/// A placeholder for the stack's bucket until it is known; no bucket can have this name.
const ANY_STACK: &str = "xn--the-stack-s-bucket";

pub(super) async fn submit(options: &SubmitOptions) -> Result<Exit, Failure> {
    check_alone(options)?;
    let stack = FleetStack::find(&options.stack).await?;
    let file = match (&options.request, &options.retry) {
        (Some(file), _) => from_file(&stack, file).await?,
        (None, Some(run)) => again(&stack, run).await?,
        (None, None) => {
            let plan = options.plan.as_deref().map(estimate).transpose()?;
            from_flags(&stack, options, plan).await?
        }
    };
    match &options.save {
        Some(path) => {
            let text = file.save(&stack, path)?;
            if options.json {
                print_json(&json!({"request": path, "model": file.valid.request.model}).to_string())?;
            } else {
                print(&text)?;
            }
            Ok(Exit::Finished)
        }
        None => start(&stack, file, options).await,
    }
}

/// A request, and the bytes that it is stored as.
struct RequestFile {
    valid: ValidRequest,
    bytes: Bytes,
}

/// Writes the request that `options` ask for to their file, with its plan, and prints what to do with it.
pub(crate) async fn save_planned(options: &SubmitOptions, plan: Estimate) -> Result<String, Failure> {
    let stack = FleetStack::find(&options.stack).await?;
    let path = options.save.as_deref().ok_or_else(|| broken("no file to save the request in"))?;
    from_flags(&stack, options, Some(plan)).await?.save(&stack, path)
}

/// Finds what is wrong with the request by itself, before AWS is asked anything.
fn check_alone(options: &SubmitOptions) -> Result<(), Failure> {
    if let Some(file) = &options.request {
        return read(file, ANY_STACK).map(|_| ());
    }
    if options.retry.is_some() {
        // Its request is in the stack.
        return Ok(());
    }
    let plan = options.plan.as_deref().map(estimate).transpose()?;
    let model = Address { bucket: ANY_STACK.to_owned(), prefix: StackKeys::MODELS.to_owned() };
    let request = request(options, model.to_string(), plan);
    ValidRequest::new(request, ANY_STACK).map(|_| ()).map_err(bad_input)
}

/// A request file, as it is valid in the stack with this bucket.
fn read(file: &Path, bucket: &str) -> Result<RequestFile, Failure> {
    let named = |why: &dyn std::fmt::Display| bad_input(format!("--request {}: {why}", file.display()));
    let bytes = fs::read(file).map_err(|error| named(&error))?;
    if bytes.len() as u64 > MAX_REQUEST_BYTES {
        return Err(named(&format!("more than {MAX_REQUEST_BYTES} bytes")));
    }
    let valid = ValidRequest::parse(&bytes, bucket).map_err(|error| named(&error))?;
    Ok(RequestFile { valid, bytes: bytes.into() })
}

/// A request file as it is, with its model looked at.
async fn from_file(stack: &FleetStack, path: &Path) -> Result<RequestFile, Failure> {
    let file = read(path, &stack.outputs.bucket)?;
    let valid = &file.valid;
    check(stack, valid)?;
    let published = publish::read(stack, &valid.model).await?;
    publish::check_device(&published, valid.request.device, &valid.model)?;
    publish::check_tags(&published, &valid.request.tags.over(&published.tags))?;
    Ok(file)
}

/// The request of an earlier run, for its failed images.
async fn again(stack: &FleetStack, run: &str) -> Result<RequestFile, Failure> {
    let found = stack.run(run).await?;
    let Some(fleet) = found.fleet else {
        return Err(bad_input(format!("--retry {run}: its request was refused: submit a new one")));
    };
    let request = FleetRequest {
        since: None,
        max_flips: None,
        manifest: None,
        key_column: None,
        retry: Some(found.run.to_string()),
        plan: None,
        command: Some(command_line::this()),
        ..fleet.valid.request
    };
    RequestFile::new(stack, request)
}

impl RequestFile {
    /// Checks a request that the stack has no file of.
    fn new(stack: &FleetStack, request: FleetRequest) -> Result<Self, Failure> {
        let valid = valid(stack, request)?;
        check(stack, &valid)?;
        let mut bytes = serde_json::to_vec_pretty(&valid.request).map_err(broken)?;
        bytes.push(b'\n');
        Ok(Self { valid, bytes: bytes.into() })
    }

    /// Writes it to `path`, and returns what to do with it.
    fn save(&self, stack: &FleetStack, path: &Path) -> Result<String, Failure> {
        let shown = path.display().to_string();
        fs::write(path, &self.bytes).map_err(|error| bad_input(format!("--save {shown}: {error}")))?;
        let start = stack.command(&format!("submit --request {shown}"));
        Ok(saved(&shown, &start, &self.valid.request.model, &stack.outputs.bucket))
    }
}

/// Flags that are wrong are found before a model is published.
async fn from_flags(
    stack: &FleetStack,
    options: &SubmitOptions,
    plan: Option<Estimate>,
) -> Result<RequestFile, Failure> {
    let own = Address { bucket: stack.outputs.bucket.clone(), prefix: StackKeys::MODELS.to_owned() };
    check(stack, &valid(stack, request(options, own.to_string(), plan.clone()))?)?;
    let model = publish::model(stack, options).await?;
    RequestFile::new(stack, request(options, model.to_string(), plan))
}

fn valid(stack: &FleetStack, request: FleetRequest) -> Result<ValidRequest, Failure> {
    ValidRequest::new(request, &stack.outputs.bucket).map_err(bad_input)
}

/// What `tagfleet plan --json` printed, as far as a request keeps it.
#[derive(Deserialize)]
struct PlanOutput {
    estimate: Option<Estimate>,
}

fn estimate(file: &Path) -> Result<Estimate, Failure> {
    let named = |why: &dyn std::fmt::Display| bad_input(format!("--plan {}: {why}", file.display()));
    let bytes = fs::read(file).map_err(|error| named(&error))?;
    let printed: PlanOutput = serde_json::from_slice(&bytes)
        .map_err(|error| named(&format!("not what `tagfleet plan --json` prints: {error}")))?;
    printed.estimate.ok_or_else(|| named(&"this plan recommends nothing that a run could be compared with"))
}

fn request(options: &SubmitOptions, model: String, plan: Option<Estimate>) -> FleetRequest {
    FleetRequest {
        version: FLEET_REQUEST_VERSION,
        input: options.input.clone(),
        manifest: options.manifest.clone(),
        key_column: options.key_column.clone(),
        include: options.include.clone(),
        exclude: options.exclude.clone(),
        all_files: options.all_files,
        model,
        output: options.out.clone(),
        since: options.since.clone(),
        max_flips: options.max_flips,
        retry: None,
        tags: options.tags.overrides(),
        device: options.device,
        workers: options.workers,
        max_usd: options.max_usd,
        deadline: options.deadline.clone(),
        notify: options.notify.clone(),
        any_region: options.any_region,
        mail_link: !options.no_mail_link,
        profile: options.stack.aws.profile.clone(),
        command: Some(command_line::this()),
        plan,
    }
}

/// What a request may ask of this stack.
fn check(stack: &FleetStack, valid: &ValidRequest) -> Result<(), Failure> {
    let (name, outputs) = (&stack.name, &stack.outputs);
    if valid.source != outputs.bucket && !outputs.source_buckets.contains(&valid.source) {
        return Err(bad_input(format!(
            "s3://{} cannot be read by the stack {name}: add it to SourceBuckets and deploy again",
            valid.source
        )));
    }
    if valid.request.device == Device::Gpu && !outputs.has_gpu_image {
        return Err(bad_input(format!(
            "the stack {name} has no image for GPU workers: deploy it again with GPU=yes, or leave out --device gpu"
        )));
    }
    if !valid.request.notify.is_empty() && outputs.sender.is_none() {
        return Err(bad_input(format!(
            "the stack {name} sends no mail: deploy it again with Sender, or ask for none"
        )));
    }
    match &outputs.rules {
        Some(rules) => rules.check(valid, &outputs.bucket).map_err(bad_input),
        None => Ok(()),
    }
}

async fn start(stack: &FleetStack, file: RequestFile, options: &SubmitOptions) -> Result<Exit, Failure> {
    let RequestFile { valid, bytes } = file;
    let run = new_run_id(&valid.request)?;
    if stack.bucket().put_if_absent(&StackKeys::run(&run), bytes).await.map_err(broken)? == Put::AlreadyThere
    {
        return Err(broken(format!("run ID {run} already exists: submit again")));
    }
    let execution = executions::start(stack, &run, run.to_string().as_str()).await?;
    if options.wait {
        if !options.quiet {
            tell(&format!("run {run}"));
        }
        let found = stack.run(&run.to_string()).await?;
        return watch::wait(StatusPoller::started(stack, found, execution), options.quiet, options.json)
            .await;
    }
    if options.json {
        print_json(&json!({"run": run, "execution": execution, "model": valid.request.model}).to_string())?;
    } else {
        print(&started(&run, &valid.output, |command| stack.command(command)))?;
    }
    Ok(Exit::Finished)
}

/// `command` makes a command lead to the stack.
fn started(run: &RunId, output: &Address, command: impl Fn(&str) -> String) -> String {
    let (watch, cancel) = (command(&format!("status {run} --watch")), command(&format!("cancel {run}")));
    format!(
        "run {run} is started; its results will be in {output}{run}/\nwatch it with: {watch}\nto stop it: {cancel}\n"
    )
}

fn saved(file: &str, start: &str, model: &str, bucket: &str) -> String {
    format!(
        "{file} asks for {model}\nto start it: {start}\n\
         or, from anywhere and any job: aws s3 cp {file} s3://{bucket}/{}NAME.json\n",
        StackKeys::REQUESTS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        let run = RunId::try_from("20261123-170000-0a1b2c".to_owned()).unwrap();
        let output = Address::parse("s3://tagfleet-data/tags/").unwrap();
        insta::assert_snapshot!(started(&run, &output, |command| format!("tagfleet {command}")), @r"
        run 20261123-170000-0a1b2c is started; its results will be in s3://tagfleet-data/tags/20261123-170000-0a1b2c/
        watch it with: tagfleet status 20261123-170000-0a1b2c --watch
        to stop it: tagfleet cancel 20261123-170000-0a1b2c
        ");
        insta::assert_snapshot!(
            saved("nightly.json", "tagfleet submit --request nightly.json", "s3://tagfleet-data/models/m-0a1b2c3d4e5f/", "tagfleet-data"),
            @r"
        nightly.json asks for s3://tagfleet-data/models/m-0a1b2c3d4e5f/
        to start it: tagfleet submit --request nightly.json
        or, from anywhere and any job: aws s3 cp nightly.json s3://tagfleet-data/requests/NAME.json
        "
        );
    }
}
