//! Throughput over time as a curve, and the bottleneck of the run.
//!
//! The curve is a picture without text, so that it may be stretched; its numbers are around it and in a
//! sentence.

use maud::{Markup, html};

use crate::binding::{Binding, Stage};
use crate::throughput::{Bottleneck, Throughput};
use tagfleet_pipeline::format::{duration, images, number};

/// The picture's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;

/// Pieces that make a curve.
const FEWEST: usize = 4;

/// `device` adds the stages if a device ran the model.
pub(super) fn section(throughput: &Throughput, images_here: u64, device: Option<&Binding>) -> Markup {
    let seconds = throughput.seconds();
    let mean = images_here as f64 / seconds;
    html! {
        section aria-labelledby="speed" {
            h2 #speed { "Speed" }
            @if throughput.peak() == 0.0 {
                p { "All images were tagged before; no speed was measured." }
            } @else {
                p {
                    (images(images_here)) " in " (duration(seconds)) ": " (number(mean)) " images per second on average, "
                    (number(throughput.peak())) " at most. " (bottleneck(throughput, device))
                }
                @if throughput.pieces.len() >= FEWEST { (figure(throughput, mean)) }
            }
        }
    }
}

/// Names the bottleneck, with its figure.
fn bottleneck(throughput: &Throughput, device: Option<&Binding>) -> Markup {
    let (Some(busy), Some(bottleneck)) = (throughput.threads.busy(), throughput.bottleneck()) else {
        return html! { "What limited it was not measured." };
    };
    let percent = format!("{:.0} %", busy * 100.0);
    match (bottleneck, device) {
        // Threads that wait for the device tag, as far as they know.
        (Bottleneck::Cores, Some(device)) => stage(device),
        (Bottleneck::Cores, None) => html! {
            strong { "The cores were the bottleneck" }
            ": they decoded and tagged " (percent) " of the time and hardly waited for an image."
        },
        (Bottleneck::Fetching, _) => html! {
            strong { "Fetching was the bottleneck" }
            ": the cores tagged " (percent) " of the time and waited for images for the rest of it."
        },
    }
}

fn stage(device: &Binding) -> Markup {
    let name = match device.stage {
        Stage::Decode => "Decoding was",
        Stage::Transfer => "Copying to the device was",
        Stage::Compute => "The device was",
    };
    html! {
        @if device.binds() {
            strong { (name) " the bottleneck" }
        } @else {
            strong { "No stage was the bottleneck" } ": none was busy for half of the time"
        }
        ": " (device.shares()) "; " (device.rates()) "."
    }
}

fn figure(throughput: &Throughput, mean: f64) -> Markup {
    let (top, all) = (nice(throughput.peak()), duration(throughput.seconds()));
    let y = |rate: f64| HEIGHT - rate / top * HEIGHT;
    let mean_y = format!("{:.1}", y(mean.min(top)));
    html! {
        figure.chart {
            div.plot {
                span.high aria-hidden="true" { (number(top)) }
                span.half aria-hidden="true" { (number(top / 2.0)) }
                span.low aria-hidden="true" { "0" }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                    aria-label={ "Images per second over " (all) ", at most " (number(throughput.peak())) } {
                    path.grid d={ "M0 0H" (WIDTH) "M0 " (HEIGHT / 2.0) "H" (WIDTH) "M0 " (HEIGHT) "H" (WIDTH) } {}
                    path.area d=(area(throughput, y)) {}
                    path.mean d={ "M0 " (mean_y) "H" (WIDTH) } {}
                }
            }
            div.times aria-hidden="true" {
                span { "0 s" }
                span { (duration(throughput.seconds() / 2.0)) }
                span { (all) }
            }
            figcaption { "Images per second over time; the dashed line is the average." }
        }
    }
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
