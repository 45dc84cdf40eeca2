//! What a run on this machine cost: the requests that this process sent, at the prices of the configured
//! region.
//!
//! The machine is the user's, and costs nothing. Without a bucket there is no cost to report.

use tagfleet_aws::Aws;
use tagfleet_cost::usage::Usage;
use tagfleet_cost::{Extras, PriceBook, bill};
use tagfleet_report::Summary;

/// Adds the bill, or why there is none, if `aws` was used.
pub(super) fn add(summary: &mut Summary, aws: Option<&Aws>) {
    let Some(aws) = aws else { return };
    let requests = [("run".to_owned(), aws.requests())].into();
    let usage = Usage { requests, ..Usage::default() };
    let Some(region) = aws.region() else {
        summary.cost_problem = Some("the region is unknown: pass --region or set AWS_REGION".to_owned());
        return;
    };
    let extras = Extras { region: region.to_owned(), images: summary.images_here, ..Extras::default() };
    let book = PriceBook::built_in().map_err(|error| error.to_string());
    match book.and_then(|book| bill(&usage, &extras, &book).map_err(|error| error.to_string())) {
        Ok(mut cost) => {
            cost.notes.push("requests of this process only; its machine is not counted".to_owned());
            summary.cost = Some(cost);
        }
        Err(why) => summary.cost_problem = Some(why),
    }
}
