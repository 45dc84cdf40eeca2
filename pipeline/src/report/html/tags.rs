//! The tag distribution: the most frequent labels, each with a bar.

use super::table::{bar, table};
use super::text::{count, name, share};
use crate::reduce::TagCounts;

/// Labels that are shown.
const LABELS: usize = 30;

pub(super) fn section(tags: &TagCounts, tagged: u64) -> String {
    let mut html = "<section aria-labelledby=\"tags\">\n<h2 id=\"tags\">Tags</h2>\n".to_owned();
    let shown = tags.most_frequent(LABELS);
    let Some((_, most)) = shown.first() else {
        html.push_str("<p>No image has a tag.</p>\n</section>\n");
        return html;
    };
    let most = most.images as f64;
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|(label, found)| {
            vec![
                name(label),
                bar(found.images as f64, found.best as f64, most),
                count(found.images),
                share(found.images as f64, tagged as f64),
                count(found.best),
            ]
        })
        .collect();
    html.push_str(&format!(
        "<p>{} The pale bar counts the images that have the tag, the dark one those of which it is the best tag.</p>\n",
        how_many(tags, shown.len())
    ));
    let columns = [("Tag", false), ("", false), ("Images", true), ("Share", true), ("Best", true)];
    html.push_str(&table("Images by tag", &columns, &rows, None));
    html.push_str("</section>\n");
    html
}

fn how_many(tags: &TagCounts, shown: usize) -> String {
    let labels = tags.labels.len();
    let beyond = match tags.beyond {
        0 => String::new(),
        beyond => format!(" (and {} tags of still more labels)", count(beyond)),
    };
    match labels {
        1 => "One label was given.".to_owned(),
        _ if labels == shown => format!("{labels} labels were given{beyond}."),
        _ => format!(
            "{} labels were given{beyond}; these are the {shown} most frequent.",
            count(labels as u64)
        ),
    }
}
