//! From threads that decode to the lanes of a device: crops in, rows out, over one bounded channel.
//!
//! A thread hands over a few crops and waits; there are more threads than cores, so that others decode in the
//! meantime. A free lane takes the waiting crops, up to a batch. If the device runs out of memory, the batch
//! halves and the same images run again. Any other failure is reported to the waiting threads, and after that
//! to every caller.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::lane::{Batches, Failure, Lane};
use super::{Device, Meter, Program, cuda, placement, size};
use crate::engine::{EngineError, ModelIo, Outputs};

/// Sessions of one device: while one computes, the other is fed. A third would have nothing to hide.
const LANES: usize = 2;
/// Jobs that may wait for a lane: more than there are threads, each of which has one at a time. Their number
/// bounds what is in flight, and a lane finds all of it when it looks.
const WAITING: usize = 1024;

/// A device with its lanes running. They end when this and every [`Feeder`] is dropped.
pub(in crate::engine) struct Feed {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    /// What people should know of how it runs.
    notes: Arc<[String]>,
}

/// What all threads and lanes of a device share.
struct Shared {
    model_io: ModelIo,
    /// Images of a batch.
    rows: AtomicUsize,
    /// Whether the graph insists on them.
    is_fixed: bool,
    feeders: AtomicUsize,
    meter: Arc<Meter>,
}

/// Some crops, and who waits for their rows.
struct Job {
    crops: Vec<u8>,
    answer: SyncSender<Answer>,
}

/// The crops' memory comes back, to be used again.
struct Answer {
    crops: Vec<u8>,
    rows: Result<Vec<Vec<f32>>, EngineError>,
}

impl Feed {
    /// Makes the lanes and finds their batch; a device with room for one lane only has one.
    pub(in crate::engine) fn start(program: &Program) -> Result<Self, EngineError> {
        let model_io = program.model_io.clone();
        let length = model_io.crop_len();
        // Of itself alone: it keeps the memory of the largest batch that was tried, and its figures are none
        // of the run's.
        let mut first = Lane::new(program, model_io.batch.unwrap_or(1), Arc::default())?;
        match model_io.batch {
            Some(_) => size::check(&mut first, length)?,
            None => _ = size::find(&mut first, length)?,
        }
        let (rows, copy) = (first.rows(), first.time_copy()?);
        drop(first);
        let mut notes: Vec<String> = placement::note(program, rows).into_iter().collect();
        let meter = Arc::new(Meter::default());
        let mut lanes = Vec::with_capacity(LANES);
        while lanes.len() < LANES {
            match Lane::new(program, rows, meter.clone()) {
                Ok(lane) => lanes.push(lane),
                Err(Failure::Memory(_)) if !lanes.is_empty() => break,
                Err(failure) => return Err(failure.into()),
            }
        }
        for lane in &mut lanes {
            lane.set_copy(copy);
        }
        let lanes = lanes.into_iter().map(|lane| -> Box<dyn Batches> { Box::new(lane) }).collect();
        notes.extend(spinning(program));
        Ok(Self { notes: notes.into(), ..Self::with(lanes, model_io, (rows, meter))? })
    }

    /// Starts `lanes`, which take batches of `rows` images.
    pub(super) fn with(
        lanes: Vec<Box<dyn Batches>>,
        model_io: ModelIo,
        (rows, meter): (usize, Arc<Meter>),
    ) -> Result<Self, EngineError> {
        let is_fixed = model_io.batch.is_some();
        let (rows, feeders) = (rows.into(), 0.into());
        let shared = Arc::new(Shared { model_io, rows, is_fixed, feeders, meter });
        let (jobs, waiting) = mpsc::sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for lane in lanes {
            spawn(lane, waiting.clone(), shared.clone())?;
        }
        Ok(Self { jobs, shared, notes: Arc::default() })
    }

    /// One thread's way to the device.
    pub(in crate::engine) fn feeder(&self) -> Feeder {
        self.shared.feeders.fetch_add(1, Relaxed);
        Feeder { jobs: self.jobs.clone(), shared: self.shared.clone(), notes: self.notes.clone() }
    }
}

/// Why lanes of `program`, now that they are made, don't sleep while they wait.
fn spinning(program: &Program) -> Option<String> {
    match program.device {
        Device::Cuda => cuda::waits().err(),
        Device::Cpu | Device::Rehearsal => None,
    }
}

fn spawn(
    lane: Box<dyn Batches>,
    waiting: Arc<Mutex<Receiver<Job>>>,
    shared: Arc<Shared>,
) -> Result<(), EngineError> {
    let serve = move || serve(lane, &waiting, &shared);
    let thread = thread::Builder::new().name("device".to_owned()).spawn(serve);
    thread.map(|_| ()).map_err(|error| EngineError::new(format!("the device needs a thread: {error}")))
}

