//! The results as a table for SQL: the statement that makes Athena know them.
//!
//! Pure text; it is written beside the results so that nobody has to spell the schema.

use crate::run::VectorType;

/// `CREATE EXTERNAL TABLE` for the Parquet files below `location`, `s3://bucket/tags/RUN/results/`.
///
/// Athena reads float16 columns as nothing it knows, so such a vector is left out of the table.
#[must_use]
pub fn definition(location: &str, vector: Option<VectorType>) -> String {
    let vector = if vector == Some(VectorType::F32) { ",\n  vector array<float>" } else { "" };
    let location = location.replace('\'', "''");
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
        insta::assert_snapshot!(definition("s3://shop-tags/it's/r/rows/", Some(VectorType::F32)));
        assert!(!definition("s3://b/", None).contains("vector"));
    }
}
