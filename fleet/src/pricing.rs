//! Pricing: the bill of a fleet run's usage so far, at the prices of its region.
//!
//! The prices are the built-in ones; those of the stack's bucket override them if `tagfleet prices refresh`
//! has put some. An unknown price is an error with its name, never nothing.

use super::{FleetError, FleetRun};
use tagfleet_cost::prices::{OLD_AFTER_DAYS, age_days};
use tagfleet_cost::usage::Usage;
use tagfleet_cost::{Cost, Extras, PriceBook, bill};
use tagfleet_pipeline::bucket::{Bucket, Kind};
use tagfleet_pipeline::run::StackKeys;

/// No price book has more bytes: 8 MiB.
const MAX_BOOK_BYTES: u64 = 8 << 20;
pub(super) const SECONDS_A_DAY: u64 = 86_400;
/// States for each call of an action, with the states around it, as in the state machine's definition. A
/// retried call is a transition each time. A range that takes one call has two choices and an end.
const STATES: [(&str, u64); 4] =
    [("splitter plan", 3), ("splitter split", 3), ("reducer check", 3), ("reducer compact", 1)];
/// Compact, Finish, Mail, Outcome and Complete, whose calls are not recorded yet when the bill is made.
const STATES_AT_THE_END: u64 = 5;

/// Prices of one region.
#[derive(Clone, Debug)]
pub struct Pricing {
    book: PriceBook,
    region: String,
}

impl Pricing {
    /// Reads the prices; `stack` is the stack's bucket.
    ///
    /// # Errors
    /// [`FleetError::Unusable`] if the stack's price book is invalid; another error if it cannot be read.
    pub async fn load(stack: &dyn Bucket, region: &str) -> Result<Self, FleetError> {
        let unusable = |error: &dyn std::fmt::Display| {
            FleetError::Unusable(format!("prices: {}: {error}: refresh or delete it", StackKeys::PRICES))
        };
        let mut book = PriceBook::built_in().map_err(|error| unusable(&error))?;
        match stack.get(StackKeys::PRICES, None, MAX_BOOK_BYTES).await {
            Ok(stored) => {
                let newer = PriceBook::parse(&stored.bytes).map_err(|error| unusable(&error))?;
                book = book.overlaid(newer);
            }
            Err(error) if error.kind == Kind::Missing => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Self { book, region: region.to_owned() })
    }

    /// The same if an invalid price book must not stop a run: the reason why there are no prices then.
    ///
    /// # Errors
    /// If the stack's bucket cannot be read.
    pub async fn load_or_why(stack: &dyn Bucket, region: &str) -> Result<Result<Self, String>, FleetError> {
        match Self::load(stack, region).await {
            Err(FleetError::Unusable(why)) => Ok(Err(why)),
            loaded => loaded.map(Ok),
        }
    }

    /// What all of it costs.
    ///
    /// # Errors
    /// Names the price that is not known.
    pub fn usd(&self, usage: &Usage) -> Result<f64, String> {
        let extras =
            Extras { region: self.region.clone(), transitions: transitions(usage), ..Extras::default() };
        bill(usage, &extras, &self.book).map(|cost| cost.total_usd).map_err(|error| error.to_string())
    }

    /// The bill of a run of this many images, at a time in seconds since 1970.
    ///
    /// # Errors
    /// Names the price that is not known: there is no bill of a part.
    pub fn bill(&self, fleet: &FleetRun, usage: &Usage, images: u64, now: u64) -> Result<Cost, String> {
        let extras = Extras {
            region: self.region.clone(),
            images,
            transitions: transitions(usage),
            mails: fleet.valid.request.notify.len() as u64,
            // They are not counted: some hundred for each call and each worker's minute.
            log_bytes: 0,
        };
        let mut cost = bill(usage, &extras, &self.book).map_err(|error| error.to_string())?;
        cost.notes.push("state transitions follow from the calls; log lines are not counted".to_owned());
        let today = i64::try_from(now / SECONDS_A_DAY).unwrap_or(i64::MAX);
        if let Some(days) = age_days(self.book.date(), today).filter(|days| *days > OLD_AFTER_DAYS) {
            let refresh = "`tagfleet prices refresh` makes a new one";
            cost.notes.push(format!("the price book is {days} days old: {refresh}"));
        }
        Ok(cost)
    }
}

/// The states that a run's executions entered, as far as its calls show.
fn transitions(usage: &Usage) -> u64 {
    let of =
        |(action, states): &(&str, u64)| usage.functions.get(*action).map_or(0, |calls| calls.calls * states);
    let before: u64 = STATES.iter().map(of).sum();
    if before == 0 { 0 } else { before + STATES_AT_THE_END }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagfleet_cost::usage::{CallUsage, RequestCount, Requests};
    use tagfleet_pipeline::bucket::memory::MemoryBucket;

    fn a_thousand_gets() -> Usage {
        let count = RequestCount { calls: 1000, chunks: 1000, ..RequestCount::default() };
        let requests = Requests([("s3:GetObject".to_owned(), count)].into());
        Usage { requests: [("infer".to_owned(), requests)].into(), ..Usage::default() }
    }

    #[tokio::test]
    async fn a_refreshed_price_counts_more_than_the_one_that_is_built_in() {
        let stack = MemoryBucket::default();
        let built_in = Pricing::load(&stack, "us-east-1").await.unwrap().usd(&a_thousand_gets()).unwrap();
        assert!((built_in - 0.0004).abs() < 1e-9, "{built_in}");
        let book = r#"{"version": 1, "date": "2027-01-01", "prices": [{"region": "us-east-1", "service": "S3",
            "item": "GET and all other", "unit": "1k requests", "usd": 0.5, "source": "test", "date": "2027-01-01",
            "confidence": "A"}]}"#;
        stack.put(StackKeys::PRICES, book.into()).await.unwrap();
        let refreshed = Pricing::load(&stack, "us-east-1").await.unwrap().usd(&a_thousand_gets());
        assert_eq!(refreshed, Ok(0.5));
        stack.put(StackKeys::PRICES, "no book".into()).await.unwrap();
        let error = Pricing::load(&stack, "us-east-1").await.unwrap_err().to_string();
        assert!(error.contains("prices: prices/aws.json: not a price book"), "{error}");
        let why = Pricing::load_or_why(&stack, "us-east-1").await.unwrap().unwrap_err();
        assert!(why.starts_with("prices: prices/aws.json: not a price book"), "{why}");
    }

    #[tokio::test]
    async fn an_unknown_region_has_no_prices() {
        let pricing = Pricing::load(&MemoryBucket::default(), "xx-nowhere-1").await.unwrap();
        let error = pricing.usd(&a_thousand_gets()).unwrap_err();
        assert!(error.contains("xx-nowhere-1"), "{error}");
    }

    #[test]
    fn transitions_follow_from_the_calls() {
        let mut usage = Usage::default();
        assert_eq!(transitions(&usage), 0);
        for (action, calls) in
            [("splitter plan", 1), ("splitter split", 2), ("reducer check", 2), ("other", 9)]
        {
            usage.functions.insert(action.to_owned(), CallUsage { calls, ..CallUsage::default() });
        }
        // 3 + 2 x 3 + 2 x 3, and 5 at the end.
        assert_eq!(transitions(&usage), 20);
    }
}
