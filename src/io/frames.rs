//! Files of records: each a length and its postcard bytes. The survey's rows, fates and plan are such files.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StorageError;

/// A record of the survey is a row (at most 1 MiB of input, each byte at most twice) or smaller.
const RECORD_MAX: usize = 8 << 20;

/// Writes records one after the other.
pub struct FrameWriter<T> {
    file: BufWriter<File>,
    path: PathBuf,
    offset: u64,
    bytes: Vec<u8>,
    record: PhantomData<T>,
}

impl<T: Serialize> FrameWriter<T> {
    /// Makes the file anew, readable by its owner alone.
    pub fn create(path: &Path) -> Result<Self, StorageError> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StorageError::new("create", path, error))?;
        Ok(Self::over(file, path))
    }

    /// Writes into an open (temporary) file; `path` is only for messages.
    pub fn over(file: File, path: &Path) -> Self {
        FrameWriter {
            file: BufWriter::with_capacity(1 << 16, file),
            path: path.to_owned(),
            offset: 0,
            bytes: Vec::new(),
            record: PhantomData,
        }
    }

    /// Adds a record; returns where it begins.
    pub fn push(&mut self, record: &T) -> Result<u64, StorageError> {
        self.bytes.clear();
        self.bytes = postcard::to_extend(record, std::mem::take(&mut self.bytes)).expect("records are plain data");
        let at = self.offset;
        let length = u32::try_from(self.bytes.len()).expect("a record is small");
        self.file
            .write_all(&length.to_le_bytes())
            .and_then(|()| self.file.write_all(&self.bytes))
            .map_err(|error| StorageError::new("write", &self.path, error))?;
        self.offset += 4 + u64::from(length);
        Ok(at)
    }

    /// Makes everything durable; returns the file's length in bytes.
    pub fn finish(self) -> Result<u64, StorageError> {
        let (length, path) = (self.offset, self.path.clone());
        self.into_file()?.sync_all().map_err(|error| StorageError::new("sync", &path, error))?;
        Ok(length)
    }

    /// Hands the file back, written but not synced.
    pub fn into_file(self) -> Result<File, StorageError> {
        let path = self.path;
        self.file.into_inner().map_err(|error| StorageError::new("write", &path, error.into_error()))
    }
}

/// Reads records one after the other.
pub struct FrameReader<T> {
    file: BufReader<File>,
    path: PathBuf,
    bytes: Vec<u8>,
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
        FrameReader {
            file: BufReader::with_capacity(1 << 16, file),
            path: path.to_owned(),
            bytes: Vec::new(),
            record: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Iterator for FrameReader<T> {
    type Item = Result<T, StorageError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl<T: DeserializeOwned> FrameReader<T> {
    fn read(&mut self) -> Result<Option<T>, StorageError> {
        let mut length = [0; 4];
        match self.file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(StorageError::new("read", &self.path, error)),
        }
        self.bytes.resize(checked_length(length, &self.path)?, 0);
        self.file.read_exact(&mut self.bytes).map_err(|error| StorageError::new("read", &self.path, error))?;
        decode(&self.bytes, &self.path).map(Some)
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
        let fault = |error| StorageError::new("read", &self.path, error);
        let mut length = [0; 4];
        self.file.read_exact_at(&mut length, offset).map_err(fault)?;
        let mut bytes = vec![0; checked_length(length, &self.path)?];
        self.file.read_exact_at(&mut bytes, offset + 4).map_err(fault)?;
        decode(&bytes, &self.path)
    }
}

fn checked_length(length: [u8; 4], path: &Path) -> Result<usize, StorageError> {
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
