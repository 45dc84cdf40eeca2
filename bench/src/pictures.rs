//! The pictures that are tagged: folders of JPEGs below `target/bench/pictures`, kept between runs.
//!
//! A short and a long folder of ordinary pictures, generated or the user's own, linked again and again; and
//! a short and a long one of large mosaics made of them. It never changes a photo and never measures.

mod draw;
mod jpeg;
mod mosaic;

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::output::progress;
use crate::place::Place;

/// Pictures of a folder at most.
const MOST: usize = 100_000;

/// How many pictures each folder has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Different pictures that are generated.
    pub(crate) different: usize,
    /// Ordinary pictures in the short folder and the long one.
    pub(crate) ordinary: (usize, usize),
    /// Large pictures in the short folder and the long one. Pools that hand out 32 at a time finish evenly
    /// on two cores.
    pub(crate) large: (usize, usize),
    /// Images that a stage does alone.
    pub(crate) alone: usize,
    /// Approximate seconds of a long run on a GPU, so that the start's noise is small in comparison.
    pub(crate) seconds: f64,
}

impl Counts {
    /// Of a measurement, or of a quick try.
    pub(crate) fn new(quick: bool) -> Self {
        if quick {
            Self { different: 24, ordinary: (12, 48), large: (2, 6), alone: 10, seconds: 0.0 }
        } else {
            Self { different: 200, ordinary: (500, 2000), large: (72, 200), alone: 400, seconds: 30.0 }
        }
    }
}

/// A folder and how many pictures it has.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) images: usize,
}

/// Two folders of the same pictures: the slope between them is what an image costs.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) short: Folder,
    pub(crate) long: Folder,
}

/// All pictures of a measurement.
#[derive(Clone, Debug)]
pub(crate) struct Pictures {
    /// One folder with a single picture.
    pub(crate) single: Folder,
    pub(crate) ordinary: Pair,
    pub(crate) large: Pair,
    /// What they are, for people.
    pub(crate) description: String,
}

impl Pictures {
    /// A short and a long folder of ordinary pictures for what is faster than a processor: about `images`
    /// in the long one.
    ///
    /// # Errors
    /// If they can't be written.
    pub(crate) fn pair(&self, images: usize) -> Result<Pair> {
        let Pair { long, .. } = &self.ordinary;
        if images <= long.images {
            return Ok(self.ordinary.clone());
        }
        let images = images.next_multiple_of(long.images).min(MOST);
        let folder = |images: usize| Folder { path: long.path.with_file_name(images.to_string()), images };
        let pair = Pair { short: folder(images / 4), long: folder(images) };
        let sources = jpegs(&long.path)?;
        for folder in [&pair.short, &pair.long] {
            make(folder, |path| link(&sources, path, folder.images))?;
        }
        Ok(pair)
    }
}

/// Makes the folders that do not exist yet, from `photos` if they are given.
///
/// # Errors
/// If there are no JPEGs in `photos`, none is large enough for a mosaic, or the disk is full.
pub(crate) fn ready(place: &Place, photos: Option<&Path>, counts: Counts) -> Result<Pictures> {
    let (name, sources) = match photos {
        Some(folder) => {
            let files = jpegs(folder)?;
            (format!("photos-{}", fingerprint(&files)?), files)
        }
        None => {
            let folder = place.generated("pictures/generated");
            let different = counts.different;
            let drawn = Folder { path: folder.join(format!("different-{different}")), images: different };
            make(&drawn, |folder| draw::all(folder, different))?;
            ("generated".to_owned(), jpegs(&drawn.path)?)
        }
    };
    let root = place.generated("pictures").join(name);
    let folder = |kind: &str, images: usize| Folder { path: root.join(format!("{kind}{images}")), images };
    let ordinary = Pair { short: folder("", counts.ordinary.0), long: folder("", counts.ordinary.1) };
    let large = Pair { short: folder("large-", counts.large.0), long: folder("large-", counts.large.1) };
    let single = folder("", 1);
    for folder in [&single, &ordinary.short, &ordinary.long] {
        make(folder, |path| link(&sources, path, folder.images))?;
    }
    make(&large.long, |folder| mosaic::all(&sources, folder, counts.large.1))?;
    let mosaics = jpegs(&large.long.path)?;
    make(&large.short, |folder| link(&mosaics, folder, counts.large.0))?;
    let description = describe(photos.is_some(), sources.len(), &ordinary.long.path, &large.long.path)?;
    Ok(Pictures { single, ordinary, large, description })
}

