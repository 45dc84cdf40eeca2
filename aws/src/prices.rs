//! AWS's own prices: the Price List Query API, and the history of spot prices.
//!
//! It requests the prices that a bill needs and leaves out what AWS does not name; the caller sees what is
//! missing. Nothing in it has a price of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tagfleet_cost::prices::{Confidence, Price};
use tagfleet_pipeline::bucket::Kind;

use crate::Aws;
use crate::error::ServiceError;
use crate::signed::{Call, Service};
use crate::xml::Element;

/// The region that answers for the prices of all.
pub const PRICE_LIST_REGION: &str = "us-east-1";

/// AWS Price List Query API: a JSON service.
const PRICE_LIST: Service = Service {
    title: "Price List",
    id: "Pricing",
    endpoint: "api.pricing",
    signing_name: "pricing",
    version: "AWSPriceListService",
};
/// Products in one answer, and answers to one question at most.
const PRODUCTS_A_PAGE: u32 = 100;
const MAX_PAGES: u32 = 50;

/// A resource with a list price.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedItem {
    /// The service and the item, as the price book has them, and its unit.
    service: &'static str,
    item: String,
    unit: &'static str,
    /// The service's code in the price list.
    code: &'static str,
    /// Attributes of its product.
    filters: Vec<(&'static str, String)>,
    /// The end of its usage type, after the region's prefix.
    usage_type: &'static str,
    /// Units of the price list in one of the book's.
    units: f64,
}

/// What every region has: service, item and unit of the book; code, attributes and usage type of the list;
/// units of the list in one of the book's.
type Listed = (
    (&'static str, &'static str, &'static str),
    (&'static str, &'static [(&'static str, &'static str)], &'static str),
    f64,
);
const LISTED: [Listed; 10] = [
    (
        ("S3", "PUT, COPY, POST, LIST", "1k requests"),
        ("AmazonS3", &[("group", "S3-API-Tier1")], "Requests-Tier1"),
        1e3,
    ),
    (
        ("S3", "GET and all other", "1k requests"),
        ("AmazonS3", &[("group", "S3-API-Tier2")], "Requests-Tier2"),
        1e3,
    ),
    (("SQS", "standard queues", "1M requests"), ("AWSQueueService", &[("queueType", "Standard")], ""), 1e6),
    (
        ("Lambda", "duration on arm64", "GB-s"),
        ("AWSLambda", &[("group", "AWS-Lambda-Duration-ARM")], ""),
        1.0,
    ),
    (("Lambda", "requests", "1M requests"), ("AWSLambda", &[("group", "AWS-Lambda-Requests-ARM")], ""), 1e6),
    (
        ("Step Functions", "state transitions", "1k transitions"),
        ("AmazonStates", &[], "StateTransition"),
        1e3,
    ),
    (("KMS", "requests", "10k requests"), ("awskms", &[], "-KMS-Requests"), 1e4),
    (("CloudWatch", "log ingestion", "GB"), ("AmazonCloudWatch", &[], "-DataProcessing-Bytes"), 1.0),
    (
        ("EC2", "gp3 storage", "GB-months"),
        ("AmazonEC2", &[("volumeApiName", "gp3")], "EBS:VolumeUsage.gp3"),
        1.0,
    ),
    (("EC2", "public IPv4 address", "hours"), ("AmazonVPC", &[], "PublicIPv4:InUseAddress"), 1.0),
];

/// The items of every region, and an hour of each machine; `machines` are instance types.
#[must_use]
pub fn listed_items(machines: &[String]) -> Vec<ListedItem> {
    let listed =
        LISTED.iter().map(|((service, item, unit), (code, filters, usage_type), units)| ListedItem {
            service,
            item: (*item).to_owned(),
            unit,
            code,
            filters: filters.iter().map(|(field, value)| (*field, (*value).to_owned())).collect(),
            usage_type,
            units: *units,
        });
    listed.chain(machines.iter().map(|machine| on_demand(machine))).collect()
}

/// An hour of a machine with Linux.
fn on_demand(machine: &str) -> ListedItem {
    let filters = [
        ("instanceType", machine),
        ("operatingSystem", "Linux"),
        ("tenancy", "Shared"),
        ("preInstalledSw", "NA"),
        ("capacitystatus", "Used"),
        ("marketoption", "OnDemand"),
    ];
    ListedItem {
        service: "EC2",
        item: format!("{machine} on-demand"),
        unit: "hours",
        code: "AmazonEC2",
        filters: filters.map(|(field, value)| (field, value.to_owned())).into(),
        usage_type: "",
        units: 1.0,
    }
}

impl ListedItem {
    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.service, self.item)
    }

    /// The price in one product of an answer, if it is the one.
    fn price(&self, region: &str, date: &str, product: &Value) -> Option<Price> {
        let usage_type = product.pointer("/product/attributes/usagetype")?.as_str()?;
        if !usage_type.ends_with(self.usage_type) {
            return None;
        }
        let published = product.get("publicationDate").and_then(Value::as_str).unwrap_or("on an unknown day");
        Some(Price {
            region: region.to_owned(),
            service: self.service.to_owned(),
            item: self.item.clone(),
            unit: self.unit.to_owned(),
            usd: rounded(first_tier(product)? * self.units),
            low_usd: None,
            source: format!("AWS Price List, {} {usage_type}, published {published}", self.code),
            date: date.to_owned(),
            confidence: Confidence::A,
        })
    }
}

