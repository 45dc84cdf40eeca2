//! How a run ended: the heading, the way to each section, the key figures, the problem if there was one.

use crate::text::{count, dollars, duration, escape, images, name, number, share};
use crate::verdict::{Grade, outcome};
use crate::{State, Summary};

/// Shards that are named.
const SHARDS: usize = 50;

pub(super) fn header(summary: &Summary) -> String {
    format!(
        "<header>\n<p class=\"brand\">tagfleet</p>\n<h1>Run {}</h1>\n<p class=\"state {}\">{}</p>\n\
         <p class=\"lead\">{}</p>\n</header>\n",
        name(&summary.run.to_string()),
        Grade::of(summary).class(),
        outcome(summary),
        lead(summary)
    )
}

/// One sentence for who reads nothing else.
fn lead(summary: &Summary) -> String {
    let open = match summary.images.saturating_sub(summary.rows) {
        0 => String::new(),
        open => format!(", {} not done", count(open)),
    };
    let failed = match summary.all_failed() {
        0 => "none failed".to_owned(),
        failed => format!("{} failed", count(failed)),
    };
    let (tagged, all) = (count(summary.tagged), images(summary.images));
    let since = summary
        .since_in_words()
        .map(|since| format!(" Since run {}. Pictures are of images that this run tagged.", name(&since)));
    format!(
        "{tagged} of {all} tagged with {}, {failed}{open}.{}",
        name(&summary.model),
        since.unwrap_or_default()
    )
}

/// Links to the sections that `main` has.
pub(super) fn contents(main: &str) -> String {
    let sections = [
        ("problem", "Not complete"),
        ("failures", "Failed"),
        ("tags", "Tags"),
        ("scores", "Scores"),
        ("unsure", "Least certain"),
        ("pictures", "By tag"),
        ("random", "Random sample"),
        ("speed", "Speed"),
        ("cost", "Cost"),
        ("ran", "This run"),
    ];
    let mut html = "<nav aria-label=\"Sections\">\n<ul>\n".to_owned();
    for (id, heading) in sections.iter().filter(|(id, _)| main.contains(&format!(" id=\"{id}\""))) {
        html.push_str(&format!("<li><a href=\"#{id}\">{heading}</a></li>\n"));
    }
    html.push_str("</ul>\n</nav>\n");
    html
}

pub(super) fn figures(summary: &Summary) -> String {
    let (all, failed) = (summary.images as f64, summary.all_failed());
    let mut figures = vec![
        ("Images", count(summary.images), String::new()),
        ("Tagged", count(summary.tagged), share(summary.tagged as f64, all)),
        ("Failed", count(failed), share(failed as f64, all)),
    ];
    if summary.images_here > 0 {
        figures.push(("Time", duration(summary.seconds_here), threads(summary)));
        figures.push(("Images per second", number(summary.images_per_second()), String::new()));
    }
    if let Some(cost) = &summary.cost {
        let per_million = cost.usd_per_million.map(|usd| format!("{} per million images", dollars(usd)));
        figures.push(("Cost", dollars(cost.total_usd), per_million.unwrap_or_default()));
    }
    let mut html =
        "<section aria-labelledby=\"figures\">\n<h2 id=\"figures\" class=\"hidden\">Key figures</h2>\n\
                    <dl class=\"figures\">\n"
            .to_owned();
    for (name, value, more) in figures {
        let class = if name == "Failed" { Grade::of_failures(summary).class() } else { "plain" };
        html.push_str(&format!("<div class=\"{class}\"><dt>{name}</dt><dd>{value}"));
        if !more.is_empty() {
            html.push_str(&format!(" <small>{more}</small>"));
        }
        html.push_str("</dd></div>\n");
    }
    html.push_str("</dl>\n</section>\n");
    html
}

fn threads(summary: &Summary) -> String {
    match summary.usage {
        Some(_) => format!("{} vCPUs", count(summary.threads as u64)),
        None => format!("{} threads", summary.threads),
    }
}

/// What is missing and why, and how to continue.
/// Why the tags are probably wrong, before anything that shows them.
pub(super) fn warning(summary: &Summary) -> String {
    let Some(warning) = &summary.warning else { return String::new() };
    format!(
        "<section class=\"problem\" aria-labelledby=\"warning\">\n<h2 id=\"warning\">Check these tags</h2>\n<p>{}</p>\n</section>\n",
        name(warning)
    )
}

pub(super) fn problem(summary: &Summary) -> String {
    if summary.state == State::Complete {
        return String::new();
    }
    let mut html =
        "<section class=\"problem\" aria-labelledby=\"problem\">\n<h2 id=\"problem\">Not complete</h2>\n"
            .to_owned();
    if let Some(problem) = &summary.problem {
        html.push_str(&format!("<p>{}</p>\n", name(problem)));
    }
    let missing = &summary.missing_shards;
    if !missing.is_empty() {
        let named: Vec<String> = missing.iter().take(SHARDS).map(|shard| escape(shard)).collect();
        let more = match missing.len().saturating_sub(SHARDS) {
            0 => String::new(),
            more => format!(" and {} more", count(more as u64)),
        };
        html.push_str(&format!("<p>Shards without rows: {}{more}.</p>\n", named.join(", ")));
    }
    let next = match summary.usage {
        Some(_) => {
            let more = if summary.state == State::StoppedAtBudget { " --max-usd N" } else { "" };
            format!(
                "<code>tagfleet resume {}{more}</code> continues from here.",
                escape(&summary.run.to_string())
            )
        }
        None => "Run the same command again to continue.".to_owned(),
    };
    html.push_str(&format!("<p>What is done is kept. {next}</p>\n</section>\n"));
    html
}
