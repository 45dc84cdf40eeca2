//! Lists over a bucket in memory: what exists decides.

use bytes::Bytes;
use proptest::prelude::*;
use tagfleet_pipeline::bucket::memory::MemoryBucket;

use super::*;

fn chosen(keys: &[&str], list: &[u8]) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let bucket = MemoryBucket::default();
        for key in keys {
            bucket.put(key, Bytes::new()).await.unwrap();
        }
        let root = Root::Bucket("shop".to_owned());
        let choice = choose(list, &root, &bucket, "s3://shop/").await;
        let choice = choice.map_err(|failure| failure.message().to_owned())?;
        let Some(choice) = choice else { return Ok(vec![]) };
        let key = |text: &[u8]| root.key(text, choice.form).unwrap_or_else(|| "none".to_owned());
        Ok(choice.layout.entries(list).map(|entry| key(&entry.text)).collect())
    })
}

#[test]
fn what_exists_decides() {
    let cases: [(&[&str], &str, &[&str]); 12] = [
        (&["a.png"], "a.png\nb.png\n", &["a.png", "b.png"]),
        (&["p/0.png"], "s3://shop/p/0.png\n", &["p/0.png"]),
        (&["p/0.png"], "\"shop\",\"p/0.png\",\"1\"\n", &["p/0.png"]),
        (&["a b+ü.png"], "\"shop\",\"a+b%2B%C3%BC.png\"\n", &["a b+ü.png"]),
        (&["a%20b.png"], "a%20b.png\nc%20d.png\n", &["a%20b.png", "c%20d.png"]),
        (&["a b.png"], "a%20b.png\nc%20d.png\n", &["a b.png", "c d.png"]),
        (&["a%20b.png", "a b.png"], "a%20b.png\n", &["a%20b.png"]),
        (&["a,b.png"], "a,b.png\nc,d.png\n", &["a,b.png", "c,d.png"]),
        (&["b.png"], "a,b.png\nc,d.png\n", &["b.png", "d.png"]),
        (&["a.png"], "where,label\na.png,cat\n", &["a.png"]),
        (&["key", "a.png"], "key\na.png\n", &["key", "a.png"]),
        (&["a.png"], "key\na.png\n", &["a.png"]),
    ];
    for (keys, list, wanted) in cases {
        assert_eq!(chosen(keys, list.as_bytes()).unwrap(), wanted, "{list:?} over {keys:?}");
    }
}

#[test]
fn an_encoding_is_found_wherever_it_stands() {
    let mut list = "plain.png\n".repeat(5000);
    list.push_str("a%20b.png\n");
    let keys = chosen(&["plain.png", "a b.png"], list.as_bytes()).unwrap();
    assert_eq!(keys.last().unwrap(), "a b.png");
}

#[test]
fn what_cannot_be_keys_is_refused_with_an_example() {
    let refused = |keys: &[&str], list: &str| chosen(keys, list.as_bytes()).unwrap_err();
    insta::assert_snapshot!(refused(&["a.png"], "s3://other/a.png\ns3://other/b.png\n"), @r#"none of its 2 entries is a key of s3://shop/: line 1 is "s3://other/a.png", which is in another bucket: give keys, paths or addresses of this input, one per line or in a column of a CSV file"#);
    insta::assert_snapshot!(refused(&["a.png"], "b\u{202e}.png"), @r#"its only entry is not a key of s3://shop/: line 1 is "b\u{202e}.png", which does not exist: give keys, paths or addresses of this input, one per line or in a column of a CSV file"#);
    insta::assert_snapshot!(refused(&["a%20b.png", "c d.png"], "a%20b.png\nc%20d.png\n"), @r#"line 1 ("a%20b.png") and line 2 ("c%20d.png") exist only if they are read in different forms (as they are written and URL-encoded): write all lines in one form"#);
    let hundreds: String = (0..300).map(|number| format!("{number}.png\n")).collect();
    assert!(
        refused(&["a.png"], &hundreds)
            .starts_with("none of its first 100 entries is a key of s3://shop/: line 1")
    );
}

proptest! {
    /// Any list is read or refused, and a key that exists and is written alone on a line is found.
    #[test]
    fn any_bytes_are_read_or_refused(mut list in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = chosen(&["a.png"], &list);
        list.retain(|byte| *byte != 0);
        list.splice(0..0, *b"a.png\n");
        if let Ok(keys) = chosen(&["a.png"], &list) {
            prop_assert!(keys.iter().any(|key| key == "a.png"));
        }
    }

    /// A list of keys as they are is read as they are, however they look.
    #[test]
    fn keys_as_they_are(keys in prop::collection::btree_set("[ -~ü]{1,12}", 1..20)) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let is_address = |key: &&str| ["s3://", "s3a://", "s3n://", "http://", "https://", "arn:"].iter().any(|scheme| key.starts_with(scheme));
        prop_assume!(!keys.iter().any(is_address));
        let list = keys.join("\n");
        prop_assert_eq!(chosen(&keys, list.as_bytes()).unwrap(), keys);
    }

    /// The same keys percent-encoded, if some only exist so.
    #[test]
    fn keys_that_are_encoded(keys in prop::collection::btree_set("[a-z%+ü ]{1,8}", 1..20)) {
        let keys: Vec<String> = keys.into_iter().map(|key| format!("p/{key}é")).collect();
        let encode = |key: &String| percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string();
        let list = keys.iter().map(encode).collect::<Vec<_>>().join("\n");
        let known: Vec<&str> = keys.iter().map(String::as_str).collect();
        prop_assert_eq!(chosen(&known, list.as_bytes()).unwrap(), keys);
    }
}
