//! Which bytes of an AVIF are its primary picture, in how many tiles, and what belongs to it.
//!
//! It exists because no maintained crate reads grids and orientation. It follows no more items and tiles than
//! a picture has, and never reads pixels.

use std::borrow::Cow;

use image::metadata::Orientation;
use tagfleet_pipeline::tags::{Cause, Failure};

use super::super::failure;
use super::boxes::Fields;
use super::planes::Place;
use super::sequence::Colors;

mod properties;
mod tables;

use properties::{Properties, Property};
use tables::{Extent, Tables};

/// libavif's limit on the rows and columns of a grid is 256; no encoder makes that many tiles.
const MOST_TILES: usize = 1024;

/// What is shown.
pub(super) struct Picture {
    pub(super) color: Item,
    pub(super) alpha: Option<Item>,
    pub(super) is_premultiplied: bool,
    pub(super) orientation: Orientation,
    pub(super) colors: Option<Colors>,
    pub(super) has_exif: bool,
    pub(super) xmp: Option<Tile>,
}

/// A coded picture, or a grid of them.
pub(super) struct Item {
    pub(super) width: u32,
    pub(super) height: u32,
    columns: u32,
    /// In rows from the top.
    pub(super) tiles: Vec<Tile>,
}

/// One coded picture.
pub(super) struct Tile {
    width: u32,
    height: u32,
    extents: Vec<Extent>,
    pub(super) operating_point: u8,
}

impl Item {
    pub(super) fn tile_size(&self) -> (u32, u32) {
        self.tiles.first().map_or((0, 0), |tile| (tile.width, tile.height))
    }

    pub(super) fn place(&self, number: usize) -> Place {
        let (width, height) = self.tile_size();
        let (column, row) = (number as u32 % self.columns, number as u32 / self.columns);
        Place { left: column.saturating_mul(width), top: row.saturating_mul(height), width, height }
    }
}

impl Tile {
    /// The stream, in one piece.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        let cut = || failure(Cause::Damaged, "the pixels are cut off");
        if let [extent] = self.extents[..] {
            return Ok(extent.of(file).ok_or_else(cut)?.into());
        }
        let mut stream = Vec::new();
        for extent in &self.extents {
            stream.extend_from_slice(extent.of(file).ok_or_else(cut)?);
            // Extents may overlap, a stream is no longer than its file.
            if stream.len() > file.len() {
                return Err(cut());
            }
        }
        Ok(stream.into())
    }
}

/// Reads the boxes that describe the primary picture.
pub(super) fn read(file: &[u8]) -> Result<Picture, Failure> {
    let Some(mut meta) = Fields(file).find(*b"meta") else {
        return Err(unsupported("there is no still picture in it"));
    };
    let tables = meta.version().and_then(|_| Tables::read(meta, file)).ok_or_else(broken)?;
    let primary = tables.primary;
    let properties = tables.properties_of(primary);
    let alpha = tables.alpha_of(primary);
    let alpha_item = match alpha {
        Some(id) => Some(item(&tables, id, properties.size())?),
        None => tiles_with_alpha(&tables, primary, properties.size())?,
    };
    let color = item(&tables, primary, None)?;
    if alpha_item.as_ref().is_some_and(|alpha| (alpha.width, alpha.height) != (color.width, color.height)) {
        return Err(unsupported("alpha of another size than the picture's"));
    }
    Ok(Picture {
        color,
        is_premultiplied: alpha.is_some_and(|alpha| tables.refers(primary, alpha, *b"prem")),
        alpha: alpha_item,
        orientation: properties.orientation(),
        colors: properties.colors(),
        has_exif: tables.described_by(primary, *b"Exif").is_some(),
        xmp: xmp(&tables, primary),
    })
}

fn xmp(tables: &Tables<'_>, primary: u32) -> Option<Tile> {
    let extents = tables.extents_of(tables.described_by(primary, *b"mime")?)?;
    Some(Tile { width: 0, height: 0, extents, operating_point: 0 })
}

