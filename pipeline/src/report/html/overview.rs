//! What ran and how it ended: the heading, the key figures, the problem if there was one, every setting.

use serde_json::Value;

use super::table::{pairs, table};
use super::text::{count, dollars, duration, escape, images, name, number, share};
use crate::report::{State, Summary};
use crate::run::RunRequest;
use crate::usage::MachineUsage;

/// Values of a list that are shown one by one.
const LONGEST_LIST: usize = 8;
/// Shards that are named.
const SHARDS: usize = 50;

pub(super) fn header(summary: &Summary) -> String {
    let (class, state) = match summary.state {
        State::Complete => ("good", "complete"),
        State::Interrupted => ("bad", "interrupted"),
        State::Incomplete => ("bad", "incomplete"),
        State::StoppedAtBudget => ("bad", "stopped at budget"),
    };
    format!(
        "<header>\n<p class=\"brand\">tagfleet</p>\n<h1>Run {}</h1>\n<p class=\"state {class}\">{state}</p>\n\
         <p class=\"lead\">{}</p>\n</header>\n",
        name(&summary.run.to_string()),
        lead(summary)
    )
}

/// One sentence for who reads nothing else.
fn lead(summary: &Summary) -> String {
    let tagged = format!("{} tagged with {}", images(summary.tagged), name(&summary.model));
    let failed = match summary.all_failed() {
        0 => "none failed".to_owned(),
        failed => format!("{} failed", count(failed)),
    };
    let open = match summary.images.saturating_sub(summary.rows) {
        0 => String::new(),
        open => format!(", {} not done", count(open)),
    };
    format!("{tagged}, {failed}{open}.")
}

pub(super) fn figures(summary: &Summary) -> String {
    let (all, failed) = (summary.images as f64, summary.all_failed());
    let mut figures = vec![
        ("Images", count(summary.images), String::new()),
        ("Tagged", count(summary.tagged), share(summary.tagged as f64, all)),
        ("Failed", count(failed), share(failed as f64, all)),
    ];
    if summary.images_here > 0 {
        figures.push(("Images per second", number(summary.images_per_second()), String::new()));
        figures.push(("Time", duration(summary.seconds_here), threads(summary)));
    }
    if let Some(cost) = &summary.cost {
        let per_million = cost.usd_per_million.map(|usd| format!("{} per million images", dollars(usd)));
        figures.push(("Cost", dollars(cost.total_usd), per_million.unwrap_or_default()));
    }
    let mut html =
        "<section aria-labelledby=\"figures\">\n<h2 id=\"figures\" class=\"hidden\">Key figures</h2>\n\
                    <dl class=\"figures\">\n"
            .to_owned();
    for (name, value, more) in figures {
        html.push_str(&format!("<div><dt>{name}</dt><dd>{value}"));
        if !more.is_empty() {
            html.push_str(&format!(" <small>{more}</small>"));
        }
        html.push_str("</dd></div>\n");
    }
    html.push_str("</dl>\n</section>\n");
    html
}

fn threads(summary: &Summary) -> String {
    match summary.usage {
        Some(_) => format!("{} vCPUs", count(summary.threads as u64)),
        None => format!("{} threads", summary.threads),
    }
}

/// What is missing and why, and how to go on.
pub(super) fn problem(summary: &Summary) -> String {
    if summary.state == State::Complete {
        return String::new();
    }
    let mut html =
        "<section class=\"problem\" aria-labelledby=\"problem\">\n<h2 id=\"problem\">Not complete</h2>\n"
            .to_owned();
    if let Some(problem) = &summary.problem {
        html.push_str(&format!("<p>{}</p>\n", name(problem)));
    }
    let missing = &summary.missing_shards;
    if !missing.is_empty() {
        let named: Vec<String> = missing.iter().take(SHARDS).map(|shard| escape(shard)).collect();
        let more = match missing.len().saturating_sub(SHARDS) {
            0 => String::new(),
            more => format!(" and {} more", count(more as u64)),
        };
        html.push_str(&format!("<p>Shards without rows: {}{more}.</p>\n", named.join(", ")));
    }
    let next = match summary.usage {
        Some(_) => {
            let more = if summary.state == State::StoppedAtBudget { " --max-usd N" } else { "" };
            format!(
                "<code>tagfleet resume {}{more}</code> goes on from here.",
                escape(&summary.run.to_string())
            )
        }
        None => "The same command goes on from here.".to_owned(),
    };
    html.push_str(&format!("<p>What is done is kept. {next}</p>\n</section>\n"));
    html
}

pub(super) fn what_ran(summary: &Summary, request: &RunRequest) -> String {
    let mut settings = vec![
        ("Run", name(&summary.run.to_string())),
        ("Images from", input(request)),
        ("Rows in", name(&summary.results)),
        ("Model", name(&summary.model)),
        ("SHA-256 of the model", format!("<code>{}</code>", escape(&summary.model_sha256))),
        ("Engine", format!("{} {}", escape(&request.engine.name), escape(&request.engine.version))),
        ("Precision", precision(request)),
        ("Tags kept", tags(request)),
        ("Largest image", format!("{} bytes", count(request.max_image_bytes))),
    ];
    if summary.batch_size > 0 {
        settings.push(("Images at once", format!("{} per thread", summary.batch_size)));
    }
    if let Some(device) = &summary.device {
        settings.push(("Stages", format!("{}: {}", device.verdict(), device.shares())));
        settings.push(("Speed of the parts", device.rates()));
    }
    if let Some(vector) = &request.vector {
        let stored = format!("{:?}", vector.stored).to_lowercase();
        settings.push((
            "Vector",
            format!("{}: {} values as {stored}", name(&vector.output), count(vector.length)),
        ));
    }
    if summary.second_decoder > 0 {
        settings.push(("Read by the second decoder only", images(summary.second_decoder)));
    }
    format!(
        "<section aria-labelledby=\"ran\">\n<h2 id=\"ran\">What ran</h2>\n{}{}{}</section>\n",
        pairs(&settings),
        machines(summary),
        model_settings(&request.model.spec)
    )
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
    html
}

fn precision(request: &RunRequest) -> String {
    let instructions = request.engine.instructions.as_ref().map(|set| format!(", {}", escape(set)));
    format!("{}{}", escape(&request.engine.precision), instructions.unwrap_or_default())
}

fn tags(request: &RunRequest) -> String {
    let tags = &request.tags;
    let threshold = match tags.threshold {
        all if all <= f32::MIN => String::new(),
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

/// What the model's folder was understood to say: decoding, resizing, normalising. Lists of many values are only counted.
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
