//! What to do about an object of a run's stages that cannot be read, because it is damaged or was cut off.
//!
//! Every stage makes its objects again if they are gone, and no other row changes by that; tests verify each
//! line. It never reads an object, and has no remedy for objects that people put there.

/// How an error about the object under `key` ends: empty if it is none that a stage writes.
#[must_use]
pub fn remedy(key: &str) -> &'static str {
    let mut names = key.rsplit('/');
    let (name, folder) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
    match (folder, name) {
        ("parts", _) => ": delete this object and resume the run, which tags the images of this shard again",
        ("shards", _) => {
            ": delete this object and resume the run, which lists the images of this shard again"
        }
        ("usage", _) => ": delete this object and resume the run, whose bill then lacks what it counted",
        ("split" | "cursors" | "compacted", _) | (_, "groups.json") => {
            ": delete this object and resume the run, which makes it again"
        }
        ("slices", _) | (_, "ranges.json") => ": nothing can make this object again: start a new run",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{RunId, RunKeys, StackKeys};
    use crate::shard::ShardId;

    #[test]
    fn what_stages_write_has_a_remedy_and_nothing_else_has() {
        let (run, id) = (RunId::try_from("r".to_owned()).unwrap(), ShardId { range: 0, number: 0 });
        for keys in [RunKeys::new("", &run), RunKeys::in_bucket("tags/", &run)] {
            let made = [keys.range_split(0), keys.range_cursor(0), keys.compacted(0, 0), keys.groups()];
            let others =
                [keys.part(id), keys.shard(id), keys.usage("worker-1"), keys.ranges(), keys.slice(0, 0)];
            for key in made.iter().chain(&others) {
                assert!(remedy(key).contains("run"), "{key}");
            }
            for key in
                [keys.request(), keys.summary(), StackKeys::run(&run), "models/m/model.json".to_owned()]
            {
                assert_eq!(remedy(&key), "", "{key}");
            }
        }
    }
}
