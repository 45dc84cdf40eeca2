//! The contact sheet: for each of the most frequent tags the pictures that are surest and least sure of it.

use super::text::{escape, name};
use crate::report::samples::{Samples, Scored, TagSample};

pub(super) fn section(samples: &Samples) -> String {
    let mut html =
        "<section aria-labelledby=\"pictures\">\n<h2 id=\"pictures\">Contact sheet</h2>\n".to_owned();
    if samples.unread > 0 {
        html.push_str(&format!("<p>{} samples of shards could not be read.</p>\n", samples.unread));
    }
    if samples.tags.is_empty() {
        html.push_str("<p>There are no thumbnails of this run.</p>\n</section>\n");
        return html;
    }
    html.push_str(
        "<p>A sample of the images for each of the most frequent tags, with their scores: those that the model is surest \
         of, and those that it is least sure of.</p>\n",
    );
    for tag in &samples.tags {
        html.push_str(&sheet(tag));
    }
    html.push_str("</section>\n");
    html
}

fn sheet(tag: &TagSample) -> String {
    let mut html =
        format!("<article class=\"sheet\">\n<h3>{}</h3>\n<div class=\"ends\">\n", name(&tag.label));
    for (heading, pictures) in [("Most confident", &tag.surest), ("Least confident", &tag.least_sure)] {
        if pictures.is_empty() {
            continue;
        }
        html.push_str(&format!("<div>\n<h4>{heading}</h4>\n<ul class=\"pictures\">\n"));
        for scored in pictures {
            html.push_str(&picture(&tag.label, scored));
        }
        html.push_str("</ul>\n</div>\n");
    }
    html.push_str("</div>\n</article>\n");
    html
}

fn picture(label: &str, scored: &Scored) -> String {
    let Scored { score, picture } = scored;
    format!(
        "<li><img src=\"data:image/jpeg;base64,{}\" alt=\"Thumbnail, {} {score:.3}\" width=\"96\" height=\"96\">\
         <span class=\"score\">{score:.3}</span> <span class=\"key\">{}</span></li>\n",
        escape(&picture.jpeg),
        escape(label),
        name(&picture.key)
    )
}
