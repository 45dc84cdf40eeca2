//! The price book: what AWS charges, by region, service and item, each figure with its source, its date and
//! how far it can be trusted.
//!
//! Data, not code: one book is built in, and another may override it. An absent price is an error that names
//! it. A number that is zero, negative or not finite is not a price.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The version of the stored form.
pub const BOOK_VERSION: u32 = 1;
/// A price older than this many days is reported as old.
pub const OLD_AFTER_DAYS: i64 = 90;
/// Days are counted from it.
const FIRST_DAY: Date = Date::constant(1970, 1, 1);

const BUILT_IN: &str = include_str!("../prices/aws.json");

/// How far a price is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Confidence {
    /// Derived by a machine from AWS's own price list.
    A,
    /// Read on a page of AWS's or a dated page of others.
    B,
    /// Recalled, and not verified.
    C,
}

/// One price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// `us-east-1`
    pub region: String,
    /// `S3`, `EC2`
    pub service: String,
    /// `g6.xlarge on-demand`, `g6.xlarge spot us-east-1a`
    pub item: String,
    /// What is counted: `hours`, `1k requests`.
    pub unit: String,
    /// US dollars for one unit; of a spot price without a zone that of the dearest zone.
    pub usd: f64,
    /// The price in the cheapest zone, if `usd` is that of the most expensive one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_usd: Option<f64>,
    /// The source of the price.
    pub source: String,
    /// When it was true: `2026-11-23`, or only `2026`.
    pub date: String,
    /// How far it is to be trusted.
    pub confidence: Confidence,
}

/// The stored form of a book.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    date: String,
    prices: Vec<Price>,
}

/// What AWS charges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceBook {
    date: String,
    prices: BTreeMap<(String, String, String), Price>,
}

/// What something costs is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnknownPrice {
    /// It is not in the book.
    #[error(
        "no price of {service} {item} in {region}: `tagfleet prices refresh --region {region}` asks AWS for it"
    )]
    NotInBook {
        /// The region.
        region: String,
        /// The service.
        service: String,
        /// The item.
        item: String,
    },
    /// What was used has no name to look for.
    #[error("the workers could not read their instance type")]
    UnknownMachine,
}

/// Bytes are not a price book.
#[derive(Debug, Error)]
pub enum InvalidBook {
    /// Not its form.
    #[error("not a price book: {0}")]
    Form(#[from] serde_json::Error),
    /// Another version.
    #[error("a price book of version {0}, and only {BOOK_VERSION} is understood")]
    Version(u32),
    /// A price that is none.
    #[error("the price of {service} {item} in {region} is {usd}, which is not a price")]
    NoPrice {
        /// The region.
        region: String,
        /// The service.
        service: String,
        /// The item.
        item: String,
        /// The value in the book.
        usd: f64,
    },
    /// Two of one thing.
    #[error("two prices of {service} {item} in {region}")]
    Twice {
        /// The region.
        region: String,
        /// The service.
        service: String,
        /// The item.
        item: String,
    },
    /// A date that is none.
    #[error("{0:?} is not a date such as 2026-11-23")]
    Date(String),
}

impl PriceBook {
    /// The book that is built in.
    ///
    /// # Errors
    /// Never, as a test makes sure.
    pub fn built_in() -> Result<Self, InvalidBook> {
        Self::parse(BUILT_IN.as_bytes())
    }

    /// Reads a book.
    ///
    /// # Errors
    /// See [`InvalidBook`].
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidBook> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        if stored.version != BOOK_VERSION {
            return Err(InvalidBook::Version(stored.version));
        }
        Self::new(&stored.date, stored.prices)
    }

    /// A book of these prices, put together on that day.
    ///
    /// # Errors
    /// If a price is none, two are of one thing, or a date is none.
    pub fn new(date: &str, prices: Vec<Price>) -> Result<Self, InvalidBook> {
        day(date)?;
        let mut book = Self { date: date.to_owned(), prices: BTreeMap::new() };
        for price in prices {
            day(&price.date)?;
            let Price { region, service, item, usd, .. } = price.clone();
            let is_price = |usd: f64| usd.is_finite() && usd > 0.0;
            if !is_price(usd) || price.low_usd.is_some_and(|low| !is_price(low) || low > usd) {
                return Err(InvalidBook::NoPrice { region, service, item, usd });
            }
            let key = (region.clone(), service.clone(), item.clone());
            if book.prices.insert(key, price).is_some() {
                return Err(InvalidBook::Twice { region, service, item });
            }
        }
        Ok(book)
    }

