//! CPU time of this process, medians, and slopes between two runs of different length.
//!
//! A slope leaves out what a run costs whatever its length: starting, loading the model, finishing.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of this process, all of its threads: engines compute in threads of their own.
pub(crate) fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}

/// Milliseconds per image.
pub(crate) fn per_image(time: Duration, images: usize) -> f64 {
    time.as_secs_f64() * 1e3 / images.max(1) as f64
}

/// The middle value, or the mean of both if there are two; `None` if `values` is empty.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (upper, is_odd) = (sorted.len() / 2, sorted.len() % 2 == 1);
    let high = *sorted.get(upper)?;
    Some(if is_odd { high } else { f64::midpoint(sorted[upper - 1], high) })
}

/// The time of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timing {
    /// How many images.
    pub(crate) images: usize,
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of CPU time.
    pub(crate) cpu: f64,
}

/// The cost of each further image, and of the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    /// Images per second once it runs.
    pub(crate) images_per_second: f64,
    /// CPU milliseconds of one image.
    pub(crate) cpu_ms: f64,
    /// Seconds that a run of no images would take.
    pub(crate) start_up: f64,
}

/// The slope between a short and a long run; `None` if the long one took less time, because noise hides it
/// then.
pub(crate) fn slope(short: Timing, long: Timing) -> Option<Slope> {
    let images = long.images.checked_sub(short.images).filter(|images| *images > 0)? as f64;
    let (wall, cpu) = (long.wall - short.wall, long.cpu - short.cpu);
    (wall > 0.0 && cpu > 0.0).then(|| Slope {
        images_per_second: images / wall,
        cpu_ms: cpu * 1e3 / images,
        start_up: short.wall - short.images as f64 * wall / images,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_slope_leaves_out_the_start() {
        let short = Timing { images: 500, wall: 3.5, cpu: 5.0 };
        let long = Timing { images: 2000, wall: 11.0, cpu: 17.0 };
        let slope = slope(short, long).unwrap();
        assert_eq!(slope, Slope { images_per_second: 200.0, cpu_ms: 8.0, start_up: 1.0 });
    }

    #[test]
    fn noise_is_no_slope() {
        let run = |images, wall| Timing { images, wall, cpu: wall };
        assert_eq!(slope(run(12, 1.0), run(48, 0.9)), None);
        assert_eq!(slope(run(12, 1.0), run(12, 2.0)), None);
    }

    #[test]
    fn cpu_time_grows() {
        let before = cpu_time();
        let mut sum = 0_u64;
        while cpu_time() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time() > before);
    }
}
