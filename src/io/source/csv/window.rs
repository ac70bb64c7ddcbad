//! A window of bytes over a file, moved on record by record.

use super::super::InputError;
use super::super::stored::Unfolded;

/// Enough for hundreds of records between two reads; it grows to hold one record of the largest size.
const FIRST_SIZE: usize = 256 * 1024;

/// The bytes from the current record on, as many as are read.
pub(super) struct Window {
    source: Unfolded,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    last: bool,
    offset: u64,
}

impl Window {
    pub fn new(source: Unfolded) -> Result<Window, InputError> {
        let mut window = Window { source, buffer: vec![0; FIRST_SIZE], start: 0, end: 0, last: false, offset: 0 };
        window.more()?;
        Ok(window)
    }

    /// What is read and not consumed.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether the file ends where [`Window::bytes`] end.
    pub fn last(&self) -> bool {
        self.last
    }

    /// Where [`Window::bytes`] begin in the (decompressed) file.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes over `count` bytes.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more behind what is there. Always whole buffers: a record is scanned again only where a buffer ended.
    pub fn more(&mut self) -> Result<(), InputError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let room = &mut self.buffer[self.end..];
        let asked = room.len();
        let got = self.source.fill(room)?;
        self.end += got;
        self.last = got < asked;
        Ok(())
    }

    /// Bytes read of the file as it is stored.
    pub fn passed(&self) -> u64 {
        self.source.passed()
    }

    /// The file behind it.
    pub fn source(&mut self) -> &mut Unfolded {
        &mut self.source
    }
}
