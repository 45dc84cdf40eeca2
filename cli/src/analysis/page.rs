//! The pages of an evaluation and of a diff, in the style of the report.
//!
//! They need no network, no script and no other file. Keys and labels come from users and are escaped.

pub(super) mod diff;
pub(super) mod evaluation;

use std::collections::BTreeSet;

use maud::{Markup, html};
use tagfleet_analysis::Example;
use tagfleet_pipeline::format::visible;
use tagfleet_report::html::{document, name};

use super::pictures::Pictures;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Rows of a table.
const ROWS: usize = 1000;
/// Pairs of labels that have pictures.
const PAIRS: usize = 20;
/// Pictures of one pair.
const PER_PAIR: usize = 4;

/// The heads of a page.
struct Heads {
    title: String,
    heading: String,
    lead: String,
}

impl Heads {
    /// The whole page.
    fn page(&self, main: &Markup) -> String {
        let body = html! {
            header {
                p.brand { "tagfleet" }
                h1 { (visible(&self.heading)) }
                p.lead { (visible(&self.lead)) }
            }
            main { (main) }
        };
        document(&self.title, &body, VERSION)
    }
}

/// A key figure with a remark.
struct Figure {
    name: &'static str,
    value: String,
    remark: String,
}

impl Figure {
    fn new(name: &'static str, value: impl Into<String>, remark: impl Into<String>) -> Self {
        Self { name, value: value.into(), remark: remark.into() }
    }
}

fn figures(figures: &[Figure]) -> Markup {
    html! {
        section {
            dl.figures {
                @for figure in figures {
                    div { dt { (figure.name) } dd { (figure.value) " " small { (visible(&figure.remark)) } } }
                }
            }
        }
    }
}

/// A section of a page.
struct Section<'a> {
    id: &'static str,
    heading: &'static str,
    lead: &'a str,
}

impl Section<'_> {
    fn html(&self, content: &Markup) -> Markup {
        html! {
            section aria-labelledby=(self.id) {
                h2 #(self.id) { (self.heading) }
                p { (visible(self.lead)) }
                (content)
            }
        }
    }
}

/// A label, or what it means that there is none.
fn label(text: Option<&str>, none: &str) -> Markup {
    text.map_or_else(|| html! { (none) }, name)
}

/// Pictures of pairs of labels, each under its heading.
fn pairs<'a>(pairs: impl Iterator<Item = (Markup, &'a [Example])>, pictures: &Pictures) -> Markup {
    html! {
        @for (heading, examples) in pairs.take(PAIRS) {
            h3 { (heading) }
            ul.pictures {
                @for example in examples.iter().take(PER_PAIR) {
                    li { (pictures.html(&example.key)) span.key { (name(&example.key)) } (scores(example)) }
                }
            }
        }
    }
}

fn scores(example: &Example) -> Markup {
    let shown = |score: f32| html! { b.score { (format!("{score:.2}")) } };
    html! {
        @match (example.score_before, example.score) {
            (Some(before), Some(after)) => p { "score " (shown(after)) ", was " (shown(before)) },
            (Some(before), None) => p { "score was " (shown(before)) },
            (None, Some(after)) => p { "score " (shown(after)) },
            (None, None) => {}
        }
    }
}

/// The keys whose pictures [`pairs`] shows.
fn keys<'a>(pairs: impl Iterator<Item = &'a [Example]>) -> BTreeSet<&'a str> {
    pairs
        .take(PAIRS)
        .flat_map(|examples| examples.iter().take(PER_PAIR))
        .map(|example| example.key.as_str())
        .collect()
}

/// Why pictures are missing.
fn note(pictures: &Pictures) -> Markup {
    html! { @if let Some(note) = &pictures.note { p.notes { (visible(note)) } } }
}

/// That a table shows a part.
fn cut(all: usize, what: &str) -> String {
    if all > ROWS { format!(" The first {ROWS} of {all} {what}.") } else { String::new() }
}
