//! The page of a fit: the ranking, and each picture with its tags under the best three candidates.
//!
//! It needs no network, no script and no other file. Keys and labels come from users and are escaped.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};
use tagfleet_model::folder::Description;
use tagfleet_pipeline::format::visible;
use tagfleet_pipeline::tags::Tag;
use tagfleet_report::html::{document, name, visible_lines};

use super::pictures::{Picture, Pictures};
use super::rank::{Ranking, Trial};
use super::search;
use super::verdict::Verdict;
use super::words;
use super::write::write_file;
use crate::exit::Failure;
use crate::loading::Loading;

/// The number of candidates that show their tags.
const COMPARED: usize = 3;
/// The number of tags of each.
const TAGS: usize = 3;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the page shows.
pub(super) struct Page<'a> {
    pub(super) loading: &'a Loading,
    pub(super) ranking: &'a Ranking,
    pub(super) verdict: &'a Verdict<'a>,
    pub(super) pictures: &'a Pictures,
}

impl Page<'_> {
    /// Writes the page, in the place of an earlier one.
    pub(super) fn write(&self, path: &Path) -> Result<(), Failure> {
        let best = &self.ranking.best().candidate;
        let thumbnails = search::thumbnails(self.loading, best, &self.pictures.all)?;
        let body = html! {
            header { p.brand { "tagfleet fit" } h1 { (self.headline()) } }
            main { (self.ranking()) (self.tags(&thumbnails)) (self.description()) }
        };
        let title = format!("tagfleet fit {}", self.loading.model.spec.model);
        write_file(path, &document(&title, &body, VERSION))
    }

    fn headline(&self) -> String {
        let best = visible(&self.ranking.name(&self.ranking.best().candidate));
        if self.verdict.is_decided() { best } else { format!("Not decided; first is {best}") }
    }

    fn ranking(&self) -> Markup {
        let measure = words::measure(self.ranking, self.pictures);
        let verdict = words::verdict(self.ranking, self.verdict);
        html! {
            section {
                h2 { "Ranking" }
                p { (visible(&measure)) }
                pre { (visible_lines(verdict.trim())) }
                div.scroll {
                    table {
                        thead {
                            tr {
                                th.number { "rank" }
                                @for head in words::heads(self.ranking) { th.number { (head.trim()) } }
                                th { "preprocessing" }
                            }
                        }
                        tbody { @for (rank, trial) in (1..).zip(&self.ranking.trials) { (self.rank(rank, trial)) } }
                    }
                }
            }
        }
    }

    fn rank(&self, rank: usize, trial: &Trial) -> Markup {
        html! {
            tr {
                td.number { (rank) }
                @for number in words::numbers(self.ranking, trial) { td.number { (number.trim()) } }
                td {
                    (visible(&self.ranking.name(&trial.candidate)))
                    @if trial.candidate.is_present { " " b { "(at present)" } }
                }
            }
        }
    }

    fn tags(&self, thumbnails: &[Option<Vec<u8>>]) -> Markup {
        let compared: Vec<&Trial> = self.ranking.trials.iter().take(COMPARED).collect();
        html! {
            section {
                h2 { "Tags under the best " (words::count(compared.len(), "candidate")) }
                ol { @for trial in &compared { li { (visible(&self.ranking.name(&trial.candidate))) } } }
                ul.pictures {
                    @for (number, picture) in self.pictures.all.iter().enumerate() {
                        li {
                            @if let Some(jpeg) = thumbnails.get(number).and_then(Option::as_deref) {
                                img src={ "data:image/jpeg;base64," (STANDARD.encode(jpeg)) } alt="";
                            }
                            @if let Some(label) = picture.truth.first().and_then(|index| self.label(*index)) {
                                p.best { "is " (name(label)) }
                            }
                            @for (rank, trial) in (1..).zip(&compared) {
                                p { (rank) ": " (answer(trial, number, picture)) }
                            }
                            p.key { (name(&picture.key)) }
                        }
                    }
                }
            }
        }
    }

    fn label(&self, index: u32) -> Option<&str> {
        self.loading.model.spec.labels.get(index as usize).map(String::as_str)
    }

    fn description(&self) -> Markup {
        let spec = &self.loading.model.spec;
        let preprocessing = &self.ranking.best().candidate.steps;
        let toml = Description { preprocessing, ..Description::of(spec) }.toml();
        html! {
            section {
                h2 { "tagfleet.toml of the first" }
                pre { (visible_lines(toml.trim())) }
            }
        }
    }
}

/// The tags that a candidate gave a picture, or why it gave none.
fn answer(trial: &Trial, number: usize, picture: &Picture) -> Markup {
    html! {
        @match trial.answers.get(number) {
            Some(Ok(tags)) => {
                @for (place, tag) in tags.iter().take(TAGS).enumerate() {
                    @if place > 0 { ", " }
                    @if picture.truth.contains(&tag.index) { b { (shown(tag)) } } @else { (shown(tag)) }
                }
            }
            Some(Err(why)) => (visible(why)),
            None => {}
        }
    }
}

/// A tag with its score.
fn shown(tag: &Tag) -> Markup {
    html! { (name(&tag.label)) " " span.score { (format!("{:.2}", tag.score)) } }
}
