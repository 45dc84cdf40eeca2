//! The page of a synthetic run: its structure as a snapshot, and what no key, label or message can do to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::State;
use crate::binding::tests::binding;
use crate::binding::{Binding, Stage};
use crate::samples::LabelSample;
use crate::tests::summary;
use crate::throughput::Piece;
use tagfleet_cost::testing::variance::a_dear_run;
use tagfleet_cost::usage::{Gpu, Machine, MachineUsage, Usage};
use tagfleet_cost::{COST_VERSION, Cost, CostLine, PlanVariance};
use tagfleet_pipeline::progress::ThreadTime;
use tagfleet_pipeline::reduce::{ScoreCounts, TagCount};
use tagfleet_pipeline::run::RunId;
use tagfleet_pipeline::tags::{Reason, Tag};
use tagfleet_pipeline::testing::request;
use tagfleet_pipeline::thumbnails::{FailedImage, Picture};

/// A run in which every text that comes from outside is `text`.
struct World {
    summary: Summary,
    request: RunRequest,
    tags: TagCounts,
    throughput: Throughput,
    samples: Samples,
}

impl World {
    fn new(text: &str) -> Self {
        let piece = |second: u32| Piece {
            from: f64::from(second),
            to: f64::from(second + 1),
            rate: 200.0 + f64::from(second) * 20.0,
        };
        let threads = ThreadTime { waiting_milliseconds: 100, tagging_milliseconds: 7900 };
        let count = |images| TagCount { images, best: images / 2 };
        Self {
            summary: summary_of(text),
            request: request_of(text),
            tags: TagCounts {
                labels: [(text.to_owned(), count(700)), (format!("{text} 2"), count(90))].into(),
                beyond: 0,
                scores: scores(),
            },
            throughput: Throughput { pieces: (0..4).map(piece).collect(), threads },
            samples: samples_of(text),
        }
    }

    /// The same on machines with GPUs.
    fn with_gpus(text: &str) -> Self {
        let mut world = Self::new(text);
        world.summary.device = Some(binding());
        let usage = world.summary.usage.as_mut().unwrap();
        usage.machines[0].gpu = Some(Gpu { name: text.to_owned(), count: 2 });
        world.summary.slowest.offer(text, 7400);
        world
    }

    fn page(&self) -> String {
        let Self { summary, request, tags, throughput, samples } = self;
        page(&Report { summary, request, tags, throughput }, samples)
    }
}

fn scores() -> ScoreCounts {
    let mut scores = ScoreCounts::default();
    [0.2, 0.45, 0.9, 0.97, 1.0].into_iter().for_each(|score| scores.add_score(score));
    scores
}

fn summary_of(text: &str) -> Summary {
    let line = CostLine {
        stage: text.to_owned(),
        service: "S3".to_owned(),
        item: text.to_owned(),
        quantity: 1.0,
        unit: "1k requests".to_owned(),
        unit_price: 0.0004,
        usd: 0.0004,
    };
    let cost = Cost {
        version: COST_VERSION,
        region: "us-east-1".to_owned(),
        prices_of: "2026-11-23".to_owned(),
        lines: vec![line],
        total_usd: 0.0004,
        usd_per_million: Some(0.4),
        spot_saved_usd: 0.01,
        notes: vec![text.to_owned()],
        plan: Some(plan_of(text)),
    };
    let machine = Machine { instance_type: Some(text.to_owned()), ..Machine::default() };
    let machines = vec![MachineUsage { machine, workers: 2, ..MachineUsage::default() }];
    Summary {
        state: State::Incomplete,
        model: text.to_owned(),
        model_sha256: text.to_owned(),
        warning: Some(text.to_owned()),
        results: text.to_owned(),
        tagfleet: text.to_owned(),
        command: Some(text.to_owned()),
        working_folder: Some(text.to_owned()),
        retry: Some(format!("tagfleet show {text}\ntagfleet run {text}")),
        cost_problem: Some(text.to_owned()),
        problem: Some(text.to_owned()),
        failed: BTreeMap::from([("corrupt".to_owned(), 8), (text.to_owned(), 2)]),
        missing_shards: vec![text.to_owned()],
        usage: Some(Usage { machines, ..Usage::default() }),
        cost: Some(cost),
        ..summary()
    }
}

