//! CCITT's codes of black and white rows: groups 3 and 4, on the code tables of the `fax` crate.
//!
//! It exists because that crate's own loops want an end-of-line code in front of every row, which TIFF's
//! writers leave out, and know no rows in two dimensions of group 3. A damaged row ends early, as in libtiff.
//! It never writes beyond a row.

use std::convert::Infallible;
use std::iter::{Chain, Copied, Map, RepeatN};
use std::slice::Iter;

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, ByteReader};

use super::layout::Compression;

/// Zeros behind the data, because the tables look further ahead than the last code.
const PADDING: usize = 4;

type Bytes<'a> = Map<Chain<Copied<Iter<'a, u8>>, RepeatN<u8>>, fn(u8) -> Result<u8, Infallible>>;

/// Unpacks rows of `width` pixels into `out`, eight to a byte, 1 for black; returns how many rows were there.
pub(super) fn decode(data: &[u8], compression: Compression, width: u32, out: &mut [u8]) -> usize {
    let bytes = data.iter().copied().chain(std::iter::repeat_n(0, PADDING));
    let Ok(reader) = ByteReader::new(bytes.map(Ok as fn(u8) -> Result<u8, Infallible>));
    let mut rows = Rows { reader, width, reference: Vec::new(), current: Vec::new() };
    let stride = (width as usize).div_ceil(8);
    for (number, row) in out.chunks_exact_mut(stride).enumerate() {
        let is_whole = rows.next(compression);
        if is_whole == Step::End {
            return number;
        }
        paint(row, &rows.current, width);
        std::mem::swap(&mut rows.reference, &mut rows.current);
        rows.current.clear();
        if is_whole == Step::Damaged && !rows.resume(compression) {
            return number + 1;
        }
    }
    out.len() / stride
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Whole,
    Damaged,
    End,
}

struct Rows<'a> {
    reader: ByteReader<Bytes<'a>>,
    width: u32,
    /// Where colours change in the row above: to black, to white, and so on.
    reference: Vec<u32>,
    current: Vec<u32>,
}

impl Rows<'_> {
    fn next(&mut self, compression: Compression) -> Step {
        match compression {
            Compression::Fax4 => self.row_in_two_dimensions(),
            Compression::Fax3 { two_dimensional } => {
                let ends = self.skip_ends_of_line();
                if ends > 1 && !self.reference.is_empty() {
                    return Step::End;
                }
                if two_dimensional && ends > 0 && self.bit() == Some(0) {
                    return self.row_in_two_dimensions();
                }
                self.row_in_one_dimension()
            }
            _ => {
                let step = self.row_in_one_dimension();
                let unused = self.reader.bits_to_byte_boundary();
                self.consume(unused);
                step
            }
        }
    }

    /// Goes to the next row behind damage; false if there is no way to find it.
    fn resume(&mut self, compression: Compression) -> bool {
        if !matches!(compression, Compression::Fax3 { .. }) {
            return false;
        }
        while let Some(bits) = self.reader.peek(11) {
            if bits == 0 {
                return true;
            }
            self.consume(1);
        }
        false
    }

    /// Eleven zeros or more and a one, each time; returns how many there were.
    fn skip_ends_of_line(&mut self) -> usize {
        let mut ends = 0;
        while self.reader.peek(11) == Some(0) {
            while self.reader.peek(1) == Some(0) {
                self.consume(1);
            }
            if self.bit().is_none() {
                return ends;
            }
            ends += 1;
        }
        ends
    }

    fn row_in_one_dimension(&mut self) -> Step {
        let (mut at, mut is_black) = (0_u32, false);
        if self.reader.peek(1).is_none() {
            return Step::End;
        }
        while at < self.width {
            let Some(run) = self.run(is_black) else { return Step::Damaged };
            at = at.saturating_add(run).min(self.width);
            self.current.push(at);
            is_black = !is_black;
        }
        Step::Whole
    }

    fn row_in_two_dimensions(&mut self) -> Step {
        let mut row = Row { at: None, is_black: false, above: 0 };
        while row.at.unwrap_or(0) < self.width || row.at.is_none() {
            let Some(mode) = mode::decode(&mut self.reader) else { return self.broken(&row) };
            let changes = row.changes_above(&self.reference, self.width);
            match mode {
                Mode::Pass => row.at = Some(changes.1),
                Mode::Vertical(by) => {
                    let at = changes.0.saturating_add_signed(i32::from(by)).min(self.width);
                    row.change(at.max(row.at.unwrap_or(0)), &mut self.current);
                }
                Mode::Horizontal => {
                    let Some(first) = self.run(row.is_black) else { return Step::Damaged };
                    let Some(second) = self.run(!row.is_black) else { return Step::Damaged };
                    for run in [first, second] {
                        let at = row.at.unwrap_or(0).saturating_add(run).min(self.width);
                        row.change(at, &mut self.current);
                    }
                }
                Mode::EOF | Mode::Extension => return self.broken(&row),
            }
        }
        Step::Whole
    }

    fn broken(&self, row: &Row) -> Step {
        if row.at.is_none() { Step::End } else { Step::Damaged }
    }

    /// A run is codes of whole 64s and one of less.
    fn run(&mut self, is_black: bool) -> Option<u32> {
        let mut run = 0_u32;
        loop {
            let code =
                if is_black { black::decode(&mut self.reader) } else { white::decode(&mut self.reader) };
            let code = u32::from(code?);
            run = run.saturating_add(code);
            if code < 64 {
                return Some(run);
            }
        }
    }

    fn bit(&mut self) -> Option<u16> {
        let bit = self.reader.peek(1)?;
        self.consume(1);
        Some(bit)
    }

    fn consume(&mut self, bits: u8) {
        let Ok(()) = self.reader.consume(bits);
    }
}

/// The place in a row of two dimensions.
struct Row {
    /// None before the first pixel.
    at: Option<u32>,
    is_black: bool,
    /// A change of the row above that is near.
    above: usize,
}

impl Row {
    fn change(&mut self, at: u32, changes: &mut Vec<u32>) {
        changes.push(at);
        self.at = Some(at);
        self.is_black = !self.is_black;
    }

    /// The next change above to the opposite of the row's colour, and the one behind it.
    fn changes_above(&mut self, reference: &[u32], width: u32) -> (u32, u32) {
        let is_behind = |change: u32| self.at.is_none_or(|at| change > at);
        while self.above > 0 && reference.get(self.above - 1).is_none_or(|&change| is_behind(change)) {
            self.above -= 1;
        }
        while self.above % 2 != usize::from(self.is_black)
            || reference.get(self.above).is_some_and(|&change| !is_behind(change))
        {
            self.above += 1;
        }
        let change = |index: usize| reference.get(index).copied().unwrap_or(width);
        (change(self.above), change(self.above + 1))
    }
}

/// Sets the bits of black runs.
fn paint(row: &mut [u8], changes: &[u32], width: u32) {
    for pair in changes.chunks(2) {
        let end = pair.get(1).copied().unwrap_or(width).min(width);
        for x in pair[0]..end {
            row[x as usize / 8] |= 0x80 >> (x % 8);
        }
    }
}
