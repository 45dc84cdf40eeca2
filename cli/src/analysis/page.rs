//! The pages of an evaluation and of a diff, in the style of the report.
//!
//! They need no network, no script and no other file. Keys and labels come from users and are escaped.

pub(super) mod diff;
pub(super) mod evaluation;

use tagfleet_analysis::Example;
use tagfleet_report::html::{document, escape, name};

use super::pictures::Pictures;

const VERSION: &str = concat!(" ", env!("CARGO_PKG_VERSION"));
/// Rows of a table.
const ROWS: usize = 1000;
/// Pairs of labels that have pictures.
const PAIRS: usize = 20;
/// Pictures of one pair.
const PER_PAIR: usize = 4;

/// The whole page.
fn whole(title: &str, (heading, lead): (&str, &str), main: &str) -> String {
    let (title, heading, lead) = (escape(title), escape(heading), escape(lead));
    let header = format!(
        "<header>\n<p class=\"brand\">tagfleet</p>\n<h1>{heading}</h1>\n<p class=\"lead\">{lead}</p>\n</header>\n"
    );
    document(&title, &format!("{header}<main>\n{main}</main>\n"), VERSION)
}

/// Key figures: what, how much, and a remark.
fn figures(figures: &[(&str, String, String)]) -> String {
    let mut html = "<section>\n<dl class=\"figures\">\n".to_owned();
    for (what, value, remark) in figures {
        html.push_str(&format!(
            "<div><dt>{what}</dt><dd>{} <small>{}</small></dd></div>\n",
            escape(value),
            escape(remark)
        ));
    }
    html.push_str("</dl>\n</section>\n");
    html
}

/// A section; empty if it has no content. `content` is HTML.
fn section((id, heading): (&str, &str), lead: &str, content: &str) -> String {
    if content.is_empty() {
        return String::new();
    }
    format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>\n<p>{}</p>\n{content}</section>\n",
        escape(lead)
    )
}

/// A label, or what it means that there is none.
fn label(text: Option<&str>, none: &str) -> String {
    text.map_or_else(|| escape(none), name)
}

/// Pictures of pairs of labels, each under its heading, which is HTML.
fn pairs<'a>(pairs: impl Iterator<Item = (String, &'a [Example])>, pictures: &Pictures) -> String {
    let mut html = String::new();
    for (heading, examples) in pairs.take(PAIRS) {
        html.push_str(&format!("<h3>{heading}</h3>\n<ul class=\"pictures\">\n"));
        for example in examples.iter().take(PER_PAIR) {
            html.push_str(&format!(
                "<li>{}<span class=\"key\">{}</span>{}</li>\n",
                pictures.html(&example.key),
                name(&example.key),
                scores(example)
            ));
        }
        html.push_str("</ul>\n");
    }
    html
}

fn scores(example: &Example) -> String {
    let shown = |score: f32| format!("<b class=\"score\">{score:.2}</b>");
    match (example.score_before, example.score) {
        (Some(before), Some(after)) => format!("<p>score {}, was {}</p>", shown(after), shown(before)),
        (Some(before), None) => format!("<p>score was {}</p>", shown(before)),
        (None, Some(after)) => format!("<p>score {}</p>", shown(after)),
        (None, None) => String::new(),
    }
}

/// The keys whose pictures [`pairs`] shows.
fn keys<'a>(pairs: impl Iterator<Item = &'a [Example]>) -> std::collections::BTreeSet<&'a str> {
    pairs
        .take(PAIRS)
        .flat_map(|examples| examples.iter().take(PER_PAIR))
        .map(|example| example.key.as_str())
        .collect()
}

/// Why pictures are missing.
fn note(pictures: &Pictures) -> String {
    pictures
        .note
        .as_deref()
        .map_or_else(String::new, |note| format!("<p class=\"notes\">{}</p>\n", escape(note)))
}

/// That a table shows a part.
fn cut(all: usize, what: &str) -> String {
    if all > ROWS { format!(" The first {ROWS} of {all} {what}.") } else { String::new() }
}
