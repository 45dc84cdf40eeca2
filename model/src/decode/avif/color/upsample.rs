//! libyuv's smooth doubling of chrominance (scale_common.cc): weights of 3 and 1 in each direction.
//!
//! It never looks at more than two rows.

/// A row twice as wide.
pub(super) fn row(from: &[u8], out: &mut [u8]) {
    let Some(last) = out.len().checked_sub(1) else { return };
    for (x, out) in out.iter_mut().enumerate() {
        let (near, far) = neighbours(from, x, last);
        *out = ((near * 3 + far + 2) >> 2) as u8;
    }
}

/// A row twice as wide, a quarter of the way from `near` to `far`.
pub(super) fn between(near: &[u8], far: &[u8], out: &mut [u8]) {
    let Some(last) = out.len().checked_sub(1) else { return };
    for (x, out) in out.iter_mut().enumerate() {
        let (near_near, near_far) = neighbours(near, x, last);
        let (far_near, far_far) = neighbours(far, x, last);
        *out = if x == 0 || x == last {
            ((near_near * 3 + far_near + 2) >> 2) as u8
        } else {
            ((near_near * 9 + near_far * 3 + far_near * 3 + far_far + 8) >> 4) as u8
        };
    }
}

/// The sample of a pixel, and its neighbour towards the pixel; both are one sample at the ends.
fn neighbours(from: &[u8], x: usize, last: usize) -> (u32, u32) {
    let near = x / 2;
    let far = if x == 0 || x == last {
        near
    } else if x % 2 == 1 {
        near + 1
    } else {
        near - 1
    };
    let sample = |index: usize| u32::from(from.get(index).or(from.last()).copied().unwrap_or(128));
    (sample(near), sample(far))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_keep_their_samples() {
        let mut out = [0; 5];
        row(&[0, 100, 200], &mut out);
        assert_eq!(out, [0, 25, 75, 125, 200]);
        between(&[0, 100, 200], &[40, 40, 40], &mut out);
        assert_eq!(out, [10, 29, 66, 104, 160]);
    }

    #[test]
    fn one_pixel_is_its_sample() {
        let mut out = [0];
        row(&[7], &mut out);
        assert_eq!(out, [7]);
    }
}
