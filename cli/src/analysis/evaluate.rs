//! `tagfleet evaluate`: how good a run's tags are, by the user's own labels.
//!
//! It wires: rows, truth and the names of labels in, text, JSON, a page and thresholds out.

use std::path::Path;

use tagfleet_analysis::Subject;
use tagfleet_analysis::evaluate::{Evaluated, Evaluation, evaluate as compute};
use tagfleet_analysis::truth::{Sources, Truth, TruthFile};
use tagfleet_pipeline::bucket::KeyRange;
use tagfleet_pipeline::earlier::{RowColumns, RunRows};

use super::found_run::FoundRun;
use super::names::Names;
use super::page::evaluation as page;
use super::pictures::Pictures;
use super::{failure, folder, json, warn_if_incomplete, write};
use crate::args::EvaluateOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};
use crate::runtime::block_on;

/// The value of `--truth` that means the folders.
const FOLDERS: &str = "folders";

pub(crate) fn evaluate(options: &EvaluateOptions) -> Result<Exit, Failure> {
    block_on(evaluate_async(options))
}

async fn evaluate_async(options: &EvaluateOptions) -> Result<Exit, Failure> {
    let found = FoundRun::find(&options.run, &options.stack).await?;
    warn_if_incomplete(&found).await?;
    let subject = found.subject().await?;
    if subject.labels.is_empty() {
        return Err(bad_input(format!("run {}: its model has no labels, so no tag can be right", found.run)));
    }
    let truth = truth(&options.truth, &subject)?;
    folder(&options.out)?;
    let evaluation = run(&found, subject, &truth, options.precision).await?;
    let pictures =
        Pictures::collect(&found, &evaluation.run, &page::shown(&evaluation), &options.stack).await;
    write(&options.out, "evaluation.json", json(&evaluation)?)?;
    let html = write(&options.out, "evaluation.html", page::page(&evaluation, &pictures))?;
    let thresholds = match &evaluation.thresholds {
        Some(found) => {
            let toml = found.toml(evaluation.run.run.as_str(), &evaluation.truth);
            Some(write(&options.out, "thresholds.toml", toml)?)
        }
        None => None,
    };
    if options.json {
        print_json(&serde_json::to_string_pretty(&evaluation).map_err(broken)?)?;
        return Ok(Exit::Finished);
    }
    print(&evaluation.text())?;
    print(&format!("\npage     {}\n", html.display()))?;
    if let Some(path) = thresholds {
        print(&format!("wrote    {} for `tagfleet run --thresholds`\n", path.display()))?;
    }
    Ok(Exit::Finished)
}

fn truth(path: &Path, subject: &Subject) -> Result<Truth, Failure> {
    if path == Path::new(FOLDERS) {
        return Ok(Truth::Folders);
    }
    let file = TruthFile::read(path, &Sources::new(&subject.source));
    file.map(Truth::File).map_err(|error| bad_input(format!("--truth {}: {error}", path.display())))
}

async fn run(
    found: &FoundRun,
    subject: Subject,
    truth: &Truth,
    precision: Option<f64>,
) -> Result<Evaluation, Failure> {
    let names = Names::new(&subject.labels);
    let labels = subject.labels.clone();
    let resolve = |text: &str| -> Vec<String> {
        let indices = names.find_whole(text);
        indices.iter().filter_map(|index| labels.get(*index as usize).cloned()).collect()
    };
    let columns = RowColumns { etag: false, tags: true };
    let rows = RunRows::open(found.output.clone(), &found.keys, columns, KeyRange::default()).await;
    let mut rows = rows.map_err(broken)?;
    let evaluated = Evaluated { subject, rows: &mut rows, truth, resolve: &resolve, precision };
    let evaluation = compute(evaluated).await.map_err(failure)?;
    let unknown = evaluation.unknown_labels.len();
    if unknown > 0 {
        let first = &evaluation.unknown_labels[0];
        tell(&format!(
            "warning: the model does not have {} of the truth, {:?} first: images with no other label are in no figure",
            if unknown == 1 { "1 label".to_owned() } else { format!("{unknown} labels") },
            first.label
        ));
    }
    Ok(evaluation)
}
