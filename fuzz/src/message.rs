//! Changes of an encoded protobuf message after which its lengths still hold. Changes of bytes leave hardly ever a message.
//!
//! It knows no schema: what can be read as a message within a message is taken for one.

/// What a field of a message holds, without its length.
#[derive(Clone)]
struct Field {
    tag: u64,
    value: Vec<u8>,
}

/// The kind of a field whose value has a length; the others are numbers.
const WITH_LENGTH: u64 = 2;

/// `message` with one field, at any depth, removed, doubled, set to another's value or put through `bytes`, as `random`,
/// which is not 0, will have it; nothing where it is no message.
pub fn changed(message: &[u8], random: &mut u32, bytes: &dyn Fn(&[u8]) -> Vec<u8>) -> Option<Vec<u8>> {
    let mut fields = fields(message)?;
    let at = below(random, fields.len())?;
    if kind(&fields[at]) == WITH_LENGTH
        && below(random, 4)? > 0
        && let Some(inner) = changed(&fields[at].value, random, bytes)
    {
        fields[at].value = inner;
        return Some(encoded(&fields));
    }
    let other = fields[below(random, fields.len())?].clone();
    match below(random, 4)? {
        0 => drop(fields.remove(at)),
        1 => fields.insert(at, other),
        2 if kind(&other) == kind(&fields[at]) => fields[at].value = other.value,
        _ => change(&mut fields[at], random, bytes),
    }
    Some(encoded(&fields))
}

fn change(field: &mut Field, random: &mut u32, bytes: &dyn Fn(&[u8]) -> Vec<u8>) {
    match kind(field) {
        WITH_LENGTH => field.value = bytes(&field.value),
        0 => field.value = varint(u64::from(next(random) >> (next(random) % 32))),
        _ => field.value.reverse(),
    }
}

fn kind(field: &Field) -> u64 {
    field.tag & 7
}

fn fields(mut message: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = number(&mut message)?;
        let length = match tag & 7 {
            0 => message.iter().position(|byte| *byte < 128)? + 1,
            1 => 8,
            WITH_LENGTH => usize::try_from(number(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, rest) = message.split_at_checked(length)?;
        fields.push(Field { tag, value: value.to_vec() });
        message = rest;
    }
    Some(fields)
}

fn number(message: &mut &[u8]) -> Option<u64> {
    let length = message.iter().take(9).position(|byte| *byte < 128)? + 1;
    let (digits, rest) = message.split_at(length);
    *message = rest;
    Some(digits.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 127)))
}

fn encoded(fields: &[Field]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in fields {
        message.extend(varint(field.tag));
        if kind(field) == WITH_LENGTH {
            message.extend(varint(field.value.len() as u64));
        }
        message.extend(&field.value);
    }
    message
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A number below `end`, if there is one.
fn below(random: &mut u32, end: usize) -> Option<usize> {
    (next(random) as usize).checked_rem(end)
}

/// Marsaglia's xorshift.
fn next(random: &mut u32) -> u32 {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    *random
}
