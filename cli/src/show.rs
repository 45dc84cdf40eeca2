//! `tagfleet show`: rows of a run, for a look without other tools, and keys for another run.
//!
//! It reads results only; anything more is for DuckDB, pandas or Athena.

mod choice;
mod row;

use serde_json::json;

use crate::args::ShowOptions;
use crate::exit::{Exit, Failure, print, print_json, print_raw};
use crate::finished::FinishedRun;
use choice::Choice;
use row::{Row, Rows};

/// Rows that are shown unless another number is asked for.
const ROWS: usize = 20;

pub(crate) fn show(options: &ShowOptions) -> Result<Exit, Failure> {
    let run = FinishedRun::find(&options.run)?;
    if options.path {
        print_raw(&format!("{}\n", run.results.display()))?;
        return Ok(Exit::Finished);
    }
    let choice = Choice::new(options, &run)?;
    let limit = options.rows.unwrap_or(if options.keys_only { usize::MAX } else { ROWS });
    let is_sorted = options.below.is_some() && limit < usize::MAX;
    let rows = Rows::of(&run.results)?;
    let end = if options.keys_only && !options.json { end_of_keys(&rows, &choice)? } else { "" };
    let put = |row: &Row| match (options.keys_only, options.json) {
        (true, true) => print_json(&json!(row.key).to_string()),
        (true, false) => print_raw(&format!("{}{end}", listed(&row.key))),
        (false, true) => print_json(&row.json()),
        (false, false) => print_row(row),
    };
    let chosen = rows.iter().filter(|row| row.as_ref().map_or(true, |row| choice.takes(row)));
    if is_sorted {
        for row in choice::lowest(chosen, limit)? {
            put(&row)?;
        }
        return Ok(Exit::Finished);
    }
    for row in chosen.take(limit) {
        put(&row?)?;
    }
    Ok(Exit::Finished)
}

fn print_row(row: &Row) -> Result<(), Failure> {
    print(&format!("{}\n", row.text().replace('\n', "\\n")))
}

/// What follows each key of a list: a list of lines cannot hold a key with a line break.
fn end_of_keys(rows: &Rows, choice: &Choice) -> Result<&'static str, Failure> {
    for row in rows.iter() {
        let row = row?;
        if choice.takes(&row) && (row.key.contains('\n') || row.key.ends_with('\r')) {
            return Ok("\0");
        }
    }
    Ok("\n")
}

/// A key as a list of keys spells it, in which `./` and a byte order mark before a key mean nothing.
fn listed(key: &str) -> String {
    if key.starts_with("./") || key.starts_with('\u{feff}') { format!("./{key}") } else { key.to_owned() }
}
