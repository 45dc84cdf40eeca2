//! The inputs of a run: folders, files, prefixes of a bucket, a list of keys, or a manifest.
//!
//! It finds out what the user means and whether it is there; images are read by the pipeline only.

mod evidence;
mod forms;
mod layout;
mod list;
mod local;
mod manifest;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tagfleet_aws::{Aws, S3Bucket};
use tagfleet_pipeline::bucket::{Bucket, BucketError, DirBucket, KeyRange, Kind};
use tagfleet_pipeline::filter::{Filter, Skipped};
use tagfleet_pipeline::format::hex;
use tagfleet_pipeline::run::Input;
use tagfleet_pipeline::split::{Picks, Source};
use tempfile::TempDir;

use crate::args::SelectOptions;
use crate::exit::{Failure, bad_input, broken};
use crate::place::Place;
use forms::Root;
use manifest::ManifestChoice;

/// Where a run's images come from.
pub(crate) struct Inputs {
    /// As the user names them.
    pub(crate) places: Vec<Place>,
    /// What keys are relative to.
    pub(crate) bucket: Arc<dyn Bucket>,
    /// What split reads.
    pub(crate) source: Source,
    pub(crate) range: KeyRange,
    /// The form of it in the request.
    pub(crate) record: Input,
    /// Notes on how they were read.
    pub(crate) notes: Vec<String>,
    /// The entries of a manifest that is not sorted.
    _entries: Option<TempDir>,
}

/// The selected images: all of a range, some places, or keys.
enum Selection {
    All(KeyRange),
    Several(Picks),
    Keys(Vec<String>),
}

impl Inputs {
    /// `aws` is `Some` if a place or the manifest is in a bucket.
    pub(crate) async fn new(
        places: &[Place],
        aws: Option<&Aws>,
        options: &SelectOptions,
    ) -> Result<Self, Failure> {
        let inputs = Self::of_places(places, aws, options).await?;
        match &options.manifest {
            Some(manifest) => inputs.listed_by(manifest, options, aws).await,
            None => Ok(inputs),
        }
    }

    /// The same places, with what a manifest lists of them.
    async fn listed_by(
        self,
        text: &OsStr,
        options: &SelectOptions,
        aws: Option<&Aws>,
    ) -> Result<Self, Failure> {
        let (filter, prefixes) = match &self.source {
            Source::Listed(_, filter) => (filter.clone(), vec![self.range.prefix.clone()]),
            Source::Several(_, filter, picks) if picks.keys().is_empty() => {
                (filter.clone(), picks.prefixes())
            }
            _ => return Err(bad_input("--manifest needs folders or prefixes as inputs, not files")),
        };
        let is_bucket = self.places.iter().any(Place::is_s3);
        let source = is_bucket.then(|| self.bucket.name().to_owned());
        let choice =
            ManifestChoice { text, key_column: options.key_column.clone(), source, prefixes, filter };
        let opened = choice.open(aws).await?;
        let record = Input { manifest: Some(opened.record), ..self.record };
        let source = Source::Manifest(Arc::new(opened.listed));
        Ok(Self { source, record, _entries: Some(opened.entries), ..self })
    }

    async fn of_places(
        places: &[Place],
        aws: Option<&Aws>,
        options: &SelectOptions,
    ) -> Result<Self, Failure> {
        if places.len() > 1 && options.keys.is_some() {
            return Err(bad_input("--keys needs one input, the folder or bucket that the keys are of"));
        }
        let paths: Vec<&Path> = places.iter().filter_map(Place::path).collect();
        if paths.len() == places.len() {
            return Self::of_paths(&paths, options).await;
        }
        match (places, aws) {
            (_, None) => Err(broken("no connection for the named bucket")),
            ([Place::S3 { bucket, prefix }], Some(aws)) => {
                let bucket = S3Bucket::new(aws, bucket);
                Self::of_bucket(&places[0], prefix, bucket, options).await
            }
            (_, Some(aws)) => Self::of_prefixes(places, aws, options),
        }
    }

    async fn of_bucket(
        place: &Place,
        prefix: &str,
        bucket: S3Bucket,
        options: &SelectOptions,
    ) -> Result<Self, Failure> {
        let filter = filter(options)?;
        let Some(list) = &options.keys else {
            let named = Selection::All(KeyRange::prefix(prefix));
            let inputs = Self::assemble(place.to_string(), Arc::new(bucket), named, filter, options);
            return Ok(inputs.of(vec![place.clone()]));
        };
        if !prefix.is_empty() {
            return Err(bad_input(format!(
                "{place}: a list has whole keys: give --keys with the bucket alone"
            )));
        }
        let root = Root::Bucket(bucket.name().trim_start_matches("s3://").to_owned());
        let list = list::read(list, &root, &bucket, place).await?;
        let named = Selection::Keys(list.keys);
        let inputs = Self::assemble(place.to_string(), Arc::new(bucket), named, filter, options);
        Ok(inputs.of(vec![place.clone()]).with(list.notes))
    }

