//! `tagfleet prices show`: the price book as a table.

use std::fs;

use jiff::Timestamp;
use tagfleet_cost::PriceBook;
use tagfleet_cost::prices::{OLD_AFTER_DAYS, Price, age_days};

use super::built_in;
use crate::args::ShowPricesOptions;
use crate::exit::{Exit, Failure, bad_input, broken, print, print_json, tell};

const SECONDS_A_DAY: i64 = 86_400;

pub(super) fn show(options: &ShowPricesOptions) -> Result<Exit, Failure> {
    let book = book(options)?;
    let wanted = |price: &&Price| options.region.is_empty() || options.region.contains(&price.region);
    let prices: Vec<Price> = book.prices().filter(wanted).cloned().collect();
    if prices.is_empty() {
        let regions = options.region.join(", ");
        return Err(bad_input(format!(
            "no price of {regions} is known: `tagfleet prices refresh` asks AWS for them"
        )));
    }
    let today = Timestamp::now().as_second().div_euclid(SECONDS_A_DAY);
    if options.json {
        let book = PriceBook::new(book.date(), prices).map_err(broken)?;
        print_json(&book.to_json().map_err(broken)?)?;
    } else {
        print(&table(&prices, today))?;
    }
    if let Some(days) = age_days(book.date(), today).filter(|days| *days > OLD_AFTER_DAYS) {
        tell(&format!("note: the price book is {days} days old: `tagfleet prices refresh` makes a new one"));
    }
    Ok(Exit::Finished)
}

fn book(options: &ShowPricesOptions) -> Result<PriceBook, Failure> {
    let Some(file) = &options.book else { return built_in() };
    let named = |why: &dyn std::fmt::Display| bad_input(format!("--book {}: {why}", file.display()));
    let bytes = fs::read(file).map_err(|error| named(&error))?;
    let newer = PriceBook::parse(&bytes).map_err(|error| named(&error))?;
    Ok(built_in()?.overlaid(newer))
}

fn table(prices: &[Price], today: i64) -> String {
    let heads =
        ["region", "service", "item", "USD", "unit", "date", "days", "grade", "source"].map(str::to_owned);
    let mut rows = vec![heads];
    rows.extend(prices.iter().map(|price| cells(price, today)));
    let widths: [usize; 9] =
        std::array::from_fn(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let padded: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text.push_str("\nUSD low-high is over the zones of a region. Grades: A by machine from AWS's price list, B read on a page, C recalled.\n");
    text
}

fn cells(price: &Price, today: i64) -> [String; 9] {
    let usd = match price.low_usd {
        Some(low) => format!("{low}-{}", price.usd),
        None => price.usd.to_string(),
    };
    [
        price.region.clone(),
        price.service.clone(),
        price.item.clone(),
        usd,
        price.unit.clone(),
        price.date.clone(),
        price.age_days(today).to_string(),
        format!("{:?}", price.confidence),
        price.source.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_say_where_they_come_from() {
        let book = PriceBook::built_in().unwrap();
        let wanted = ["g6.xlarge spot", "gp3 storage"];
        let of_region = |price: &&Price| price.region == "us-east-1" && wanted.contains(&price.item.as_str());
        let prices: Vec<Price> = book.prices().filter(of_region).cloned().collect();
        insta::assert_snapshot!(table(&prices, 20_780));
    }
}
