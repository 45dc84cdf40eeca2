//! The bytes of an ONNX file, written again so that every parser reads the same in them, under limits that
//! hold before any of it is decoded.
//!
//! Parsers differ in how they read a field that comes twice, a number that is out of range and unknown
//! fields. So the first two are refused, the last are left out, and engines get the bytes that this module
//! writes and never the file. It allocates what it writes and nothing else, and knows no weights but those
//! that it is given.

mod schema;
#[cfg(test)]
mod tests;

use prost::Message as _;
use tract_onnx::pb::TensorProto;

use self::schema::{DATA_LOCATION, EXTERNAL_DATA, Field, Holds, INITIALIZER, Message, Times};
use super::external;
use crate::error::ModelError;

/// The most nodes of a graph, those of functions and nested graphs included. The largest that were exported
/// have 100,000.
pub(crate) const MOST_NODES: u64 = 1_000_000;
/// Messages inside of messages; protobuf's readers take 100.
const DEEPEST: usize = 100;
/// Bytes that a graph may take once it is decoded, without its weights: twice its file and this.
const MOST_MEMORY: u64 = 512 << 20;
/// What the smallest message takes.
const MESSAGE_MEMORY: u64 = 64;
/// The memory of a text in addition to its bytes.
const TEXT_MEMORY: u64 = 32;
/// What a number takes.
const NUMBER_MEMORY: u64 = 8;

/// How values follow the number of their field, as protobuf numbers it.
const VARINT: u64 = 0;
const BITS_64: u64 = 1;
const LENGTH: u64 = 2;
const BITS_32: u64 = 5;

/// Why a file is not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not a message of ONNX.
    Broken(String),
    /// It is one, but over a limit or ambiguous.
    Refused(String),
    /// Its weights cannot be brought in.
    Weights(ModelError),
}

/// The place of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// Among the weights of the model's own graph.
    InGraph,
    /// In a node, a nested graph or a function.
    Elsewhere,
}

/// Gives the tensor that replaces one whose values are in another file; `None` leaves it.
pub(crate) type Bring<'a> = dyn FnMut(&TensorProto, Stands) -> Result<Option<TensorProto>, ModelError> + 'a;

/// A file written again.
pub(crate) struct Written {
    pub(crate) graph: Vec<u8>,
    /// Whether no tensor of it refers to another file.
    pub(crate) is_whole: bool,
}

/// `file` written again.
pub(crate) fn reencoded(file: &[u8]) -> Result<Written, Refusal> {
    Writer::new(file, None).model(file)
}

/// Like [`reencoded`], with other tensors in place of those whose values are in another file.
pub(crate) fn with_weights(file: &[u8], bring: &mut Bring<'_>) -> Result<Vec<u8>, Refusal> {
    Ok(Writer::new(file, Some(bring)).model(file)?.graph)
}

struct Writer<'a, 'b> {
    written: Vec<u8>,
    /// Bytes of memory that what is written may still take.
    memory: u64,
    nodes: u64,
    is_whole: bool,
    bring: Option<&'a mut Bring<'b>>,
}

/// Where a message is.
#[derive(Clone, Copy)]
struct Place {
    kind: &'static Message,
    depth: usize,
}

impl<'a, 'b> Writer<'a, 'b> {
    fn new(file: &[u8], bring: Option<&'a mut Bring<'b>>) -> Self {
        let memory = MOST_MEMORY + 2 * file.len() as u64;
        Self { written: Vec::with_capacity(file.len()), memory, nodes: 0, is_whole: true, bring }
    }

    fn model(mut self, file: &[u8]) -> Result<Written, Refusal> {
        self.message(Place { kind: &schema::MODEL, depth: 0 }, file)?;
        Ok(Written { graph: self.written, is_whole: self.is_whole })
    }

