//! Listings in any order, in pages of any size.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::bucket::Access;

fn object(key: &str) -> Object {
    Object { key: key.to_owned(), size: 1, etag: "e".to_owned(), access: Access::Readable }
}

fn pages(pages: &[Vec<String>]) -> Pages {
    let pages: Vec<_> =
        pages.iter().map(|page| Ok(page.iter().map(|key| object(key)).collect::<Vec<_>>())).collect();
    stream::iter(pages).boxed()
}

fn listed(range: &KeyRange, of: &[Vec<String>], most: usize) -> (Vec<String>, Option<BucketError>) {
    let mut listing = bounded("s3://shop", range, pages(of), most);
    let mut keys = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async {
        loop {
            match listing.try_next().await {
                Ok(Some(page)) => {
                    assert!(!page.is_empty());
                    keys.extend(page.into_iter().map(|object| object.key));
                }
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    });
    (keys, error)
}

fn numbered(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("{number:05}")).collect()
}

#[test]
fn a_listing_that_loses_its_order_is_refused_with_both_keys() {
    let in_order = numbered(0..1500);
    let late = vec!["00007b".to_owned()];
    let (keys, error) =
        listed(&KeyRange::default(), &[in_order[..1000].to_vec(), in_order[1000..].to_vec(), late], 9);
    assert_eq!(keys, in_order);
    insta::assert_snapshot!(error.unwrap(), @r#"s3://shop: "00007b": listed behind "01499": this store does not list in key order, and it showed too late to sort it: name its keys with --keys, which are sorted first"#);
}

#[test]
fn no_more_keys_are_sorted_than_the_memory_limit_allows() {
    let reversed = numbered((0..3000).rev());
    let (keys, error) = listed(&KeyRange::default(), std::slice::from_ref(&reversed), 2999);
    assert!(keys.is_empty());
    insta::assert_snapshot!(error.unwrap(), @r#"s3://shop: "02998": listed behind "02999": this store does not list in key order, and more than 2999 keys are not sorted: tag one prefix after the other, or name the keys with --keys"#);
    assert_eq!(listed(&KeyRange::default(), &[reversed], 3000).0, numbered(0..3000));
}

#[test]
fn nothing_is_read_after_the_range() {
    let behind: Pages = stream::iter([Ok(vec![object("b"), object("x")])])
        .chain(stream::poll_fn(|_| panic!("another page was read")))
        .boxed();
    let range = KeyRange { up_to: Some("c".to_owned()), ..KeyRange::default() };
    let keys: Vec<String> = (0..COMPARED_FIRST).map(|number| format!("a{number:04}")).collect();
    let first = stream::iter([Ok(keys.iter().map(|key| object(key)).collect())]).boxed();
    let listing = in_key_order("s3://shop", &range, first.chain(behind).boxed());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let listed: Vec<_> = runtime.block_on(listing.try_collect()).unwrap();
    assert_eq!(listed.concat().len(), COMPARED_FIRST + 1);
}

proptest! {
    /// However few keys are listed: all of the range come, once each and in order.
    #[test]
    fn few_keys_come_in_order_from_any_store(
        of in prop::collection::vec(prop::collection::vec("[a-cü\u{10000}\u{ffff}]{0,3}", 0..6), 0..6),
        prefix in "[a-c]{0,1}",
        bounds in ("[a-c]{0,2}", prop::option::of("[a-c]{0,2}")),
    ) {
        let range = KeyRange { prefix, after: Some(bounds.0), up_to: bounds.1 };
        let wanted: BTreeSet<&String> = of.iter().flatten().filter(|key| range.contains(key)).collect();
        let (keys, error) = listed(&range, &of, 1000);
        prop_assert!(error.is_none());
        prop_assert_eq!(keys.iter().collect::<Vec<_>>(), wanted.into_iter().collect::<Vec<_>>());
    }

    /// However many: what comes is in order, and either it is everything or the listing fails.
    #[test]
    fn many_keys_come_in_order_or_not_at_all(
        swaps in prop::collection::vec((0..4000_usize, 0..4000_usize), 0..3),
        size in 1..1500_usize,
        most in 3000..5000_usize,
    ) {
        let mut numbers: Vec<usize> = (0..4000).collect();
        for (a, b) in swaps {
            numbers.swap(a, b);
        }
        let of: Vec<Vec<String>> = numbers.chunks(size).map(|page| numbered(page.iter().copied())).collect();
        let (keys, error) = listed(&KeyRange::default(), &of, most);
        prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(error.is_some() || keys == numbered(0..4000));
    }
}
