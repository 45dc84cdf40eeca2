//! A run's metrics for CloudWatch: one line of the log in the Embedded Metric Format, which costs no request.
//!
//! The stack is the only dimension: every value of one is a metric of its own and costs 30 cents a month, so
//! a run's id is in the line and is not a dimension. A resumed run reports its rows again.

use serde_json::{Value, json};
use tagfleet_report::Summary;

const NAMESPACE: &str = "tagfleet";

/// The line; `milliseconds` is the time of day since 1970. Dollars are left out if they are not state.
pub(crate) fn line(stack: &str, summary: &Summary, milliseconds: u64) -> Value {
    let mut metrics = vec![
        json!({"Name": "images", "Unit": "Count"}),
        json!({"Name": "failures", "Unit": "Count"}),
        json!({"Name": "failed_percent", "Unit": "Percent"}),
        json!({"Name": "images_per_second", "Unit": "Count/Second"}),
    ];
    let mut line = json!({
        "Stack": stack,
        "run": summary.run,
        "images": summary.rows,
        "failures": summary.all_failed(),
        // An alarm compares it: of one run, because sums of several mean nothing.
        "failed_percent": failed_percent(summary),
        "images_per_second": summary.images_per_second(),
    });
    if let Some(cost) = &summary.cost {
        metrics.push(json!({"Name": "usd", "Unit": "None"}));
        line["usd"] = json!(cost.total_usd);
    }
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["Stack"]], "Metrics": metrics});
    line["_aws"] = json!({"Timestamp": milliseconds, "CloudWatchMetrics": [directive]});
    line
}

/// Failed rows of a hundred; 0 if there are none.
fn failed_percent(summary: &Summary) -> f64 {
    if summary.rows == 0 { 0.0 } else { summary.all_failed() as f64 * 100.0 / summary.rows as f64 }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tagfleet_pipeline::run::RunId;
    use tagfleet_report::State;

    use super::*;

    #[test]
    fn every_metric_has_its_value_and_the_run_is_no_dimension() {
        let text = json!({
            "version": 1, "run": "r-1", "state": "complete", "images": 1000, "rows": 1000, "tagged": 990,
            "failed": {"corrupt": 10}, "second_decoder": 0, "model": "m", "model_sha256": "", "engine": "tract",
            "threads": 8, "images_here": 1000, "seconds_here": 4.0, "results": "somewhere",
        });
        let summary: Summary = serde_json::from_value(text).unwrap();
        assert_eq!(
            (summary.state, &summary.run),
            (State::Complete, &RunId::try_from("r-1".to_owned()).unwrap())
        );
        let line = line("tagfleet", &summary, 1_700_000_000_000);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Dimensions"], json!([["Stack"]]));
        let values: BTreeMap<_, _> = directive["Metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| (metric["Name"].as_str().unwrap(), line[metric["Name"].as_str().unwrap()].clone()))
            .collect();
        let expected = [
            ("failed_percent", json!(1.0)),
            ("failures", json!(10)),
            ("images", json!(1000)),
            ("images_per_second", json!(250.0)),
        ];
        assert_eq!(values, BTreeMap::from(expected));
    }
}
