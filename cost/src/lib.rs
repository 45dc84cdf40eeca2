//! The cost of a run: usage times a dated price book, line by line.
//!
//! ```text
//! usage records ──► usage ──┐                              ┌──► variance: why planned and actual differ
//!                 instances ─┼──► bill (lines and a total) ─┤
//!                    prices ─┘                              └──► Cost, for the report
//!       measured sample ──► forecast: hours and dollars before a run
//! ```
//!
//! A price has a region, a service and an item. A price that is not in the book is an error and never zero:
//!
//! ```
//! let book = tagfleet_cost::PriceBook::built_in()?;
//! assert!(book.price("eu-west-1", "EC2", "c7a.2xlarge on-demand")?.usd > 0.0);
//! assert!(book.price("eu-west-1", "EC2", "abacus on-demand").is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Why not AWS's Cost Explorer? Its figures come a day later and do not know runs. The bill of a run is there
//! when the run ends, and [`forecast`] uses the same prices before it starts.
//!
//! Pure: values in, values out. It sends no request. The total of a bill is the sum of its lines and nothing
//! else.

pub mod assumptions;
pub mod bill;
pub mod forecast;
pub mod instances;
pub mod prices;
mod requests;
pub mod table;
#[cfg(any(test, feature = "contract"))]
pub mod testing;
pub mod usage;
pub mod variance;

use serde::{Deserialize, Serialize};

pub use bill::{Extras, bill};
pub use prices::{PriceBook, UnknownPrice};
use requests::billed_requests;
pub use variance::PlanVariance;

/// The version of the stored form.
pub const COST_VERSION: u32 = 1;

/// A bill: quantity times unit price, line by line. Dollars are US dollars at list price, free tiers not
/// counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// [`COST_VERSION`].
    pub version: u32,
    /// The region whose prices these are.
    pub region: String,
    /// The date of the price book, `2026-11-23`.
    pub prices_of: String,
    /// In the order of the stages.
    pub lines: Vec<CostLine>,
    /// The sum of the lines.
    pub total_usd: f64,
    /// The same for a million of the run's images; `None` if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_million: Option<f64>,
    /// What the same machines would have cost on demand, less what they cost.
    #[serde(default)]
    pub spot_saved_usd: f64,
    /// What was assumed, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The plan and the actual figures; `None` if the run had no plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanVariance>,
}

/// One line of a bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CostLine {
    /// `split`, `infer`, `reduce`, or `run` for what belongs to no stage.
    pub stage: String,
    /// `S3`, `SQS`, `KMS`, `EC2`, `Lambda`, `Step Functions`, `SES`, `CloudWatch`.
    pub service: String,
    /// What was used: `GetObject`, `g6.xlarge spot us-east-1a`.
    pub item: String,
    /// How much.
    pub quantity: f64,
    /// Of what: `1k requests`, `instance-hours`, `GB-s`.
    pub unit: String,
    /// Dollars for one unit.
    pub unit_price: f64,
    /// Quantity times unit price.
    pub usd: f64,
}
