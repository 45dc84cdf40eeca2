//! Large pictures: mosaics of the middles of ordinary ones, so that they are sharp at every pixel.
//!
//! Enlarged photos would be smooth, and smooth pictures are cheaper to decode than what a camera gives.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tagfleet_model::pixels::Pixels;

use super::jpeg;

const TILE_WIDTH: usize = 400;
const TILE_HEIGHT: usize = 300;
/// Tiles on each side: 4000 x 3000 pixels.
const SIDE: usize = 10;
const QUALITY: i32 = 85;
/// From one tile to the next: neighbours look different, and mosaics do not repeat.
const STEP: usize = 37;
/// Different tiles that are held in memory: 72 MB.
const MAX_TILES: usize = 200;

/// Writes `count` mosaics of `sources` into `folder`.
pub(super) fn all(sources: &[PathBuf], folder: &Path, count: usize) -> Result<()> {
    let tiles = tiles(sources)?;
    for number in 0..count {
        let path = folder.join(format!("{number:06}.jpg"));
        let bytes = jpeg::encode(&mosaic(&tiles, number), QUALITY)?;
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// The middles of those that are large enough and have colours.
fn tiles(sources: &[PathBuf]) -> Result<Vec<Vec<u8>>> {
    let mut tiles = Vec::new();
    for source in sources {
        let picture = jpeg::read(source)?;
        let (width, height) = (picture.width as usize, picture.height as usize);
        if picture.channels == 3 && width >= TILE_WIDTH && height >= TILE_HEIGHT {
            tiles.push(middle(&picture));
        }
        if tiles.len() == MAX_TILES {
            break;
        }
    }
    if tiles.is_empty() {
        bail!("no photo has {TILE_WIDTH}x{TILE_HEIGHT} pixels, which the tiles of large pictures need");
    }
    Ok(tiles)
}

fn middle(picture: &Pixels) -> Vec<u8> {
    let stride = picture.width as usize * 3;
    let left = (picture.width as usize - TILE_WIDTH) / 2 * 3;
    let top = (picture.height as usize - TILE_HEIGHT) / 2;
    let mut tile = Vec::with_capacity(TILE_WIDTH * TILE_HEIGHT * 3);
    for row in picture.data.chunks_exact(stride).skip(top).take(TILE_HEIGHT) {
        tile.extend_from_slice(&row[left..][..TILE_WIDTH * 3]);
    }
    tile
}

fn mosaic(tiles: &[Vec<u8>], first: usize) -> Pixels {
    let mut data = Vec::with_capacity(TILE_WIDTH * TILE_HEIGHT * SIDE * SIDE * 3);
    for down in 0..SIDE {
        for y in 0..TILE_HEIGHT {
            for across in 0..SIDE {
                let tile = &tiles[(first + (down * SIDE + across) * STEP) % tiles.len()];
                data.extend_from_slice(&tile[y * TILE_WIDTH * 3..][..TILE_WIDTH * 3]);
            }
        }
    }
    Pixels { width: (TILE_WIDTH * SIDE) as u32, height: (TILE_HEIGHT * SIDE) as u32, channels: 3, data }
}
