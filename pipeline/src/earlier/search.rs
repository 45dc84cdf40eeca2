//! Finds the run that a new one may continue: the one that was named, or the latest that fits.
//!
//! A run fits if it is complete and everything that decides its rows is the same. It reads requests only.

use std::str::FromStr;

use futures::stream::TryStreamExt;

use crate::bucket::{Bucket, KeyRange};
use crate::record::{self, RecordError};
use crate::run::{InvalidRunId, RunId, RunKeys, RunRequest};

/// Which earlier run is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EarlierChoice {
    /// The latest that fits: `latest`.
    Latest,
    /// This one.
    Run(RunId),
}

impl FromStr for EarlierChoice {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        if text == "latest" { Ok(Self::Latest) } else { RunId::try_from(text.to_owned()).map(Self::Run) }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// This run fits.
    Found(RunId),
    /// Every complete run differs: the latest one, or the one that was named, and how.
    Differs(RunId, String),
    /// The run that was named is not there, or is not complete.
    NotComplete(RunId),
    /// No run is complete.
    None,
}

impl Search {
    /// Why no run of `place` may be continued; `None` if one was found.
    #[must_use]
    pub fn problem(&self, place: &str) -> Option<String> {
        match self {
            Self::Found(_) => None,
            Self::Differs(run, how) => Some(format!("rows of run {run} cannot be kept: {how}")),
            Self::NotComplete(run) => Some(format!("{place} has no complete run {run}")),
            Self::None => Some(format!("{place} has no complete run")),
        }
    }
}

/// Where to look, and for what.
pub struct SearchFor<'a> {
    /// Where the runs are.
    pub output: &'a dyn Bucket,
    /// The keys of any run in the same place.
    pub keys: &'a RunKeys,
    /// Why a run with this request does not fit.
    pub differs: &'a (dyn Fn(&RunRequest) -> Option<String> + Send + Sync),
}

impl SearchFor<'_> {
    /// Looks for a run that the new one may continue.
    ///
    /// # Errors
    /// If the runs cannot be listed, or a request not be read.
    pub async fn find(&self, choice: &EarlierChoice) -> Result<Search, RecordError> {
        match choice {
            EarlierChoice::Run(run) => {
                if !self.output.exists(&self.keys.of_run(run).success()).await? {
                    return Ok(Search::NotComplete(run.clone()));
                }
                Ok(match self.difference(run).await? {
                    None => Search::Found(run.clone()),
                    Some(how) => Search::Differs(run.clone(), how),
                })
            }
            EarlierChoice::Latest => self.latest().await,
        }
    }

    async fn latest(&self) -> Result<Search, RecordError> {
        let mut runs = self.runs().await?;
        runs.sort_by(|a, b| (a.started(), a).cmp(&(b.started(), b)));
        let mut differs = Search::None;
        for run in runs.into_iter().rev() {
            if !self.output.exists(&self.keys.of_run(&run).success()).await? {
                continue;
            }
            match self.difference(&run).await? {
                None => return Ok(Search::Found(run)),
                Some(how) if differs == Search::None => differs = Search::Differs(run, how),
                Some(_) => {}
            }
        }
        Ok(differs)
    }

    /// Whatever is below the place has a name that may be a run's. One request for each: the objects of a run
    /// are not listed.
    async fn runs(&self) -> Result<Vec<RunId>, RecordError> {
        let prefix = self.keys.runs();
        let mut rest = KeyRange::prefix(&prefix);
        let mut runs = Vec::new();
        loop {
            let Some(first) =
                self.output.list(&rest).try_next().await?.and_then(|page| page.into_iter().next())
            else {
                return Ok(runs);
            };
            let Some((name, _)) = first.key.strip_prefix(&prefix).and_then(|rest| rest.split_once('/'))
            else {
                rest.after = Some(first.key);
                continue;
            };
            // The next character behind the slash: every key of the folder is less.
            rest.after = Some(format!("{prefix}{name}0"));
            runs.extend(RunId::try_from(name.to_owned()));
        }
    }

    async fn difference(&self, run: &RunId) -> Result<Option<String>, RecordError> {
        let key = self.keys.of_run(run).request();
        let earlier: RunRequest = match record::read(self.output, &key).await {
            Ok(earlier) => earlier,
            Err(RecordError::Invalid { .. }) => {
                return Ok(Some("it is of another version of tagfleet".to_owned()));
            }
            Err(error) => return Err(error),
        };
        Ok((self.differs)(&earlier))
    }
}
