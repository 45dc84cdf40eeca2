//! What ran, and with what: the date, the versions, the command line and every setting, at the end of the
//! page.

use maud::{Markup, html};
use serde_json::Value;
use tagfleet_cost::usage::MachineUsage;
use tagfleet_pipeline::format::{bytes, count, date, images, number, visible};
use tagfleet_pipeline::run::RunRequest;
use tagfleet_pipeline::tags::slowest::SlowImage;

use super::table::{Table, pairs, text};
use crate::Summary;
use crate::text::name;

/// Values of a list that are shown one by one.
const LONGEST_LIST: usize = 8;

type Setting = (&'static str, Markup);

pub(super) fn section(summary: &Summary, request: &RunRequest) -> Markup {
    let settings = [of_run(summary), of_request(summary, request), measured(summary, request)].concat();
    html! {
        section aria-labelledby="ran" {
            h2 #ran { "This run" }
            (pairs(&settings))
            (machines(summary))
            (model_settings(&request.model.spec))
        }
    }
}

fn of_run(summary: &Summary) -> Vec<Setting> {
    let mut settings = vec![("Run", name(&summary.run.to_string()))];
    settings.extend(date(summary.ended).map(|date| ("Finished", text(date))));
    if !summary.tagfleet.is_empty() {
        settings.push(("tagfleet", text(visible(&summary.tagfleet))));
    }
    if let Some(command) = &summary.command {
        settings.push(("Command", code(command)));
    }
    if let Some(folder) = &summary.working_folder {
        settings.push(("Started in", name(folder)));
    }
    settings
}

fn of_request(summary: &Summary, request: &RunRequest) -> Vec<Setting> {
    let engine = format!("{} {}", request.engine.name, request.engine.version);
    vec![
        ("Images from", input(request)),
        ("Results in", name(&summary.results)),
        ("Model", name(&summary.model)),
        ("SHA-256 of the model", code(&summary.model_sha256)),
        ("Engine", text(visible(&engine))),
        ("Precision", text(visible(&precision(request)))),
        ("Tags kept", text(tags(request))),
        ("File size limit", text(bytes(request.max_image_bytes))),
    ]
}

/// What only some runs have.
fn measured(summary: &Summary, request: &RunRequest) -> Vec<Setting> {
    let mut settings = Vec::new();
    if summary.batch_size > 0 {
        settings.push(("Batch", html! { (images(summary.batch_size)) " per thread" }));
    }
    if let Some(device) = &summary.device {
        settings.push(("Stages", html! { (device.verdict()) " (" (device.shares()) ")" }));
        settings.push(("Speed of the stages", text(device.rates())));
    }
    if let Some(vector) = &request.vector {
        let stored = format!("{:?}", vector.stored).to_lowercase();
        let values = html! { (name(&vector.output)) ": " (count(vector.length)) " values as " (stored) };
        settings.push(("Vector", values));
    }
    if summary.second_decoder > 0 {
        settings.push(("Damaged JPEGs recovered", text(count(summary.second_decoder))));
    }
    if !summary.slowest.is_empty() {
        settings.push(("Slowest images", slowest(summary.slowest.images())));
    }
    settings
}

fn slowest(images: &[SlowImage]) -> Markup {
    html! {
        @for (place, image) in images.iter().enumerate() {
            @if place > 0 { br; }
            (name(&image.key)) ": " (count(image.milliseconds)) " ms"
        }
    }
}

fn code(text: &str) -> Markup {
    html! { code { (visible(text)) } }
}

fn input(request: &RunRequest) -> Markup {
    let input = &request.input;
    let lists = [("", &input.prefixes), ("only ", &input.include), ("not ", &input.exclude)];
    html! {
        (name(&input.location))
        @for (what, list) in lists { @for item in list { br; (what) (name(item)) } }
        @if let Some(sha256) = &input.keys_sha256 { br; "a list of keys, SHA-256 " (code(sha256)) }
        @if let Some(manifest) = &input.manifest {
            br; "listed by " (name(&manifest.location)) ", SHA-256 " (code(&manifest.sha256))
        }
    }
}

fn precision(request: &RunRequest) -> String {
    let instructions = request.engine.instructions.as_ref().map(|set| format!(", {set}"));
    format!("{}{}", request.engine.precision, instructions.unwrap_or_default())
}

fn tags(request: &RunRequest) -> String {
    let tags = &request.tags;
    let threshold = match tags.threshold {
        none if none <= 0.0 => String::new(),
        threshold => format!(", with a score of at least {threshold}"),
    };
    let labels = tags.labels.as_ref().map(|labels| format!(", of {} labels", count(labels.len() as u64)));
    format!("the best {}{threshold}{}", tags.top_k, labels.unwrap_or_default())
}

fn machines(summary: &Summary) -> Markup {
    let Some(usage) = summary.usage.as_ref().filter(|usage| !usage.machines.is_empty()) else {
        return Markup::default();
    };
    let columns = &[
        ("Machine", false),
        ("Bought", false),
        ("Zone", false),
        ("Workers", true),
        ("vCPU-hours", true),
        ("Images", true),
    ];
    let rows = usage.machines.iter().map(machine).collect();
    html! { (Table { caption: "Workers by machine", columns, rows, foot: vec![] }) }
}

fn machine(used: &MachineUsage) -> Vec<Markup> {
    let known = |text: &Option<String>| visible(text.as_deref().unwrap_or("unknown"));
    let instance_type = html! {
        (known(&used.machine.instance_type))
        @if let Some(gpu) = &used.gpu { br; (gpu.count) " " (name(&gpu.name)) }
    };
    vec![
        instance_type,
        text(known(&used.machine.life_cycle)),
        text(known(&used.machine.zone)),
        text(count(used.workers)),
        text(number(used.vcpu_seconds as f64 / 3600.0)),
        text(count(used.images)),
    ]
}

/// The preprocessing that was read from the model's folder: decoding, resizing, normalising. Lists of many
/// values are only counted.
fn model_settings(spec: &Value) -> Markup {
    let mut settings = Vec::new();
    flatten(String::new(), spec, &mut settings);
    if settings.is_empty() {
        return Markup::default();
    }
    let rows = settings.iter().map(|(path, value)| vec![name(path), name(value)]).collect();
    let columns = &[("Setting", false), ("Value", false)];
    html! {
        details {
            summary { "Decoding, preprocessing and outputs of the model" }
            (Table { caption: "Settings of the model", columns, rows, foot: vec![] })
        }
    }
}

fn flatten(path: String, value: &Value, settings: &mut Vec<(String, String)>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().for_each(|(key, value)| flatten(below(key), value, settings)),
        Value::Array(values) if values.len() > LONGEST_LIST => {
            settings.push((path, format!("{} values", count(values.len() as u64))));
        }
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(plain).collect();
            settings.push((path, values.join(", ")));
        }
        value => settings.push((path, plain(value))),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
