//! The way of one shard through a worker: its message, its list, its images, its part.
//!
//! A shard that fails goes back to the queue, and its rows stay in a checkpoint. Nothing in it decides
//! whether the worker continues.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::shard_in_progress::ShardInProgress;
use super::state::WorkerState;
use super::{ShardFailure, Worker, heartbeat};
use crate::bucket::Kind;
use crate::checkpoint;
use crate::denied;
use crate::progress::Trouble;
use crate::queue::Message;
use crate::record::{self, RecordError};
use crate::run::RunId;
use crate::shard::{Shard, ShardId};
use crate::split::ShardMessage;
use crate::tags::Row;
use crate::tags::parquet::{self, RunColumns};
use crate::thumbnails::{self, ShardSample};

/// Tags the shard of one message; if that fails or hangs, the message comes again.
pub(super) async fn work(
    state: Arc<WorkerState>,
    message: Message,
    feeding: OwnedSemaphorePermit,
) -> Result<(), ShardFailure> {
    let outcome = tokio::select! {
        biased;
        outcome = tag_shard(&state, &message, feeding) => outcome,
        stalled = heartbeat::keep_invisible(&state, &message) => Err(stalled),
    };
    if outcome.is_err() {
        state.give_back(&message.receipt, state.worker.retry_delay).await?;
    }
    outcome
}

async fn tag_shard(
    state: &WorkerState,
    message: &Message,
    feeding: OwnedSemaphorePermit,
) -> Result<(), ShardFailure> {
    let worker = &state.worker;
    let id = shard_of(&worker.run, &message.body)?;
    let part = worker.keys.part(id);
    if worker.output.exists(&part).await? {
        state.committed(&message.receipt);
        return Ok(worker.queue.delete(&message.receipt).await?);
    }
    let shard = record::read_shard(worker.output.as_ref(), &worker.keys, id).await?;
    let kept = read_checkpoint(worker, &shard).await?;
    let open = state.open(message, ShardInProgress::new(&worker.run, shard, kept, worker.progress.clone()));
    tag_images(state, &open, feeding).await?;
    let rows = open.complete_rows();
    put_thumbnails(worker, id, open.take_sample(&rows)).await;
    put_part(state, &open, rows.clone()).await?;
    announce_again(worker, id, &rows).await?;
    worker.progress.commit(rows.len() as u64);
    state.committed(&message.receipt);
    Ok(worker.queue.delete(&message.receipt).await?)
}

/// Gives every image of the shard its row. Those that are denied are asked for once more when all others are
/// done, and are failed rows if other images of the run can be read before and after that.
async fn tag_images(
    state: &WorkerState,
    open: &Arc<ShardInProgress>,
    feeding: OwnedSemaphorePermit,
) -> Result<(), ShardFailure> {
    let is_in_doubt = match fetch(state, open, Some(feeding)).await {
        Err(ShardFailure::Bucket(error)) if error.kind == Kind::Denied => true,
        fetched => fetched.map(|()| false)?,
    };
    if !is_in_doubt {
        open.settled().await;
    }
    let Some(first) = open.first_denied() else { return Ok(()) };
    if !state.denials.is_way_open(&state.worker, open).await? {
        return Err(first.into());
    }
    open.ask_denied_again();
    fetch(state, open, None).await?;
    open.settled().await;
    fail_denied(state, open).await
}

async fn fetch(
    state: &WorkerState,
    open: &Arc<ShardInProgress>,
    feeding: Option<OwnedSemaphorePermit>,
) -> Result<(), ShardFailure> {
    let mut fetches = state.fetcher.start(&state.worker, open).await?;
    drop(feeding);
    while let Some(fetched) = fetches.join_next().await {
        fetched??;
    }
    Ok(())
}

async fn fail_denied(state: &WorkerState, open: &Arc<ShardInProgress>) -> Result<(), ShardFailure> {
    let Some(first) = open.first_denied() else { return Ok(()) };
    if !state.denials.is_way_open(&state.worker, open).await? {
        return Err(first.into());
    }
    state.denials.announce(&state.worker, open.shard.id, open.denied(), &first).await?;
    open.fail_denied();
    Ok(())
}

/// A worker that compared the listings before the part existed withdrew the shard's announcement.
async fn announce_again(worker: &Worker, id: ShardId, rows: &[Row]) -> Result<(), ShardFailure> {
    let denied = rows.iter().filter(|row| row.is_denied()).count();
    if denied > 0 {
        denied::announce(worker.output.as_ref(), &worker.keys, id, denied).await?;
    }
    Ok(())
}

/// The rows that an earlier worker left. A checkpoint that cannot be read costs work and nothing else.
async fn read_checkpoint(worker: &Worker, shard: &Shard) -> Result<checkpoint::Rows, ShardFailure> {
    match worker.checkpoints().read(shard).await {
        Ok(rows) => Ok(rows),
        Err(error) => match error.temporary() {
            Some(error) => Err(error.clone().into()),
            None => {
                worker.progress.trouble(Trouble::CheckpointUnread, error.to_string());
                Ok(checkpoint::Rows::new())
            }
        },
    }
}

/// Thumbnails are for people: without them the report has fewer pictures, and the shard is done anyway.
async fn put_thumbnails(worker: &Worker, id: ShardId, sample: ShardSample) {
    let key = worker.keys.thumbnails(id);
    let stored = match thumbnails::encode(&key, sample) {
        Ok(sample) => worker.output.put(&key, sample).await.map_err(RecordError::from),
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        worker.progress.trouble(Trouble::Thumbnails, error.to_string());
    }
}

async fn put_part(
    state: &WorkerState,
    open: &Arc<ShardInProgress>,
    rows: Arc<Vec<Row>>,
) -> Result<(), ShardFailure> {
    let (worker, id) = (&state.worker, open.shard.id);
    let vector = worker.vector.as_ref().map(|vector| vector.stored);
    let slowest = open.slowest();
    let of = RunColumns { run: worker.run.clone(), model: worker.model.clone(), vector };
    let encoded = tokio::task::spawn_blocking(move || parquet::encode_part(&rows, &of, &slowest)).await?;
    let bytes = encoded.map_err(|error| ShardFailure::Part(id, error))?;
    let part = worker.keys.part(id);
    // If another worker was first, its part is as good as this one.
    state.retries.call(open, || worker.output.put_if_absent(&part, bytes.clone())).await?;
    Ok(())
}

fn shard_of(run: &RunId, body: &str) -> Result<ShardId, ShardFailure> {
    match serde_json::from_str::<ShardMessage>(body) {
        Ok(message) if message.version == 1 && message.run == *run => Ok(message.shard),
        _ => Err(ShardFailure::Message { run: run.clone(), body: body.chars().take(200).collect() }),
    }
}
