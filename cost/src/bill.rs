//! The bill of a run: what it used, line by line, times the prices of its region.
//!
//! Every line is a quantity times a unit price, and the total is their sum in order. Either all of it is
//! known or there is no bill: a price that is absent ends it.

use super::prices::{PriceBook, UnknownPrice};
use super::requests::{self, Billed};
use super::{COST_VERSION, Cost, CostLine};
use crate::usage::{self, Machine, MachineUsage, Usage};

/// The disk of a worker's machine, in GB, as in the stack's launch template.
pub const DISK_GB: f64 = 50.0;
/// Hours of a month, as EC2 bills disks.
pub const HOURS_A_MONTH: f64 = 730.0;
/// Stages, in their order; requests of any other come behind them.
const STAGES: [&str; 3] = ["split", "infer", "reduce"];

/// What a bill needs to know in addition to the usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The region whose prices hold.
    pub region: String,
    /// Images of the run, for the cost of a million; 0 if that is not needed.
    pub images: u64,
    /// States that the state machine entered.
    pub transitions: u64,
    /// Mails, one for each recipient.
    pub mails: u64,
    /// Bytes that went into logs.
    pub log_bytes: u64,
}

/// A bill that grows line by line.
struct Bill<'a> {
    region: &'a str,
    book: &'a PriceBook,
    lines: Vec<CostLine>,
    spot_saved_usd: f64,
    notes: Vec<String>,
}

/// The bill of what was used.
///
/// # Errors
/// If a price is not in the book: there is no bill of a part.
pub fn bill(usage: &Usage, extras: &Extras, book: &PriceBook) -> Result<Cost, UnknownPrice> {
    let region = extras.region.as_str();
    let mut bill = Bill { region, book, lines: vec![], spot_saved_usd: 0.0, notes: vec![] };
    bill.note("list prices, without free tiers and discounts");
    let others = usage.requests.keys().map(String::as_str).filter(|stage| !STAGES.contains(stage));
    for stage in STAGES.into_iter().chain(others) {
        bill.requests(usage, stage)?;
        if stage == "infer" {
            bill.machines(usage)?;
        }
        bill.functions(usage, stage)?;
    }
    bill.rest(extras)?;
    Ok(bill.total(extras.images))
}