/// Fills a folder unless it exists. A partly filled one is filled again from the start.
fn make(folder: &Folder, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = &folder.path;
    if path.is_dir() {
        return Ok(());
    }
    progress(format!("making {} pictures in {}", folder.images, path.display()));
    let unfinished = path.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    }
    fs::create_dir_all(&unfinished).with_context(|| unfinished.display().to_string())?;
    fill(&unfinished)?;
    fs::rename(&unfinished, path).with_context(|| path.display().to_string())
}

/// The JPEGs of a folder, recursively, in the order of their paths.
pub(crate) fn jpegs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            let extension = path.extension().map(OsStr::to_ascii_lowercase);
            if path.is_dir() {
                folders.push(path);
            } else if extension.is_some_and(|extension| extension == "jpg" || extension == "jpeg") {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        bail!("{}: no file here is called .jpg or .jpeg: give a folder of photos", folder.display());
    }
    found.sort();
    Ok(found)
}

/// The first `most` pictures of a folder, in memory.
pub(crate) fn read(folder: &Path, most: usize) -> Result<Vec<Vec<u8>>> {
    let mut pictures = Vec::new();
    for path in jpegs(folder)?.iter().take(most) {
        pictures.push(fs::read(path).with_context(|| path.display().to_string())?);
    }
    Ok(pictures)
}

/// A hash of the photos' paths and sizes.
fn fingerprint(files: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.hash(&mut hasher);
        fs::metadata(file).with_context(|| file.display().to_string())?.len().hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Links `sources` into `folder` until there are `images`, in steps, so that few of them are a fair sample
/// too.
fn link(sources: &[PathBuf], folder: &Path, images: usize) -> Result<()> {
    let step = step(sources.len());
    for number in 0..images {
        let source = fs::canonicalize(&sources[number * step % sources.len()])
            .with_context(|| sources[number * step % sources.len()].display().to_string())?;
        let target = folder.join(format!("{number:06}.jpg"));
        // The folders may be on different file systems.
        if fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target).with_context(|| source.display().to_string())?;
        }
    }
    Ok(())
}

/// A step that reaches each of `count` pictures.
fn step(count: usize) -> usize {
    [7, 11, 13, 17, 19, 23, 29].into_iter().find(|step| !count.is_multiple_of(*step)).unwrap_or(1)
}

fn describe(are_photos: bool, different: usize, ordinary: &Path, large: &Path) -> Result<String> {
    let what = if are_photos { "photos" } else { "generated pictures" };
    let (ordinary, large) = (mean_size(ordinary)?, mean_size(large)?);
    Ok(format!(
        "{different} different {what} ({:.0} kB on average), and mosaics of them of 12 megapixels ({:.1} MB on average)",
        ordinary / 1e3,
        large / 1e6
    ))
}

fn mean_size(folder: &Path) -> Result<f64> {
    let files = jpegs(folder)?;
    let mut bytes = 0;
    for file in &files {
        bytes += fs::metadata(file).with_context(|| file.display().to_string())?.len();
    }
    Ok(bytes as f64 / files.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_to_every_picture_and_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let sources: Vec<PathBuf> =
            (0..14).map(|number| folder.path().join(format!("{number}.jpg"))).collect();
        for source in &sources {
            fs::write(source, source.to_str().unwrap()).unwrap();
        }
        let linked = Folder { path: folder.path().join("linked"), images: 20 };
        make(&linked, |path| link(&sources, path, 20)).unwrap();
        let files = jpegs(&linked.path).unwrap();
        let mut texts: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        assert_eq!(texts.len(), 20);
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 14);
        make(&linked, |_| panic!("it is there")).unwrap();
    }

    #[test]
    fn generated_pictures_and_mosaics_have_their_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let (small, large) = (folder.path().join("small"), folder.path().join("large"));
        fs::create_dir(&small).unwrap();
        fs::create_dir(&large).unwrap();
        draw::all(&small, 5).unwrap();
        let mean = mean_size(&small).unwrap();
        assert!((90e3..130e3).contains(&mean), "{mean} bytes");
        mosaic::all(&jpegs(&small).unwrap(), &large, 1).unwrap();
        let mean = mean_size(&large).unwrap();
        assert!((2e6..4.5e6).contains(&mean), "{mean} bytes");
        let mosaic = jpeg::read(&large.join("000000.jpg")).unwrap();
        assert_eq!((mosaic.width, mosaic.height), (4000, 3000));
    }

    #[test]
    fn a_folder_without_photos_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = jpegs(folder.path()).unwrap_err().to_string();
        assert!(error.contains("no file here is called .jpg"), "{error}");
    }
}