pub(crate) fn plan_of(text: &str) -> PlanVariance {
    let mut plan = a_dear_run();
    plan.planned.instance_type = text.to_owned();
    plan.actual.machines[0].instance_type = text.to_owned();
    plan.causes[0].name = text.to_owned();
    plan.actual.engine = text.to_owned();
    plan
}

fn request_of(text: &str) -> RunRequest {
    let mut request = request();
    request.input.location = text.to_owned();
    request.input.include = vec![text.to_owned()];
    request.model.spec =
        serde_json::json!({"labels": vec![text; 9], "note": text, "decoding": {"scaled": 1}});
    request.engine.name = text.to_owned();
    request
}

fn samples_of(text: &str) -> Samples {
    let tags = vec![Tag { label: text.to_owned(), index: 0, score: 0.9 }];
    let jpeg = "/9j/4AAQ".to_owned();
    let picture = Arc::new(Picture { key: text.to_owned(), width: 4, height: 3, tags, jpeg: jpeg.clone() });
    let untagged = Arc::new(Picture { tags: vec![], ..Picture::clone(&picture) });
    let label = LabelSample { label: text.to_owned(), images: 350, pictures: vec![picture.clone(); 2] };
    let failure = FailedImage {
        key: text.to_owned(),
        reason: Reason::Corrupt,
        message: text.to_owned(),
        jpeg: Some(jpeg),
    };
    Samples {
        labels: vec![label],
        unsure: vec![picture.clone()],
        random: vec![picture, untagged],
        failures: [("corrupt".to_owned(), vec![failure])].into(),
        read: 200,
        objects: 3000,
        unread: 1,
    }
}

/// The page's markup alone: no text, no values of attributes, no style.
fn structure(page: &str) -> String {
    let (_, body) = page.split_once("</style>").unwrap();
    let (mut structure, mut inside, mut quoted) = (String::new(), false, false);
    for c in body.chars() {
        match c {
            '"' if inside => quoted = !quoted,
            '<' if !quoted => inside = true,
            '>' if inside && !quoted => {
                inside = false;
                structure.push_str(">\n");
                continue;
            }
            _ => {}
        }
        if inside && !quoted {
            structure.push(c);
        }
    }
    structure
}

#[test]
fn a_page() {
    let mut world = World::new("cat");
    world.summary.state = State::Complete;
    world.summary.run = RunId::try_from("nightly".to_owned()).unwrap();
    let page = world.page();
    insta::assert_snapshot!(page.split_once("</style>").unwrap().1);
}