fn unsupported(message: &str) -> Failure {
    failure(Cause::Variant, message)
}

fn broken() -> Failure {
    failure(Cause::Damaged, "the boxes that describe the picture are damaged")
}

/// The item of this id; `default` is its size if it states none.
fn item(tables: &Tables<'_>, id: u32, default: Option<(u32, u32)>) -> Result<Item, Failure> {
    match tables.kind_of(id).as_ref() {
        Some(b"av01") => {
            let tile = tile(tables, id, default)?;
            Ok(Item { width: tile.width, height: tile.height, columns: 1, tiles: vec![tile] })
        }
        Some(b"grid") => grid(tables, id),
        Some(b"hvc1") => Err(failure(Cause::Heic, "HEIC inside of an AVIF file")),
        Some(_) => Err(unsupported("its picture is not coded as AV1 or as a grid of AV1")),
        None => Err(broken()),
    }
}

fn tile(tables: &Tables<'_>, id: u32, default: Option<(u32, u32)>) -> Result<Tile, Failure> {
    let properties = tables.properties_of(id);
    let (width, height) = properties.size().or(default).ok_or_else(broken)?;
    let extents = tables.extents_of(id).ok_or_else(broken)?;
    Ok(Tile { width, height, extents, operating_point: properties.operating_point() })
}

/// ISO 23008-12, 6.6.2.3: rows, columns, and the size of the whole.
fn grid(tables: &Tables<'_>, id: u32) -> Result<Item, Failure> {
    let description =
        Tile { width: 0, height: 0, extents: tables.extents_of(id).ok_or_else(broken)?, operating_point: 0 };
    let bytes = description.bytes(tables.file)?;
    let mut fields = Fields(&bytes);
    let mut read = || {
        let (version, flags) = (fields.number(1)?, fields.number(1)?);
        let (rows, columns) = (fields.number(1)? as usize + 1, fields.number(1)? as usize + 1);
        let length = if flags & 1 == 1 { 4 } else { 2 };
        let (width, height) = (fields.number(length)? as u32, fields.number(length)? as u32);
        (version == 0).then_some((rows, columns, width, height))
    };
    let (rows, columns, width, height) = read().ok_or_else(broken)?;
    let ids = tables.tiles_of(id);
    if ids.len() != rows * columns || ids.len() > MOST_TILES {
        return Err(unsupported("a grid with missing or too many tiles"));
    }
    let tiles: Vec<Tile> = ids.iter().map(|&id| tile(tables, id, None)).collect::<Result<_, _>>()?;
    grid_of(tiles, columns as u32, width, height)
}

/// All tiles are of one size and cover the whole.
fn grid_of(tiles: Vec<Tile>, columns: u32, width: u32, height: u32) -> Result<Item, Failure> {
    let item = Item { width, height, columns, tiles };
    let (tile_width, tile_height) = item.tile_size();
    let is_even = item.tiles.iter().all(|tile| (tile.width, tile.height) == (tile_width, tile_height));
    let rows = item.tiles.len() as u64 / u64::from(columns);
    let covers = u64::from(tile_width) * u64::from(columns) >= u64::from(width)
        && u64::from(tile_height) * rows >= u64::from(height);
    if is_even && covers { Ok(item) } else { Err(unsupported("a grid of uneven tiles")) }
}

/// Some writers give each tile of a grid alpha of its own, and the grid none.
fn tiles_with_alpha(
    tables: &Tables<'_>,
    primary: u32,
    size: Option<(u32, u32)>,
) -> Result<Option<Item>, Failure> {
    if tables.kind_of(primary) != Some(*b"grid") {
        return Ok(None);
    }
    let whole = grid(tables, primary)?;
    let mut tiles = Vec::new();
    for id in tables.tiles_of(primary) {
        let Some(alpha) = tables.alpha_of(id) else { return Ok(None) };
        tiles.push(tile(tables, alpha, tables.properties_of(id).size().or(size))?);
    }
    grid_of(tiles, whole.columns, whole.width, whole.height).map(Some)
}