    /// Several prefixes of one bucket.
    fn of_prefixes(places: &[Place], aws: &Aws, options: &SelectOptions) -> Result<Self, Failure> {
        let mut prefixes = Vec::with_capacity(places.len());
        let mut buckets: Vec<&str> = Vec::new();
        for place in places {
            let Place::S3 { bucket, prefix } = place else {
                return Err(bad_input(format!(
                    "{place} is a path and {} is not: give a run folders and files, or prefixes of one bucket",
                    places.iter().find(|place| place.is_s3()).unwrap_or(place)
                )));
            };
            prefixes.push(prefix.clone());
            buckets.push(bucket);
        }
        if let Some(other) = buckets.iter().find(|bucket| **bucket != buckets[0]) {
            return Err(bad_input(format!(
                "s3://{} and s3://{other} are two buckets: give each a run of its own",
                buckets[0]
            )));
        }
        let bucket = Arc::new(S3Bucket::new(aws, buckets[0]));
        let named = Selection::Several(Picks::new(prefixes, vec![]));
        let location = format!("s3://{}/", buckets[0]);
        Ok(Self::assemble(location, bucket, named, filter(options)?, options).of(places.to_vec()))
    }

    async fn of_paths(paths: &[&Path], options: &SelectOptions) -> Result<Self, Failure> {
        let found = local::find(paths)?;
        let is_one_file = paths.len() == 1 && !found.files.is_empty();
        if is_one_file {
            check_one_file(paths[0], options)?;
        }
        let filter = filter(options)?;
        let bucket = DirBucket::new(&found.root).read_with(filter.clone());
        let location = local::location(&found.root);
        let place = Place::Path(found.root.clone());
        let (named, notes) = match &options.keys {
            Some(list) => {
                let root = Root::Folder { real: found.root.clone(), named: paths[0].to_owned() };
                let list = list::read(list, &root, &bucket, &place).await?;
                (Selection::Keys(list.keys), list.notes)
            }
            None if is_one_file => (Selection::Keys(found.files), vec![]),
            None if found.is_whole() => (Selection::All(KeyRange::default()), vec![]),
            None => {
                let note = format!("keys are paths below {}", found.root.display());
                (Selection::Several(Picks::new(found.folders, found.files)), vec![note])
            }
        };
        let inputs = Self::assemble(location, Arc::new(bucket), named, filter, options);
        Ok(inputs.of(found.listed).with(notes))
    }

    fn assemble(
        location: String,
        bucket: Arc<dyn Bucket>,
        named: Selection,
        filter: Filter,
        options: &SelectOptions,
    ) -> Self {
        let mut record = Input {
            location,
            prefixes: vec![],
            keys_sha256: None,
            manifest: None,
            include: options.include.clone(),
            exclude: options.exclude.clone(),
            all_files: options.all_files,
        };
        let mut range = KeyRange::default();
        let source = match named {
            Selection::All(all) => {
                range = all;
                Source::Listed(bucket.clone(), filter)
            }
            Selection::Several(picks) => {
                let keys = picks.keys();
                record.prefixes = picks.prefixes();
                record.keys_sha256 = (!keys.is_empty()).then(|| sha256(&keys));
                Source::Several(bucket.clone(), filter, Arc::new(picks))
            }
            Selection::Keys(keys) => {
                record.keys_sha256 = Some(sha256(&keys));
                Source::Named(Arc::new(keys))
            }
        };
        Self { places: vec![], bucket, source, range, record, notes: vec![], _entries: None }
    }

    fn of(self, places: Vec<Place>) -> Self {
        Self { places, ..self }
    }

