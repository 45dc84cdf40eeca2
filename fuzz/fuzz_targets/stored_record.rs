//! The records that a run's own processes store and others read: usage, price books, bills, published models, samples.
//!
//! An input holds them behind lines `=== KIND`. Laws: what is read is the same after it was written, and usage of any
//! numbers adds up to a bill whose total is the sum of its lines, or to none.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tagfleet_cost::bill::{Extras, bill};
use tagfleet_cost::prices::PriceBook;
use tagfleet_cost::usage::{UsageRecord, sum};
use tagfleet_fleet::model::PublishedModel;
use tagfleet_fuzz::{files, within};
use tagfleet_pipeline::split::RangeSplit;
use tagfleet_pipeline::thumbnails::ShardSample;
use tagfleet_report::Summary;
use tagfleet_report::throughput::of_fleet;

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(bytes).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("and read"), read);
    Some(read)
}

fn bill_of(records: Vec<UsageRecord>, book: Option<PriceBook>) {
    let _ = of_fleet(&records);
    let usage = sum(records);
    let book = book.unwrap_or_else(|| PriceBook::built_in().expect("a test makes sure"));
    let extras = Extras { region: "us-east-1".to_owned(), images: 7, transitions: 1, mails: 1, log_bytes: 1 };
    let Ok(cost) = bill(&usage, &extras, &book) else { return };
    let total: f64 = cost.lines.iter().map(|line| line.usd).sum();
    assert!(total == cost.total_usd, "{total} and {}", cost.total_usd);
    assert!(cost.lines.iter().all(|line| line.usd >= 0.0));
    let _ = (cost.table(), cost.short());
}

fn read(input: &[u8]) {
    let (mut records, mut book) = (Vec::new(), None);
    for (kind, bytes) in files(input) {
        match kind {
            "usage" => records.extend(survives::<UsageRecord>(bytes)),
            "prices" => book = PriceBook::parse(bytes).ok(),
            "model" => drop(survives::<PublishedModel>(bytes)),
            "sample" => drop(survives::<ShardSample>(bytes)),
            "range" => drop(survives::<RangeSplit>(bytes)),
            "summary" => drop(serde_json::from_slice::<Summary>(bytes).map(|summary| summary.text())),
            _ => {}
        }
    }
    if let Some(book) = &book {
        let written = book.to_json().expect("a book can be written");
        assert_eq!(&PriceBook::parse(written.as_bytes()).expect("and read"), book);
    }
    if !records.is_empty() {
        bill_of(records, book);
    }
}

fuzz_target!(|input: &[u8]| within(64 << 20, || read(input)));
