//! What goes through the pipes: frames of a length and a message, and behind a request the bytes of its
//! images.
//!
//! Both ends are the same program, so nothing here is stored or versioned. Lengths are bounded before memory
//! is taken; floats keep their bits.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tagfleet_pipeline::tagger::{DeviceTime, Seen, Tagger, Wanted};

/// The number of the first request, whose message is the setup.
pub(super) const SETUP: u64 = 0;

/// The most bytes of a setup (labels and notes of a model) or of a request's head: 64 MiB.
const MAX_HEAD: usize = 64 << 20;
/// The most bytes of the images of one request: 1 GiB, several times what a worker has in flight.
pub(super) const MAX_IMAGES: usize = 1 << 30;
/// The most bytes of one answer: 1 GiB, for a batch of a thousand large vectors.
const MAX_ANSWER: usize = 1 << 30;
/// A buffer for images keeps at most this much from request to request: 4 MiB.
const KEPT: usize = 4 << 20;

/// The head of a request; its images follow, one behind the other.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    number: u64,
    lengths: Vec<usize>,
    /// Which of them should get a thumbnail, by position.
    wanted: Vec<Wanted>,
}

/// A request: tag these images.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) wanted: Vec<Wanted>,
    lengths: Vec<usize>,
    bytes: Vec<u8>,
}

/// The child's answer to the request of this number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) number: u64,
    pub(super) body: Body,
}

/// How the child works, as far as it knows by now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChildStatus {
    /// This many images should come at once.
    pub(super) batch_size: usize,
    /// This many are run at once; for people.
    pub(super) inference_batch_size: usize,
    /// What the stages of its device did, if it has one.
    pub(super) device: Option<DeviceTime>,
}

impl ChildStatus {
    pub(super) fn of(tagger: &dyn Tagger) -> Self {
        let (batch_size, inference_batch_size) = (tagger.batch_size(), tagger.inference_batch_size());
        Self { batch_size, inference_batch_size, device: tagger.device_time() }
    }
}

/// A message of the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Body {
    /// The model is loaded; the child waits for an empty request before it runs the model for the first time.
    Loaded,
    /// It has run on a built-in picture; `notes` are for people, about how it runs.
    Ready { pace: ChildStatus, notes: Vec<String> },
    /// Engine, model and options do not fit together.
    Refused(String),
    /// What became of each image, in their order.
    Seen { seen: Vec<Seen>, pace: ChildStatus },
    /// The engine failed.
    Failed(String),
}

impl Request {
    pub(super) fn images(&self) -> Vec<&[u8]> {
        let mut rest = self.bytes.as_slice();
        let mut images = Vec::with_capacity(self.lengths.len());
        for &length in &self.lengths {
            let (image, behind) = rest.split_at(length);
            images.push(image);
            rest = behind;
        }
        images
    }

    /// Waits for the next request and reads it in place of this one; false at the end of the input.
    pub(super) fn read(&mut self, input: &mut impl Read) -> io::Result<bool> {
        let Some(head) = read_frame(input, MAX_HEAD)? else { return Ok(false) };
        let Head { number, lengths, wanted } = decoded(&head)?;
        let total = lengths.iter().try_fold(0_usize, |sum, &length| sum.checked_add(length));
        let Some(total) = total.filter(|&total| total <= MAX_IMAGES) else {
            return Err(invalid(format!("a request with more than {MAX_IMAGES} bytes of images")));
        };
        self.bytes.truncate(total);
        self.bytes.shrink_to(KEPT.max(total));
        self.bytes.resize(total, 0);
        input.read_exact(&mut self.bytes)?;
        (self.number, self.lengths, self.wanted) = (number, lengths, wanted);
        Ok(true)
    }
}

/// Writes a request to tag `images`, copying none of their bytes, with the thumbnails that are wanted.
pub(super) fn write_request(
    output: &mut impl Write,
    number: u64,
    images: &[&[u8]],
    wanted: &[Wanted],
) -> io::Result<()> {
    let lengths = images.iter().map(|image| image.len()).collect();
    let head = frame(&Head { number, lengths, wanted: wanted.to_vec() })?;
    let mut slices = vec![IoSlice::new(&head)];
    slices.extend(images.iter().filter(|image| !image.is_empty()).map(|image| IoSlice::new(image)));
    write_all(output, &mut slices)
}

