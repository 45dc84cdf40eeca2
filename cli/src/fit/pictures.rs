//! The pictures to try: files of a folder, spread over its labels or folders, and their bytes.
//!
//! Nothing is decoded here.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use tagfleet_model::decode::Limits;
use tagfleet_pipeline::filter::skip;
use tagfleet_pipeline::shard::key_hash;

use super::truth::{self, Truth};
use crate::analysis::names::Names;
use crate::args::FitOptions;
use crate::exit::{Failure, bad_input};

/// No deeper folders, and no more files, are looked at.
const MAX_DEPTH: usize = 32;
const MAX_FILES: usize = 200_000;

/// One picture.
pub(super) struct Picture {
    /// Its path below the folder.
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    /// The labels that are right; several if the model has several of that name.
    pub(super) truth: Vec<u32>,
}

/// The pictures that are tried.
pub(super) struct Pictures {
    pub(super) all: Vec<Picture>,
    /// Whether each has a right label.
    pub(super) is_labelled: bool,
    pub(super) notes: Vec<String>,
}

struct PictureFile {
    key: String,
    truth: Vec<u32>,
}

impl Pictures {
    /// Reads a sample of the folder's pictures, each with its label if there are labels.
    pub(super) fn choose(options: &FitOptions, labels: &[String]) -> Result<Self, Failure> {
        let keys = keys(&options.images)?;
        let names = Names::new(labels);
        let mut notes = Vec::new();
        let found = match &options.truth {
            Some(path) => listed(keys, &Truth::read(path)?, &names, &mut notes)
                .map_err(|failure| failure.with_prefix(&format!("--truth {}: ", path.display())))?,
            None => in_folders(keys, &names, &mut notes),
        };
        let is_labelled = found.iter().any(|found| !found.truth.is_empty());
        let mut all = Vec::new();
        for PictureFile { key, truth } in spread(found, usize::from(options.sample)) {
            match read(&options.images.join(&key)) {
                Ok(bytes) => all.push(Picture { key, bytes, truth }),
                Err(error) => notes.push(format!("{key} cannot be read: {error}")),
            }
        }
        if all.len() < 2 {
            let folder = options.images.display();
            return Err(bad_input(format!(
                "--images {folder}: {} of its files can be tried, but at least 2 pictures are needed, better 20 to 50",
                all.len()
            )));
        }
        Ok(Self { all, is_labelled, notes })
    }
}

impl Pictures {
    /// Leaves out those that are not kept, by their positions.
    pub(super) fn keep(&mut self, is_kept: &[bool]) {
        let mut flags = is_kept.iter();
        self.all.retain(|_| flags.next().copied().unwrap_or(true));
    }
}

/// The files below `folder` that may be pictures. Names that are not UTF-8 are left out.
fn keys(folder: &Path) -> Result<Vec<String>, Failure> {
    let unusable = |why: &dyn Display| bad_input(format!("--images {}: {why}", folder.display()));
    if !fs::metadata(folder).map_err(|error| unusable(&error))?.is_dir() {
        return Err(unusable(&"not a folder"));
    }
    let (mut keys, mut waiting) = (Vec::new(), vec![(folder.to_owned(), 0)]);
    while let Some((path, depth)) = waiting.pop() {
        for entry in fs::read_dir(&path).map_err(|error| unusable(&error))? {
            let path = entry.map_err(|error| unusable(&error))?.path();
            // Links inside of folders may lead in circles.
            if path.is_dir() && depth < MAX_DEPTH && (depth == 0 || !path.is_symlink()) {
                waiting.push((path, depth + 1));
                continue;
            }
            let below = path.strip_prefix(folder).ok().and_then(Path::to_str);
            keys.extend(below.filter(|_| path.is_file()).map(str::to_owned));
        }
        if keys.len() > MAX_FILES {
            return Err(unusable(&format!("more than {MAX_FILES} files: give a smaller folder")));
        }
    }
    keys.retain(|key| skip::reason(key, "").is_none());
    keys.sort();
    Ok(keys)
}

