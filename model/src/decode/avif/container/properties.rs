//! Properties of an item: its size, its turning, its colours.
//!
//! It never decides what follows from them for the pixels.

use image::metadata::Orientation;

use super::super::boxes::Fields;
use super::super::sequence::Colors;

/// One property, shared by items.
#[derive(Clone, Copy)]
pub(super) struct Property<'a> {
    pub(super) name: [u8; 4],
    pub(super) content: Fields<'a>,
}

/// All properties of one item.
pub(super) struct Properties<'a>(pub(super) Vec<Property<'a>>);

impl<'a> Properties<'a> {
    fn find(&self, name: [u8; 4]) -> Option<Fields<'a>> {
        self.0.iter().find(|property| property.name == name).map(|property| property.content)
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        let mut ispe = self.find(*b"ispe")?;
        ispe.version()?;
        Some((ispe.number(4)? as u32, ispe.number(4)? as u32))
    }

    /// Turning comes before mirroring; the table is Pillow's.
    pub(super) fn orientation(&self) -> Orientation {
        let angle = self.find(*b"irot").and_then(|mut irot| irot.number(1)).map_or(0, |angle| angle & 3);
        let axis = self.find(*b"imir").and_then(|mut imir| imir.number(1)).map(|axis| axis & 1);
        let exif = match (angle, axis) {
            (1, None) => 8,
            (1, Some(0)) | (3, Some(1)) => 5,
            (1, Some(_)) | (3, Some(0)) => 7,
            (2, None) => 3,
            (2, Some(0)) | (0, Some(1)) => 2,
            (2, Some(_)) | (0, Some(0)) => 4,
            (3, None) => 6,
            _ => 1,
        };
        Orientation::from_exif(exif).unwrap_or(Orientation::NoTransforms)
    }

    /// As far as numbers state them; a profile does not count.
    pub(super) fn colors(&self) -> Option<Colors> {
        let colors = self.0.iter().filter(|property| property.name == *b"colr");
        colors.map(|property| property.content).find_map(|mut colr| {
            let is_numbers = colr.name()? == *b"nclx";
            let (primaries, _, matrix) = (colr.number(2)?, colr.number(2)?, colr.number(2)?);
            let is_full_range = colr.number(1)? >> 7 == 1;
            let colors = Colors { primaries: primaries as u8, matrix: matrix as u8, is_full_range };
            is_numbers.then_some(colors)
        })
    }

    pub(super) fn is_auxiliary(&self, name: &[u8]) -> bool {
        self.find(*b"auxC")
            .is_some_and(|auxiliary| auxiliary.0.get(4..).is_some_and(|rest| rest.starts_with(name)))
    }

    /// Which layers of the stream are meant.
    pub(super) fn operating_point(&self) -> u8 {
        self.find(*b"a1op").and_then(|mut point| point.number(1)).map_or(0, |point| point as u8 & 31)
    }
}
