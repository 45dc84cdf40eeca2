//! The header of an AV1 stream: how deep its samples are, how chrominance is stored, and what colours mean.
//!
//! It exists because memory must be known before a decoder is started, and the container may lie. It follows
//! AV1's specification, section 5.5, and never reads a frame.

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The largest frame.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) depth: u8,
    pub(super) layout: Layout,
    pub(super) colors: Colors,
}

/// How samples become colours, by ITU-T H.273's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colors {
    pub(super) primaries: u8,
    pub(super) matrix: u8,
    pub(super) is_full_range: bool,
}

/// How chrominance is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Gray,
    /// Half as wide and half as high.
    Quarter,
    /// Half as wide.
    Half,
    Whole,
}

impl Layout {
    /// Of all planes.
    pub(super) fn samples_per_two_pixels(self) -> u64 {
        match self {
            Layout::Gray => 2,
            Layout::Quarter => 3,
            Layout::Half => 4,
            Layout::Whole => 6,
        }
    }

    /// The size of a plane of chrominance.
    pub(super) fn chroma(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Layout::Gray => (0, 0),
            Layout::Quarter => (width.div_ceil(2), height.div_ceil(2)),
            Layout::Half => (width.div_ceil(2), height),
            Layout::Whole => (width, height),
        }
    }
}

const SEQUENCE_HEADER: u8 = 1;
/// `SELECT_SCREEN_CONTENT_TOOLS`.
const SELECT: u32 = 2;

impl Sequence {
    /// The first header in a stream of units.
    pub(super) fn find(mut stream: &[u8]) -> Option<Sequence> {
        while let Some((&head, rest)) = stream.split_first() {
            let rest = if head & 4 == 0 { rest } else { rest.get(1..)? };
            let (length, rest) = if head & 2 == 0 { (rest.len(), rest) } else { leb128(rest)? };
            let content = rest.get(..length)?;
            if head >> 3 & 15 == SEQUENCE_HEADER {
                return Bits { bytes: content, at: 0 }.sequence();
            }
            stream = &rest[length..];
        }
        None
    }
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 127) << (index * 7);
        if byte < 128 {
            return Some((usize::try_from(value).ok()?, &bytes[index + 1..]));
        }
    }
    None
}

/// Bits from the highest.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    fn sequence(&mut self) -> Option<Sequence> {
        let profile = self.take(3)?;
        self.flag()?;
        let is_reduced = self.flag()?;
        if is_reduced {
            self.take(5)?;
        } else {
            self.operating_points()?;
        }
        let (wide, high) = (self.take(4)? as usize + 1, self.take(4)? as usize + 1);
        let (width, height) = (self.take(wide)? + 1, self.take(high)? + 1);
        if !is_reduced && self.flag()? {
            self.take(7)?;
        }
        self.take(3)?;
        if !is_reduced {
            self.tools()?;
        }
        self.take(3)?;
        self.colors(
            profile,
            Sequence {
                width,
                height,
                depth: 8,
                layout: Layout::Whole,
                colors: Colors { primaries: 2, matrix: 2, is_full_range: false },
            },
        )
    }

    fn operating_points(&mut self) -> Option<()> {
        let mut delay = None;
        if self.flag()? {
            self.timing()?;
            if self.flag()? {
                delay = Some(self.take(5)? as usize + 1);
                self.take(32)?;
                self.take(10)?;
            }
        }
        let has_display_delay = self.flag()?;
        for _ in 0..=self.take(5)? {
            self.operating_point(delay, has_display_delay)?;
        }
        Some(())
    }

    fn operating_point(&mut self, delay: Option<usize>, has_display_delay: bool) -> Option<()> {
        self.take(12)?;
        if self.take(5)? > 7 {
            self.take(1)?;
        }
        if let Some(length) = delay
            && self.flag()?
        {
            self.take(length)?;
            self.take(length)?;
            self.take(1)?;
        }
        if has_display_delay && self.flag()? {
            self.take(4)?;
        }
        Some(())
    }

    fn timing(&mut self) -> Option<()> {
        self.take(32)?;
        self.take(32)?;
        if self.flag()? {
            let mut zeros = 0;
            while !self.flag()? {
                zeros += 1;
            }
            self.take(zeros.min(32))?;
        }
        Some(())
    }

    fn tools(&mut self) -> Option<()> {
        self.take(4)?;
        let has_order = self.flag()?;
        if has_order {
            self.take(2)?;
        }
        let screen = if self.flag()? { SELECT } else { self.take(1)? };
        if screen > 0 && !self.flag()? {
            self.take(1)?;
        }
        if has_order {
            self.take(3)?;
        }
        Some(())
    }

    fn colors(&mut self, profile: u32, mut sequence: Sequence) -> Option<Sequence> {
        let is_deep = self.flag()?;
        sequence.depth = match (profile, is_deep) {
            (2, true) if self.flag()? => 12,
            (_, true) => 10,
            _ => 8,
        };
        let is_gray = profile != 1 && self.flag()?;
        let mut transfer = 2;
        if self.flag()? {
            sequence.colors.primaries = self.take(8)? as u8;
            transfer = self.take(8)?;
            sequence.colors.matrix = self.take(8)? as u8;
        }
        if !is_gray && (sequence.colors.primaries, transfer, sequence.colors.matrix) == (1, 13, 0) {
            sequence.colors.is_full_range = true;
            return Some(sequence);
        }
        sequence.colors.is_full_range = self.flag()?;
        sequence.layout = match (profile, sequence.depth) {
            _ if is_gray => Layout::Gray,
            (0, _) => Layout::Quarter,
            (1, _) => Layout::Whole,
            (_, 12) if !self.flag()? => Layout::Whole,
            (_, 12) if self.flag()? => Layout::Quarter,
            _ => Layout::Half,
        };
        Some(sequence)
    }
}
