//! `tagfleet prices`: shows the price book, and makes a new one from AWS's prices.
//!
//! A price that AWS does not list is reported and left out, and the built-in price applies. If that is
//! missing too, the cost of a run is unknown.

mod show;

use std::collections::BTreeSet;

use jiff::Timestamp;
use tagfleet_aws::Aws;
use tagfleet_aws::client::Options;
use tagfleet_aws::prices::{PRICE_LIST_REGION, listed_items};
use tagfleet_cost::PriceBook;
use tagfleet_cost::prices::Price;
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::run::StackKeys;

use crate::args::{PricesCommand, PricesOptions, RefreshPricesOptions};
use crate::connection;
use crate::exit::{Exit, Failure, bad_input, broken, print, tell};
use crate::fleet::stack::FleetStack;
use crate::runtime::block_on;

/// No price book has more bytes: 8 MiB.
const MAX_BOOK_BYTES: u64 = 8 << 20;

pub(crate) fn prices(options: &PricesOptions) -> Result<Exit, Failure> {
    match &options.command {
        PricesCommand::Show(options) => show::show(options),
        PricesCommand::Refresh(options) => block_on(refresh(options)),
    }
}

/// The book that is built in.
fn built_in() -> Result<PriceBook, Failure> {
    PriceBook::built_in().map_err(broken)
}

async fn refresh(options: &RefreshPricesOptions) -> Result<Exit, Failure> {
    let stack = match &options.target.stack {
        Some(name) => {
            Some(FleetStack::find_with(clients(options, first(&options.region)).await?, name).await?)
        }
        None => None,
    };
    let (regions, machines) = (regions(options, stack.as_ref())?, machines(options)?);
    let now = Timestamp::now();
    let date = now.strftime("%Y-%m-%d").to_string();
    let mut prices = Vec::new();
    for region in &regions {
        tell(&format!("asking for the prices of {region}"));
        prices.extend(
            of_region(options, region, &machines, &date, &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
                .await?,
        );
    }
    if prices.is_empty() {
        return Err(bad_input(format!("AWS names no price in {}: are these regions?", regions.join(", "))));
    }
    let count = prices.len();
    let book = PriceBook::new(&date, prices).map_err(broken)?;
    if let Some(file) = &options.target.out {
        let written = std::fs::write(file, book.to_json().map_err(broken)?);
        written.map_err(|error| broken(format!("{}: {error}", file.display())))?;
        print(&format!("{count} prices in {}\n", file.display()))?;
    }
    if let Some(stack) = &stack {
        put(stack, book).await?;
        print(&format!("{count} prices in s3://{}/{}\n", stack.outputs.bucket, StackKeys::PRICES))?;
    }
    Ok(Exit::Finished)
}

fn first(regions: &[String]) -> Option<&str> {
    regions.first().map(String::as_str)
}

async fn clients(options: &RefreshPricesOptions, region: Option<&str>) -> Result<Aws, Failure> {
    let (profile, region) = (options.profile.clone(), region.map(str::to_owned));
    let endpoint_url = options.endpoint_url.clone();
    connection::connect(Options { profile, region, endpoint_url, ..Options::default() }).await
}

fn regions(options: &RefreshPricesOptions, stack: Option<&FleetStack>) -> Result<Vec<String>, Failure> {
    if !options.region.is_empty() {
        return Ok(options.region.clone());
    }
    if let Some(region) = stack.and_then(|stack| stack.aws.region()) {
        return Ok(vec![region.to_owned()]);
    }
    let known: BTreeSet<String> = built_in()?.prices().map(|price| price.region.clone()).collect();
    Ok(known.into_iter().collect())
}

/// The machines that the built-in book knows, and those of the command line.
fn machines(options: &RefreshPricesOptions) -> Result<Vec<String>, Failure> {
    let book = built_in()?;
    let known = book.prices().filter_map(|price| price.item.strip_suffix(" on-demand")).map(str::to_owned);
    let all: BTreeSet<String> = known.chain(options.instance_type.iter().cloned()).collect();
    Ok(all.into_iter().collect())
}

async fn of_region(
    options: &RefreshPricesOptions,
    region: &str,
    machines: &[String],
    date: &str,
    now: &str,
) -> Result<Vec<Price>, Failure> {
    let list = clients(options, Some(PRICE_LIST_REGION)).await?;
    let mut prices = Vec::new();
    for item in listed_items(machines) {
        match list.list_price(&item, region, date).await.map_err(connection::of_service)? {
            Some(price) => prices.push(price),
            None => tell(&format!("note: AWS names no price of {} in {region}", item.name())),
        }
    }
    let spot = clients(options, Some(region))
        .await?
        .spot_prices(machines, region, now)
        .await
        .map_err(connection::of_service)?;
    prices.extend(spot);
    Ok(prices)
}

/// Merges the new prices into the stored book.
async fn put(stack: &FleetStack, newer: PriceBook) -> Result<(), Failure> {
    let bucket = stack.bucket();
    let book = match bucket.get(StackKeys::PRICES, None, MAX_BOOK_BYTES).await {
        Ok(stored) => match PriceBook::parse(&stored.bytes) {
            Ok(older) => older.overlaid(newer),
            Err(why) => {
                tell(&format!("note: what is there is replaced: {why}"));
                newer
            }
        },
        Err(error) if error.kind == Kind::Missing => newer,
        Err(error) => return Err(broken(error)),
    };
    let bytes = book.to_json().map_err(broken)?;
    bucket.put(StackKeys::PRICES, bytes.into()).await.map_err(broken)
}
