//! How many workers it takes to be done in time.
//!
//! From the rate that this run's workers have shown; before there is one, from a rate that is assumed, so low
//! that most models are faster: 5 images a second and vCPU. A deadline is a size, not a promise: it buys
//! machines, never beyond `workers` of the request or what the stack may hold.

use std::time::Duration;

use tagfleet_cost::assumptions::{BOOT_SECONDS, IMAGES_PER_VCPU_SECOND};
use tagfleet_cost::usage::Usage;

/// No deadline is shorter: booting alone takes minutes.
pub const SHORTEST: Duration = Duration::from_secs(600);

/// `6h`, `90m` or `5400s`.
///
/// # Errors
/// Names what is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || format!("{text:?} is not a duration such as 6h, 90m or 5400s");
    let unit = text.chars().last().ok_or_else(invalid)?;
    let seconds_of_unit = match unit {
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return Err(invalid()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
    let seconds = number.checked_mul(seconds_of_unit).ok_or_else(invalid)?;
    let time = Duration::from_secs(seconds);
    if time < SHORTEST {
        return Err(format!("{text} is too short: give 10m at least, because machines take minutes to boot"));
    }
    Ok(time)
}

/// Workers of `vcpus` each that do `images` within `deadline` of the latest execution's start; `now` is
/// seconds since 1970.
#[must_use]
pub fn workers(deadline: Duration, images: u64, usage: &Usage, vcpus: u32, now: u64) -> u64 {
    let began = usage.planned_at.unwrap_or(now);
    let until = began.saturating_add(deadline.as_secs());
    // Late already: as many as may be, so that it does not get much later.
    let seconds = until.saturating_sub(now).saturating_sub(BOOT_SECONDS).max(1);
    let needed = images as f64 / seconds as f64 / rate(usage, vcpus);
    // Saturates if it is more than there are.
    (needed.ceil() as u64).max(1)
}

/// Images a second of one worker.
fn rate(usage: &Usage, vcpus: u32) -> f64 {
    let images: u64 = usage.machines.iter().map(|machine| machine.images).sum();
    let seconds: u64 = usage.machines.iter().map(|machine| machine.seconds).sum();
    if images == 0 || seconds == 0 {
        return IMAGES_PER_VCPU_SECOND * f64::from(vcpus.max(1));
    }
    images as f64 / seconds as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use tagfleet_cost::usage::MachineUsage;

    #[test]
    fn deadlines_are_read() {
        let seconds = |text| parse(text).map(|time| time.as_secs());
        assert_eq!(seconds("6h"), Ok(21_600));
        assert_eq!(seconds("90m"), Ok(5_400));
        assert_eq!(seconds("600s"), Ok(600));
        for wrong in ["", "6", "h", "6 h", "-1h", "1.5h", "6d", "99999999999999999999h", "6ü"] {
            assert!(parse(wrong).unwrap_err().contains("is not a duration such as"), "{wrong}");
        }
        assert!(parse("9m").unwrap_err().contains("too short"));
    }

    #[test]
    fn a_measured_rate_counts_more_than_an_assumed_one() {
        let hour = Duration::from_secs(3600);
        // 3360 s after boot at 40 images/s: 134,400 for a worker of 8 vCPUs.
        assert_eq!(workers(hour, 134_400, &Usage::default(), 8, 1000), 1);
        assert_eq!(workers(hour, 134_401, &Usage::default(), 8, 1000), 2);
        let machine = MachineUsage { images: 100_000, seconds: 1_000, ..MachineUsage::default() };
        let measured = Usage { machines: vec![machine], planned_at: Some(400), ..Usage::default() };
        // 600 s are over already: 2760 s at 100 images/s.
        assert_eq!(workers(hour, 276_000, &measured, 8, 1000), 1);
        assert_eq!(workers(hour, 2_760_000, &measured, 8, 1000), 10);
        assert_eq!(workers(hour, 1_000, &measured, 8, 9_999), 10, "late: all that is left in a second");
    }
}
