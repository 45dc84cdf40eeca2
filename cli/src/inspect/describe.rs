//! A model in words: what was read from its files and its graph.
//!
//! Pure text; for `tagfleet inspect` and for nothing that decides anything.

use std::fmt::Write as _;

use tagfleet_model::engine::Resolved;
use tagfleet_model::folder::{Model, ModelSpec};
use tagfleet_model::graph::Element;
use tagfleet_model::preprocessing::{Activation, Layout, Preprocessing};

use super::prepare;

/// A few lines, then one per note.
pub(crate) fn text(model: &Model, engine: &Resolved) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, model, engine);
    text
}

fn write(text: &mut String, model: &Model, engine: &Resolved) -> std::fmt::Result {
    let spec = &model.spec;
    writeln!(text, "model    {}", model.path().display())?;
    writeln!(text, "sha256   {}", spec.sha256)?;
    writeln!(text, "input    {}", input(spec))?;
    for (number, step) in prepare::steps(&spec.preprocessing).iter().enumerate() {
        writeln!(text, "{}{step}", if number == 0 { "prepare  " } else { "         " })?;
    }
    if let Some(scores) = &spec.scores {
        writeln!(text, "output   {}, {}", scores.name, activation(spec))?;
        writeln!(text, "labels   {}", labels(&spec.labels))?;
    }
    if let Some(vector) = &spec.vector {
        writeln!(text, "vector   {}", vector.name)?;
    }
    writeln!(text, "engine   {}", engine.why)?;
    for note in &spec.notes {
        writeln!(text, "note     {note}")?;
    }
    if let Some(warning) = &spec.warning {
        writeln!(text, "WARNING  {warning}")?;
    }
    Ok(())
}

fn input(spec: &ModelSpec) -> String {
    let Preprocessing { input, layout, mean, .. } = &spec.preprocessing;
    let (channels, height, width) = (mean.len(), input.height, input.width);
    let batch = spec.input.batch.map_or("n".to_owned(), |batch| batch.to_string());
    let element = match spec.input.element {
        Element::F32 => "float32",
        Element::F16 => "float16",
        Element::U8 => "uint8",
        Element::I8 => "int8",
        Element::Other => "of another type",
    };
    let dims = match layout {
        Layout::Nchw => format!("[{batch}, {channels}, {height}, {width}]"),
        Layout::Nhwc => format!("[{batch}, {height}, {width}, {channels}]"),
    };
    format!("{} {element} {dims}", spec.input.name)
}

fn activation(spec: &ModelSpec) -> &'static str {
    match spec.activation {
        Activation::Softmax => "softmax: one label per image",
        Activation::Sigmoid => "sigmoid: each label by itself",
        Activation::None if spec.multi_label => "as it is: each label by itself",
        Activation::None => "as it is",
        Activation::BinaryLogit => "sigmoid of one score: the second label's, the rest the first's",
        Activation::BinaryProbability => "one score as it is: the second label's, the rest the first's",
    }
}

fn labels(labels: &[String]) -> String {
    const SHOWN: usize = 5;
    let first: Vec<&str> = labels.iter().take(SHOWN).map(String::as_str).collect();
    let more = if labels.len() > SHOWN { " | ..." } else { "" };
    // Labels may hold commas.
    format!("{}: {}{more}", labels.len(), first.join(" | "))
}
