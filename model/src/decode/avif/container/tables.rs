//! The tables of an AVIF's `meta` box: items, where their bytes are, and how they refer to each other.
//!
//! It never reads what an item holds.

use super::super::boxes::Fields;
use super::{Properties, Property};

/// More items than any writer makes of a picture with its tiles, alpha, metadata and thumbnails.
const MOST_ITEMS: usize = 4096;
/// The type of an auxiliary picture that is alpha.
const ALPHA: [&[u8]; 2] = [b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0"];

/// All tables.
pub(super) struct Tables<'a> {
    pub(super) file: &'a [u8],
    pub(super) primary: u32,
    kinds: Vec<(u32, [u8; 4])>,
    extents: Vec<(u32, Vec<Extent>)>,
    references: Vec<Reference>,
    properties: Vec<Property<'a>>,
    /// Numbers of properties, by item.
    associations: Vec<(u32, Vec<usize>)>,
}

/// A piece of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    start: u64,
    /// 0 means up to the end.
    length: u64,
}

impl Extent {
    pub(super) fn of<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let rest = file.get(usize::try_from(self.start).ok()?..)?;
        if self.length == 0 { Some(rest) } else { rest.get(..usize::try_from(self.length).ok()?) }
    }
}

struct Reference {
    kind: [u8; 4],
    from: u32,
    to: Vec<u32>,
}

impl<'a> Tables<'a> {
    /// Reads what `meta` holds; None if a table is damaged or there are more items than are followed.
    pub(super) fn read(meta: Fields<'a>, file: &'a [u8]) -> Option<Tables<'a>> {
        let mut primary = meta.find(*b"pitm")?;
        let wide = if primary.version()?.0 == 0 { 2 } else { 4 };
        let iprp = meta.find(*b"iprp")?;
        let data = meta.find(*b"idat").map(|content| content.0);
        Some(Tables {
            file,
            primary: primary.number(wide)? as u32,
            kinds: kinds(meta.find(*b"iinf")?)?,
            extents: extents(meta.find(*b"iloc")?, data, file)?,
            references: meta.find(*b"iref").map_or(Some(Vec::new()), references)?,
            properties: iprp
                .find(*b"ipco")?
                .boxes()
                .map(|(name, content)| Property { name, content })
                .collect(),
            associations: associations(iprp)?,
        })
    }

    pub(super) fn kind_of(&self, id: u32) -> Option<[u8; 4]> {
        self.kinds.iter().find(|(found, _)| *found == id).map(|(_, kind)| *kind)
    }

    pub(super) fn extents_of(&self, id: u32) -> Option<Vec<Extent>> {
        self.extents.iter().find(|(found, _)| *found == id).map(|(_, extents)| extents.clone())
    }

    pub(super) fn properties_of(&self, id: u32) -> Properties<'a> {
        let numbers =
            self.associations.iter().filter(|(found, _)| *found == id).flat_map(|(_, numbers)| numbers);
        let found = numbers.filter_map(|number| self.properties.get(number.checked_sub(1)?));
        Properties(found.copied().collect())
    }

    pub(super) fn refers(&self, from: u32, to: u32, kind: [u8; 4]) -> bool {
        let mut references = self.references.iter();
        references.any(|found| found.kind == kind && found.from == from && found.to.contains(&to))
    }

    /// The picture that is alpha of this one.
    pub(super) fn alpha_of(&self, id: u32) -> Option<u32> {
        let auxiliary =
            self.references.iter().filter(|found| found.kind == *b"auxl" && found.to.contains(&id));
        let is_alpha = |from: &u32| ALPHA.iter().any(|name| self.properties_of(*from).is_auxiliary(name));
        auxiliary.map(|found| found.from).find(is_alpha)
    }

    /// Metadata of this kind that describes the picture.
    pub(super) fn described_by(&self, id: u32, kind: [u8; 4]) -> Option<u32> {
        let described =
            self.references.iter().filter(|found| found.kind == *b"cdsc" && found.to.contains(&id));
        described.map(|found| found.from).find(|from| self.kind_of(*from) == Some(kind))
    }

    /// The pictures that this one is made of.
    pub(super) fn tiles_of(&self, id: u32) -> Vec<u32> {
        let derived = self.references.iter().find(|found| found.kind == *b"dimg" && found.from == id);
        derived.map(|found| found.to.clone()).unwrap_or_default()
    }
}