/// Runs what comes until all its senders are gone.
fn serve(mut lane: Box<dyn Batches>, waiting: &Mutex<Receiver<Job>>, shared: &Shared) {
    let mut broken = None;
    while let Some(jobs) = gather(waiting, shared) {
        let length = shared.model_io.crop_len();
        let images: Vec<&[u8]> = jobs.iter().flat_map(|job| job.crops.chunks_exact(length)).collect();
        let rows = match &broken {
            Some(error) => Err(EngineError::clone(error)),
            None => run(lane.as_mut(), &images, shared),
        };
        if let Err(error) = &rows {
            broken = Some(error.clone());
        }
        let all = images.len();
        answer(jobs, &rows, (all, length));
    }
}

/// Waits for a job, and takes what else is there as long as a batch has room for it; none at the end.
fn gather(waiting: &Mutex<Receiver<Job>>, shared: &Shared) -> Option<Vec<Job>> {
    let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let room = shared.rows.load(Relaxed) * shared.model_io.crop_len();
    let first = waiting.recv().ok()?;
    let mut bytes = first.crops.len();
    let mut jobs = vec![first];
    while bytes + shared.chunk() * shared.model_io.crop_len() <= room {
        let Ok(job) = waiting.try_recv() else { break };
        bytes += job.crops.len();
        jobs.push(job);
    }
    Some(jobs)
}

/// Runs all `images`, in as many batches as needed, and halves the batch if the device's memory runs out.
fn run(lane: &mut dyn Batches, images: &[&[u8]], shared: &Shared) -> Result<Vec<Vec<f32>>, EngineError> {
    let mut outputs = vec![Vec::new(); shared.model_io.outputs.len()];
    let mut rest = images;
    while !rest.is_empty() {
        let rows = shared.rows.load(Relaxed);
        let (batch, behind) = rest.split_at(rest.len().min(rows));
        match lane.resize(rows).and_then(|()| lane.run(batch)) {
            Ok(found) => {
                for (output, values) in outputs.iter_mut().zip(found) {
                    output.extend(values);
                }
                rest = behind;
            }
            Err(Failure::Memory(_)) if rows > 1 && !shared.is_fixed => shared.halve(rows),
            Err(Failure::Memory(reason)) => {
                return Err(EngineError::new(format!(
                    "the device has too little memory for {rows} image(s) at once, and takes no smaller batch: {reason}"
                )));
            }
            Err(Failure::Other(error)) => return Err(error),
        }
    }
    Ok(outputs)
}

/// Gives each job its rows. Who no longer waits needs none.
fn answer(jobs: Vec<Job>, rows: &Result<Vec<Vec<f32>>, EngineError>, (all, length): (usize, usize)) {
    let mut begin = 0;
    for job in jobs {
        let end = begin + job.crops.len() / length;
        let own = rows.as_ref().map_err(EngineError::clone).map(|outputs| {
            let part = |values: &Vec<f32>| {
                let row = values.len() / all;
                values[begin * row..end * row].to_vec()
            };
            outputs.iter().map(part).collect()
        });
        begin = end;
        let _ = job.answer.send(Answer { crops: job.crops, rows: own });
    }
}

impl Shared {
    /// Images of one job, so that all threads together have a batch for each lane and one that is being
    /// decoded.
    fn chunk(&self) -> usize {
        let rows = self.rows.load(Relaxed);
        let wanted = (LANES + 1) * rows;
        let each = wanted.div_ceil(self.feeders.load(Relaxed).max(1)).next_power_of_two();
        each.min(rows)
    }

    /// After a batch of `rows` had no room. Another lane may have halved it already.
    fn halve(&self, rows: usize) {
        let _ = self.rows.compare_exchange(rows, rows / 2, Relaxed, Relaxed);
    }
}

/// One thread's way to a device.
pub struct Feeder {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
    notes: Arc<[String]>,
}

impl Feeder {
    /// How many crops the next call should have.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        self.shared.chunk()
    }

    /// How many images the device runs at once.
    #[must_use]
    pub fn inference_batch_size(&self) -> usize {
        self.shared.rows.load(Relaxed)
    }

    /// What people should know of how the model runs on the device, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the device's stages are counted by.
    pub(crate) fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// Runs `crops`, `n * height * width * channels` bytes of at least one image. Their memory is lent and
    /// comes back.
    ///
    /// # Errors
    /// If the device fails, now or before.
    pub fn run(&mut self, crops: &mut Vec<u8>, n: usize) -> Result<Outputs, EngineError> {
        let length = self.shared.model_io.crop_len();
        if n == 0 || crops.len() != n * length {
            return Err(EngineError::new(format!(
                "expected {n} images of {length} bytes, got {} bytes",
                crops.len()
            )));
        }
        let gone = || EngineError::new("the thread of the device has ended");
        // The only sender goes with the job, so that no thread waits for a lane that is gone.
        let (answer, answers) = mpsc::sync_channel(1);
        self.jobs.send(Job { crops: std::mem::take(crops), answer }).map_err(|_| gone())?;
        let answer = answers.recv().map_err(|_| gone())?;
        *crops = answer.crops;
        Ok(self.shared.model_io.outputs_of(answer.rows?, n))
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.shared.feeders.fetch_sub(1, Relaxed);
    }
}
