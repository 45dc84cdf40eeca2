//! The limits in dollars of a run that is about to start: its own, the stack's, and what is left of the day.
//!
//! It refuses what they do not allow before anything is started. The reducer watches what is spent later.

use tagfleet_cost::usage::{Machine, Usage};
use tagfleet_fleet::budget::{Limit, LimitOf, RunLimit};
use tagfleet_fleet::day::{Day, Standing, Starting};
use tagfleet_fleet::pricing::Pricing;
use tagfleet_fleet::rules::Rules;
use tagfleet_fleet::{FleetRun, Stack};
use tagfleet_function::CallError;

/// What limits the runs of a stack.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) rules: &'a Rules,
    pub(crate) region: &'a str,
}

/// A run with a limit.
pub(crate) struct LimitedRun {
    /// `None` if only the day limits it.
    own: Option<RunLimit>,
    pricing: Pricing,
}

impl Limits<'_> {
    /// Refuses a run that asks for more than it may cost, or whose limit cannot be enforced because something
    /// that it may use has no price. `None` if nothing limits the run: no price is read then.
    pub(crate) async fn check(
        &self,
        fleet: &FleetRun,
        machines: &[Machine],
    ) -> Result<Option<LimitedRun>, CallError> {
        let max_usd = self.stack.asked(fleet).await?;
        if let Some(max_usd) = max_usd {
            let checked = self.rules.check_limit("max_usd", max_usd);
            checked.map_err(|why| CallError::bad_request(format!("the request is wrong: {why}")))?;
        }
        let own = self.rules.limit(max_usd);
        let Some(any) = own.or(self.rules.max_usd_per_day.map(of_day)) else { return Ok(None) };
        let pricing = Pricing::load(self.stack.bucket.as_ref(), self.region).await?;
        let price = |usage: &Usage| pricing.usd(usage);
        // Whether there is a price does not depend on how much of a machine is used.
        Limit { limit: any, price: &price, machines, vcpus: 1 }.is_priced()?;
        Ok(Some(LimitedRun { own, pricing }))
    }

    /// Reserves the execution's part of the day's limit, if there is one.
    pub(crate) async fn reserve(
        &self,
        fleet: &FleetRun,
        execution: &str,
        limited: &LimitedRun,
        now: u64,
        standing: impl AsyncFn(&str) -> Result<Standing, CallError>,
    ) -> Result<(), CallError> {
        let Some(max_usd) = self.rules.max_usd_per_day else { return Ok(()) };
        let day = Day { stack: self.stack, pricing: &limited.pricing, max_usd, now };
        day.reserve(Starting { fleet, execution, own: limited.own }, standing).await
    }
}

/// Prices do not depend on the day.
fn of_day(max_usd: f64) -> RunLimit {
    RunLimit { max_usd, of: LimitOf::Day { ends: 0 } }
}
