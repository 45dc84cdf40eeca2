//! The stored form of a list of shards: neighbours as one span, `00000-0000007..0000099`.
//!
//! A run of 300,000 shards has groups of hundreds, and each call that compacts one reads them all. Ids alone
//! are read too, as earlier versions wrote them.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

use crate::shard::ShardId;

/// No group has more shards; a record with more is not one of this tagfleet.
const MOST: usize = 1_000;

pub(super) fn serialize<S: Serializer>(shards: &[ShardId], serializer: S) -> Result<S::Ok, S::Error> {
    let mut spans: Vec<(ShardId, u32)> = Vec::new();
    for shard in shards {
        match spans.last_mut() {
            Some((first, last)) if first.range == shard.range && *last + 1 == shard.number => {
                *last = shard.number;
            }
            _ => spans.push((*shard, shard.number)),
        }
    }
    serializer.collect_seq(spans.into_iter().map(|(first, last)| {
        if last == first.number { first.to_string() } else { format!("{first}..{last:07}") }
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ShardId>, D::Error> {
    let mut shards = Vec::new();
    for span in Vec::<String>::deserialize(deserializer)? {
        let invalid = || D::Error::custom(format!("{span:?} is not a span of shards"));
        let (first, last) = span.split_once("..").unwrap_or((&span, ""));
        let first = ShardId::parse(first).ok_or_else(invalid)?;
        let last = if last.is_empty() { first.number } else { last.parse().map_err(|_| invalid())? };
        if last < first.number || (last - first.number) as usize >= MOST {
            return Err(invalid());
        }
        shards.extend((first.number..=last).map(|number| ShardId { range: first.range, number }));
    }
    Ok(shards)
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use crate::shard::ShardId;

    fn group(shards: &[(u32, u32)]) -> Group {
        Group {
            shards: shards.iter().map(|(range, number)| ShardId { range: *range, number: *number }).collect(),
        }
    }

    #[test]
    fn neighbours_are_one_span() {
        let some = group(&[(0, 7), (0, 8), (0, 9), (1, 0), (1, 2)]);
        let stored = serde_json::to_string(&some).unwrap();
        insta::assert_snapshot!(stored, @r#"{"shards":["00000-0000007..0000009","00001-0000000","00001-0000002"]}"#);
        assert_eq!(serde_json::from_str::<Group>(&stored).unwrap(), some);
    }

    #[test]
    fn ids_alone_are_read_as_well_and_what_is_none_is_refused() {
        let ids = r#"{"shards":["00000-0000007","00000-0000008"]}"#;
        assert_eq!(serde_json::from_str::<Group>(ids).unwrap(), group(&[(0, 7), (0, 8)]));
        for wrong in [
            "",
            "7",
            "00000-0000007..",
            "00000-0000007..x",
            "00000-0000007..0000006",
            "00000-0000000..4000000000",
        ] {
            let stored = format!(r#"{{"shards":[{wrong:?}]}}"#);
            let is_alone = wrong == "00000-0000007..";
            assert_eq!(serde_json::from_str::<Group>(&stored).is_ok(), is_alone, "{wrong}");
        }
    }
}