/// The price of the lowest tier that costs anything, on demand, in dollars: free tiers are not counted.
fn first_tier(product: &Value) -> Option<f64> {
    let mut tiers: Vec<(f64, f64)> = Vec::new();
    for term in product.pointer("/terms/OnDemand")?.as_object()?.values() {
        for dimension in term.get("priceDimensions")?.as_object()?.values() {
            let number = |pointer| dimension.pointer(pointer).and_then(Value::as_str)?.parse::<f64>().ok();
            if let Some(usd) = number("/pricePerUnit/USD").filter(|usd| *usd > 0.0) {
                tiers.push((number("/beginRange").unwrap_or(0.0), usd));
            }
        }
    }
    tiers.sort_by(|a, b| a.0.total_cmp(&b.0));
    tiers.first().map(|(_, usd)| *usd)
}

/// Without the rounding errors of a multiplication: no price has that many digits.
fn rounded(usd: f64) -> f64 {
    (usd * 1e12).round() / 1e12
}

impl Aws {
    /// The list price of a resource in `region`, as of the day `date`; `None` if the list has none. These
    /// clients must be of [`PRICE_LIST_REGION`].
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn list_price(
        &self,
        item: &ListedItem,
        region: &str,
        date: &str,
    ) -> Result<Option<Price>, ServiceError> {
        let call = Call { service: PRICE_LIST, action: "GetProducts", resource: item.code };
        let mut body = json!({
            "ServiceCode": item.code, "FormatVersion": "aws_v1", "MaxResults": PRODUCTS_A_PAGE,
            "Filters": filters(item, region),
        });
        for _ in 0..MAX_PAGES {
            let answer = self.json(call, &body).await?;
            let products = products(call, &answer)?;
            let found = products.iter().find_map(|product| item.price(region, date, product));
            let next = answer.get("NextToken").and_then(Value::as_str).unwrap_or_default();
            if found.is_some() || next.is_empty() {
                return Ok(found);
            }
            body["NextToken"] = json!(next);
        }
        Err(unreadable(call, &format!("more than {MAX_PAGES} pages")))
    }

    /// The spot prices of these machines in every zone of these clients' region, `region`, at the time `now`
    /// (`2026-11-23T17:00:00Z`).
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub async fn spot_prices(
        &self,
        machines: &[String],
        region: &str,
        now: &str,
    ) -> Result<Vec<Price>, ServiceError> {
        let call = Call { service: Service::EC2, action: "DescribeSpotPriceHistory", resource: region };
        let names: Vec<String> =
            (1..=machines.len()).map(|number| format!("InstanceType.{number}")).collect();
        let mut latest = BTreeMap::new();
        let mut token = String::new();
        for _ in 0..MAX_PAGES {
            // The price at a time is the last change before it, which is what is answered.
            let mut parameters =
                vec![("ProductDescription.1", "Linux/UNIX"), ("StartTime", now), ("EndTime", now)];
            parameters.extend(names.iter().map(String::as_str).zip(machines.iter().map(String::as_str)));
            if !token.is_empty() {
                parameters.push(("NextToken", token.as_str()));
            }
            let answer = self.query(call, &parameters).await?;
            add_spot_prices(&mut latest, &answer);
            token = answer.child("nextToken").map_or_else(String::new, |token| token.text.clone());
            if token.is_empty() {
                let prices = latest.into_iter().filter_map(|(spot, change)| spot.price(region, now, &change));
                return Ok(prices.collect());
            }
        }
        Err(unreadable(call, &format!("more than {MAX_PAGES} pages")))
    }
}

fn unreadable(call: Call<'_>, why: &str) -> ServiceError {
    call.fail(Kind::Other, "", format!("the answer cannot be understood: {why}"))
}

fn filters(item: &ListedItem, region: &str) -> Vec<Value> {
    let region = ("regionCode", region.to_owned());
    let all = item.filters.iter().chain([&region]);
    all.map(|(field, value)| json!({"Type": "TERM_MATCH", "Field": field, "Value": value})).collect()
}

/// The products of an answer: each is JSON in a text.
fn products(call: Call<'_>, answer: &Value) -> Result<Vec<Value>, ServiceError> {
    let list = answer.get("PriceList").and_then(Value::as_array);
    let list = list.ok_or_else(|| unreadable(call, "it has no PriceList"))?;
    let read = |product: &Value| match product.as_str() {
        Some(text) => serde_json::from_str(text).map_err(|error| unreadable(call, &error.to_string())),
        None => Err(unreadable(call, "a product is not text")),
    };
    list.iter().map(read).collect()
}

/// A machine that is sold as a spot machine in a zone.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SpotMachine {
    instance_type: String,
    zone: String,
}

/// A change of a spot price, as AWS spells its time and its dollars per hour.
#[derive(Default)]
struct PriceChange {
    time: String,
    usd: String,
}

fn add_spot_prices(latest: &mut BTreeMap<SpotMachine, PriceChange>, answer: &Element) {
    let items = answer.child("spotPriceHistorySet").map_or(&[][..], |set| set.children.as_slice());
    for item in items {
        let text = |name: &str| item.text_of(name).to_owned();
        let change = PriceChange { time: text("timestamp"), usd: text("spotPrice") };
        let machine = SpotMachine { instance_type: text("instanceType"), zone: text("availabilityZone") };
        let known = latest.entry(machine).or_default();
        // Times of one form: their order is that of their texts.
        if change.time > known.time {
            *known = change;
        }
    }
}

impl SpotMachine {
    fn price(&self, region: &str, now: &str, change: &PriceChange) -> Option<Price> {
        Some(Price {
            region: region.to_owned(),
            service: "EC2".to_owned(),
            item: format!("{} spot {}", self.instance_type, self.zone),
            unit: "hours".to_owned(),
            usd: change.usd.parse().ok()?,
            low_usd: None,
            source: format!("DescribeSpotPriceHistory, changed {}", change.time),
            date: now.split('T').next()?.to_owned(),
            confidence: Confidence::A,
        })
    }
}

#[cfg(test)]
mod tests;