fn kinds(mut iinf: Fields<'_>) -> Option<Vec<(u32, [u8; 4])>> {
    let wide = if iinf.version()?.0 == 0 { 2 } else { 4 };
    iinf.number(wide)?;
    let mut kinds = Vec::new();
    for (name, mut entry) in iinf.boxes().take(MOST_ITEMS) {
        let version = entry.version()?.0;
        if name != *b"infe" || version < 2 {
            continue;
        }
        let id = entry.number(if version == 2 { 2 } else { 4 })? as u32;
        entry.number(2)?;
        kinds.push((id, entry.name()?));
    }
    Some(kinds)
}

fn extents(mut iloc: Fields<'_>, data: Option<&[u8]>, file: &[u8]) -> Option<Vec<(u32, Vec<Extent>)>> {
    let version = iloc.version()?.0;
    let sizes = iloc.number(2)? as usize;
    let (offset, length, base, index) = (sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15);
    if offset > 8 || length > 8 || base > 8 || index > 8 {
        return None;
    }
    let wide = if version < 2 { 2 } else { 4 };
    let count = (iloc.number(wide)? as usize).min(MOST_ITEMS);
    let mut items = Vec::new();
    for _ in 0..count {
        let id = iloc.number(wide)? as u32;
        let method = if version == 0 { 0 } else { iloc.number(2)? & 15 };
        iloc.number(2)?;
        let start = iloc.number(base)?;
        let pieces = iloc.number(2)?.min(MOST_ITEMS as u64);
        let mut extents = Vec::new();
        for _ in 0..pieces {
            iloc.number(if version == 0 { 0 } else { index })?;
            let place = start.checked_add(iloc.number(offset)?)?;
            let extent = Extent { start: place, length: iloc.number(length)? };
            extents.extend(if method == 1 { within(extent, data, file) } else { Some(extent) });
        }
        items.push((id, extents));
    }
    Some(items)
}

/// An extent of the box `idat` as one of the file.
fn within(extent: Extent, data: Option<&[u8]>, file: &[u8]) -> Option<Extent> {
    let bytes = extent.of(data?)?;
    let start = bytes.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
    Some(Extent { start: start as u64, length: bytes.len() as u64 })
}

fn references(mut iref: Fields<'_>) -> Option<Vec<Reference>> {
    let wide = if iref.version()?.0 == 0 { 2 } else { 4 };
    let mut references = Vec::new();
    for (kind, mut content) in iref.boxes().take(MOST_ITEMS) {
        let from = content.number(wide)? as u32;
        let count = content.number(2)?;
        let to = (0..count).map_while(|_| content.number(wide).map(|id| id as u32)).collect();
        references.push(Reference { kind, from, to });
    }
    Some(references)
}

fn associations(iprp: Fields<'_>) -> Option<Vec<(u32, Vec<usize>)>> {
    let mut associations = Vec::new();
    for (_, mut ipma) in iprp.boxes().filter(|(name, _)| name == b"ipma") {
        let (version, flags) = ipma.version()?;
        let items = ipma.number(4)?.min(MOST_ITEMS as u64);
        for _ in 0..items {
            let id = ipma.number(if version == 0 { 2 } else { 4 })? as u32;
            let count = ipma.number(1)?;
            let (length, mask) = if flags & 1 == 1 { (2, 0x7fff) } else { (1, 0x7f) };
            let numbers =
                (0..count).map_while(|_| ipma.number(length).map(|number| (number & mask) as usize));
            associations.push((id, numbers.collect()));
        }
    }
    Some(associations)
}
