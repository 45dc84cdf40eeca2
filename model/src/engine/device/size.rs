//! How many images a batch has: found by measuring, on noise, before the run's first image.
//!
//! On noise, because the bits of a row may differ from size to size on a device, so that no image may be
//! tagged while sizes are tried; and networks take the same time for any picture. It never runs an image of
//! the run.

use std::time::{Duration, Instant};

use super::lane::{Batches, Failure};
use crate::engine::EngineError;
use crate::engine::batching::same_bits;

/// What is tried, the smallest first. More than three of the largest would not be in a worker's hands at
/// once.
pub(super) const SIZES: &[usize] = &[8, 16, 32, 64, 128];
/// Timed calls of each size, behind one that is not: the fastest counts.
const ROUNDS: usize = 3;
/// Larger batches take memory and delay the end of a run: the smallest within this share of the best rate is
/// taken.
const WORTH: f64 = 0.05;
/// No further size is tried after this time.
const LONGEST: Duration = Duration::from_secs(10);

/// The batch that `lane` takes from now on: 1 if rows change with their neighbours.
pub(super) fn find(lane: &mut dyn Batches, length: usize) -> Result<usize, EngineError> {
    let rows = choose(&times(lane, length)?).unwrap_or(1);
    lane.resize(rows)?;
    if rows > 1 && !rows_stand_alone(lane, length)? {
        lane.resize(1)?;
    }
    Ok(lane.rows())
}

/// Fails if the batch that a graph insists on lets its rows change each other.
pub(super) fn check(lane: &mut dyn Batches, length: usize) -> Result<(), EngineError> {
    if rows_stand_alone(lane, length)? {
        return Ok(());
    }
    Err(EngineError::new(format!(
        "the graph insists on {} images at once, and on this device each changes the rows of the others: export it for \
         batches of any size, or give --device cpu",
        lane.rows()
    )))
}

/// Time of a batch for each size that runs.
fn times(lane: &mut dyn Batches, length: usize) -> Result<Vec<(usize, Duration)>, EngineError> {
    let (began, mut times) = (Instant::now(), Vec::new());
    for &rows in SIZES {
        let noise = noise(rows * length);
        let images: Vec<&[u8]> = noise.chunks_exact(length).collect();
        match lane.resize(rows).and_then(|()| time(lane, &images)) {
            Ok(time) => times.push((rows, time)),
            Err(Failure::Memory(_)) => break,
            Err(Failure::Other(error)) => return Err(error),
        }
        if began.elapsed() > LONGEST {
            break;
        }
    }
    Ok(times)
}

fn time(lane: &mut dyn Batches, images: &[&[u8]]) -> Result<Duration, Failure> {
    lane.run(images)?;
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        lane.run(images)?;
        fastest = fastest.min(began.elapsed());
    }
    Ok(fastest)
}

/// The smallest size whose rate is about the best.
fn choose(times: &[(usize, Duration)]) -> Option<usize> {
    let each = |(rows, time): &(usize, Duration)| time.as_secs_f64() / *rows as f64;
    let best = times.iter().map(each).fold(f64::INFINITY, f64::min);
    times.iter().find(|size| each(size) * (1.0 - WORTH) <= best).map(|(rows, _)| *rows)
}

/// Whether images have the same bits in the same place with other neighbours.
fn rows_stand_alone(lane: &mut dyn Batches, length: usize) -> Result<bool, EngineError> {
    let noise = noise((lane.rows() + 1) * length);
    let images: Vec<&[u8]> = noise.chunks_exact(length).collect();
    let (first, others) = (&images[..lane.rows()], &images[1..]);
    let among = lane.run(first)?;
    for place in 0..lane.rows().min(ROUNDS) {
        let mut beside = others.to_vec();
        beside[place] = first[place];
        let found = lane.run(&beside)?;
        for (among, found) in among.iter().zip(&found) {
            let row = among.len() / lane.rows();
            let own = place * row..(place + 1) * row;
            if !same_bits(&among[own.clone()], &found[own]) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(1).fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_batch_has_to_be_worth_it() {
        let ms = Duration::from_millis;
        assert_eq!(choose(&[(8, ms(8)), (16, ms(10)), (32, ms(16)), (64, ms(31)), (128, ms(62))]), Some(32));
        assert_eq!(choose(&[(8, ms(80)), (16, ms(161))]), Some(8));
        assert_eq!(choose(&[]), None, "not even the smallest has room");
    }
}
