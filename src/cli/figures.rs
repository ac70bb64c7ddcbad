//! Numbers, paths and words as people at a terminal read them.

use std::path::Path;

pub use crate::run::called::quoted;
pub use crate::run::numbers::{count, grouped, rate, size, span};

/// A path as a person at this prompt would write it: relative to the working directory where it lies below.
pub fn path(path: &Path) -> String {
    let there = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let here = std::env::current_dir().and_then(std::fs::canonicalize).ok();
    let below = here.and_then(|here| there.strip_prefix(here).map(Path::to_owned).ok());
    let shown = below.filter(|below| !below.as_os_str().is_empty()).unwrap_or(there);
    shown.display().to_string()
}
