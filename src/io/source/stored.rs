//! The bytes of a file: counted and hashed as they are stored, then unfolded where they are compressed.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt;

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::limits::{RATIO_FROM, RATIO_MAX, UNFOLDED_MAX, ZSTD_WINDOW_LOG_MAX};
use super::{Format, Input, InputError, Stamp};

/// Opens a regular file; a pipe or a device could block for ever, and cannot be read twice.
pub(super) fn open(input: &Input) -> Result<(File, Metadata), InputError> {
    let at = |error| InputError::io(&input.name, "open it", error);
    // Asked before it is opened: to open a pipe without a writer is to wait for one.
    if !std::fs::metadata(&input.path).map_err(at)?.is_file() {
        return Err(InputError::refused(
            &input.name,
            "not a regular file",
            "an input is read twice; give a file, or \"-\" for standard input",
        ));
    }
    let file = File::open(&input.path).map_err(at)?;
    let meta = file.metadata().map_err(at)?;
    Ok((file, meta))
}

/// The bytes of a file as stored, hashed while they pass.
pub(super) struct Stored {
    file: File,
    hash: Sha256,
    count: u64,
    /// As it was when the file was opened.
    meta: Metadata,
}

impl Stored {
    pub fn open(input: &Input) -> Result<Stored, InputError> {
        let (file, meta) = open(input)?;
        Ok(Stored { file, hash: Sha256::new(), count: 0, meta })
    }

    /// Reads what is left, and tells what was read. A file that grew or shrank meanwhile is refused.
    pub fn stamp(&mut self, name: &str, rows: u64) -> Result<Stamp, InputError> {
        let at = |error| InputError::io(name, "read it", error);
        io::copy(self, &mut io::sink()).map_err(at)?;
        let now = self.file.metadata().map_err(at)?;
        let before = &self.meta;
        if now.len() != self.count || modified_ns(&now) != modified_ns(before) {
            let found = format!("{} bytes when it was opened, {} now", before.len(), now.len());
            return Err(InputError::Changed { name: name.to_owned(), found });
        }
        let sha256 = format!("{:x}", self.hash.clone().finalize());
        Ok(Stamp { size: self.count, sha256, rows, modified_ns: modified_ns(&now) })
    }
}

/// When the file was last written, in nanoseconds since 1970.
pub(super) fn modified_ns(meta: &Metadata) -> i64 {
    meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec())
}

impl Read for Stored {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.count += count as u64;
        Ok(count)
    }
}

/// The bytes of a CSV file, decompressed.
pub(super) struct Unfolded {
    name: String,
    stream: Stream,
    count: u64,
}

enum Stream {
    Plain(Stored),
    Gzip(MultiGzDecoder<Stored>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<Stored>>),
}

impl Unfolded {
    pub fn open(input: &Input) -> Result<Unfolded, InputError> {
        let stored = Stored::open(input)?;
        let stream = match input.format {
            Format::CsvGz => Stream::Gzip(MultiGzDecoder::new(stored)),
            Format::CsvZst => {
                let zstd = || {
                    let mut decoder = zstd::stream::read::Decoder::new(stored)?;
                    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                    Ok(Stream::Zstd(decoder))
                };
                zstd().map_err(|error| InputError::io(&input.name, "begin to decompress it", error))?
            }
            Format::Csv | Format::Parquet => Stream::Plain(stored),
        };
        Ok(Unfolded { name: input.name.clone(), stream, count: 0 })
    }

    /// Fills `buffer` as far as the file goes; fewer bytes than asked for mean its end.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, InputError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.damaged(error)),
            }
            self.check_budget()?;
        }
        Ok(filled)
    }

    /// What was read, once the end was reached.
    pub fn stamp(&mut self, rows: u64) -> Result<Stamp, InputError> {
        let name = self.name.clone();
        self.stored_mut().stamp(&name, rows)
    }

    /// Bytes read of the file as it is stored.
    pub fn passed(&self) -> u64 {
        self.stored().count
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.stream {
            Stream::Plain(stored) => stored.read(buffer),
            Stream::Gzip(decoder) => decoder.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
        }?;
        self.count += count as u64;
        Ok(count)
    }

    fn check_budget(&self) -> Result<(), InputError> {
        let stored = self.stored().count.max(1);
        if matches!(self.stream, Stream::Plain(_)) || self.count <= RATIO_FROM {
            return Ok(());
        }
        if self.count > UNFOLDED_MAX || self.count / stored > RATIO_MAX {
            let found = format!("{stored} stored bytes unfolded to {} and more", self.count);
            return Err(InputError::refused(
                &self.name,
                found,
                "decompress it and look: an export does not fold like this",
            ));
        }
        Ok(())
    }

    fn damaged(&self, error: io::Error) -> InputError {
        let what = match self.stream {
            Stream::Plain(_) => return InputError::io(&self.name, "read it", error),
            Stream::Gzip(_) => "gzip",
            Stream::Zstd(_) => "zstd",
        };
        let fault = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "ends early: it is truncated, or something else stands behind it".to_owned()
            }
            _ => format!("is damaged: {error}"),
        };
        let found = format!("the {what} stream {fault} (after {} stored bytes)", self.stored().count);
        let remedy = if error.to_string().contains("too much memory") {
            "compress it again without --long and at level 20 at most"
        } else if self.count == 0 {
            "fetch or export it again; what is not compressed has a name without .gz or .zst"
        } else {
            "fetch or export it again"
        };
        InputError::refused(&self.name, found, remedy)
    }

    fn stored(&self) -> &Stored {
        match &self.stream {
            Stream::Plain(stored) => stored,
            Stream::Gzip(decoder) => decoder.get_ref(),
            Stream::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }

    fn stored_mut(&mut self) -> &mut Stored {
        match &mut self.stream {
            Stream::Plain(stored) => stored,
            Stream::Gzip(decoder) => decoder.get_mut(),
            Stream::Zstd(decoder) => decoder.get_mut().get_mut(),
        }
    }
}
