//! Preprocessing in words, one line per step.
//!
//! Pure text; nothing is decided by it.

use tagfleet_model::preprocessing::{Anchor, Color, Decoding, Fill, Preprocessing, Resize, ResizeTo};

/// What happens to a picture, in order.
pub(super) fn steps(steps: &Preprocessing) -> Vec<String> {
    let mut words = vec![decoding(steps.decoding)];
    words.push(if steps.exif {
        "apply EXIF orientation".to_owned()
    } else {
        "ignore EXIF orientation".to_owned()
    });
    words.extend(steps.square.map(|color| format!("pad to a square with {}", name(color))));
    words.extend(steps.resize.map(resize));
    words.extend(steps.crop.map(|size| {
        let place = if steps.anchor == Anchor::TopLeft { "the top left corner" } else { "the centre" };
        let padded = match (may_pad(steps), steps.fill) {
            (false, _) => String::new(),
            (true, Fill::Color(color)) => format!(", padded with {} if it is smaller", name(color)),
            (true, Fill::Zero) => ", padded with zero after normalising".to_owned(),
        };
        format!("crop {place} to {}x{}{padded}", size.width, size.height)
    }));
    let color = match steps.color {
        Color::Rgb => "RGB",
        Color::Bgr => "BGR",
        Color::Gray => "gray",
        Color::GrayMean => "gray as the mean of red, green and blue",
    };
    words.push(format!("{color}, {}", values(steps)));
    words
}

fn decoding(decoding: Decoding) -> String {
    match decoding {
        Decoding::Exact => "decode every pixel".to_owned(),
        Decoding::Scaled { cover } => {
            format!(
                "decode JPEGs at 1/2, 1/4 or 1/8, with each side at least {cover} times what it is resized to"
            )
        }
    }
}

fn resize(Resize { to, filter }: Resize) -> String {
    let target = match to {
        ResizeTo::ShortestEdge(length) => format!("the shorter side to {length}"),
        ResizeTo::Exact(size) => format!("to {}x{}", size.width, size.height),
        ResizeTo::Cut(size) => format!("the middle to {}x{}, cut to that ratio", size.width, size.height),
        ResizeTo::Cover(size) => format!("to cover {}x{}, ratio kept", size.width, size.height),
        ResizeTo::Fit(size) => format!("to fit into {}x{}, ratio kept", size.width, size.height),
        ResizeTo::Height(size) => {
            format!("to a height of {}, the width by the ratio but at most {}", size.height, size.width)
        }
    };
    // Names of filters are the words that tagfleet.toml has for them.
    let filter = serde_json::to_value(filter).ok().and_then(|name| name.as_str().map(str::to_owned));
    format!("resize {target} ({})", filter.unwrap_or_default())
}

/// Whether a picture can be smaller than its crop.
fn may_pad(steps: &Preprocessing) -> bool {
    let (Some(crop), Some(resize)) = (steps.crop, steps.resize) else { return true };
    match resize.to {
        ResizeTo::ShortestEdge(side) => side < crop.height.max(crop.width),
        ResizeTo::Exact(size) | ResizeTo::Cut(size) | ResizeTo::Cover(size) => {
            size.height < crop.height || size.width < crop.width
        }
        ResizeTo::Fit(_) | ResizeTo::Height(_) => true,
    }
}

fn name(color: [u8; 3]) -> String {
    match color {
        [0, 0, 0] => "black".to_owned(),
        [255, 255, 255] => "white".to_owned(),
        [red, green, blue] => format!("rgb({red}, {green}, {blue})"),
    }
}

/// What samples become: a range, and what is done to it.
fn values(steps: &Preprocessing) -> String {
    let (least, most) = (f64::from(steps.offset), 255.0 * steps.scale + f64::from(steps.offset));
    let all = |values: &[f32], wanted: f32| values.iter().all(|value| *value == wanted);
    let (mean, std) = (steps.mean.as_slice(), steps.std.as_slice());
    let (first_mean, first_std) = (mean.first().copied().unwrap_or(0.0), std.first().copied().unwrap_or(1.0));
    if all(mean, first_mean) && all(std, first_std) && !steps.std_twice {
        let end = |value: f64| number((value - f64::from(first_mean)) / f64::from(first_std));
        return format!("values {}..{}", end(least), end(most));
    }
    let twice = if steps.std_twice { " twice" } else { "" };
    format!("values {}..{}, less the mean {mean:?}, divided by {std:?}{twice}", number(least), number(most))
}

/// At most four digits behind the point.
fn number(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

#[cfg(test)]
mod tests {
    use tagfleet_model::preprocessing::{Filter, Size};

    use super::*;

    const SIZE: Size = Size { height: 448, width: 448 };

    #[test]
    fn a_tagger_of_drawings_is_readable() {
        let resize = Resize { to: ResizeTo::Exact(SIZE), filter: Filter::Bicubic };
        let wd = Preprocessing {
            square: Some([255; 3]),
            resize: Some(resize),
            ..Preprocessing::plain(Color::Bgr, SIZE)
        };
        insta::assert_snapshot!(steps(&wd).join("\n"), @r"
        decode every pixel
        apply EXIF orientation
        pad to a square with white
        resize to 448x448 (bicubic)
        BGR, values 0..255
        ");
    }

    #[test]
    fn padding_and_normalising_are_readable() {
        let resize = Resize { to: ResizeTo::Fit(SIZE), filter: Filter::OpencvBilinear };
        let letterbox = Preprocessing {
            resize: Some(resize),
            crop: Some(SIZE),
            fill: Fill::Color([124, 116, 104]),
            scale: 1.0 / 255.0,
            mean: vec![0.485, 0.456, 0.406],
            std: vec![0.229, 0.224, 0.225],
            ..Preprocessing::plain(Color::Rgb, SIZE)
        };
        insta::assert_snapshot!(steps(&letterbox)[2..].join("\n"), @r"
        resize to fit into 448x448, ratio kept (opencv_bilinear)
        crop the centre to 448x448, padded with rgb(124, 116, 104) if it is smaller
        RGB, values 0..1, less the mean [0.485, 0.456, 0.406], divided by [0.229, 0.224, 0.225]
        ");
        let half = Preprocessing { mean: vec![0.5; 3], std: vec![0.5; 3], ..letterbox };
        assert_eq!(values(&half), "values -1..1");
    }
}
