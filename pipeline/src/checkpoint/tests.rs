//! Checkpoints come back to the bit, grow, and are refused if they are damaged or of something else.

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::*;
use crate::bucket::memory::MemoryBucket;
use crate::filter::Skipped;
use crate::tagger::Tagger;
use crate::tags::{Cause, Failure, Tag};
use crate::testing::{FailingBucket, LengthTagger};

const IMAGES: usize = 40;

fn shard(number: u32) -> Shard {
    let images = (0..IMAGES).map(|index| Image::named(format!("{index:02}.jpg"))).collect();
    Shard { id: ShardId { range: 0, number }, images, skipped: Skipped::default(), kept: None }
}

fn row(index: usize, outcome: Outcome) -> Row {
    Row { key: format!("{index:02}.jpg"), bytes: Some(index as u64), etag: None, outcome }
}

/// Rows of the images at these positions, as the tests' tagger makes them.
fn rows(indices: impl IntoIterator<Item = usize>) -> Rows {
    let mut tagger = LengthTagger { batch_size: 1 };
    let mut outcome = |index: usize| tagger.tag(&[&vec![b'x'; index]]).unwrap().remove(0);
    indices.into_iter().map(|index| (index, row(index, outcome(index)))).collect()
}

fn run(id: &str) -> RunId {
    RunId::try_from(id.to_owned()).unwrap()
}

/// A run's checkpoints in a bucket in memory.
struct Place {
    bucket: MemoryBucket,
    run: RunId,
    keys: RunKeys,
    vector: Option<Vector>,
}

impl Place {
    fn new() -> Self {
        let run = run("run");
        Self { bucket: MemoryBucket::default(), keys: RunKeys::new("", &run), run, vector: None }
    }

    fn checkpoints(&self) -> Checkpoints<'_> {
        Checkpoints { output: &self.bucket, run: &self.run, keys: &self.keys, vector: self.vector.as_ref() }
    }

    /// The error of reading `bytes` in the place of shard 0's checkpoint.
    async fn refusal(&self, bytes: Bytes) -> String {
        self.bucket.put(&self.keys.checkpoint(shard(0).id), bytes).await.unwrap();
        self.checkpoints().read(&shard(0)).await.unwrap_err().to_string()
    }

    async fn stored(&self) -> (Bytes, String) {
        let stored = self.bucket.get(&self.keys.checkpoint(shard(0).id), None, u64::MAX).await.unwrap();
        (stored.bytes, stored.etag)
    }
}

fn encoded(rows: &Rows) -> Bytes {
    stored::encode(rows, &run("run"), shard(0).id).unwrap()
}

#[tokio::test]
async fn a_checkpoint_grows_and_is_written_only_if_it_does() {
    let place = Place::new();
    let checkpoints = place.checkpoints();
    assert_eq!(checkpoints.read(&shard(0)).await.unwrap(), Rows::new());
    checkpoints.save(&shard(0), rows(0..5)).await.unwrap();
    checkpoints.save(&shard(0), rows(10..12)).await.unwrap();
    let all = rows((0..5).chain(10..12));
    assert_eq!(checkpoints.read(&shard(0)).await.unwrap(), all, "of two workers both are kept");
    let before = place.stored().await;
    checkpoints.save(&shard(0), rows(2..4)).await.unwrap();
    assert_eq!(place.stored().await, before, "nothing new is not written");
    assert_eq!(checkpoints.shards().await.unwrap(), BTreeSet::from([shard(0).id]));
    assert_eq!(checkpoints.read(&shard(1)).await.unwrap(), Rows::new(), "each shard has its own");
}

#[tokio::test]
async fn a_truncated_or_changed_checkpoint_is_refused_and_named() {
    let place = Place::new();
    let whole = encoded(&rows(0..9));
    for length in 0..whole.len() {
        let said = place.refusal(whole.slice(..length)).await;
        assert!(
            said.starts_with("run/work/checkpoints/00000-0000000.checkpoint: not a checkpoint"),
            "{said}"
        );
    }
    for at in 0..whole.len() {
        let mut changed = whole.to_vec();
        changed[at] ^= 0x41;
        place.bucket.put(&place.keys.checkpoint(shard(0).id), changed.into()).await.unwrap();
        // Some bits of zstd's header mean nothing.
        if let Ok(read) = place.checkpoints().read(&shard(0)).await {
            assert_eq!(read, rows(0..9), "byte {at}");
        }
    }
    place.checkpoints().save(&shard(0), rows(3..4)).await.unwrap();
    assert_eq!(place.checkpoints().read(&shard(0)).await.unwrap(), rows(3..4), "the next one replaces it");
}