    /// Writes the fields of `body`; a bit for the number of each that was there.
    fn message(&mut self, place: Place, body: &[u8]) -> Result<u32, Refusal> {
        let kind = place.kind;
        if place.depth > DEEPEST {
            return Err(broken(format!("its messages are nested more than {DEEPEST} deep")));
        }
        self.count(kind)?;
        let (mut input, mut seen) = (Input(body), 0);
        while !input.0.is_empty() {
            let (number, wire) = input.tag()?;
            let Some(field) = kind.field(number) else {
                input.skip(wire)?;
                continue;
            };
            seen = with(seen, kind, field)?;
            self.field(place, field, wire, &mut input)?;
        }
        Ok(seen)
    }

    fn count(&mut self, kind: &'static Message) -> Result<(), Refusal> {
        if std::ptr::eq(kind, &raw const schema::NODE) {
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                return Err(refused(format!("has more than {MOST_NODES} nodes")));
            }
        }
        self.spend((kind.memory as u64).max(MESSAGE_MEMORY))
    }

    fn spend(&mut self, memory: u64) -> Result<(), Refusal> {
        self.memory = self.memory.checked_sub(memory).ok_or_else(|| {
            refused(format!("takes more than {} MiB in addition to its weights", MOST_MEMORY >> 20))
        })?;
        Ok(())
    }

    fn field(
        &mut self,
        place: Place,
        field: &'static Field,
        wire: u64,
        input: &mut Input<'_>,
    ) -> Result<(), Refusal> {
        self.put(u64::from(field.number) << 3 | wire);
        match (field.holds, wire) {
            (Holds::Integer, VARINT) => {
                self.spend(NUMBER_MEMORY)?;
                self.put(input.varint()?);
            }
            (Holds::Enum(most), VARINT) => {
                let value = input.varint()?;
                if value > most {
                    let (field, message) = (field.name, place.kind.name);
                    return Err(refused(format!("has {value} for the {field} of a {message}")));
                }
                self.put(value);
            }
            (Holds::Bits32, BITS_32) => self.number(input.take(4)?)?,
            (Holds::Bits64, BITS_64) => self.number(input.take(8)?)?,
            (Holds::Bytes, LENGTH) => {
                self.spend(TEXT_MEMORY)?;
                let bytes = input.counted()?;
                self.counted(bytes);
            }
            (Holds::Message(kind), LENGTH) => {
                let nested = Place { kind, depth: place.depth + 1 };
                let stands = if place.depth == 1 && field.number == INITIALIZER {
                    Stands::InGraph
                } else {
                    Stands::Elsewhere
                };
                self.nested(nested, input.counted()?, stands)?;
            }
            (Holds::Integer | Holds::Bits32 | Holds::Bits64, LENGTH) if field.times == Times::Many => {
                let packed = input.counted()?;
                self.spend(NUMBER_MEMORY * numbers(packed, field.holds)?)?;
                self.counted(packed);
            }
            _ => {
                let (field, message) = (field.name, place.kind.name);
                return Err(broken(format!("the {field} of a {message} is stored as something else")));
            }
        }
        Ok(())
    }

    /// A message in a message, its length in front of it.
    fn nested(&mut self, place: Place, body: &[u8], stands: Stands) -> Result<(), Refusal> {
        let start = self.written.len();
        // As long as the length is likely to be, so that what follows is seldom moved.
        let expected = varint(body.len() as u64).len();
        self.written.resize(start + expected, 0);
        let seen = self.message(place, body)?;
        let is_elsewhere = seen & (1 << DATA_LOCATION | 1 << EXTERNAL_DATA) != 0;
        if is_elsewhere && std::ptr::eq(place.kind, &raw const schema::TENSOR) {
            self.is_whole = false;
            self.replace(start + expected, stands)?;
        }
        let length = self.written.len() - start - expected;
        self.written.splice(start..start + expected, varint(length as u64));
        Ok(())
    }

    /// Brings in the values of the tensor that is written from `start` on, if they are in another file.
    fn replace(&mut self, start: usize, stands: Stands) -> Result<(), Refusal> {
        let Some(bring) = &mut self.bring else { return Ok(()) };
        let tensor =
            TensorProto::decode(&self.written[start..]).map_err(|error| broken(error.to_string()))?;
        if !external::is_external(&tensor) {
            return Ok(());
        }
        if let Some(other) = bring(&tensor, stands).map_err(Refusal::Weights)? {
            self.written.truncate(start);
            self.written.extend(other.encode_to_vec());
        }
        Ok(())
    }

    fn put(&mut self, number: u64) {
        self.written.extend(varint(number));
    }

    fn number(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.written.extend_from_slice(bytes);
        self.spend(NUMBER_MEMORY)
    }

    fn counted(&mut self, bytes: &[u8]) {
        self.put(bytes.len() as u64);
        self.written.extend_from_slice(bytes);
    }
}