impl Bill<'_> {
    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Adds a line, unless it is of nothing; `shown` is the item as the bill names it, `item` as the book
    /// does.
    fn line(
        &mut self,
        stage: &str,
        (service, item, shown): (&str, &str, &str),
        quantity: f64,
    ) -> Result<(), UnknownPrice> {
        if quantity <= 0.0 {
            return Ok(());
        }
        let price = self.book.price(self.region, service, item)?;
        let (unit, unit_price) = (price.unit.clone(), price.usd);
        self.push(stage, (service, shown), quantity, &unit, unit_price);
        Ok(())
    }

    fn push(
        &mut self,
        stage: &str,
        (service, item): (&str, &str),
        quantity: f64,
        unit: &str,
        unit_price: f64,
    ) {
        self.lines.push(CostLine {
            stage: stage.to_owned(),
            service: service.to_owned(),
            item: item.to_owned(),
            quantity,
            unit: unit.to_owned(),
            unit_price,
            usd: quantity * unit_price,
        });
    }

    fn requests(&mut self, usage: &Usage, stage: &str) -> Result<(), UnknownPrice> {
        let Some(requests) = usage.requests.get(stage) else { return Ok(()) };
        for (operation, count) in &requests.0 {
            let action = operation.split_once(':').map_or(operation.as_str(), |(_, action)| action);
            match requests::billed(operation) {
                Billed::S3(item) => self.line(stage, ("S3", item, action), count.calls as f64 / 1e3)?,
                Billed::Sqs => {
                    // A chunk is counted for each call at least.
                    let chunks = count.chunks.max(count.calls) as f64 / 1e6;
                    self.line(stage, ("SQS", "standard queues", action), chunks)?;
                }
                Billed::Kms => {
                    self.line(stage, ("KMS", "requests", action), count.calls as f64 / 1e4)?;
                    self.note(
                        "S3 asks KMS for each object that is encrypted with SSE-KMS and has no S3 Bucket Key",
                    );
                }
                Billed::Free => {}
            }
        }
        Ok(())
    }

    fn machines(&mut self, usage: &Usage) -> Result<(), UnknownPrice> {
        let (mut disk_hours, mut machines_of_runs) = (0.0, false);
        for machine in &usage.machines {
            let all_ms = machine.time.billed_ms.saturating_add(machine.time.free_ms);
            if all_ms == 0 {
                continue;
            }
            disk_hours += hours(all_ms);
            machines_of_runs = true;
            self.machine(machine)?;
        }
        if machines_of_runs {
            self.note("a machine is counted whole, from its launch to its last worker's last word");
        }
        self.line("infer", ("EC2", "gp3 storage", "disks"), disk_hours * DISK_GB / HOURS_A_MONTH)?;
        self.line("infer", ("EC2", "public IPv4 address", "public IPv4 addresses"), disk_hours)
    }

    /// The hours of machines of one kind: worked, idle, and not billed.
    fn machine(&mut self, used: &MachineUsage) -> Result<(), UnknownPrice> {
        let machine = &used.machine;
        let kind = machine.instance_type.as_deref().ok_or(UnknownPrice::UnknownMachine)?;
        let zone = machine.zone.as_deref();
        let on_demand = format!("{kind} on-demand");
        let price = if machine.is_spot() {
            self.book.spot(self.region, kind, zone)?
        } else {
            self.book.price(self.region, "EC2", &on_demand)?
        };
        let (unit, unit_price, is_highest) = (price.unit.clone(), price.usd, price.low_usd.is_some());
        let life_cycle = if machine.is_spot() { Machine::SPOT } else { Machine::ON_DEMAND };
        let shown = format!("{kind} {life_cycle}{}", zone.map(|zone| format!(" {zone}")).unwrap_or_default());
        let time = &used.time;
        let (worked, idle) =
            (hours(time.worked_ms), hours(time.billed_ms - time.worked_ms.min(time.billed_ms)));
        if worked > 0.0 {
            self.push("infer", ("EC2", &shown), worked, &unit, unit_price);
        }
        if idle > 0.0 {
            self.push("infer", ("EC2", &format!("{shown}, idle")), idle, &unit, unit_price);
            self.note("idle is boot, pauses, and vCPUs that no worker took");
        }
        if used.gpu.is_some() {
            self.note("of a machine with GPUs a worker took its share of the vCPUs or of the GPUs, whichever is larger");
        }
        if machine.life_cycle.is_none() {
            self.note("machines of unknown purchase type are billed as on demand");
        }
        if is_highest {
            self.note("spot hours are billed at the price of the region's most expensive zone; the price book has no zones");
        }
        if time.free_ms > 0 {
            self.note(&format!(
                "{:.2} hours of {shown} are free: EC2 took the machines back within their first hour",
                hours(time.free_ms)
            ));
        }
        self.saved(used, &on_demand, unit_price);
        Ok(())
    }

    /// Counts what spot machines saved, if their on-demand price is known.
    fn saved(&mut self, used: &MachineUsage, on_demand: &str, spot: f64) {
        if !used.machine.is_spot() {
            return;
        }
        match self.book.price(self.region, "EC2", on_demand) {
            Ok(price) => {
                self.spot_saved_usd += hours(used.time.billed_ms) * (price.usd - spot);
                self.spot_saved_usd += hours(used.time.free_ms) * price.usd;
            }
            Err(error) => self.note(&format!("what spot saved leaves some out: {error}")),
        }
    }

    fn functions(&mut self, usage: &Usage, stage: &str) -> Result<(), UnknownPrice> {
        for (name, calls) in &usage.functions {
            // Called by function and action: `splitter plan`.
            if usage::stage_of(name.split(' ').next().unwrap_or_default()) != stage {
                continue;
            }
            // As Lambda bills: GB-seconds of 1,024 MB.
            let gb_seconds = calls.mb_milliseconds as f64 / 1024.0 / 1e3;
            self.line(stage, ("Lambda", "duration on arm64", name), gb_seconds)?;
            self.line(stage, ("Lambda", "requests", &format!("{name}, calls")), calls.calls as f64 / 1e6)?;
            self.note("the calls that make the bill and send the mail are not in it, nor are cold starts");
        }
        Ok(())
    }

    /// What belongs to no stage.
    fn rest(&mut self, extras: &Extras) -> Result<(), UnknownPrice> {
        let transitions = extras.transitions as f64 / 1e3;
        self.line("run", ("Step Functions", "state transitions", "state transitions"), transitions)?;
        self.line("run", ("SES", "mails", "mails"), extras.mails as f64 / 1e3)?;
        self.line("run", ("CloudWatch", "log ingestion", "logs"), extras.log_bytes as f64 / 1e9)
    }

    fn total(self, images: u64) -> Cost {
        let mut total_usd = 0.0;
        for line in &self.lines {
            total_usd += line.usd;
        }
        Cost {
            version: COST_VERSION,
            region: self.region.to_owned(),
            prices_of: self.book.date().to_owned(),
            lines: self.lines,
            total_usd,
            usd_per_million: (images > 0).then(|| total_usd / images as f64 * 1e6),
            spot_saved_usd: self.spot_saved_usd,
            notes: self.notes,
            plan: None,
        }
    }
}

fn hours(milliseconds: u64) -> f64 {
    milliseconds as f64 / 3.6e6
}

#[cfg(test)]
mod tests;
