//! JSON Schemas of the records that tagfleet reads and writes, derived from the types:
//! docs/reference/schemas.
//!
//! `make reference` writes them, and a test compares them with the types. No program contains them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use tagfleet_cost::Cost;
use tagfleet_cost::usage::UsageRecord;
use tagfleet_fleet::request::FleetRequest;
use tagfleet_pipeline::run::RunRequest;
use tagfleet_report::Summary;

use crate::project;

/// Their folder in the project.
pub const FOLDER: &str = "docs/reference/schemas";

/// Every schema with the name of its file, `request.json`.
#[must_use]
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("request.json", read::<FleetRequest>("Request file of a fleet run")),
        ("run.json", written::<RunRequest>("request.json of a run: everything that decides its rows")),
        ("summary.json", written::<Summary>("summary.json of a run")),
        ("cost.json", written::<Cost>("cost.json of a run")),
        ("usage.json", written::<UsageRecord>("Usage record of a worker or function")),
    ]
}

/// The schema of a record that tagfleet reads.
fn read<T: JsonSchema>(title: &str) -> Value {
    schema::<T>(SchemaSettings::draft2020_12().for_deserialize(), title)
}

/// The schema of a record that tagfleet writes.
fn written<T: JsonSchema>(title: &str) -> Value {
    schema::<T>(SchemaSettings::draft2020_12().for_serialize(), title)
}

fn schema<T: JsonSchema>(settings: SchemaSettings, title: &str) -> Value {
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    schema["title"] = title.into();
    unlink(&mut schema);
    schema
}

/// Removes the links to items of the code from descriptions.
fn unlink(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (Value::String(text), "description") = (&mut *value, name.as_str()) {
                    *text = text.replace("[`", "`").replace("`]", "`");
                }
                unlink(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(unlink),
        _ => {}
    }
}

/// The text of a schema's file.
///
/// # Panics
/// If a schema is not JSON, which it always is.
#[must_use]
pub fn text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).expect("a schema is JSON") + "\n"
}

/// Writes all files into `folder`.
///
/// # Errors
/// If they cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, schema) in all() {
        fs::write(folder.join(name), text(&schema))?;
    }
    Ok(())
}

/// The schema that the project has in this file.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn stored(name: &str) -> Value {
    let path: PathBuf = project(FOLDER).join(name);
    let text = fs::read_to_string(path).expect("run `make reference`");
    serde_json::from_str(&text).expect("a schema is JSON")
}
