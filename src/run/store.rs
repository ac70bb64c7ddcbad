//! What a survey leaves on disk: the rows as they were read, what was decided of each, and the plan.
//!
//! The four files lie in the state directory, readable by their owner alone: they hold full ids.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::brief::{Brief, Seen};
use super::stored::{Fate, StoredRow};
use crate::io::StorageError;
use crate::io::frames::{FrameFile, FrameReader, FrameWriter, Seal, SealedWriter};
use crate::io::{fault, folder};

/// The folder of one run in the state directory.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder of run `id` beside the ledger.
    pub fn new(ledger: &Path, id: &str) -> RunFolder {
        RunFolder(state_dir(ledger).join("runs").join(id))
    }

    /// The folders of all runs beside the ledger; surveys under way are none.
    pub fn all(ledger: &Path) -> Result<Vec<RunFolder>, StorageError> {
        let runs = state_dir(ledger).join("runs");
        let fault = |error| StorageError::new("look into", &runs, error);
        let paths = std::fs::read_dir(&runs).map_err(fault)?.map(|entry| Ok(entry.map_err(fault)?.path()));
        let is_run = |path: &PathBuf| !name_of(path).starts_with('.');
        paths.filter(|path| path.as_ref().map_or(true, is_run)).map(|path| path.map(RunFolder)).collect()
    }

    /// The name of the run.
    pub fn name(&self) -> String {
        name_of(&self.0)
    }

    /// A folder that stands elsewhere.
    pub fn at(path: &Path) -> RunFolder {
        RunFolder(path.to_owned())
    }

    /// Whether the survey's files are there, and are those that were sealed.
    pub fn is_whole(&self, seals: &Seals) -> Result<bool, StorageError> {
        for path in [self.rows(), self.index(), self.fates(), self.plan()] {
            let sealed = seals.get(name_of(&path).as_str());
            if sealed.is_none() || Seal::of(&path)?.as_ref() != sealed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the folder of a survey without a run begins with; the next survey removes those that nobody uses.
    pub const ORPHAN_PREFIX: &str = ".survey-";

    /// Removes the folder. It loses its name first: half of a survey must not pass for a damaged one.
    pub fn remove(&self) -> Result<(), StorageError> {
        if !self.0.exists() {
            return Ok(());
        }
        let orphan = self.0.with_file_name(format!("{}{}", Self::ORPHAN_PREFIX, self.name()));
        let set_aside = || match std::fs::remove_dir_all(&orphan) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => std::fs::rename(&self.0, &orphan), // an earlier removal may have been cut off
        };
        fault::around("survey", "set-aside", set_aside)
            .and_then(|()| fault::around("survey", "remove", || std::fs::remove_dir_all(&orphan)))
            .map_err(|error| StorageError::new("remove", &self.0, error))
    }

    /// Removes the folders of all runs beside the ledger.
    pub fn remove_all(ledger: &Path) -> Result<(), StorageError> {
        if !state_dir(ledger).join("runs").exists() {
            return Ok(());
        }
        RunFolder::all(ledger)?.iter().try_for_each(RunFolder::remove)
    }

    /// Gives the folder its place, and makes that durable.
    pub fn place(&self, at: &RunFolder) -> Result<(), StorageError> {
        fault::around("survey", "rename", || std::fs::rename(&self.0, &at.0))
            .map_err(|error| StorageError::new("rename", &self.0, error))?;
        at.sync()
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder's entries durable.
    pub fn sync(&self) -> Result<(), StorageError> {
        for path in [self.0.as_path(), folder::of(&self.0)] {
            fault::around("survey", "sync-folder", || folder::sync(path))
                .map_err(|error| StorageError::new("sync", path, error))?;
        }
        Ok(())
    }

    /// [`StoredRow`]s in input order, each behind its [`Brief`].
    pub fn rows(&self) -> PathBuf {
        self.0.join("rows")
    }

    /// Where each row begins.
    pub fn index(&self) -> PathBuf {
        self.0.join("rows.index")
    }

    /// A [`Fate`] per row, in input order.
    pub fn fates(&self) -> PathBuf {
        self.0.join("fates")
    }

    /// [`PlanRecord`](super::stored::PlanRecord)s in the order in which they are sent.
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan")
    }
}