    fn with(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// The listed places, so that nothing may be written there; none if keys were named.
    pub(crate) fn listed(&self) -> &[Place] {
        if matches!(self.source, Source::Named(_) | Source::Manifest(_)) { &[] } else { &self.places }
    }

    /// True if the size of every image is known from a listing.
    pub(crate) fn has_sizes(&self) -> bool {
        match &self.source {
            Source::Listed(..) => true,
            Source::Several(_, _, picks) => picks.keys().is_empty(),
            Source::Named(_) | Source::Manifest(_) | Source::Since(..) | Source::Again(_) => false,
        }
    }

    /// The inputs in one line, for people.
    pub(crate) fn shown(&self) -> String {
        match self.places.as_slice() {
            [only] => only.to_string(),
            _ => format!("{} ({} inputs)", self.record.location, self.places.len()),
        }
    }

    /// Makes sure that there is anything to do, before a run starts.
    pub(crate) async fn first(&self) -> Result<(), Failure> {
        let (mut skipped, mut left_out) = (Skipped::default(), 0);
        let mut pages = self.source.pages(&self.range);
        while let Some(page) = pages.try_next().await.map_err(|error| unlisted(&error))? {
            if !page.images.is_empty() {
                return Ok(());
            }
            left_out += page.left_out;
            for run in &page.skipped {
                skipped.merge(&run.skipped);
            }
        }
        if matches!(self.source, Source::Named(_)) {
            return Err(bad_input("the list of keys is empty: give one key per line"));
        }
        if let (Some(manifest), 0, true) = (&self.record.manifest, left_out, skipped.is_empty()) {
            let location = &manifest.location;
            return Err(bad_input(format!("{location} lists no key of {}: nothing to tag", self.shown())));
        }
        Err(bad_input(format!("{}: {}: nothing to tag", self.shown(), nothing(left_out, &skipped))))
    }
}

/// Why there is no listing; options for another account's bucket are named, because S3 does not name them.
fn unlisted(error: &BucketError) -> Failure {
    match error.kind {
        Kind::Denied if error.detail.starts_with("AccessDenied") || error.detail.starts_with("HTTP 403") => {
            bad_input(format!(
                "{error}: ask for s3:ListBucket and s3:GetObject; if its owner makes the requester pay, add \
             --request-payer requester, and if it is public, --no-sign-request"
            ))
        }
        _ => bad_input(error),
    }
}

/// What was found, if none of it is an input.
fn nothing(left_out: u64, skipped: &Skipped) -> String {
    let files = |count: u64| format!("{count} file{}", if count == 1 { "" } else { "s" });
    match (left_out, skipped.is_empty()) {
        (0, true) => "the input has no files".to_owned(),
        (0, false) => format!("{}, all skipped ({})", files(skipped.files()), skipped.in_words()),
        (_, true) => {
            format!("{}, and none passes --include and --exclude (globs are case-sensitive)", files(left_out))
        }
        (_, false) => format!(
            "{}, of which {left_out} do not pass --include and --exclude and the others are skipped ({})",
            files(left_out + skipped.files()),
            skipped.in_words()
        ),
    }
}

fn filter(options: &SelectOptions) -> Result<Filter, Failure> {
    Filter::new(&options.include, &options.exclude, options.all_files).map_err(bad_input)
}

fn check_one_file(path: &Path, options: &SelectOptions) -> Result<(), Failure> {
    let path = path.display();
    if options.keys.is_some() {
        return Err(bad_input(format!("{path}: --keys needs the folder that the keys are relative to")));
    }
    if !options.include.is_empty() || !options.exclude.is_empty() {
        return Err(bad_input(format!(
            "{path}: --include and --exclude choose from a folder, this is a file"
        )));
    }
    Ok(())
}

fn sha256(keys: &[String]) -> String {
    let mut hash = Sha256::new();
    for key in keys {
        hash.update(key);
        hash.update([0]);
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use tagfleet_pipeline::filter::SkipReason;

    use super::*;

    #[test]
    fn a_lists_hash_tells_lists_apart() {
        let hash = |keys: &[&str]| sha256(&keys.iter().map(|&key| key.to_owned()).collect::<Vec<_>>());
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
        assert_eq!(hash(&["a"]), "ffe9aaeaa2a2d5048174df0b80599ef0197ec024c4b051bc9860cff58ef7f9f3");
    }

    #[test]
    fn what_was_found_where_nothing_is_to_be_tagged() {
        let mut skipped = Skipped::default();
        skipped.add(SkipReason::Text, "labels.csv");
        insta::assert_snapshot!(nothing(0, &Skipped::default()), @"the input has no files");
        insta::assert_snapshot!(nothing(0, &skipped), @"1 file, all skipped (1 text file (labels.csv); --all-files reads them)");
        insta::assert_snapshot!(nothing(2, &Skipped::default()), @"2 files, and none passes --include and --exclude (globs are case-sensitive)");
        insta::assert_snapshot!(nothing(2, &skipped), @"3 files, of which 2 do not pass --include and --exclude and the others are skipped (1 text file (labels.csv); --all-files reads them)");
    }
}
