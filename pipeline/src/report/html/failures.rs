//! Failed images by reason, what each reason means, and a few keys of each.

use super::table::table;
use super::text::{count, escape, name, share};
use crate::report::Summary;
use crate::report::samples::Samples;
use crate::tags::Reason;

pub(super) fn section(summary: &Summary, samples: &Samples) -> String {
    let mut html =
        "<section aria-labelledby=\"failures\">\n<h2 id=\"failures\">Failed images</h2>\n".to_owned();
    if summary.failed.is_empty() {
        html.push_str("<p>No image failed.</p>\n</section>\n");
        return html;
    }
    let mut by_number: Vec<(&str, u64)> =
        summary.failed.iter().map(|(code, number)| (code.as_str(), *number)).collect();
    by_number.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let all = summary.images as f64;
    let rows: Vec<Vec<String>> = by_number
        .iter()
        .map(|(code, number)| {
            let of_all = share(*number as f64, all);
            vec![
                format!("<code>{}</code>", escape(code)),
                count(*number),
                of_all,
                explanation(code).to_owned(),
            ]
        })
        .collect();
    let columns = [("Reason", false), ("Images", true), ("Share", true), ("What it means", false)];
    html.push_str("<p>Each of them has its row in the results, with the reason.</p>\n");
    html.push_str(&table("Failed images by reason", &columns, &rows, None));
    for (code, _) in by_number {
        html.push_str(&examples(code, samples));
    }
    html.push_str("</section>\n");
    html
}

fn examples(code: &str, samples: &Samples) -> String {
    let Some(failures) = samples.failures.get(code) else { return String::new() };
    let mut html = format!("<h3>Examples of <code>{}</code></h3>\n<ul class=\"keys\">\n", escape(code));
    for failure in failures {
        html.push_str(&format!("<li><span class=\"key\">{}</span>", name(&failure.key)));
        if !failure.message.is_empty() {
            html.push_str(&format!(" <span class=\"why\">{}</span>", name(&failure.message)));
        }
        html.push_str("</li>\n");
    }
    html.push_str("</ul>\n");
    html
}

fn explanation(code: &str) -> &'static str {
    let Some(reason) = Reason::ALL.into_iter().find(|reason| reason.code() == code) else {
        return "a reason that this version does not know";
    };
    match reason {
        Reason::Empty => "the file has no bytes",
        Reason::TooLarge => "more bytes than the limit",
        Reason::TooManyPixels => "more pixels, or memory to decode them, than the limit",
        Reason::UnsupportedFormat => "not an image, or of a format that is not read",
        Reason::UnsupportedFeature => "a variant of a known format that no decoder here reads",
        Reason::Corrupt => "no decoder can make a picture of its bytes",
        Reason::Changed => "replaced after it was listed",
        Reason::Missing => "deleted after it was listed, or never there",
        Reason::Archived => "in an archive class: restore it first",
        Reason::NameNotUtf8 => "its name is not UTF-8",
        Reason::NotFinite => "the model's scores or vector for it are not finite, or too large for 16 bits",
        Reason::Crashed => "the decoder or the engine died on it, twice",
    }
}