    /// The stored form.
    ///
    /// # Errors
    /// If a figure cannot be written, which no parsed book has.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        let prices = self.prices.values().cloned().collect();
        serde_json::to_string_pretty(&Stored { version: BOOK_VERSION, date: self.date.clone(), prices })
    }

    /// This book with the prices of `newer` in place of its own: prices that only this one has stay.
    ///
    /// If `newer` has spot prices of a type in a region by zone, the older one of the whole region is
    /// dropped.
    #[must_use]
    pub fn overlaid(mut self, newer: Self) -> Self {
        for ((region, service, item), price) in newer.prices {
            if let Some((regional, _zone)) = item.split_once(" spot ") {
                let stale = (region.clone(), service.clone(), format!("{regional} spot"));
                if self.prices.get(&stale).is_some_and(|old| old.date < price.date) {
                    self.prices.remove(&stale);
                }
            }
            self.prices.insert((region, service, item), price);
        }
        self.date = self.date.max(newer.date);
        self
    }

    /// The day it was put together, `2026-11-23`.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// All prices, by region, service and item.
    pub fn prices(&self) -> impl Iterator<Item = &Price> {
        self.prices.values()
    }

    /// The price of one thing.
    ///
    /// # Errors
    /// If it is not in the book.
    pub fn price(&self, region: &str, service: &str, item: &str) -> Result<&Price, UnknownPrice> {
        let [region, service, item] = [region, service, item].map(str::to_owned);
        let key = (region, service, item);
        self.prices.get(&key).ok_or_else(|| {
            let (region, service, item) = key.clone();
            UnknownPrice::NotInBook { region, service, item }
        })
    }

    /// The price of an hour of a spot machine: of its zone, or of the dearest one of the region.
    ///
    /// # Errors
    /// If it is not in the book.
    pub fn spot(&self, region: &str, machine: &str, zone: Option<&str>) -> Result<&Price, UnknownPrice> {
        let regional = format!("{machine} spot");
        if let Some(zone) = zone
            && let Ok(price) = self.price(region, "EC2", &format!("{regional} {zone}"))
        {
            return Ok(price);
        }
        if let Ok(price) = self.price(region, "EC2", &regional) {
            return Ok(price);
        }
        let zones = format!("{regional} ");
        let of_zones = self.prices.values().filter(|price| {
            price.region == region && price.service == "EC2" && price.item.starts_with(&zones)
        });
        let dearest = of_zones.max_by(|a, b| a.usd.total_cmp(&b.usd));
        dearest.ok_or_else(|| UnknownPrice::NotInBook {
            region: region.to_owned(),
            service: "EC2".to_owned(),
            item: regional,
        })
    }
}

impl Price {
    /// Its age in days on the day `today`, in days since 1970; never below zero.
    #[must_use]
    pub fn age_days(&self, today: i64) -> i64 {
        age_days(&self.date, today).unwrap_or(0)
    }
}

/// How many days before `today`, in days since 1970, a date was; `None` if it is not a date. Never below
/// zero.
#[must_use]
pub fn age_days(date: &str, today: i64) -> Option<i64> {
    day(date).ok().map(|day| (today - day).max(0))
}

/// Days since 1970 of a date; a year alone is its first day, because its age must not be underestimated.
fn day(date: &str) -> Result<i64, InvalidBook> {
    let invalid = || InvalidBook::Date(date.to_owned());
    let whole = if date.len() == 4 { format!("{date}-01-01") } else { date.to_owned() };
    let day: Date = whole.parse().ok().filter(|_| whole.len() == 10).ok_or_else(invalid)?;
    let days = day.duration_since(FIRST_DAY).as_hours() / 24;
    if days < 0 { Err(invalid()) } else { Ok(days) }
}

#[cfg(test)]
mod tests;