/// `seen` with `field`, unless one was there that leaves no place for it.
fn with(seen: u32, kind: &'static Message, field: &'static Field) -> Result<u32, Refusal> {
    let bit = 1 << field.number;
    let others = match field.times {
        Times::Many => 0,
        Times::Once => bit,
        Times::OneOf => {
            let others = kind.fields.iter().filter(|other| other.times == Times::OneOf);
            others.map(|other| 1 << other.number).sum()
        }
    };
    if seen & others != 0 {
        return Err(refused(format!("states the {} of a {} twice", field.name, kind.name)));
    }
    Ok(seen | bit)
}

/// How many numbers `packed` holds.
fn numbers(packed: &[u8], holds: Holds) -> Result<u64, Refusal> {
    let size = match holds {
        Holds::Bits32 => 4,
        Holds::Bits64 => 8,
        _ => {
            let (mut input, mut count) = (Input(packed), 0);
            while !input.0.is_empty() {
                input.varint()?;
                count += 1;
            }
            return Ok(count);
        }
    };
    if !packed.len().is_multiple_of(size) {
        return Err(broken("numbers in it are cut off"));
    }
    Ok((packed.len() / size) as u64)
}

/// What is yet to be read of a message.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn varint(&mut self) -> Result<u64, Refusal> {
        let mut number = 0;
        for (index, &byte) in self.0.iter().enumerate().take(10) {
            if index == 9 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 127) << (7 * index);
            if byte < 128 {
                self.0 = &self.0[index + 1..];
                return Ok(number);
            }
        }
        Err(broken("a number in it is cut off or too large"))
    }

    /// The number of the next field, and how its value follows.
    fn tag(&mut self) -> Result<(u64, u64), Refusal> {
        let tag = self.varint()?;
        match (tag >> 3, tag & 7) {
            (number @ 1..=0x1fff_ffff, wire) => Ok((number, wire)),
            _ => Err(broken("a field in it has no number that there is")),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| broken("a value in it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Bytes with their length in front.
    fn counted(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.varint()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn skip(&mut self, wire: u64) -> Result<(), Refusal> {
        match wire {
            VARINT => self.varint().map(|_| ()),
            BITS_64 => self.take(8).map(|_| ()),
            LENGTH => self.counted().map(|_| ()),
            BITS_32 => self.take(4).map(|_| ()),
            _ => Err(broken("it has groups, which ONNX has not")),
        }
    }
}

/// A number in as few bytes as it takes.
fn varint(mut number: u64) -> impl ExactSizeIterator<Item = u8> + Clone {
    let mut bytes = [0; 10];
    let mut length = 0;
    loop {
        let more = number > 127;
        bytes[length] = (number & 127) as u8 | if more { 128 } else { 0 };
        length += 1;
        number >>= 7;
        if !more {
            return bytes.into_iter().take(length);
        }
    }
}

fn broken(why: impl Into<String>) -> Refusal {
    Refusal::Broken(why.into())
}

fn refused(why: impl Into<String>) -> Refusal {
    Refusal::Refused(why.into())
}
