//! The stack's limit per day: each execution reserves a part of what is left of the day before it starts
//! anything.
//!
//! A day of UTC has a ledger with an entry for each execution that is planned on it. An entry is created only
//! if there is none, behind all that its writer has read. So of two executions that are planned at once, one
//! reads the other's entry, and no dollar is reserved twice. While its execution runs, an entry counts with
//! its reservation; after that with what was spent, by the run's usage records. A dollar counts on the day on
//! which its execution was planned. Nothing in this module starts or stops a run, and only the splitter may
//! write here.

mod ledger;

use self::ledger::{Entry, Ledger, Share};
use super::budget::{LimitOf, RunLimit, utc};
use super::pricing::{Pricing, SECONDS_A_DAY};
use super::{FleetError, FleetRun, Stack};
use tagfleet_cost::usage;
use tagfleet_pipeline::bucket::{Bucket, Put};
use tagfleet_pipeline::run::RunId;

/// With less than a cent left of a day nothing is started: a minute of the smallest machine costs half of it.
const LEAST_USD: f64 = 0.01;
/// Workers of an execution that was stopped end within minutes, and record until then. From then on what it
/// spent is final.
const FINAL_AFTER_SECONDS: u64 = 900;
/// The most executions that may be planned in the same moment; more of them are asked to try again.
const TRIES: u32 = 50;

/// How an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may still spend.
    Running,
    /// It ended then, in seconds since 1970, UTC.
    Ended(u64),
}

/// What it takes to reserve.
#[derive(Clone, Copy)]
pub struct Day<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// Prices what runs have spent.
    pub pricing: &'a Pricing,
    /// The most dollars of a day.
    pub max_usd: f64,
    /// Seconds since 1970, UTC.
    pub now: u64,
}

/// An execution that is about to start.
#[derive(Clone, Copy)]
pub struct Starting<'a> {
    /// Its run.
    pub fleet: &'a FleetRun,
    /// Its name.
    pub execution: &'a str,
    /// What the run may cost whatever the day, where that is limited.
    pub own: Option<RunLimit>,
}

/// What is left of a day, and where the rest is.
#[derive(Debug, Default)]
struct Left {
    spent: f64,
    reserved: f64,
    running: Vec<RunId>,
}

/// The limit that the day has for the latest execution of a run; `None` if it was left all that it asked for.
///
/// # Errors
/// If it cannot be read.
pub async fn share(bucket: &dyn Bucket, run: &RunId) -> Result<Option<RunLimit>, FleetError> {
    let Some(share) = Share::read(bucket, run).await? else { return Ok(None) };
    let of = LimitOf::Day { ends: share.day_ends };
    Ok(share.max_usd.map(|max_usd| RunLimit { max_usd, of }))
}

