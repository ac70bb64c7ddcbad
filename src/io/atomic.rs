//! Files that are either whole or absent: written beside their place, synced, renamed, and the folder synced.
//!
//! A reader never meets half a file, and after a power loss the name leads to the old bytes or to the new ones.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::{fault, folder, remedy};

/// An output that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}; {}", .path.display(), remedy(.source))]
pub struct OutputError {
    /// What was tried, as "write" or "rename".
    pub doing: &'static str,
    /// The file, or its folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl OutputError {
    /// An error about `path`.
    pub fn new(doing: &'static str, path: &Path, source: io::Error) -> OutputError {
        OutputError { doing, path: path.to_owned(), source }
    }
}

/// What files begin with that have no name of their own yet.
const PREFIX: &str = ".passync-";

/// Files younger than this may not be locked yet.
const LEFT_OVER_AGE: Duration = Duration::from_secs(2);

/// Whether a file was being written when its process was killed, if nobody writes it now.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Removes from a folder what processes were writing when they were killed: it may have personal ids. What cannot be looked
/// at stays.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_unfinished) {
            continue;
        }
        let is_old = |file: &File| {
            let modified = file.metadata().and_then(|meta| meta.modified());
            modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age >= LEFT_OVER_AGE))
        };
        if File::open(entry.path()).is_ok_and(|file| is_old(&file) && file.try_lock().is_ok()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A file being written. It has its name only after [`AtomicFile::commit`]; dropped before, it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    subject: &'static str,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins a file (mode 0600) that will stand at `path`. The temporary file lies in the same folder, since
    /// a rename across file systems would be a copy.
    pub fn create(path: &Path) -> Result<AtomicFile, OutputError> {
        let subject = fault::subject(path);
        let begin = || {
            let folder = folder::of(path);
            let file = tempfile::Builder::new().prefix(PREFIX).suffix(".tmp").tempfile_in(folder)?;
            let _ = file.as_file().try_lock(); // says that it is in use; where there are no locks, what is left over stays
            sweep(folder);
            Ok(file)
        };
        let file = fault::around(subject, "begin", begin).map_err(|error| OutputError::new("begin", path, error))?;
        Ok(AtomicFile { path: path.to_owned(), subject, file: BufWriter::with_capacity(64 * 1024, file) })
    }

    /// Lets everybody read it.
    pub fn readable_by_all(&mut self) -> Result<(), OutputError> {
        let permissions = std::fs::Permissions::from_mode(0o644);
        let set = self.file.get_ref().as_file().set_permissions(permissions);
        set.map_err(|error| OutputError::new("set the mode of", &self.path, error))
    }

    /// Where the file will stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the bytes durable, gives the file its name, and makes the name durable.
    pub fn commit(self) -> Result<(), OutputError> {
        let (path, subject) = (self.path, self.subject);
        let at = &path;
        let fault = |doing| move |error| OutputError::new(doing, at, error);
        let write = || self.file.into_inner().map_err(io::IntoInnerError::into_error);
        let temporary = fault::around(subject, "write", write).map_err(fault("write"))?;
        fault::around(subject, "sync", || temporary.as_file().sync_all()).map_err(fault("sync"))?;
        let rename = || temporary.persist(&path).map_err(|error| error.error);
        fault::around(subject, "rename", rename).map_err(fault("rename"))?;
        let sync_folder = || folder::sync(folder::of(&path));
        fault::around(subject, "sync-folder", sync_folder).map_err(fault("sync the folder of"))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault::around(self.subject, "write", || self.file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("outcomes.csv");
        let mut dropped = AtomicFile::create(&path).unwrap();
        dropped.write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let mut kept = AtomicFile::create(&path).unwrap();
        kept.write_all(b"whole").unwrap();
        assert!(!path.exists());
        kept.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        let mut public = AtomicFile::create(&path).unwrap();
        public.readable_by_all().unwrap();
        public.commit().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn an_error_names_the_file_and_the_remedy() {
        let error = AtomicFile::create(Path::new("/nowhere/at/all/x.csv")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/at/all/x.csv") && error.contains("make the folder"), "{error}");
    }

    #[test]
    fn what_a_killed_process_was_writing_goes_and_what_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - 2 * LEFT_OVER_AGE;
        let left = |name: &str, modified: std::time::SystemTime| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(modified).unwrap();
            file
        };
        drop(left(".passync-killed.tmp", old));
        let under_way = left(".passync-under-way.tmp", old);
        under_way.lock().unwrap();
        drop(left(".passync-young.tmp", std::time::SystemTime::now()));
        drop(left("another", old));
        AtomicFile::create(&dir.path().join("new")).unwrap().commit().unwrap();
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, [".passync-under-way.tmp", ".passync-young.tmp", "another", "new"]);
    }
}
