//! Hostile names, places and causes in a mail: they add no header, no line and no markup.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::html::tests::plan_of;
use crate::tests::summary;
use crate::{LabelCount, TopTags};
use tagfleet_cost::usage::{Machine, MachineUsage, Usage};
use tagfleet_cost::{COST_VERSION, Cost, CostLine};
use tagfleet_pipeline::tags::Tag;

/// The mails of a run and of a failure in which every text that comes from outside is `text`.
fn mails(text: &str) -> [Mail; 2] {
    let own = || text.to_owned();
    let line = CostLine {
        stage: own(),
        service: own(),
        item: own(),
        quantity: 1.0,
        unit: own(),
        unit_price: 0.5,
        usd: 0.5,
    };
    let cost = Cost {
        version: COST_VERSION,
        region: own(),
        prices_of: own(),
        lines: vec![line],
        total_usd: 0.5,
        usd_per_million: None,
        spot_saved_usd: 0.0,
        notes: vec![own()],
        plan: Some(plan_of(text)),
    };
    let machine = Machine { instance_type: Some(own()), zone: Some(own()), life_cycle: Some(own()) };
    let machines = vec![MachineUsage { machine, workers: 1, ..MachineUsage::default() }];
    let summary = Summary {
        state: State::Incomplete,
        failed: BTreeMap::from([(own(), 2)]),
        missing_shards: vec![own(), own()],
        tags: TopTags { labels: vec![LabelCount { label: own(), images: 2 }], ..TopTags::default() },
        model: own(),
        engine: own(),
        results: format!("s3://{text}/results/"),
        usage: Some(Usage { machines, ..Usage::default() }),
        cost: Some(cost),
        cost_problem: Some(own()),
        problem: Some(own()),
        ..summary()
    };
    let failure = Failure { state: own(), error: own(), cause: own() };
    let tags = vec![Tag { label: own(), index: 0, score: 0.5 }];
    let picture = Picture { key: own(), width: 1, height: 1, tags, jpeg: "/9g=".to_owned() };
    let around = Surroundings {
        link: Some(format!("https://console/{text}")),
        highlights: Highlights { pictures: vec![picture] },
        ..Surroundings::of_stack(text, text, Some(text))
    };
    [Mail::of_summary(&summary, &around), Mail::of_failure(&summary.run, &failure, &around)]
}

/// What does not depend on the texts: the subject, how many lines there are, the tags of the HTML without the
/// values in them.
fn shape(mail: &Mail) -> (String, usize, Vec<String>) {
    let tags = mail.html.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or_default());
    let unquoted = |tag: &str| tag.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    (mail.subject.clone(), mail.text.lines().count(), tags.map(unquoted).collect())
}

fn keep_their_shape(text: &str) {
    for (mail, plain) in mails(text).iter().zip(&mails("cat")) {
        assert_eq!(shape(mail), shape(plain), "{text:?}");
        assert!(!mail.subject.contains(char::is_control), "{text:?}");
        let odd = |c: &char| (c.is_control() && *c != '\n') || ('\u{202a}'..='\u{202e}').contains(c);
        assert_eq!(mail.text.chars().chain(mail.html.chars()).find(odd), None, "{text:?}");
    }
}

#[test]
fn hostile_texts_add_no_header_no_line_and_no_markup() {
    let long = "<".repeat(1024);
    for text in [
        "a\r\nBcc: everybody@example.com\r\n\r\n<h1>",
        "</pre><script>alert(1)</script>",
        "\" onmouseover=\"alert(1)",
        "../../../etc/passwd\0",
        "\u{202e}gpj.exe\u{2028}\u{1b}]0;x\u{7}",
        r#"{"errorMessage": "a\nb\u0000\u202e"}"#,
        &long,
    ] {
        keep_their_shape(text);
    }
}

proptest! {
    #[test]
    fn no_text_changes_a_mail(text in "\\PC{0,40}|[<>&\"'/=! a-c\u{0}-\u{1f}\u{202a}-\u{202e}]{0,200}") {
        keep_their_shape(&text);
    }
}