impl Day<'_> {
    /// Reserves what an execution may spend: what its run may still cost, or what is left of the day if that
    /// is less. Doing it again for the same execution changes nothing. `standing` returns the state of an
    /// execution by its name.
    ///
    /// # Errors
    /// [`FleetError::DayIsSpent`] if nothing is left, [`FleetError::PriceUnknown`] if a price is unknown.
    pub async fn reserve<E: From<FleetError>>(
        &self,
        starting: Starting<'_>,
        standing: impl AsyncFn(&str) -> Result<Standing, E>,
    ) -> Result<(), E> {
        let bucket = self.stack.bucket.as_ref();
        let run = &starting.fleet.run;
        let before = self.spent(starting.fleet).await?.map_err(FleetError::PriceUnknown)?;
        for _ in 0..TRIES {
            let ledger = Ledger::read(bucket, self.now).await?;
            if let Some(entry) = ledger.of_execution(starting.execution) {
                return Ok(Share::of(entry, self.ends()).put(bucket).await?);
            }
            let left = self.left(&ledger, run, before, &standing).await?;
            let entry = self.entry(starting, before, &left)?;
            if ledger.append(bucket, &entry).await? == Put::Created {
                return Ok(Share::of(&entry, self.ends()).put(bucket).await?);
            }
        }
        Err(FleetError::DayIsSpent(format!(
            "{TRIES} runs were planned in the same moment as this one: start it again"
        ))
        .into())
    }

    /// What is reserved, where anything can be.
    fn entry(&self, starting: Starting<'_>, spent_before: f64, left: &Left) -> Result<Entry, FleetError> {
        let usd = (self.max_usd - left.spent - left.reserved).max(0.0);
        let asked = starting.own.map_or(f64::INFINITY, |own| (own.max_usd - spent_before).max(0.0));
        if usd < LEAST_USD.min(asked) {
            return Err(FleetError::DayIsSpent(self.refusal(left)));
        }
        let (run, execution) = (starting.fleet.run.clone(), starting.execution.to_owned());
        Ok(Entry::new(run, execution, spent_before, asked.min(usd), usd < asked))
    }

    fn refusal(&self, left: &Left) -> String {
        let (max, spent, from) = (self.max_usd, left.spent, utc(self.ends()));
        let day = utc(self.now);
        let day = day.split(' ').next().unwrap_or_default();
        let reserved = match left.running.as_slice() {
            [] => String::new(),
            runs => {
                let runs = runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                format!(" and ${:.4} is reserved by runs that have not ended ({runs})", left.reserved)
            }
        };
        let earlier = if reserved.is_empty() { "" } else { ", or once these have ended and left some of it" };
        format!(
            "nothing is left of the day: the runs of {day} may cost ${max} together (the stack's MaxUsdPerDay), of which ${spent:.4} is \
             spent{reserved}: it can start from {from}{earlier}"
        )
    }

    /// What all entries of the ledger take, once `run` has spent `before` dollars.
    async fn left<E: From<FleetError>>(
        &self,
        ledger: &Ledger,
        run: &RunId,
        before: f64,
        standing: &impl AsyncFn(&str) -> Result<Standing, E>,
    ) -> Result<Left, E> {
        let mut left = Left::default();
        for (number, entry) in ledger.entries() {
            let until = ledger.spent_before_a_later_one(number, &entry.run);
            if let Some(usd) = ledger.spent(number).or(until.map(|until| until - entry.spent_before)) {
                left.spent += usd.max(0.0);
                continue;
            }
            match (standing(&entry.execution).await?, entry.run == *run) {
                (Standing::Running, true) => return Err(FleetError::Unusable(twice(entry)).into()),
                (Standing::Running, false) => {
                    left.reserved += entry.reserved;
                    left.running.push(entry.run.clone());
                }
                (Standing::Ended(_), true) => left.spent += (before - entry.spent_before).max(0.0),
                (Standing::Ended(at), false) => {
                    left.spent += self.settle(ledger, number, entry, at).await?;
                }
            }
        }
        Ok(left)
    }

    /// What an execution that has ended spent; its reservation if that is unknown.
    async fn settle(
        &self,
        ledger: &Ledger,
        number: u32,
        entry: &Entry,
        ended: u64,
    ) -> Result<f64, FleetError> {
        let fleet = match self.stack.find(&entry.run).await {
            Err(FleetError::NoRun(_) | FleetError::Invalid(_)) => return Ok(entry.reserved),
            found => found?,
        };
        let Ok(all) = self.spent(&fleet).await? else { return Ok(entry.reserved) };
        let usd = (all - entry.spent_before).max(0.0);
        if self.now.saturating_sub(ended) >= FINAL_AFTER_SECONDS {
            ledger.keep_spent(self.stack.bucket.as_ref(), number, usd).await?;
        }
        Ok(usd)
    }

    /// What a run has spent until now; the error names the price that is not known.
    async fn spent(&self, fleet: &FleetRun) -> Result<Result<f64, String>, FleetError> {
        let usage = usage::total(fleet.output.as_ref(), &fleet.keys).await?;
        Ok(self.pricing.usd(&usage))
    }

    fn ends(&self) -> u64 {
        (self.now / SECONDS_A_DAY + 1) * SECONDS_A_DAY
    }
}

/// Two executions of one run would spend what is reserved once.
fn twice(entry: &Entry) -> String {
    let Entry { run, execution, .. } = entry;
    format!("run {run} is running already, as the execution {execution}: wait for its end or cancel it")
}

#[cfg(test)]
mod tests;
