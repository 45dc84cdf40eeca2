//! The pictures: those that the model is least certain of, some of every label, and a random sample.
//!
//! A picture is in the page as often as it is shown; nothing is loaded.

use maud::{Markup, html};
use tagfleet_pipeline::format::{count, images, score, visible};
use tagfleet_pipeline::tags::Tag;
use tagfleet_pipeline::thumbnails::Picture;

use crate::samples::Samples;
use crate::text::name;

/// A tag with a lower score means nothing next to a better one.
const NOISE: f32 = 0.01;

/// A section of pictures.
struct Sheet {
    id: &'static str,
    heading: &'static str,
    lead: String,
    cards: Vec<Markup>,
}

pub(super) fn section(samples: &Samples) -> Markup {
    if samples.random.is_empty() && samples.unsure.is_empty() && samples.labels.is_empty() {
        return html! {
            section aria-labelledby="pictures" {
                h2 #pictures { "Pictures" }
                p { "There are no thumbnails of this run." }
            }
        };
    }
    let sheets = [unsure(samples), of_labels(samples), random(samples)];
    html! {
        @for sheet in sheets.iter().filter(|sheet| !sheet.cards.is_empty()) {
            section aria-labelledby=(sheet.id) {
                h2 #(sheet.id) { (sheet.heading) }
                p { (sheet.lead) }
                ul.pictures { @for card in &sheet.cards { (card) } }
            }
        }
    }
}

fn unsure(samples: &Samples) -> Sheet {
    let lead = format!(
        "The images whose best tag has the lowest scores. Look here for wrong tags first.{}",
        extent(samples)
    );
    let cards = samples.unsure.iter().map(|picture| card(picture, None)).collect();
    Sheet { id: "unsure", heading: "Least certain", lead, cards }
}

fn random(samples: &Samples) -> Sheet {
    let lead = format!(
        "{} drawn at random, so that the share of wrong tags among them is an estimate for the whole run.",
        images(samples.random.len() as u64)
    );
    let cards = samples.random.iter().map(|picture| card(picture, None)).collect();
    Sheet { id: "random", heading: "Random sample", lead, cards }
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

fn of_labels(samples: &Samples) -> Sheet {
    let mut cards = Vec::new();
    for label in &samples.labels {
        cards.extend(label.pictures.iter().map(|picture| card(picture, Some(&images(label.images)))));
    }
    let labels = match samples.labels.len() {
        1 => "1 label".to_owned(),
        labels => format!("{labels} labels"),
    };
    let lead = format!(
        "{} with {labels} as their best tag, the most frequent first. Every label gets a picture before any gets two; within a \
         label they are drawn at random.",
        images(cards.len() as u64)
    );
    Sheet { id: "pictures", heading: "Pictures by best tag", lead, cards }
}

/// A picture with its tags and its key; `more` adds a note on its best tag.
fn card(picture: &Picture, more: Option<&str>) -> Markup {
    let alt = match picture.tags.first() {
        Some(best) => format!("Tagged {} with score {}", best.label, score(best.score)),
        None => "Without a tag".to_owned(),
    };
    html! {
        li { (image(&picture.jpeg, &alt)) (tags(&picture.tags, more)) span.key { (name(&picture.key)) } }
    }
}

/// A thumbnail: a JPEG in base64.
pub(super) fn image(jpeg: &str, alt: &str) -> Markup {
    html! {
        img src={ "data:image/jpeg;base64," (jpeg) } alt=(visible(alt)) width="256" height="256" decoding="async";
    }
}

fn tags(tags: &[Tag], more: Option<&str>) -> Markup {
    let Some((best, others)) = tags.split_first() else {
        return html! { p.best { "no tag" } };
    };
    let others: Vec<&Tag> = others.iter().filter(|tag| tag.score >= NOISE).collect();
    html! {
        p.best {
            (name(&best.label)) " " b.score { (score(best.score)) }
            @if let Some(more) = more { " " small { (more) } }
        }
        @if !others.is_empty() {
            p.others {
                @for (place, tag) in others.iter().enumerate() {
                    @if place > 0 { " · " }
                    (name(&tag.label)) " " (score(tag.score))
                }
            }
        }
    }
}