/// The pictures that the table names.
fn listed(
    keys: Vec<String>,
    truth: &Truth,
    names: &Names,
    notes: &mut Vec<String>,
) -> Result<Vec<PictureFile>, Failure> {
    let (mut found, mut unknown, mut missing) = (Vec::new(), Vec::new(), 0);
    let files = keys.len();
    for key in keys {
        match truth.label(&key) {
            None => missing += 1,
            Some(label) => match names.find(label) {
                indices if indices.is_empty() => unknown.push(label.to_owned()),
                truth => found.push(PictureFile { key, truth }),
            },
        }
    }
    if found.is_empty() {
        return Err(bad_input(match unknown.first() {
            Some(label) => format!("the model has no label {label:?}, nor any other label of the file"),
            None => format!("it names none of the {files} files of --images"),
        }));
    }
    unknown.sort();
    unknown.dedup();
    if let Some(first) = unknown.first() {
        let labels = unknown.len();
        notes
            .push(format!("the model does not have {labels} labels of --truth, such as {first:?}: left out"));
    }
    if missing > 0 {
        notes.push(format!("--truth does not name {missing} files: left out"));
    }
    Ok(found)
}

/// The pictures of folders that are named after labels, if at least half are; else all pictures, without
/// labels.
fn in_folders(keys: Vec<String>, names: &Names, notes: &mut Vec<String>) -> Vec<PictureFile> {
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let truth = truth::of_folders(&key, names);
        found.push(PictureFile { key, truth });
    }
    let (total, labelled) = (found.len(), found.iter().filter(|found| !found.truth.is_empty()).count());
    if 2 * labelled < total || labelled < 2 {
        if labelled > 0 {
            notes.push(format!(
                "only {labelled} of {total} pictures are in a folder named after a label: they count as unlabelled"
            ));
        }
        for found in &mut found {
            found.truth.clear();
        }
        return found;
    }
    if labelled < total {
        notes.push(format!("{} pictures are in no folder named after a label: left out", total - labelled));
    }
    found.retain(|found| !found.truth.is_empty());
    found
}

/// At most `count`, in turn from each label or, without labels, from each folder; the same ones every time.
fn spread(found: Vec<PictureFile>, count: usize) -> Vec<PictureFile> {
    let mut groups: BTreeMap<(Vec<u32>, String), Vec<PictureFile>> = BTreeMap::new();
    for found in found {
        let folder = found.key.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let group =
            if found.truth.is_empty() { (vec![], folder) } else { (found.truth.clone(), String::new()) };
        groups.entry(group).or_default().push(found);
    }
    let mut ranked = Vec::new();
    for (_, mut group) in groups {
        group.sort_by_key(|found| key_hash(&found.key));
        ranked.extend(group.into_iter().enumerate().map(|(turn, found)| (turn, key_hash(&found.key), found)));
    }
    ranked.sort_by_key(|(turn, hash, _)| (*turn, *hash));
    ranked.truncate(count);
    let mut chosen: Vec<PictureFile> = ranked.into_iter().map(|(_, _, found)| found).collect();
    chosen.sort_by(|a, b| a.key.cmp(&b.key));
    chosen
}

/// At most one byte more than the decoder takes, which then refuses it.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(Limits::default().max_bytes + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, truth: &[u32]) -> PictureFile {
        PictureFile { key: key.to_owned(), truth: truth.to_vec() }
    }

    #[test]
    fn a_sample_has_something_of_every_label() {
        let mut all: Vec<PictureFile> = (0..90).map(|number| found(&format!("a/{number}"), &[0])).collect();
        all.extend([found("b/1", &[1]), found("c/1", &[2])]);
        let chosen = spread(all, 5);
        let of = |label| chosen.iter().filter(|found| found.truth == [label]).count();
        assert_eq!([of(0), of(1), of(2)], [3, 1, 1]);
    }

    #[test]
    fn a_few_folders_with_the_name_of_a_label_are_no_labels() {
        let names = Names::new(&["cat".to_owned()]);
        let mut notes = Vec::new();
        let keys = ["cat/1", "x/1", "x/2"].map(str::to_owned).to_vec();
        let found = in_folders(keys, &names, &mut notes);
        assert!(found.len() == 3 && found.iter().all(|found| found.truth.is_empty()));
        assert_eq!(notes.len(), 1);
    }
}
