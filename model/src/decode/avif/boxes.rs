//! Boxes of the ISO base media file format: a size, a name, and what is in it.
//!
//! It never reads beyond the bytes it is given, and never follows an offset.

/// Big-endian fields, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// A number of up to eight bytes; zero bytes are the number 0.
    pub(super) fn number(&mut self, length: usize) -> Option<u64> {
        let bytes = self.bytes(length)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn name(&mut self) -> Option<[u8; 4]> {
        self.bytes(4)?.try_into().ok()
    }

    /// The version and the flags at the start of full boxes.
    pub(super) fn version(&mut self) -> Option<(u8, u32)> {
        let word = self.number(4)? as u32;
        Some(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    /// The boxes that follow, up to the first broken one.
    pub(super) fn boxes(self) -> Boxes<'a> {
        Boxes(self)
    }

    /// What is in the first box of this name.
    pub(super) fn find(self, name: [u8; 4]) -> Option<Fields<'a>> {
        self.boxes().find(|(found, _)| *found == name).map(|(_, content)| content)
    }
}

/// Names and contents.
pub(super) struct Boxes<'a>(Fields<'a>);

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], Fields<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields = self.0;
        let size = fields.number(4)?;
        let name = fields.name()?;
        let length = match size {
            0 => fields.0.len(),
            1 => usize::try_from(fields.number(8)?.checked_sub(16)?).ok()?,
            size => usize::try_from(size.checked_sub(8)?).ok()?,
        };
        let content = fields.bytes(length)?;
        self.0 = fields;
        Some((name, Fields(content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_of_every_kind_of_size() {
        let file = [
            b"\0\0\0\x0aone \x01\x02".as_slice(),
            b"\0\0\0\x01two \0\0\0\0\0\0\0\x11\x03",
            b"\0\0\0\0last\x04\x05",
        ]
        .concat();
        let found: Vec<_> = Fields(&file).boxes().map(|(name, content)| (name, content.0.to_vec())).collect();
        assert_eq!(found, [(*b"one ", vec![1, 2]), (*b"two ", vec![3]), (*b"last", vec![4, 5])]);
    }

    #[test]
    fn broken_sizes_end_it() {
        for file in
            [b"\0\0\0\x07abcd".as_slice(), b"\0\0\0\xffabcd", b"\0\0\0\x01abcd\0\0\0\0\0\0\0\x0f", b"\0\0"]
        {
            assert!(Fields(file).boxes().next().is_none());
        }
    }
}
