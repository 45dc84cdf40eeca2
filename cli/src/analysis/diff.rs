//! `tagfleet diff`: what changed from one run to another.
//!
//! It wires: two streams of rows in, text, JSON, a page and the list of flips out. Images that flipped are
//! written to the list while rows are read, so their number does not matter.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use tagfleet_analysis::diff::{Diff, Flipped, Pair, diff as compute};
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::earlier::{RowColumns, RunRows};

use super::found_run::FoundRun;
use super::page::diff as page;
use super::pictures::Pictures;
use super::{failure, folder, json, warn_if_incomplete, write};
use crate::args::DiffOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json};
use crate::runtime::block_on;

/// The list of all images that flipped.
const FLIPS: &str = "flips.csv";

pub(crate) fn diff(options: &DiffOptions) -> Result<Exit, Failure> {
    block_on(diff_async(options))
}

async fn diff_async(options: &DiffOptions) -> Result<Exit, Failure> {
    let a = FoundRun::find(&options.a, &options.stack).await?;
    let b = FoundRun::find(&options.b, &options.stack).await?;
    if a.page == b.page {
        return Err(bad_input(format!("both are run {}: name two runs", a.run)));
    }
    warn_if_incomplete(&a).await?;
    warn_if_incomplete(&b).await?;
    folder(&options.out)?;
    let path = options.out.join(FLIPS);
    let diff = run(&a, &b, options.max_flips, &path).await?;
    let subject = b.subject().await?;
    let pictures = Pictures::collect(&b, &subject, &page::shown(&diff), &options.stack).await;
    write(&options.out, "diff.json", json(&diff)?)?;
    let html = write(&options.out, "diff.html", page::page(&diff, &pictures))?;
    if options.json {
        print_json(&serde_json::to_string_pretty(&diff).map_err(broken)?)?;
    } else {
        print(&diff.text())?;
        print(&format!("\npage     {}\nflips    {}\n", html.display(), path.display()))?;
    }
    Ok(if diff.exceeds_max_flips { Exit::TooManyFlips } else { Exit::Finished })
}

async fn run(a: &FoundRun, b: &FoundRun, max_flips: Option<f64>, list: &Path) -> Result<Diff, Failure> {
    let unwritable = |error: &dyn std::fmt::Display| broken(format!("{}: {error}", list.display()));
    let file = File::create(list).map_err(|error| unwritable(&error))?;
    let mut csv = csv::Writer::from_writer(BufWriter::new(file));
    csv.write_record(["key", "from", "to"]).map_err(|error| unwritable(&error))?;
    let (mut rows_a, mut rows_b) = (rows(a).await?, rows(b).await?);
    let pair = Pair { a: (a.subject().await?, &mut rows_a), b: (b.subject().await?, &mut rows_b) };
    let mut flipped =
        |flip: &Flipped<'_>| csv.write_record([flip.key, flip.from, flip.to]).map_err(io::Error::other);
    let diff = compute(pair, max_flips, &mut flipped).await.map_err(failure)?;
    csv.flush().map_err(|error| unwritable(&error))?;
    Ok(diff)
}

async fn rows(found: &FoundRun) -> Result<RunRows, Failure> {
    let columns = RowColumns { etag: true, tags: true };
    let rows = RunRows::open(found.output.clone(), &found.keys, columns, KeyRange::default()).await;
    rows.map_err(broken)
}
