//! The results as a table for SQL: the statement that makes Athena know them.
//!
//! Pure text; it is written beside the results so that nobody has to spell the schema.

use crate::run::VectorType;
use crate::visible::visible;

/// `CREATE EXTERNAL TABLE` for the Parquet files below `location`, `s3://bucket/tags/RUN/results/`.
///
/// Athena reads float16 columns as nothing it knows, so such a vector is left out of the table. Engines spell quotes and
/// backslashes differently, so of a place that holds one there is no statement: what is run must be what is read.
#[must_use]
pub fn definition(location: &str, vector: Option<VectorType>) -> String {
    let shown = visible(location);
    if shown != location || location.contains(['\'', '\\']) {
        return format!(
            "-- {shown} holds characters that every engine spells in its own way: name the table's location by hand.\n"
        );
    }
    let vector = if vector == Some(VectorType::F32) { ",\n  vector array<float>" } else { "" };
    format!(
        "-- In Athena: run this once, then for example SELECT status, count(*) FROM tags GROUP BY status;\n\
         CREATE EXTERNAL TABLE tags (\n  \
         key string, status string, error_code string, error_message string,\n  \
         width int, height int, bytes bigint, etag string,\n  \
         tags array<struct<label:string, `index`:int, score:float>>{vector}\n\
         ) STORED AS PARQUET LOCATION '{location}';\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement() {
        insta::assert_snapshot!(definition("s3://shop-tags/its/r/rows/", Some(VectorType::F32)));
        assert!(!definition("s3://b/", None).contains("vector"));
    }

    #[test]
    fn no_place_ends_the_statement_or_its_comment() {
        for place in [
            "s3://b/it's/",
            "s3://b/\\';DROP TABLE tags;--/",
            "s3://b/a\nDROP TABLE tags;/",
            "s3://b/\u{2028}/",
        ] {
            let text = definition(place, None);
            assert!(text.starts_with("-- ") && text.lines().count() == 1, "{text}");
        }
    }
}
