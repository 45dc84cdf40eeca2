//! Any form of a manifest gives the images of a listing of the same keys.

mod written;

use bytes::Bytes;
use futures::stream::TryStreamExt;
use parquet::file::properties::EnabledStatistics;
use proptest::prelude::*;

use super::*;
use crate::bucket::Access;
use crate::bucket::memory::MemoryBucket;
use crate::filter::SkipReason;
use crate::inputs::Page;
use crate::shard::Image;
use crate::split::Source;
use written::{Row, csv, inventory, json_lines, packed, parquet, rows};

const SOURCE: &str = "s3://shop";

struct Place {
    files: Arc<dyn Bucket>,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let store = Store { bucket: Arc::new(MemoryBucket::default()), prefix: "list/".to_owned() };
        Self { files: Arc::new(MemoryBucket::default()), store }
    }

    async fn with(key: &str, bytes: Bytes) -> Self {
        let place = Self::new();
        place.files.put(key, bytes).await.unwrap();
        place
    }

    async fn open(&self, key: &str) -> Result<Listed, BucketError> {
        self.open_with(key, None).await
    }

    async fn open_with(&self, key: &str, key_column: Option<&str>) -> Result<Listed, BucketError> {
        let options = Options {
            key_column: key_column.map(str::to_owned),
            source: Some(SOURCE.to_owned()),
            most_unsorted: 1_000_000,
        };
        let manifest = Manifest::open(&self.files, key, &options, &self.store).await?;
        Ok(self.listed(manifest))
    }

    fn listed(&self, manifest: Manifest) -> Listed {
        Listed {
            manifest: Arc::new(manifest),
            files: self.files.clone(),
            store: Some(self.store.clone()),
            filter: Filter::new(&[], &["*.raw".to_owned()], false).unwrap(),
            prefixes: vec![String::new()],
        }
    }

    /// Cut at these keys, and written to the store, as a large one is.
    async fn cut(&self, listed: &Listed, mut bounds: Vec<String>) -> Listed {
        bounds.sort_unstable();
        bounds.dedup();
        let mut manifest = listed.manifest.as_ref().clone();
        manifest.bounds = bounds;
        self.store.write(&self.files, &manifest).await.unwrap();
        // Again, as after a call that was killed.
        self.store.write(&self.files, &manifest).await.unwrap();
        manifest.is_stored = true;
        self.listed(manifest)
    }

    async fn fails(key: &str, bytes: &[u8]) -> String {
        let place = Self::with(key, Bytes::copy_from_slice(bytes)).await;
        let error = match place.open(key).await {
            Err(error) => error,
            Ok(listed) => images(&listed, &KeyRange::default(), 100).await.expect_err("an error"),
        };
        assert_eq!((error.kind, error.key.as_str()), (Kind::Other, key));
        error.detail
    }
}

async fn images(listed: &Listed, range: &KeyRange, most: usize) -> Result<(Vec<Image>, u64), BucketError> {
    let pages: Vec<Page> = sorted::bounded(listed, range, most).try_collect().await?;
    let skipped = pages.iter().flat_map(|page| &page.skipped).map(|run| run.skipped.files()).sum();
    Ok((pages.into_iter().flat_map(|page| page.images).collect(), skipped))
}

/// What a listing of the same objects gives.
async fn of_listing(rows: &[Row], range: &KeyRange) -> (Vec<Image>, u64) {
    let bucket = MemoryBucket::default();
    for row in rows {
        bucket.put(&row.key, vec![0; row.size as usize].into()).await.unwrap();
    }
    let filter = Filter::new(&[], &["*.raw".to_owned()], false).unwrap();
    let pages: Vec<Page> = Source::Listed(Arc::new(bucket), filter).pages(range).try_collect().await.unwrap();
    let skipped = pages.iter().flat_map(|page| &page.skipped).map(|run| run.skipped.files()).sum();
    let mut images: Vec<Image> = pages.into_iter().flat_map(|page| page.images).collect();
    for image in &mut images {
        image.etag = Some(format!("e-{}", image.key));
    }
    (images, skipped)
}

