//! Files of records: each a length and its postcard bytes. The survey's rows, fates and plan are such files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{StorageError, fault};

/// A record of the survey is a row (at most 1 MiB of input, each byte at most twice) or smaller.
const RECORD_MAX: usize = 8 << 20;

/// What a finished file is known by: enough to tell whether the disk still has what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// Bytes.
    pub length: u64,
    /// CRC-32 of them.
    pub crc: u32,
}

impl Seal {
    /// The seal of the file as it is now; `None` where there is none.
    pub fn of(path: &Path) -> Result<Option<Seal>, StorageError> {
        let fault = |error| StorageError::new("read", path, error);
        let mut file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(fault)?,
        };
        let (mut seal, mut buffer) = (Sealer::default(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer).map_err(fault)? {
                0 => return Ok(Some(seal.finish())),
                read => seal.take(&buffer[..read]),
            }
        }
    }
}

/// Computes a [`Seal`] of bytes on their way.
#[derive(Default)]
pub struct Sealer {
    length: u64,
    crc: Hasher,
}

impl Sealer {
    /// The next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc.update(bytes);
    }

    /// The seal of all of them.
    pub fn finish(&self) -> Seal {
        Seal { length: self.length, crc: self.crc.clone().finalize() }
    }
}

/// Bytes that are gathered before they are written, or asked for at once.
const BUFFER: usize = 1 << 16;

/// Writes a file and seals it. Bytes are gathered, and sealed many at once: one by one their CRC costs five times as much.
pub struct SealedWriter {
    file: File,
    path: PathBuf,
    subject: &'static str,
    seal: Sealer,
    gathered: Vec<u8>,
}

impl SealedWriter {
    /// Makes the file anew, readable by its owner alone. `subject`: what [`fault::STEPS`] calls it.
    pub fn create(path: &Path, subject: &'static str) -> Result<Self, StorageError> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StorageError::new("create", path, error))?;
        Ok(Self::over(file, path, subject))
    }

    fn over(file: File, path: &Path, subject: &'static str) -> Self {
        SealedWriter { file, path: path.to_owned(), subject, seal: Sealer::default(), gathered: Vec::new() }
    }

    /// Lets `put` append bytes; returns where they begin.
    pub fn push(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<u64, StorageError> {
        let at = self.seal.length + self.gathered.len() as u64;
        let write = || {
            put(&mut self.gathered);
            if self.gathered.len() < BUFFER {
                return Ok(());
            }
            self.seal.take(&self.gathered);
            self.file.write_all(&self.gathered)?;
            self.gathered.clear();
            Ok(())
        };
        fault::around(self.subject, "write", write).map_err(|error| StorageError::new("write", &self.path, error))?;
        Ok(at)
    }

    /// Makes everything durable.
    pub fn finish(self) -> Result<Seal, StorageError> {
        let (path, subject) = (self.path.clone(), self.subject);
        let (file, seal) = self.into_file()?;
        fault::around(subject, "sync", || file.sync_all()).map_err(|error| StorageError::new("sync", &path, error))?;
        Ok(seal)
    }

    /// Hands the file back, written but not synced.
    pub fn into_file(mut self) -> Result<(File, Seal), StorageError> {
        self.seal.take(&self.gathered);
        self.file.write_all(&self.gathered).map_err(|error| StorageError::new("write", &self.path, error))?;
        Ok((self.file, self.seal.finish()))
    }
}

/// Writes records one after the other.
pub struct FrameWriter<T> {
    file: SealedWriter,
    record: PhantomData<T>,
}

impl<T: Serialize> FrameWriter<T> {
    /// Makes the file anew, readable by its owner alone.
    pub fn create(path: &Path) -> Result<Self, StorageError> {
        Ok(FrameWriter { file: SealedWriter::create(path, fault::subject(path))?, record: PhantomData })
    }

    /// Writes into an open (temporary) file; `path` is only for messages.
    pub fn over(file: File, path: &Path) -> Self {
        FrameWriter { file: SealedWriter::over(file, path, fault::subject(path)), record: PhantomData }
    }

    /// Adds a record; returns where it begins.
    pub fn push(&mut self, record: &T) -> Result<u64, StorageError> {
        self.push_as(record)
    }

    /// The same of a record in another form, which has the bytes that `T` has: its parts, borrowed.
    pub fn push_as(&mut self, record: &impl Serialize) -> Result<u64, StorageError> {
        self.file.push(|gathered| {
            let start = gathered.len();
            gathered.extend_from_slice(&[0; LENGTH]);
            *gathered = postcard::to_extend(record, std::mem::take(gathered)).expect("records are plain data");
            let length = u32::try_from(gathered.len() - start - LENGTH).expect("a record is small");
            gathered[start..][..LENGTH].copy_from_slice(&length.to_le_bytes());
        })
    }

    /// Makes everything durable.
    pub fn finish(self) -> Result<Seal, StorageError> {
        self.file.finish()
    }

