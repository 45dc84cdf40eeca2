//! A model in words: what its files and its graph were understood to say.
//!
//! Pure text; for `tagfleet inspect` and for nothing that decides anything.

use std::fmt::Write as _;

use tagfleet_model::engine::Resolved;
use tagfleet_model::folder::{Activation, Model, ModelSpec};
use tagfleet_model::graph::Element;
use tagfleet_model::preprocessing::{Color, Decoding, Layout, Preprocessing, ResizeTo};

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
    for (number, step) in steps(&spec.preprocessing).iter().enumerate() {
        writeln!(text, "{}{step}", if number == 0 { "prepare  " } else { "         " })?;
    }
    if let Some(scores) = &spec.scores {
        writeln!(text, "output   {}, {}", scores.name, activation(spec))?;
        writeln!(text, "labels   {}", labels(&spec.labels))?;
    }
    writeln!(text, "engine   {}", engine.why)?;
    for note in &spec.notes {
        writeln!(text, "note     {note}")?;
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

fn steps(steps: &Preprocessing) -> Vec<String> {
    let mut words = Vec::new();
    words.push(match steps.decoding {
        Decoding::Exact => "decode every pixel".to_owned(),
        Decoding::Scaled { cover } => {
            format!(
                "decode JPEGs at 1/2, 1/4 or 1/8, with each side at least {cover} times what it is resized to"
            )
        }
    });
    words.push(match steps.exif {
        true => "turn as EXIF says".to_owned(),
        false => "leave as stored, whatever EXIF says".to_owned(),
    });
    if let Some(resize) = &steps.resize {
        let filter = format!("{:?}", resize.filter).to_lowercase();
        words.push(match resize.to {
            ResizeTo::ShortestEdge(length) => format!("resize the shorter side to {length} ({filter})"),
            ResizeTo::Exact(size) => format!("resize to {}x{} ({filter})", size.width, size.height),
            ResizeTo::Cover(size) => format!("resize to cover {}x{} ({filter})", size.width, size.height),
            ResizeTo::Fit(size) => format!("resize to fit into {}x{} ({filter})", size.width, size.height),
            ResizeTo::Height(size) => {
                format!(
                    "resize to a height of {} and a width of at most {} ({filter})",
                    size.height, size.width
                )
            }
        });
    }
    if let Some(crop) = &steps.crop {
        words.push(format!("crop the centre to {}x{}", crop.width, crop.height));
    }
    let color = match steps.color {
        Color::Rgb => "RGB",
        Color::Bgr => "BGR",
        Color::Gray => "gray",
        Color::GrayMean => "gray (the mean of red, green and blue)",
    };
    let (scale, offset, mean, std) = (steps.scale, steps.offset, &steps.mean, &steps.std);
    words.push(format!("{color}, (x * {scale} + {offset} - {mean:?}) / {std:?}"));
    words
}

fn activation(spec: &ModelSpec) -> &'static str {
    match spec.activation {
        Activation::Softmax => "softmax: one label per image",
        Activation::Sigmoid => "sigmoid: each label by itself",
        Activation::None if spec.multi_label => "as it is: each label by itself",
        Activation::None => "as it is",
    }
}

fn labels(labels: &[String]) -> String {
    const SHOWN: usize = 5;
    let first: Vec<&str> = labels.iter().take(SHOWN).map(String::as_str).collect();
    let more = if labels.len() > SHOWN { " | ..." } else { "" };
    // Labels may hold commas.
    format!("{}: {}{more}", labels.len(), first.join(" | "))
}
