//! What ran, and with what: the date, the versions, the command line and every setting, at the end of the
//! page.

use serde_json::Value;

use super::table::{pairs, table};
use crate::Summary;
use crate::text::{bytes, count, date, escape, images, name, number};
use tagfleet_cost::usage::MachineUsage;
use tagfleet_pipeline::run::RunRequest;
use tagfleet_pipeline::tags::slowest::SlowImage;

/// Values of a list that are shown one by one.
const LONGEST_LIST: usize = 8;

pub(super) fn section(summary: &Summary, request: &RunRequest) -> String {
    let mut settings = vec![("Run", name(&summary.run.to_string()))];
    settings.extend(date(summary.ended).map(|date| ("Finished", date)));
    if !summary.tagfleet.is_empty() {
        settings.push(("tagfleet", escape(&summary.tagfleet)));
    }
    if let Some(command) = &summary.command {
        settings.push(("Command", format!("<code>{}</code>", escape(command))));
    }
    if let Some(folder) = &summary.working_folder {
        settings.push(("Started in", name(folder)));
    }
    settings.extend([
        ("Images from", input(request)),
        ("Results in", name(&summary.results)),
        ("Model", name(&summary.model)),
        ("SHA-256 of the model", format!("<code>{}</code>", escape(&summary.model_sha256))),
        ("Engine", format!("{} {}", escape(&request.engine.name), escape(&request.engine.version))),
        ("Precision", precision(request)),
        ("Tags kept", tags(request)),
        ("File size limit", bytes(request.max_image_bytes)),
    ]);
    settings.extend(measured(summary, request));
    format!(
        "<section aria-labelledby=\"ran\">\n<h2 id=\"ran\">This run</h2>\n{}{}{}</section>\n",
        pairs(&settings),
        machines(summary),
        model_settings(&request.model.spec)
    )
}

/// What only some runs have.
fn measured(summary: &Summary, request: &RunRequest) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    if summary.batch_size > 0 {
        settings.push(("Batch", format!("{} per thread", images(summary.batch_size))));
    }
    if let Some(device) = &summary.device {
        settings.push(("Stages", format!("{} ({})", device.verdict(), device.shares())));
        settings.push(("Speed of the stages", device.rates()));
    }
    if let Some(vector) = &request.vector {
        let stored = format!("{:?}", vector.stored).to_lowercase();
        let values = format!("{}: {} values as {stored}", name(&vector.output), count(vector.length));
        settings.push(("Vector", values));
    }
    if summary.second_decoder > 0 {
        settings.push(("Damaged JPEGs recovered", count(summary.second_decoder)));
    }
    if !summary.slowest.is_empty() {
        let images: Vec<String> = summary.slowest.images().iter().map(slow).collect();
        settings.push(("Slowest images", images.join("<br>")));
    }
    settings
}

fn slow(image: &SlowImage) -> String {
    format!("{}: {} ms", name(&image.key), count(image.milliseconds))
}

fn input(request: &RunRequest) -> String {
    let input = &request.input;
    let mut html = name(&input.location);
    let lists = [("", &input.prefixes), ("only ", &input.include), ("not ", &input.exclude)];
    for (what, list) in lists {
        for item in list {
            html.push_str(&format!("<br>{what}{}", name(item)));
        }
    }
    if let Some(sha256) = &input.keys_sha256 {
        html.push_str(&format!("<br>a list of keys, SHA-256 <code>{}</code>", escape(sha256)));
    }
    if let Some(manifest) = &input.manifest {
        let (location, sha256) = (name(&manifest.location), escape(&manifest.sha256));
        html.push_str(&format!("<br>listed by {location}, SHA-256 <code>{sha256}</code>"));
    }
    html
}

fn precision(request: &RunRequest) -> String {
    let instructions = request.engine.instructions.as_ref().map(|set| format!(", {}", escape(set)));
    format!("{}{}", escape(&request.engine.precision), instructions.unwrap_or_default())
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

fn machines(summary: &Summary) -> String {
    let Some(usage) = summary.usage.as_ref().filter(|usage| !usage.machines.is_empty()) else {
        return String::new();
    };
    let unknown = || "unknown".to_owned();
    let row = |used: &MachineUsage| {
        let told = |text: &Option<String>| text.as_deref().map_or_else(unknown, escape);
        let gpu = used.gpu.as_ref().map(|gpu| format!("<br>{} {}", gpu.count, name(&gpu.name)));
        vec![
            told(&used.machine.instance_type) + &gpu.unwrap_or_default(),
            told(&used.machine.life_cycle),
            told(&used.machine.zone),
            count(used.workers),
            number(used.vcpu_seconds as f64 / 3600.0),
            count(used.images),
        ]
    };
    let columns = [
        ("Machine", false),
        ("Bought", false),
        ("Zone", false),
        ("Workers", true),
        ("vCPU-hours", true),
        ("Images", true),
    ];
    table("Workers by machine", &columns, &usage.machines.iter().map(row).collect::<Vec<_>>(), None)
}

/// The preprocessing that was read from the model's folder: decoding, resizing, normalising. Lists of many
/// values are only counted.
fn model_settings(spec: &Value) -> String {
    let mut settings = Vec::new();
    flatten(String::new(), spec, &mut settings);
    if settings.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> =
        settings.into_iter().map(|(path, value)| vec![name(&path), name(&value)]).collect();
    let table = table("Settings of the model", &[("Setting", false), ("Value", false)], &rows, None);
    format!(
        "<details>\n<summary>Decoding, preprocessing and outputs of the model</summary>\n{table}</details>\n"
    )
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
