//! Folders: made for their owner alone, and durable with their names.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Makes a folder (mode 0700) and those above it where they are missing. Its name is durable afterwards: a power loss
/// must not take away the folder under files that were synced.
pub fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = missing(path).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    missing.into_iter().try_for_each(|folder| sync(of(folder)))
}

/// A folder and those above it, innermost first, as far as they are missing.
fn missing(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
}

/// Folders that were made for what comes and goes. Those that are empty when this is dropped go, too.
#[derive(Debug, Default)]
pub struct Passing(Vec<PathBuf>);

/// Makes a folder as [`make`] does, for as long as something lies in it.
pub fn make_passing(path: &Path) -> io::Result<Passing> {
    let made = missing(path).map(Path::to_owned).collect();
    make(path)?;
    Ok(Passing(made))
}

impl Drop for Passing {
    fn drop(&mut self) {
        // Innermost first; one that is in use stays, and with it those above.
        let _ = self.0.iter().try_for_each(std::fs::remove_dir);
    }
}

/// Makes a folder, and proves that this process may make files in it.
pub fn prove(path: &Path) -> io::Result<()> {
    make(path)?;
    tempfile::tempfile_in(path).map(drop)
}

/// Makes the names in a folder durable.
pub fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder in which a file lies.
pub fn of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file under its own name, where `path` is a link to it; `path` itself otherwise.
pub fn behind_link(path: PathBuf) -> PathBuf {
    if path.is_symlink() { std::fs::canonicalize(&path).unwrap_or(path) } else { path }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn passing_folders_go_unless_something_was_left_in_them() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("there")).unwrap();
        let deep = base.path().join("there/state/runs");
        drop(make_passing(&deep).unwrap());
        assert!(base.path().join("there").is_dir() && !base.path().join("there/state").exists());
        let passing = make_passing(&deep).unwrap();
        std::fs::write(base.path().join("there/state/lock"), "").unwrap();
        drop(passing);
        assert!(!deep.exists() && base.path().join("there/state/lock").exists());
    }

    #[test]
    fn folders_are_for_their_owner_alone() {
        let base = tempfile::tempdir().unwrap();
        let deep = base.path().join("a/b/c");
        for _ in 0..2 {
            make(&deep).unwrap();
        }
        assert_eq!(std::fs::metadata(base.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(of(Path::new("ledger.db")), Path::new("."));
        assert_eq!(make(Path::new("/dev/null/x")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
        prove(&deep).unwrap();
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0, "the proof leaves nothing");
        assert!(prove(Path::new("/proc/self")).is_err(), "it is there, and takes no files");
    }
}
