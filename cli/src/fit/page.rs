//! The page of a fit: the ranking, and each picture with its tags under the best three candidates.
//!
//! It needs no network, no script and no other file. Keys and labels come from users and are escaped.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tagfleet_model::folder::Description;
use tagfleet_pipeline::tags::Tag;
use tagfleet_report::html::{document, escape, name};

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
const VERSION: &str = concat!(" ", env!("CARGO_PKG_VERSION"));

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
        let title = format!("tagfleet fit {}", escape(&self.loading.model.spec.model));
        let main = [self.ranking(), self.tags(&thumbnails), self.description()].concat();
        let header =
            format!("<header><p class=\"brand\">tagfleet fit</p><h1>{}</h1></header>", self.headline());
        write_file(path, &document(&title, &format!("{header}<main>\n{main}</main>\n"), VERSION))
    }

    fn headline(&self) -> String {
        let best = escape(&self.ranking.name(&self.ranking.best().candidate));
        if self.verdict.is_decided() { best } else { format!("Not decided; first is {best}") }
    }

    fn ranking(&self) -> String {
        let heads = words::heads(self.ranking);
        let heads: String =
            heads.iter().map(|head| format!("<th class=\"number\">{}</th>", head.trim())).collect();
        let mut rows = String::new();
        for (rank, trial) in (1..).zip(&self.ranking.trials) {
            let numbers = words::numbers(self.ranking, trial);
            let numbers: String =
                numbers.iter().map(|number| format!("<td class=\"number\">{}</td>", number.trim())).collect();
            let present = if trial.candidate.is_present { " <b>(at present)</b>" } else { "" };
            let name = escape(&self.ranking.name(&trial.candidate));
            rows.push_str(&format!(
                "<tr><td class=\"number\">{rank}</td>{numbers}<td>{name}{present}</td></tr>\n"
            ));
        }
        let measure = escape(&words::measure(self.ranking, self.pictures));
        let verdict = escape_lines(&words::verdict(self.ranking, self.verdict));
        format!(
            "<section>\n<h2>Ranking</h2>\n<p>{measure}</p>\n<pre>{verdict}</pre>\n<div class=\"scroll\"><table><thead><tr>\
             <th class=\"number\">rank</th>{heads}<th>preprocessing</th></tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n</section>\n"
        )
    }

    fn tags(&self, thumbnails: &[Option<Vec<u8>>]) -> String {
        let compared: Vec<&Trial> = self.ranking.trials.iter().take(COMPARED).collect();
        let mut legend = String::new();
        for trial in &compared {
            legend.push_str(&format!("<li>{}</li>\n", escape(&self.ranking.name(&trial.candidate))));
        }
        let mut cards = String::new();
        for (number, picture) in self.pictures.all.iter().enumerate() {
            let jpeg = thumbnails.get(number).and_then(Option::as_deref);
            cards.push_str(&self.card(number, picture, (jpeg, &compared)));
        }
        format!(
            "<section>\n<h2>Tags under the best {}</h2>\n<ol>\n{legend}</ol>\n<ul class=\"pictures\">\n{cards}</ul>\n</section>\n",
            words::count(compared.len(), "candidate")
        )
    }

    fn card(&self, number: usize, picture: &Picture, (jpeg, compared): (Option<&[u8]>, &[&Trial])) -> String {
        let mut card = String::from("<li>");
        if let Some(jpeg) = jpeg {
            let data = STANDARD.encode(jpeg);
            card.push_str(&format!("<img src=\"data:image/jpeg;base64,{data}\" alt=\"\">"));
        }
        if let Some(label) = picture.truth.first().and_then(|index| self.label(*index)) {
            card.push_str(&format!("<p class=\"best\">is {}</p>", name(label)));
        }
        for (rank, trial) in (1..).zip(compared) {
            let tags = match trial.answers.get(number) {
                Some(Ok(tags)) => tags.iter().take(TAGS).map(|tag| shown(tag, picture)).collect::<Vec<_>>(),
                Some(Err(why)) => vec![escape(why)],
                None => Vec::new(),
            };
            card.push_str(&format!("<p>{rank}: {}</p>", tags.join(", ")));
        }
        card.push_str(&format!("<p class=\"key\">{}</p></li>\n", name(&picture.key)));
        card
    }

    fn label(&self, index: u32) -> Option<&str> {
        self.loading.model.spec.labels.get(index as usize).map(String::as_str)
    }

    fn description(&self) -> String {
        let spec = &self.loading.model.spec;
        let preprocessing = &self.ranking.best().candidate.steps;
        let toml = Description { preprocessing, ..Description::of(spec) }.toml();
        format!(
            "<section>\n<h2>tagfleet.toml of the first</h2>\n<pre>{}</pre>\n</section>\n",
            escape_lines(&toml)
        )
    }
}

/// A tag; the right one is highlighted.
fn shown(tag: &Tag, picture: &Picture) -> String {
    let text = format!("{} <span class=\"score\">{:.2}</span>", name(&tag.label), tag.score);
    if picture.truth.contains(&tag.index) { format!("<b>{text}</b>") } else { text }
}

/// Text whose lines stay lines.
fn escape_lines(text: &str) -> String {
    text.trim().lines().map(escape).collect::<Vec<_>>().join("\n")
}
