//! The file that `node_exporter`'s textfile collector reads: whole at every moment, since it is renamed into its place.

use std::io::Write as _;
use std::path::Path;

use super::Moment;
pub use super::text::Earlier;
use super::text::render;
use crate::io::atomic::{AtomicFile, OutputError};

/// More than any file of ours: one that is larger is somebody else's.
const SIZE_MAX: u64 = 1 << 20;

/// What the file says that is there.
pub fn earlier(path: &Path, job: &str, dialect: &str) -> Earlier {
    let is_ours = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= SIZE_MAX);
    let text = is_ours.then(|| std::fs::read_to_string(path).ok()).flatten();
    text.map(|text| Earlier::of(&text, job, dialect)).unwrap_or_default()
}

/// Writes it. The collector runs as another user: everybody may read it, and no personal id is in it.
pub fn write(path: &Path, now: &Moment) -> Result<(), OutputError> {
    let mut file = AtomicFile::create(path)?;
    file.readable_by_all()?;
    file.write_all(render(now).as_bytes()).map_err(|error| OutputError::new("write", path, error))?;
    file.commit()
}