fn a_key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}/[a-c+ %\"ü,\n]{1,4}\\.(jpg|raw|txt)",
        1 => "[a-c.]{1,3}/",
        1 => "\\.[a-c]{1,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_manifest_gives_the_images_of_a_listing(
        keys in prop::collection::vec(a_key(), 1..60),
        repeated in any::<prop::sample::Index>(),
        most in 3..40usize,
        group_rows in 1..9usize,
        cuts in prop::collection::vec("[a-c]{1,2}", 0..5),
        after in prop::option::of("[a-c]{1,2}"),
        up_to in prop::option::of("[a-c]{1,2}/[a-c]"),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let range = KeyRange { prefix: String::new(), after, up_to };
            let wanted = of_listing(&rows(&keys), &range).await;
            // Unsorted, and with a key that is there twice.
            let mut keys = keys;
            keys.push(keys[repeated.index(keys.len())].clone());
            let rows = rows(&keys);
            let forms = [
                ("a.csv", csv(&rows)),
                ("b.csv.gz", packed(&csv(&rows))),
                ("c.jsonl", json_lines(&rows)),
                ("d", packed(&json_lines(&rows))),
                ("e.parquet", parquet(&rows, group_rows, EnabledStatistics::Chunk)),
                ("f", parquet(&rows, group_rows, EnabledStatistics::None)),
            ];
            let place = Place::new();
            let mut names = vec![inventory(place.files.as_ref(), &rows).await];
            for (name, bytes) in forms {
                place.files.put(name, bytes).await.unwrap();
                names.push(name.to_owned());
            }
            for name in names {
                let listed = place.open(&name).await.unwrap();
                let found = images(&listed, &range, most).await.unwrap();
                prop_assert_eq!(&found, &wanted, "{}", name);
                let cut = place.cut(&listed, cuts.clone()).await;
                prop_assert_eq!(&images(&cut, &range, most).await.unwrap(), &wanted, "{} in partitions", name);
                let mut by_range = Vec::new();
                for part in cut.manifest.ranges("") {
                    by_range.extend(images(&cut, &part, most).await.unwrap().0);
                }
                prop_assert_eq!(by_range, images(&cut, &KeyRange::default(), most).await.unwrap().0);
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn versions_are_counted_and_only_the_latest_is_an_input() {
    let text = "key,is_latest,is_delete_marker,storage_class,size,etag\n\
        a.jpg,true,false,STANDARD,1,x\na.jpg,false,false,STANDARD,2,y\na.jpg,false,false,STANDARD,3,z\n\
        b.jpg,true,true,,,\nb.jpg,false,false,STANDARD,2,y\n\
        c.jpg,TRUE,False,DEEP_ARCHIVE,1,x\nd.jpg,,,GLACIER_IR,1,\n";
    let place = Place::with("v.csv", text.into()).await;
    let listed = place.open("v.csv").await.unwrap();
    let pages: Vec<Page> = pages(&listed, &KeyRange::default()).try_collect().await.unwrap();
    let found: Vec<(&str, Option<u64>, Access)> =
        pages[0].images.iter().map(|image| (image.key.as_str(), image.size, image.access)).collect();
    let readable = Access::Readable;
    assert_eq!(
        found,
        [("a.jpg", Some(1), readable), ("c.jpg", Some(1), Access::Archived), ("d.jpg", Some(1), readable)]
    );
    assert_eq!(pages[0].images[2].etag, None);
    let mut skipped = crate::filter::Skipped::default();
    pages[0].skipped.iter().for_each(|run| skipped.merge(&run.skipped));
    // Once for each key.
    assert_eq!((skipped.of(SkipReason::OldVersion), skipped.of(SkipReason::DeleteMarker)), (2, 1));
    insta::assert_snapshot!(skipped.in_words(), @"1 deleted (b.jpg), 2 old versions (a.jpg, b.jpg)");
}

#[tokio::test]
async fn a_table_of_results_is_a_list_of_keys() {
    let text = "key,run,model,status,error_code,bytes,etag,size\na.jpg,r,m,failed,changed,7,old,7\n";
    let place = Place::with("results.csv", text.into()).await;
    let listed = place.open("results.csv").await.unwrap();
    let (found, _) = images(&listed, &KeyRange::default(), 10).await.unwrap();
    assert_eq!(found, [Image::named("a.jpg".to_owned())]);
}

#[tokio::test]
async fn etags_match_a_bucket_and_an_access_point_matches_any() {
    let place = Place::with("l.csv", "bucket,key,etag\nshop,a.jpg,x\n".into()).await;
    for (source, etag) in [(None, None), (Some("s3://arn:aws:s3:eu-west-1:1:accesspoint/shop"), Some("x"))] {
        let source = source.map(str::to_owned);
        let options = Options { source, most_unsorted: 10, key_column: None };
        let manifest = Manifest::open(&place.files, "l.csv", &options, &place.store).await.unwrap();
        let (found, _) = images(&place.listed(manifest), &KeyRange::default(), 10).await.unwrap();
        assert_eq!(found[0].etag.as_deref(), etag);
    }
}

#[tokio::test]
async fn keys_may_be_addresses_or_in_a_column_without_a_name() {
    let key = |text: &'static str, column: Option<&'static str>| async move {
        let place = Place::with("l", text.into()).await;
        let listed = place.open_with("l", column).await.unwrap();
        let (found, _) = images(&listed, &KeyRange::default(), 10).await.unwrap();
        found.into_iter().map(|image| image.key).collect::<Vec<_>>()
    };
    assert_eq!(key("$path\ts\ns3://shop/a b%20+.jpg\t1\n", None).await, ["a b%20+.jpg"]);
    assert_eq!(key("key\ns3://shop/a.jpg\n", None).await, ["s3://shop/a.jpg"], "a key is a key");
    assert_eq!(key("\u{feff}b.jpg\na.jpg\n", Some("1")).await, ["a.jpg", "b.jpg"]);
    assert_eq!(key("shop\u{1}a.jpg\n", Some("2")).await, ["a.jpg"]);
    assert_eq!(
        key("{\"photo\": \"a\\u0000.jpg\"}\n\n{\"photo\": \"b.jpg\"}", Some("photo")).await,
        ["a\0.jpg", "b.jpg"]
    );
}

#[tokio::test]
async fn a_fault_of_a_list_is_named_with_its_line() {
    let long = format!("key\n{}\n", "k".repeat(20_000));
    let endless = format!("key\n\"{}", "k\n".repeat(2 << 20));
    let cut_off = packed(b"key\na.jpg\n");
    let wrong: [(&str, &[u8]); 14] = [
        ("a.csv", b"name of photo,size\na.jpg,1\n"),
        ("b.csv", b"key,size\na.jpg,1\n,2\n"),
        ("c.csv", b"key,size\na.jpg,many\n"),
        ("d.csv", b"bucket,key\nshop,a.jpg\nother,b.jpg\n"),
        ("e.csv", b"key\na.jpg\n\xff.jpg\n"),
        ("f.csv", b"path\ns3://other/a.jpg\n"),
        ("g.jsonl", b"{\"key\": \"a.jpg\"}\n{\"key\": 7}\n"),
        ("h.jsonl", b"{\"key\": \"a.jpg\"}\n{\n"),
        ("i.json", b"[\"a.jpg\"]"),
        ("j.orc", b"ORC\0\0"),
        ("k.bin", b"\0\x01\x02"),
        ("l.csv", long.as_bytes()),
        ("m.csv", endless.as_bytes()),
        ("n.csv.gz", &cut_off[..cut_off.len() - 9]),
    ];
    let mut said = String::new();
    for (key, bytes) in wrong {
        said.push_str(&format!("{key}: {}\n", Place::fails(key, bytes).await));
    }
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn an_inventory_of_another_bucket_or_form_is_refused() {
    let place = Place::new();
    let rows = rows(&["a.jpg".to_owned(), "b.jpg".to_owned()]);
    let key = inventory(place.files.as_ref(), &rows).await;
    let stored = place.files.get(&key, None, 10_000).await.unwrap().bytes;
    let text = String::from_utf8(stored.to_vec()).unwrap();
    for (from, to, wanted) in [
        ("\"sourceBucket\":\"shop\"", "\"sourceBucket\":\"other\"", "an inventory of the bucket \"other\""),
        ("\"CSV\"", "\"ORC\"", "configure the inventory for Parquet or CSV"),
        ("inv/data/", "elsewhere/", "copy the whole inventory"),
        ("\"size\":", "\"size\":1", "and its manifest lists"),
    ] {
        assert!(text.contains(from), "{text}");
        let changed = text.replace(from, to);
        // The copy is two folders away from the data, where files of any place are not found.
        let other = if wanted.contains("copy the whole inventory") && to == "elsewhere/" {
            "x/y/manifest.json"
        } else {
            &key
        };
        place.files.put(other, changed.into()).await.unwrap();
        let error = place.open(other).await.err().unwrap();
        assert!(error.detail.contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn a_folder_is_all_of_its_files_and_a_querys_manifest_names_its_own() {
    let bucket = MemoryBucket::default();
    bucket.put("out/x", packed(b"{\"key\": \"b.jpg\"}\n")).await.unwrap();
    bucket.put("out/y", "key\na.jpg\n".into()).await.unwrap();
    bucket.put("out/_SUCCESS", Bytes::new()).await.unwrap();
    bucket.put("out/.crc", "nothing".into()).await.unwrap();
    bucket.put("out/empty", Bytes::new()).await.unwrap();
    bucket.put("q-manifest.csv", "memory/out/y\n".into()).await.unwrap();
    bucket.put("r-manifest.csv", "s3://lists/out/y\n".into()).await.unwrap();
    let place = Place { files: Arc::new(bucket), ..Place::new() };
    let keys = |key: &'static str| async {
        let listed = place.open(key).await?;
        let (found, _) = images(&listed, &KeyRange::default(), 10).await?;
        Ok::<_, BucketError>(found.into_iter().map(|image| image.key).collect::<Vec<_>>())
    };
    assert_eq!(keys("out/").await.unwrap(), ["a.jpg", "b.jpg"]);
    assert_eq!(keys("q-manifest.csv").await.unwrap(), ["a.jpg"]);
    assert!(
        keys("r-manifest.csv").await.unwrap_err().detail.contains("give the folder that the query wrote to")
    );
    assert_eq!(keys("none").await.unwrap_err().kind, Kind::Missing);
    assert!(keys("none/").await.unwrap_err().detail.contains("nothing to tag"));
}

#[tokio::test]
async fn a_file_that_changes_is_an_error_and_another_list_has_another_digest() {
    let place = Place::with("a.csv", "key\na.jpg\n".into()).await;
    let listed = place.open("a.csv").await.unwrap();
    place.files.put("a.csv", "key\nb.jpg\n".into()).await.unwrap();
    let error = images(&listed, &KeyRange::default(), 10).await.unwrap_err();
    assert_eq!((error.kind, error.key.as_str()), (Kind::Changed, "a.csv"));
    let again = place.open("a.csv").await.unwrap();
    assert_ne!(listed.manifest.sha256(), again.manifest.sha256());
    let of_bytes =
        |listed: Listed| async move { listed.manifest.sha256_of_bytes(listed.files.as_ref()).await };
    let first = of_bytes(again).await.unwrap();
    place.files.put("a.csv", "key\nb.jpg\n".into()).await.unwrap();
    let second = of_bytes(place.open("a.csv").await.unwrap()).await.unwrap();
    assert_eq!(first, second, "the same bytes at another time");
}

/// Many rows: sorted Parquet is cut by its bounds and read in place, all else is written by partition.
#[tokio::test]
async fn a_large_list_is_cut_into_partitions_that_fit() {
    let count = selection::MOST * 2;
    let keys: Vec<String> = (0..count).map(|number| format!("p/{number:08}.jpg")).collect();
    let mut rows = rows(&keys);
    let sorted = Place::with("l", parquet(&rows, 100_000, EnabledStatistics::Chunk)).await;
    let listed = sorted.open("l").await.unwrap();
    assert!(!listed.manifest.is_stored);
    assert_eq!(listed.manifest.ranges("p/").len(), 3, "{:?}", listed.manifest.bounds);
    rows.reverse();
    rows.rotate_left(count / 3);
    let middle = rows.len() / 2;
    let mixed: Vec<Row> =
        rows[..middle].iter().zip(&rows[middle..]).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    let unsorted = Place::with("l", csv(&mixed)).await;
    let listed = unsorted.open("l").await.unwrap();
    assert!(listed.manifest.is_stored);
    let ranges = listed.manifest.ranges("");
    assert_eq!(ranges.len(), 3);
    let last = images(&listed, &ranges[2], selection::MOST).await.unwrap().0;
    assert!((200_000..400_000).contains(&last.len()), "{}", last.len());
    assert!(last.windows(2).all(|pair| pair[0].key < pair[1].key));
    assert_eq!(last.last().map(|image| &image.key), keys.last());
    let few = Options { most_unsorted: 1000, source: None, key_column: None };
    let error = Manifest::open(&unsorted.files, "l", &few, &unsorted.store).await.unwrap_err();
    assert!(
        error.detail.contains("more than 1000 lines, and its files are not Parquet sorted by key"),
        "{error}"
    );
}

#[tokio::test]
async fn false_bounds_are_detected() {
    let keys: Vec<String> = ["a.jpg", "b.jpg"].map(str::to_owned).into();
    let honest = parquet(&rows(&keys), 10, EnabledStatistics::Chunk);
    // The key in the data, which is stored before the footer and its bounds.
    let at = honest.windows(5).position(|window| window == b"b.jpg").unwrap();
    let mut lying = honest.to_vec();
    lying[at..at + 5].copy_from_slice(b"z.jpg");
    let place = Place::with("l", lying.into()).await;
    let listed = place.open("l").await.unwrap();
    let error = images(&listed, &KeyRange::default(), 10).await.unwrap_err();
    assert!(error.detail.contains("outside the bounds that the file records"), "{error}");
}