/// Writes everything in as few calls as possible: each may wake the reader.
fn write_all(output: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match output.write_vectored(slices) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(super) fn write_answer(output: &mut impl Write, answer: &Answer) -> io::Result<()> {
    output.write_all(&frame(answer)?)
}

/// Waits for the next answer; none at the end of the input.
pub(super) fn read_answer(input: &mut impl Read) -> io::Result<Option<Answer>> {
    read_frame(input, MAX_ANSWER)?.map(|message| decoded(&message)).transpose()
}

/// Writes the first message.
pub(super) fn write_setup(output: &mut impl Write, setup: &[u8]) -> io::Result<()> {
    output.write_all(&length(setup.len())?)?;
    output.write_all(setup)
}

/// Reads the first message; none at the end of the input.
pub(super) fn read_setup(input: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    read_frame(input, MAX_HEAD)
}

/// A message with its length before it, ready to be written.
fn frame(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = postcard::to_extend(message, vec![0; 4]).map_err(invalid)?;
    let length = length(frame.len() - 4)?;
    frame[..4].copy_from_slice(&length);
    Ok(frame)
}

fn length(bytes: usize) -> io::Result<[u8; 4]> {
    u32::try_from(bytes).map(u32::to_le_bytes).map_err(invalid)
}

/// Reads one frame of at most `limit` bytes; `None` if the input ends before it. Memory grows as bytes
/// arrive.
fn read_frame(input: &mut impl Read, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let first = loop {
        match input.read(&mut length) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    input.read_exact(&mut length[first..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > limit {
        return Err(invalid(format!("a message of {length} bytes, but at most {limit} are allowed")));
    }
    let mut message = Vec::new();
    input.take(length as u64).read_to_end(&mut message)?;
    if message.len() < length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(message))
}

fn decoded<T: DeserializeOwned>(message: &[u8]) -> io::Result<T> {
    postcard::from_bytes(message).map_err(invalid)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tagfleet_pipeline::tags::{Cause, Failure, Outcome, Tag, Tagged};

    use super::*;

    fn read_all(mut pipe: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let (mut request, mut requests) = (Request::default(), Vec::new());
        while request.read(&mut pipe).unwrap() {
            assert_eq!(request.number, requests.len() as u64);
            assert_eq!(request.wanted, [Wanted::Always]);
            requests.push(request.images().iter().map(|image| image.to_vec()).collect());
        }
        requests
    }

    proptest! {
        #[test]
        fn requests_arrive_as_they_were_sent(
            requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5), 0..5)
        ) {
            let mut pipe = Vec::new();
            for (number, images) in (0..).zip(&requests) {
                let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
                write_request(&mut pipe, number, &images, &[Wanted::Always]).unwrap();
            }
            prop_assert_eq!(read_all(&pipe), requests);
        }

        #[test]
        fn floats_keep_their_bits(bits in prop::collection::vec(any::<u32>(), 0..50)) {
            let vector: Vec<f32> = bits.iter().copied().map(f32::from_bits).collect();
            let tags = vector.iter().map(|&score| Tag { label: "a".to_owned(), index: 7, score }).collect();
            let tagged = Tagged { width: 1, height: 2, tags, vector: Some(vector), second_decoder: true };
            let (outcome, thumbnail) = (Outcome::Tagged(tagged), Some(vec![0xff, 0xd8]));
            let seen = vec![Seen { outcome, thumbnail, milliseconds: Some(7) }];
            let pace = ChildStatus { batch_size: 2, inference_batch_size: 64, device: Some(DeviceTime { wall_milliseconds: 9, ..DeviceTime::default() }) };
            let Body::Seen { seen, pace: arrived } = sent(Body::Seen { seen, pace }) else { panic!() };
            prop_assert_eq!(arrived, pace);
            let Outcome::Tagged(tagged) = &seen[0].outcome else { panic!() };
            let scores: Vec<u32> = tagged.tags.iter().map(|tag| tag.score.to_bits()).collect();
            let vector: Vec<u32> = tagged.vector.iter().flatten().map(|value| value.to_bits()).collect();
            prop_assert_eq!(&scores, &bits);
            prop_assert_eq!(&vector, &bits);
        }
    }

    fn sent(body: Body) -> Body {
        let mut pipe = Vec::new();
        write_answer(&mut pipe, &Answer { number: 3, body }).unwrap();
        read_answer(&mut pipe.as_slice()).unwrap().unwrap().body
    }

    #[test]
    fn every_cause_arrives() {
        for cause in Cause::ALL {
            let outcome = Outcome::Failed(Failure::new(cause, "ü"));
            let seen = vec![Seen::from(outcome)];
            let Body::Seen { seen: arrived, .. } =
                sent(Body::Seen { seen: seen.clone(), pace: ChildStatus::default() })
            else {
                panic!()
            };
            assert_eq!(arrived, seen);
        }
    }

    #[test]
    fn notes_arrive_as_they_were_sent() {
        let told = vec!["1 of 9 operators runs on the processor: TopK (1)".to_owned(), "ü".to_owned()];
        let Body::Ready { notes, .. } =
            sent(Body::Ready { pace: ChildStatus::default(), notes: told.clone() })
        else {
            panic!()
        };
        assert_eq!(notes, told);
    }

    fn head_of(lengths: Vec<usize>) -> Head {
        Head { number: 1, lengths, wanted: vec![] }
    }

    #[test]
    fn lengths_are_bounded_before_memory_is_taken() {
        let error = read_answer(&mut u32::MAX.to_le_bytes().as_slice()).unwrap_err();
        insta::assert_snapshot!(error, @"a message of 4294967295 bytes, but at most 1073741824 are allowed");
        let head = frame(&head_of(vec![1 << 29, 1 << 29, 1])).unwrap();
        let error = Request::default().read(&mut head.as_slice()).unwrap_err();
        insta::assert_snapshot!(error, @"a request with more than 1073741824 bytes of images");
        let head = frame(&head_of(vec![usize::MAX, 2])).unwrap();
        assert!(Request::default().read(&mut head.as_slice()).is_err());
    }

    #[test]
    fn what_ends_too_early_is_an_error() {
        let mut pipe = Vec::new();
        write_request(&mut pipe, 1, &[b"picture"], &[]).unwrap();
        for end in 1..pipe.len() {
            let error = Request::default().read(&mut &pipe[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end}");
        }
        assert!(!Request::default().read(&mut &pipe[..0]).unwrap());
    }
}
