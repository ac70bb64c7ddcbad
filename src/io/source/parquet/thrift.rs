//! Thrift's compact protocol, as far as footers and page headers use it: walked, never built
//! (<https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>).

use std::ops::RangeInclusive;

/// Bytes being walked. `None` is a struct that is cut off or malformed.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

const BOOL_TRUE: u8 = 1;
const BOOL_FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
/// A list.
pub(super) const LIST: u8 = 9;
const SET: u8 = 10;
/// A struct.
pub(super) const STRUCT: u8 = 12;
/// Integers of 16, 32 and 64 bits.
pub(super) const INTEGERS: RangeInclusive<u8> = 4..=6;

/// Footers nest six deep.
const DEPTH_MAX: usize = 16;

impl<'a> Thrift<'a> {
    /// A walk from the first byte on.
    pub fn new(bytes: &'a [u8]) -> Thrift<'a> {
        Thrift { bytes, at: 0 }
    }

    /// How many bytes were walked.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Reads the fields of a struct: `read` takes each with its id and kind.
    pub fn fields(&mut self, mut read: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0_i64;
        loop {
            let byte = self.byte()?;
            if byte == 0 {
                return Some(());
            }
            id = match byte >> 4 {
                0 => self.integer()?,
                delta => id.checked_add(i64::from(delta))?,
            };
            read(self, id, byte & 0x0f)?;
        }
    }

    /// Passes over a value.
    pub fn skip(&mut self, kind: u8) -> Option<()> {
        self.skip_within(kind, DEPTH_MAX)
    }

    fn skip_within(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            BOOL_TRUE | BOOL_FALSE => Some(()),
            BYTE => self.pass(1),
            kind if INTEGERS.contains(&kind) => self.varint().map(|_| ()),
            DOUBLE => self.pass(8),
            BINARY => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.pass(length)
            }
            LIST | SET => {
                let (count, item) = self.list()?;
                (0..count).try_for_each(|_| self.skip_within(item, depth))
            }
            STRUCT => self.fields(|thrift, _, kind| thrift.skip_within(kind, depth)),
            _ => None,
        }
    }

    /// The head of a list: how many items, of which kind.
    pub fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        // In a list a boolean takes a byte, in a field none.
        let item = if matches!(head & 0x0f, BOOL_TRUE | BOOL_FALSE) { BYTE } else { head & 0x0f };
        Some((count, item))
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn pass(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A zigzag integer.
    pub fn integer(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}