/// The seals of a folder's files, by name.
pub type Seals = BTreeMap<String, Seal>;

/// A file's name in [`Seals`].
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The folder where ledger, lock, plan and spool live.
pub fn state_dir(ledger: &Path) -> &Path {
    folder::of(ledger)
}

/// A row as the survey's file has it.
type RowRecord = (Brief, StoredRow);

/// Writes the rows and where each begins.
pub struct RowsWriter {
    rows: FrameWriter<RowRecord>,
    rows_path: PathBuf,
    index: SealedWriter,
    index_path: PathBuf,
    /// What bills are keyed by.
    scope: String,
}

impl RowsWriter {
    /// Makes both files anew. `scope`: what bills are keyed by.
    pub fn create(folder: &RunFolder, scope: String) -> Result<RowsWriter, StorageError> {
        let (rows_path, index_path) = (folder.rows(), folder.index());
        let (rows, index) = (FrameWriter::create(&rows_path)?, SealedWriter::create(&index_path, "index")?);
        Ok(RowsWriter { rows, rows_path, index, index_path, scope })
    }

    /// Adds a row.
    pub fn push(&mut self, row: &StoredRow, seen: &Seen) -> Result<(), StorageError> {
        let offset = self.rows.push_as(&(Brief::of(row, seen, &self.scope), row))?;
        self.index.push(|index| index.extend_from_slice(&offset.to_le_bytes()))?;
        Ok(())
    }

    /// Makes both files durable.
    pub fn finish(self) -> Result<Seals, StorageError> {
        let rows = (name_of(&self.rows_path), self.rows.finish()?);
        Ok([rows, (name_of(&self.index_path), self.index.finish()?)].into())
    }
}

/// Reads rows by their index.
pub struct Rows {
    records: FrameFile<RowRecord>,
    index: File,
    index_path: PathBuf,
}

impl Rows {
    /// Opens the rows of a run.
    pub fn open(folder: &RunFolder) -> Result<Rows, StorageError> {
        let index_path = folder.index();
        let index = File::open(&index_path).map_err(|error| StorageError::new("open", &index_path, error))?;
        Ok(Rows { records: FrameFile::open(&folder.rows())?, index, index_path })
    }

    /// The row with index `id`.
    pub fn get(&self, id: u64) -> Result<StoredRow, StorageError> {
        let mut offset = [0; 8];
        self.index
            .read_exact_at(&mut offset, id * 8)
            .map_err(|error| StorageError::new("read", &self.index_path, error))?;
        Ok(self.records.read(u64::from_le_bytes(offset))?.1)
    }
}

/// Reads the rows of a run in brief, in input order, and those in full that are asked for.
pub struct Briefs(FrameReader<RowRecord>);

impl Briefs {
    /// Opens the rows of a run.
    pub fn open(folder: &RunFolder) -> Result<Briefs, StorageError> {
        FrameReader::open(&folder.rows()).map(Briefs)
    }

    /// The next row in brief.
    pub fn next(&mut self) -> Result<Option<Brief>, StorageError> {
        self.0.next_as()
    }

    /// The row that [`Briefs::next`] told of last.
    pub fn row(&self) -> Result<StoredRow, StorageError> {
        let (_, row): RowRecord = self.0.current()?;
        Ok(row)
    }
}

/// The fates of a run's rows, in input order.
pub fn fates(folder: &RunFolder) -> Result<FrameReader<Fate>, StorageError> {
    FrameReader::open(&folder.fates())
}

/// The rows of a run with their fates, in input order.
pub fn rows_and_fates(
    folder: &RunFolder,
) -> Result<impl Iterator<Item = Result<(u64, StoredRow, Fate), StorageError>>, StorageError> {
    let rows = FrameReader::<RowRecord>::open(&folder.rows())?;
    Ok(rows.zip(fates(folder)?).zip(0..).map(|((row, fate), id)| Ok((id, row?.1, fate?))))
}