    /// Hands the file back, written but not synced.
    pub fn into_file(self) -> Result<File, StorageError> {
        Ok(self.file.into_file()?.0)
    }
}

/// Bytes of a record's length.
const LENGTH: usize = size_of::<u32>();

/// Reads records one after the other.
pub struct FrameReader<T> {
    file: BufReader<File>,
    path: PathBuf,
    /// A record that does not lie in the buffer as a whole.
    bytes: Vec<u8>,
    /// Of the buffer: the record that was handed out last.
    passed: usize,
    record: PhantomData<T>,
}

impl<T: DeserializeOwned> FrameReader<T> {
    /// Opens a file of records.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(|error| StorageError::new("open", path, error))?;
        Ok(Self::over(file, path))
    }

    /// Reads an open file from where it stands; `path` is only for messages.
    pub fn over(file: File, path: &Path) -> Self {
        Self::through(BUFFER, file, path)
    }

    /// The same through a buffer of so many bytes: of many files read side by side.
    pub fn through(buffer: usize, file: File, path: &Path) -> Self {
        FrameReader {
            file: BufReader::with_capacity(buffer, file),
            path: path.to_owned(),
            bytes: Vec::new(),
            passed: 0,
            record: PhantomData,
        }
    }

    /// The next record, or the beginning of it: `U` is the first of what `T` consists of.
    pub fn next_as<U: DeserializeOwned>(&mut self) -> Result<Option<U>, StorageError> {
        if !self.advance()? {
            return Ok(None);
        }
        self.current().map(Some)
    }

    /// The record that [`FrameReader::next_as`] read last, as a whole.
    pub fn current<U: DeserializeOwned>(&self) -> Result<U, StorageError> {
        let bytes = match self.passed {
            0 => &self.bytes,
            passed => &self.file.buffer()[LENGTH..passed],
        };
        decode(bytes, &self.path)
    }

    /// Goes on to the next record: where it lies in the buffer it is not copied.
    fn advance(&mut self) -> Result<bool, StorageError> {
        let fault = |error| StorageError::new("read", &self.path, error);
        self.file.consume(std::mem::take(&mut self.passed));
        let buffer = self.file.fill_buf().map_err(fault)?;
        if buffer.is_empty() {
            return Ok(false);
        }
        if let Some((length, rest)) = buffer.split_first_chunk() {
            let length = checked_length(*length, &self.path)?;
            if length <= rest.len() {
                self.passed = LENGTH + length;
                return Ok(true);
            }
        }
        let mut length = [0; LENGTH];
        self.file.read_exact(&mut length).map_err(fault)?;
        self.bytes.resize(checked_length(length, &self.path)?, 0);
        self.file.read_exact(&mut self.bytes).map_err(fault)?;
        Ok(true)
    }
}

impl<T: DeserializeOwned> Iterator for FrameReader<T> {
    type Item = Result<T, StorageError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_as().transpose()
    }
}

/// Reads records by where they begin.
pub struct FrameFile<T> {
    file: File,
    path: PathBuf,
    record: PhantomData<T>,
}

impl<T: DeserializeOwned> FrameFile<T> {
    /// Opens a file of records.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let file = File::open(path).map_err(|error| StorageError::new("open", path, error))?;
        Ok(FrameFile { file, path: path.to_owned(), record: PhantomData })
    }

    /// The record that begins at `offset`.
    pub fn read(&self, offset: u64) -> Result<T, StorageError> {
        /// Most rows are smaller: one read has length and bytes.
        const GUESS: usize = 1 << 10;
        let fault = |error| StorageError::new("read", &self.path, error);
        let mut guess = [0; GUESS];
        let read = self.file.read_at(&mut guess, offset).map_err(fault)?;
        let (length, rest) = guess[..read].split_first_chunk().ok_or_else(|| damaged(&self.path))?;
        let length = checked_length(*length, &self.path)?;
        if let Some(bytes) = rest.get(..length) {
            return decode(bytes, &self.path);
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset + 4).map_err(fault)?;
        decode(&bytes, &self.path)
    }
}

fn checked_length(length: [u8; LENGTH], path: &Path) -> Result<usize, StorageError> {
    let length = u32::from_le_bytes(length) as usize;
    if length > RECORD_MAX {
        return Err(damaged(path));
    }
    Ok(length)
}

fn decode<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, StorageError> {
    postcard::from_bytes(bytes).map_err(|_| damaged(path))
}

fn damaged(path: &Path) -> StorageError {
    StorageError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, "the file is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_tells_any_change_and_a_cut_is_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan");
        let mut writer = FrameWriter::create(&path).unwrap();
        let second = (writer.push(&"one").unwrap(), writer.push(&"two").unwrap()).1;
        let seal = writer.finish().unwrap();
        assert_eq!(Seal::of(&path).unwrap(), Some(seal));
        assert_eq!(FrameFile::<String>::open(&path).unwrap().read(second).unwrap(), "two");

        let whole = std::fs::read(&path).unwrap();
        let read = || FrameReader::<String>::open(&path).unwrap().collect::<Result<Vec<_>, _>>();
        assert_eq!(read().unwrap(), ["one", "two"]);
        for cut in (1..whole.len()).filter(|cut| *cut as u64 != second) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_ne!(Seal::of(&path).unwrap(), Some(seal));
            assert!(read().is_err(), "cut at {cut}");
        }
        let mut flipped = whole.clone();
        flipped[5] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert_ne!(Seal::of(&path).unwrap(), Some(seal));
        assert_eq!(Seal::of(&folder.path().join("none")).unwrap(), None);
    }
}
