//! Failed images: how many, why, a few of each reason, and the commands that tag them again.

use super::pictures::image;
use super::table::table;
use crate::Summary;
use crate::reasons::explanation;
use crate::samples::Samples;
use crate::text::{count, escape, images, name, share};
use tagfleet_pipeline::thumbnails::FailedImage;

/// Empty if no image failed.
pub(super) fn section(summary: &Summary, samples: &Samples) -> String {
    if summary.failed.is_empty() {
        return String::new();
    }
    let by_number = by_number(summary);
    let all = summary.all_failed();
    let mut html = format!(
        "<section aria-labelledby=\"failures\">\n<h2 id=\"failures\">{} failed ({})</h2>\n\
         <p>Each of them has a row in the results, with the reason.</p>\n",
        images(all),
        share(all as f64, summary.images as f64)
    );
    html.push_str(&reasons(&by_number, summary.images as f64));
    html.push_str(&retry(summary));
    html.push_str("<div class=\"columns narrow\">\n");
    for (code, _) in by_number {
        html.push_str(&examples(code, samples));
    }
    html.push_str("</div>\n</section>\n");
    html
}

/// The most frequent reason first.
fn by_number(summary: &Summary) -> Vec<(&str, u64)> {
    let mut by_number: Vec<(&str, u64)> =
        summary.failed.iter().map(|(code, number)| (code.as_str(), *number)).collect();
    by_number.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    by_number
}

fn reasons(by_number: &[(&str, u64)], all: f64) -> String {
    let row = |(code, number): &(&str, u64)| {
        vec![
            format!("<code>{}</code><span class=\"why\">{}</span>", escape(code), explanation(code)),
            count(*number),
            share(*number as f64, all),
        ]
    };
    let rows: Vec<Vec<String>> = by_number.iter().map(row).collect();
    let columns = [("Reason", false), ("Images", true), ("Share", true)];
    table("Failed images by reason", &columns, &rows, None)
}

fn retry(summary: &Summary) -> String {
    let Some(commands) = &summary.retry else { return String::new() };
    let lines: Vec<String> = commands.lines().map(escape).collect();
    format!("<h3>Tag them again</h3>\n<pre><code>{}</code></pre>\n", lines.join("\n"))
}

fn examples(code: &str, samples: &Samples) -> String {
    let Some(failures) = samples.failures.get(code) else { return String::new() };
    let items: String = failures.iter().map(example).collect();
    format!(
        "<div>\n<h3>Examples of <code>{}</code></h3>\n<ul class=\"keys\">\n{items}</ul>\n</div>\n",
        escape(code)
    )
}

fn example(failure: &FailedImage) -> String {
    let thumbnail = failure.jpeg.as_deref().map(|jpeg| image(jpeg, "The picture that failed"));
    let why = match failure.message.as_str() {
        "" => String::new(),
        message => format!(" <span class=\"why\">{}</span>", name(message)),
    };
    format!(
        "<li>{}<span class=\"key\">{}</span>{why}</li>\n",
        thumbnail.unwrap_or_default(),
        name(&failure.key)
    )
}