#[test]
fn a_page_of_hosts_with_gpus_names_their_bottleneck() {
    let mut world = World::with_gpus("NVIDIA L4");
    let more = |world: &World| {
        let without = World::new("NVIDIA L4").page();
        let page = world.page();
        page.lines().filter(|line| !without.contains(line)).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(more(&world));
    let said = |world: &World, sentence: &str| assert!(more(world).contains(sentence), "{sentence}");
    let decodes = binding();
    world.summary.device = Some(Binding { stage: Stage::Compute, decode: 0.3, compute: 0.97, ..decodes });
    said(&world, "<strong>The device was the bottleneck</strong>: decode 30 % busy");
    world.summary.device = Some(Binding { decode: 0.3, ..decodes });
    said(&world, "<strong>No stage was the bottleneck</strong>");
    world.throughput.threads.waiting_milliseconds = 7900;
    assert!(world.page().contains("<strong>Fetching was the bottleneck</strong>"));
}

#[test]
fn a_run_without_facts_has_a_page() {
    let summary = Summary {
        images: 0,
        rows: 0,
        tagged: 0,
        failed: BTreeMap::new(),
        images_here: 0,
        seconds_here: 0.0,
        ..summary()
    };
    let world = World {
        summary,
        request: request(),
        tags: TagCounts::default(),
        throughput: Throughput::default(),
        samples: Samples::default(),
    };
    let page = world.page();
    for said in ["No image has a tag", "no thumbnails", "no speed was measured", ">Complete</p>"] {
        assert!(page.contains(said), "{said}");
    }
    for section in ["Failed images", "<h2 id=\"cost\"", "Least certain", "Histogram"] {
        assert!(!page.contains(section), "{section}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
}

const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</style></main><!-- &lt;",
    "javascript:alert(1)\u{202e}\0\u{1b}[31m\r\n",
    "שלום/مرحبا\u{2067}/📷",
];

#[test]
fn hostile_texts_change_no_markup() {
    let plain = structure(&World::with_gpus("cat").page());
    for text in HOSTILE {
        let page = World::with_gpus(text).page();
        assert_eq!(structure(&page), plain, "{text:?}");
        assert!(!page.contains("<script") && !page.contains("<img src=x"), "{text:?}");
        let control =
            page.chars().find(|&c| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{2067}');
        assert_eq!(control, None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_changes_the_markup(text in "\\PC{0,40}|[<>&\"'/=! a-c\u{0}-\u{1f}\u{202a}-\u{202e}]{0,1024}") {
        // Two labels are equal only if they are the same text.
        prop_assume!(!text.is_empty() && text != "corrupt");
        prop_assert_eq!(structure(&World::with_gpus(&text).page()), structure(&World::with_gpus("cat").page()));
    }
}

/// A page is opened on a phone: as many pictures of 14 kB as there can be, and keys of the longest kind.
#[test]
fn a_page_is_bounded() {
    let key = "<".repeat(1024);
    let mut world = World::new(&key);
    let jpeg = "A".repeat(18_700);
    let picture = Arc::new(Picture { jpeg: jpeg.clone(), ..Picture::clone(&world.samples.unsure[0]) });
    let label = LabelSample { label: key.clone(), images: 1, pictures: vec![picture.clone()] };
    world.samples.labels = vec![label; 120];
    world.samples.random = vec![picture.clone(); 24];
    world.samples.unsure = vec![picture; 12];
    world.tags.labels = (0..10_000)
        .map(|number| (format!("{number}{key}"), TagCount { images: number, best: number }))
        .collect();
    let failure = FailedImage { jpeg: None, ..world.samples.failures["corrupt"][0].clone() };
    let mut failures = vec![failure; 5];
    failures.push(FailedImage { jpeg: Some(jpeg), ..failures[0].clone() });
    world.summary.failed = Reason::ALL.map(|reason| (reason.code().to_owned(), 6)).into();
    world.samples.failures = Reason::ALL.map(|reason| (reason.code().to_owned(), failures.clone())).into();
    world.summary.missing_shards = vec!["00000-0000001".to_owned(); 30_000];
    let bytes = world.page().len();
    assert!(bytes < 7 << 20, "{bytes} bytes");
}

#[test]
fn models_with_one_label_per_image_count_the_best_tag() {
    let mut world = World::new("cat");
    let page = world.page();
    assert!(page.contains("Images by best tag") && page.contains("<td class=\"number\">350</td>"), "{page}");
    world.request.model.multi_label = true;
    let page = world.page();
    assert!(page.contains("Images by tag") && page.contains("<td class=\"number\">700</td>"), "{page}");
}

#[test]
fn the_colour_of_the_state_follows_from_the_failures() {
    let mut world = World::new("cat");
    world.summary.state = State::Complete;
    world.summary.images = 1000;
    for (failed, state) in [
        (0, "good\">Complete<"),
        (50, "fair\">Complete, 50 failed (5.0\u{a0}%)<"),
        (51, "bad\">Complete, 51 failed (5.1\u{a0}%)<"),
    ] {
        world.summary.failed =
            if failed > 0 { [("corrupt".to_owned(), failed)].into() } else { BTreeMap::new() };
        assert!(world.page().contains(&format!("<p class=\"state {state}")), "{state}");
    }
}
