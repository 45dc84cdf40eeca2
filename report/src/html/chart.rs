//! Throughput over time as a curve, and the bottleneck of the run.
//!
//! The curve is a picture without text, so that it may be stretched; its numbers are around it and in a
//! sentence.

use crate::binding::{Binding, Stage};
use crate::text::{duration, images, number};
use crate::throughput::{Bottleneck, Throughput};

/// The picture's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;

/// Pieces that make a curve.
const FEWEST: usize = 4;

/// `device` adds the stages if a device ran the model.
pub(super) fn section(throughput: &Throughput, images_here: u64, device: Option<&Binding>) -> String {
    let mut html = "<section aria-labelledby=\"speed\">\n<h2 id=\"speed\">Speed</h2>\n".to_owned();
    let seconds = throughput.seconds();
    if throughput.peak() == 0.0 {
        html.push_str("<p>All images were tagged before; no speed was measured.</p>\n</section>\n");
        return html;
    }
    let mean = images_here as f64 / seconds;
    html.push_str(&format!(
        "<p>{} in {}: {} images per second on average, {} at most. {}</p>\n",
        images(images_here),
        duration(seconds),
        number(mean),
        number(throughput.peak()),
        bottleneck(throughput, device)
    ));
    if throughput.pieces.len() >= FEWEST {
        html.push_str(&figure(throughput, mean));
    }
    html.push_str("</section>\n");
    html
}

/// Names the bottleneck, with its figure.
fn bottleneck(throughput: &Throughput, device: Option<&Binding>) -> String {
    let (Some(busy), Some(bottleneck)) = (throughput.threads.busy(), throughput.bottleneck()) else {
        return "What limited it was not measured.".to_owned();
    };
    let percent = busy * 100.0;
    match (bottleneck, device) {
        // Threads that wait for the device tag, as far as they know.
        (Bottleneck::Cores, Some(device)) => stage(device),
        (Bottleneck::Cores, None) => format!(
            "<strong>The cores were the bottleneck</strong>: they decoded and tagged {percent:.0} % of the time and hardly \
             waited for an image."
        ),
        (Bottleneck::Fetching, _) => format!(
            "<strong>Fetching was the bottleneck</strong>: the cores tagged {percent:.0} % of the time and waited for images \
             for the rest of it."
        ),
    }
}

fn stage(device: &Binding) -> String {
    let name = match device.stage {
        Stage::Decode => "Decoding was",
        Stage::Transfer => "Copying to the device was",
        Stage::Compute => "The device was",
    };
    let verdict = if device.binds() {
        format!("<strong>{name} the bottleneck</strong>")
    } else {
        "<strong>No stage was the bottleneck</strong>: none was busy for half of the time".to_owned()
    };
    format!("{verdict}: {}; {}.", device.shares(), device.rates())
}

fn figure(throughput: &Throughput, mean: f64) -> String {
    let top = nice(throughput.peak());
    let (seconds, middle) = (throughput.seconds(), duration(throughput.seconds() / 2.0));
    let y = |rate: f64| HEIGHT - rate / top * HEIGHT;
    format!(
        "<figure class=\"chart\">\n<div class=\"plot\">\n<span class=\"high\" aria-hidden=\"true\">{high}</span>\
         <span class=\"half\" aria-hidden=\"true\">{half}</span><span class=\"low\" aria-hidden=\"true\">0</span>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Images per second over \
         {all}, at most {peak}\">\n<path class=\"grid\" d=\"M0 0H{WIDTH}M0 {middle_y}H{WIDTH}M0 {HEIGHT}H{WIDTH}\"/>\n\
         <path class=\"area\" d=\"{area}\"/>\n<path class=\"mean\" d=\"M0 {mean_y:.1}H{WIDTH}\"/>\n</svg>\n</div>\n\
         <div class=\"times\" aria-hidden=\"true\"><span>0 s</span><span>{middle}</span><span>{all}</span></div>\n\
         <figcaption>Images per second over time; the dashed line is the average.</figcaption>\n</figure>\n",
        high = number(top),
        half = number(top / 2.0),
        all = duration(seconds),
        peak = number(throughput.peak()),
        middle_y = HEIGHT / 2.0,
        mean_y = y(mean.min(top)),
        area = area(throughput, y),
    )
}

fn area(throughput: &Throughput, y: impl Fn(f64) -> f64) -> String {
    let x = |seconds: f64| seconds / throughput.seconds() * WIDTH;
    let mut path = format!("M0 {HEIGHT}");
    for piece in &throughput.pieces {
        path.push_str(&format!("V{:.1}H{:.1}", y(piece.rate), x(piece.to)));
    }
    path.push_str(&format!("V{HEIGHT}Z"));
    path
}

/// The next number that people like to read on an axis: 1, 2, 2.5 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.iter().map(|step| step * power).find(|nice| *nice >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let ends = [0.7, 1.0, 12.0, 160.0, 99_000.0].map(nice);
        assert_eq!(ends, [0.8, 1.0, 15.0, 200.0, 100_000.0]);
    }
}
