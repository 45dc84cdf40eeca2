//! The pictures: those that the model is least certain of, some of every label, and a random sample.
//!
//! A picture is in the page as often as it is shown; nothing is loaded.

use std::sync::Arc;

use crate::samples::Samples;
use crate::text::{count, escape, images, name, score};
use tagfleet_pipeline::tags::Tag;
use tagfleet_pipeline::thumbnails::Picture;

/// A tag with a lower score means nothing next to a better one.
const NOISE: f32 = 0.01;

pub(super) fn section(samples: &Samples) -> String {
    if samples.random.is_empty() && samples.unsure.is_empty() && samples.labels.is_empty() {
        return "<section aria-labelledby=\"pictures\">\n<h2 id=\"pictures\">Pictures</h2>\n\
                <p>There are no thumbnails of this run.</p>\n</section>\n"
            .to_owned();
    }
    let mut html = String::new();
    html.push_str(&sheet(
        ("unsure", "Least certain"),
        &format!(
            "The images whose best tag has the lowest scores. Look here for wrong tags first.{}",
            extent(samples)
        ),
        &samples.unsure.iter().map(card).collect::<String>(),
    ));
    html.push_str(&of_labels(samples));
    html.push_str(&sheet(
        ("random", "Random sample"),
        &format!(
            "{} drawn at random, so that the share of wrong tags among them is an estimate for the whole run.",
            images(samples.random.len() as u64)
        ),
        &samples.random.iter().map(card).collect::<String>(),
    ));
    html
}

/// What part of the run was looked at, unless it was all of it.
fn extent(samples: &Samples) -> String {
    let mut text = String::new();
    if samples.read + samples.unread < samples.objects {
        text.push_str(&format!(
            " Chosen from {} of the run's {} shards, spread evenly.",
            count(samples.read),
            count(samples.objects)
        ));
    }
    if samples.unread > 0 {
        text.push_str(&format!(" The thumbnails of {} shards could not be read.", count(samples.unread)));
    }
    text
}

fn of_labels(samples: &Samples) -> String {
    let pictures: usize = samples.labels.iter().map(|label| label.pictures.len()).sum();
    let mut cards = String::new();
    for label in &samples.labels {
        for picture in &label.pictures {
            cards.push_str(&card_of(picture, &images(label.images)));
        }
    }
    let labels = match samples.labels.len() {
        1 => "1 label".to_owned(),
        labels => format!("{labels} labels"),
    };
    let lead = format!(
        "{} with {labels} as their best tag, the most frequent first. Every label gets a picture before any gets two; within a \
         label they are drawn at random.",
        images(pictures as u64)
    );
    sheet(("pictures", "Pictures by best tag"), &lead, &cards)
}

/// A section of pictures; none if there are none.
fn sheet((id, heading): (&str, &str), lead: &str, cards: &str) -> String {
    if cards.is_empty() {
        return String::new();
    }
    format!(
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>\n<p>{lead}</p>\n\
         <ul class=\"pictures\">\n{cards}</ul>\n</section>\n"
    )
}

fn card(picture: &Arc<Picture>) -> String {
    card_of(picture, "")
}

/// A picture with its tags and its key; `more` adds a note on its best tag.
fn card_of(picture: &Picture, more: &str) -> String {
    let alt = match picture.tags.first() {
        Some(best) => format!("Tagged {} with score {}", escape(&best.label), score(best.score)),
        None => "Without a tag".to_owned(),
    };
    format!(
        "<li>{}{}<span class=\"key\">{}</span></li>\n",
        image(&picture.jpeg, &alt),
        tags(&picture.tags, more),
        name(&picture.key)
    )
}

/// A thumbnail; `alt` is escaped already.
pub(super) fn image(jpeg: &str, alt: &str) -> String {
    format!(
        "<img src=\"data:image/jpeg;base64,{}\" alt=\"{alt}\" width=\"256\" height=\"256\" decoding=\"async\">",
        escape(jpeg)
    )
}

fn tags(tags: &[Tag], more: &str) -> String {
    let Some((best, others)) = tags.split_first() else {
        return "<p class=\"best\">no tag</p>".to_owned();
    };
    let more = if more.is_empty() { String::new() } else { format!(" <small>{more}</small>") };
    let mut html = format!(
        "<p class=\"best\">{} <b class=\"score\">{}</b>{more}</p>",
        name(&best.label),
        score(best.score)
    );
    let others: Vec<String> = others
        .iter()
        .filter(|tag| tag.score >= NOISE)
        .map(|tag| format!("{} {}", name(&tag.label), score(tag.score)))
        .collect();
    if !others.is_empty() {
        html.push_str(&format!("<p class=\"others\">{}</p>", others.join(" · ")));
    }
    html
}