#[tokio::test]
async fn a_checkpoint_of_another_shard_or_run_is_refused() {
    let place = Place::new();
    let other = stored::encode(&rows(0..3), &run("other"), shard(0).id).unwrap();
    let mut said = vec![place.refusal(other).await];
    said.push(place.refusal(stored::encode(&rows(0..3), &run("run"), shard(1).id).unwrap()).await);
    let mut plain = stored::plain(&rows(0..3), &run("run"), shard(0).id).unwrap();
    plain.push(0);
    said.push(place.refusal(zstd::encode_all(plain.as_slice(), 1).unwrap().into()).await);
    plain[0] = 9;
    said.push(place.refusal(zstd::encode_all(plain.as_slice(), 1).unwrap().into()).await);
    let strange = Rows::from([(4, row(5, rows(5..6)[&5].outcome.clone()))]);
    said.push(place.refusal(encoded(&strange)).await);
    let beyond = Rows::from([(IMAGES, row(IMAGES, rows(5..6)[&5].outcome.clone()))]);
    said.push(place.refusal(encoded(&beyond)).await);
    let Outcome::Tagged(tagged) = rows(5..6)[&5].outcome.clone() else { panic!() };
    let vector = Outcome::Tagged(Tagged { vector: Some(vec![0.5; 3]), ..tagged });
    said.push(place.refusal(encoded(&Rows::from([(5, row(5, vector))]))).await);
    let said = said
        .join("\n")
        .replace("run/work/checkpoints/00000-0000000.checkpoint: not a checkpoint of this shard: ", "");
    insta::assert_snapshot!(said, @r#"
    it is of shard 00000-0000000 of run other
    it is of shard 00000-0000001 of run run
    1 bytes behind its last row
    version 9, this tagfleet reads 2
    row 4 is of "05.jpg", and the image is "04.jpg"
    a row of image 40, and the shard has 40
    row 5 has a vector of 3, the run's is None
    "#);
}

#[tokio::test]
async fn a_row_of_another_version_of_its_image_is_tagged_again() {
    let place = Place::new();
    let mut listed = shard(0);
    listed.images[1].etag = Some("new".to_owned());
    listed.images[2].etag = Some("same".to_owned());
    let mut kept = rows(0..3);
    for (index, etag) in [(1, "old"), (2, "same")] {
        kept.get_mut(&index).unwrap().etag = Some(etag.to_owned());
    }
    place.checkpoints().save(&shard(0), kept).await.unwrap();
    let read = place.checkpoints().read(&listed).await.unwrap();
    assert_eq!(read.into_keys().collect::<Vec<_>>(), [0, 2]);
}

#[tokio::test]
async fn a_failed_read_differs_from_a_useless_checkpoint() {
    let place = Place::new();
    for (kind, is_temporary) in [(Kind::Temporary, true), (Kind::Denied, false)] {
        let output = FailingBucket::new(std::sync::Arc::new(place.bucket.clone()), kind, 0..u64::MAX);
        let checkpoints = Checkpoints { output: &output, ..place.checkpoints() };
        let error = checkpoints.read(&shard(0)).await.unwrap_err();
        assert_eq!(error.temporary().is_some(), is_temporary, "{error}");
    }
}

#[test]
fn more_bytes_than_a_checkpoint_may_have_take_no_memory() {
    let bomb = zstd::encode_all([0; 100_000].as_slice(), 1).unwrap();
    assert!(bomb.len() < 100);
    assert_eq!(stored::decompress(&bomb, 99_999).unwrap_err(), "more than 99999 bytes");
    assert_eq!(stored::decompress(&bomb, 100_000).unwrap().len(), 100_000);
}

/// Fails if a row, or something in it, has changed: then raise `VERSION`.
#[test]
fn stored_form() {
    let mut all = rows([7]);
    let failed = |cause| Outcome::Failed(Failure::new(cause, "why"));
    all.extend((10..).zip(Cause::ALL).map(|(index, cause)| (index, row(index, failed(cause)))));
    let plain = stored::plain(&all, &run("run"), shard(0).id).unwrap();
    insta::assert_snapshot!(plain.escape_ascii().to_string());
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let tag = (".{0,9}", any::<u32>(), any::<f32>());
    let tag = tag.prop_map(|(label, index, score)| Tag { label, index, score });
    let tagged = (any::<(u32, u32, bool)>(), vec(tag, 0..4), vec(any::<f32>(), 5)).prop_map(
        |((width, height, second_decoder), tags, vector)| {
            Outcome::Tagged(Tagged { width, height, tags, vector: Some(vector), second_decoder })
        },
    );
    let failed = (0..Cause::ALL.len(), ".{0,9}")
        .prop_map(|(cause, detail)| Outcome::Failed(Failure::new(Cause::ALL[cause], detail)));
    prop_oneof![tagged, failed]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// To the bit: NaN and the sign of zero included, so bytes are compared.
    #[test]
    fn rows_come_back_unchanged(outcomes in btree_map(0..IMAGES, outcome(), 0..IMAGES)) {
        let kept: Rows = outcomes.into_iter().map(|(index, outcome)| (index, row(index, outcome))).collect();
        let vector = Vector { output: String::new(), stored: crate::run::VectorType::F32, length: 5 };
        let place = Place { vector: Some(vector), ..Place::new() };
        let plain = |rows: &Rows| stored::plain(rows, &place.run, shard(0).id).unwrap();
        let expected = plain(&kept);
        let read = Builder::new_current_thread().build().unwrap().block_on(async {
            place.checkpoints().save(&shard(0), kept).await.unwrap();
            place.checkpoints().read(&shard(0)).await.unwrap()
        });
        prop_assert_eq!(plain(&read), expected);
    }

    #[test]
    fn hostile_bytes_are_an_error(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(stored::decode(&bytes, &run("run"), shard(0).id).is_err());
        let packed = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        prop_assert!(stored::decode(&packed, &run("run"), shard(0).id).is_err());
    }
}
