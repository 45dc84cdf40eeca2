//! The results as a table for SQL: the statements that define them in Athena.
//!
//! One table holds all runs of a model, each run in a partition of its own. So the statements of the next run
//! add to those of the last one, and each may be repeated. Pure text; it is written next to the results so
//! that no user has to spell the schema. It never connects to anything.

use crate::format::visible;
use crate::run::{ModelRecord, RunId};

/// What a table keeps of a model's name; Athena allows 255 characters in a name.
const MAX_NAME: usize = 64;

/// The columns that are in every file, but for `run`. A partition's column must not be among a table's other
/// columns: the value is that of the partition, and the column of that name in the files is not read.
const COLUMNS: [(&str, &str); 11] = [
    ("key", "string"),
    ("model", "string"),
    ("status", "string"),
    ("error_code", "string"),
    ("error_message", "string"),
    ("error_detail", "string"),
    ("width", "int"),
    ("height", "int"),
    ("bytes", "bigint"),
    ("etag", "string"),
    ("tags", "array<struct<`label`:string, `index`:int, `score`:float>>"),
];

/// When a run started, by its id: `nightly-20261126-012330-0a1b2c3d4e5f` if a request file started it, else
/// without a name.
const STARTED: &str = "regexp_extract(run, '([0-9]{8}-[0-9]{6})-[0-9a-f]+$', 1)";

/// The results of one run.
#[derive(Clone, Copy, Debug)]
pub struct RunTable<'a> {
    /// Where all runs are, `s3://bucket/tags/`.
    pub runs: &'a str,
    /// Where this run's rows are, `s3://bucket/tags/RUN/results/`.
    pub results: &'a str,
    /// The run.
    pub run: &'a RunId,
    /// Its model.
    pub model: &'a ModelRecord,
}

impl RunTable<'_> {
    /// The statements: the model's table, this run's partition of it, and the view of the latest row of each
    /// key.
    ///
    /// Every table has the column `vector`, which is null in runs without one. Athena does not read float16
    /// vectors, so the view leaves the column out. Engines spell quotes and backslashes differently, so a
    /// place that holds one has no statement: the statement must run exactly as it reads.
    #[must_use]
    pub fn statements(&self) -> String {
        for place in [self.runs, self.results] {
            let shown = visible(place);
            if shown != place || place.contains(['\'', '\\']) {
                return format!(
                    "-- {shown} holds characters that every engine spells in its own way: name the table's location by hand.\n"
                );
            }
        }
        [self.head(), self.table(), self.partition(), self.view()].join("\n")
    }

    /// `tags_mobilenetv2_1a2b3c4d`: letters, digits and `_`, so it needs no quotes and ends no statement.
    #[must_use]
    pub fn name(&self) -> String {
        let mut name = "tags".to_owned();
        for part in self.model.name.to_lowercase().split(|c: char| !c.is_ascii_alphanumeric()) {
            if !part.is_empty() {
                name.push('_');
                name.push_str(part);
            }
        }
        name.truncate(MAX_NAME);
        let hash = self.model.short_hash().chars().filter(char::is_ascii_alphanumeric);
        format!("{}_{}", name.trim_end_matches('_'), hash.collect::<String>())
    }

    fn head(&self) -> String {
        let name = self.name();
        format!(
            "-- In Athena, run these statements one after the other. Each may be repeated.\n\
             -- All runs of the model:  SELECT status, count(*) FROM {name} GROUP BY status\n\
             -- This run only:          ... WHERE run = '{}'\n\
             -- Latest row of each key: ... FROM {name}_latest\n",
            self.run
        )
    }

    fn table(&self) -> String {
        let mut text = format!("CREATE EXTERNAL TABLE IF NOT EXISTS `{}` (\n", self.name());
        for (column, of_type) in COLUMNS {
            text.push_str(&format!("  `{column}` {of_type},\n"));
        }
        text.push_str("  `vector` array<float>\n)\nPARTITIONED BY (`run` string)\nSTORED AS PARQUET\n");
        text + &format!("LOCATION '{}';\n", self.runs)
    }

    fn partition(&self) -> String {
        let Self { run, results, .. } = self;
        format!(
            "ALTER TABLE `{}` ADD IF NOT EXISTS\nPARTITION (run = '{run}') LOCATION '{results}';\n",
            self.name()
        )
    }

    fn view(&self) -> String {
        let name = self.name();
        // Without quotes: those of a view are those of a string in a table's definition, and no name needs
        // them.
        let names = COLUMNS.map(|(column, _)| column).join(", ");
        format!(
            "CREATE OR REPLACE VIEW {name}_latest AS\n\
             SELECT {names}, run\n\
             FROM (\n  \
             SELECT {names}, run,\n    \
             row_number() OVER (PARTITION BY key ORDER BY {STARTED} DESC, run DESC) AS age\n  \
             FROM {name}\n\
             ) AS ranked\n\
             WHERE age = 1;\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::RunKeys;
    use crate::testing;

    fn run() -> RunId {
        RunId::try_from("20261126-012330-a62884".to_owned()).unwrap()
    }

    fn model(name: &str) -> ModelRecord {
        ModelRecord { name: name.to_owned(), sha256: "1a2b3c4d5e6f".to_owned(), ..testing::request().model }
    }

    fn statements(runs: &str, name: &str) -> String {
        let results = format!("{runs}{}", RunKeys::in_bucket("", &run()).results());
        RunTable { runs, results: &results, run: &run(), model: &model(name) }.statements()
    }

    #[test]
    fn statements_of_a_run() {
        insta::assert_snapshot!(statements("s3://shop-tags/its/", "MobileNet v2"));
    }

    #[test]
    fn no_place_ends_the_statement_or_its_comment() {
        for place in [
            "s3://b/it's/",
            "s3://b/\\';DROP TABLE tags;--/",
            "s3://b/a\nDROP TABLE tags;/",
            "s3://b/\u{2028}/",
        ] {
            let text = statements(place, "m");
            assert!(text.starts_with("-- ") && text.lines().count() == 1, "{text}");
        }
    }

    proptest! {
        /// The name of a model's folder determines a part of the table's name and nothing else.
        #[test]
        fn no_name_of_a_model_leads_out_of_the_tables_name(name: String) {
            let (plain, odd) = (statements("s3://b/", "m"), statements("s3://b/", &name));
            let (run, model) = (run(), model(&name));
            let table = RunTable { runs: "", results: "", run: &run, model: &model }.name();
            prop_assert!(table.len() <= 80 && table.starts_with("tags_") && table.ends_with("_1a2b3c4d"));
            prop_assert!(table.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            prop_assert_eq!(odd.replace(&table, "tags_m_1a2b3c4d"), plain);
        }
    }
}
