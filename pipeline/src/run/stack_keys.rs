//! The names of the objects that a stack has for itself in its bucket: requests, models, prices, ledgers.
//!
//! With the keys of a run, the only place that spells an object key.

use super::RunId;

/// The keys of the bucket that a fleet's stack has for itself: requests, runs, models, and results unless a
/// request names another output.
#[derive(Clone, Copy, Debug)]
pub struct StackKeys;

impl StackKeys {
    /// Prefix of the request files: an object put directly below it starts a run.
    pub const REQUESTS: &'static str = "requests/";
    /// Prefix of the runs' requests.
    pub const RUNS: &'static str = "runs/";
    /// Prefix of the published models.
    pub const MODELS: &'static str = "models/";
    /// The price book that `tagfleet prices refresh` put there.
    pub const PRICES: &'static str = "prices/aws.json";
    /// Prefix of the ledgers of days, which only the splitter writes.
    pub const DAYS: &'static str = "days/";
    /// Prefix of the results of requests that name no output.
    pub const TAGS: &'static str = "tags/";

    /// Prefix of manifests that were put there for requests.
    pub const LISTS: &'static str = "lists/";
    /// Prefix of the working objects of runs whose results are there.
    pub const WORKING: &'static str = "tags/work/";

    /// The bytes of the request of a run, as they were when it started.
    #[must_use]
    pub fn run(id: &RunId) -> String {
        format!("{}{id}.json", Self::RUNS)
    }

    /// A limit in dollars that was given when the run was taken up again, over its request's.
    #[must_use]
    pub fn limit(id: &RunId) -> String {
        format!("{}{id}.budget.json", Self::RUNS)
    }

    /// The folder of a day's ledger, `2026-11-30`: what its executions have reserved of what they may cost
    /// together.
    #[must_use]
    pub fn day(date: &str) -> String {
        format!("{}{date}/", Self::DAYS)
    }

    /// What the latest execution of a run was left of its day.
    #[must_use]
    pub fn share(id: &RunId) -> String {
        format!("{}runs/{id}.json", Self::DAYS)
    }

    /// It is there if the run takes any number of denied images as failed rows.
    #[must_use]
    pub fn denied_accepted(id: &RunId) -> String {
        format!("{}{id}.denied-accepted.json", Self::RUNS)
    }

    /// The run that such a key belongs to.
    #[must_use]
    pub fn run_of(key: &str) -> Option<RunId> {
        let name = key.strip_prefix(Self::RUNS)?.strip_suffix(".json")?;
        RunId::try_from(name.to_owned()).ok()
    }

    /// The name of the request file under this key: `nightly` for `requests/nightly.json`, none for any other
    /// object.
    #[must_use]
    pub fn request_name(key: &str) -> Option<&str> {
        let name = key.strip_prefix(Self::REQUESTS)?.strip_suffix(".json")?;
        (!name.is_empty() && !name.contains('/')).then_some(name)
    }

    /// The description of a model, in the folder of a published model, whose name ends in `/`.
    #[must_use]
    pub fn model(folder: &str) -> String {
        format!("{folder}model.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RunId {
        RunId::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn only_files_directly_below_requests_are_requests() {
        assert_eq!(StackKeys::request_name("requests/nightly.json"), Some("nightly"));
        for key in
            ["requests/a/b.json", "requests/.json", "requests/a.txt", "tags/requests/a.json", "requests/"]
        {
            assert_eq!(StackKeys::request_name(key), None, "{key}");
        }
        assert_eq!(StackKeys::run_of(&StackKeys::run(&id("a-1"))), Some(id("a-1")));
    }
}
