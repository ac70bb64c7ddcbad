//! Why an input is refused as a whole. What is wrong with one row is a [`Reject`](crate::model::Reject), never this.

use std::io;
use std::path::{Component, Path, PathBuf};

/// An input that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Files that are not there (yet).
    #[error("{}", list(.0))]
    Missing(Vec<Missing>),
    /// A pattern that no file name can match.
    #[error(
        "input.files: the pattern {pattern:?} cannot be read: {text}; `*`, `?` and `[...]` stand for characters, write `[*]` for the character itself"
    )]
    Pattern {
        /// As the job file has it.
        pattern: String,
        /// What is wrong with it.
        text: String,
    },
    /// More files than a run can number.
    #[error("input.files: {0} files match, and a run takes at most {max}; narrow the pattern or the range of dates", max = super::limits::INPUTS_MAX)]
    TooMany(usize),
    /// The system would not let us read.
    #[error("{name}: cannot {doing}: {source}; see that the user of the job may read it and that the disk is well")]
    Io {
        /// The input.
        name: String,
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file as a whole is not what it should be: truncated, damaged, a bomb, no header ...
    #[error("{name}: {place}{found}; {remedy}")]
    Refused {
        /// The input.
        name: String,
        /// Where, as "row group 3, column `points`: "; may be empty.
        place: String,
        /// What was found, against what was expected.
        found: String,
        /// What to do.
        remedy: String,
    },
    /// The file is not the one that was read before.
    #[error(
        "{name}: the file changed while the job used it: {found}; let its writer finish (write beside it, then rename), then start again"
    )]
    Changed {
        /// The input.
        name: String,
        /// What differs.
        found: String,
    },
}

impl InputError {
    pub(crate) fn io(name: &str, doing: &'static str, source: io::Error) -> InputError {
        InputError::Io { name: name.to_owned(), doing, source }
    }

    pub(crate) fn refused(name: &str, found: impl Into<String>, remedy: impl Into<String>) -> InputError {
        InputError::Refused { name: name.to_owned(), place: String::new(), found: found.into(), remedy: remedy.into() }
    }

    pub(crate) fn refused_at(name: &str, place: &str, found: impl Into<String>, remedy: &str) -> InputError {
        InputError::Refused {
            name: name.to_owned(),
            place: format!("{place}: "),
            found: found.into(),
            remedy: remedy.to_owned(),
        }
    }
}

/// A pattern that matched nothing, with what there is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The pattern, its date filled in.
    pub pattern: String,
    /// The folder it looks into.
    pub folder: PathBuf,
    /// Whether that folder is there at all.
    pub folder_exists: bool,
    /// The newest files of the folder, newest first, at most three.
    pub newest: Vec<String>,
}

impl Missing {
    /// The folder's newest files, as the next best thing to show. What stands in `base` is no wildcard.
    pub(super) fn look(pattern: &str, base: &Path) -> Missing {
        let own = Path::new(pattern).strip_prefix(base).map_or(0, |_| base.components().count());
        let is_fixed =
            |(at, part): &(usize, Component<'_>)| *at < own || !has_wildcard(&part.as_os_str().to_string_lossy());
        let fixed: PathBuf =
            Path::new(pattern).components().enumerate().take_while(is_fixed).map(|(_, part)| part).collect();
        let is_whole = fixed == Path::new(pattern);
        let folder = if is_whole { fixed.parent().unwrap_or(Path::new("/")).to_owned() } else { fixed };
        Missing { pattern: pattern.to_owned(), folder_exists: folder.is_dir(), newest: newest_of(&folder), folder }
    }
}

/// The newest files of the folder in which a file is missing, newest first, at most three.
pub fn newest_beside(path: &Path) -> Vec<String> {
    newest_of(path.parent().unwrap_or(Path::new("/")))
}

fn newest_of(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.') && !entry.path().is_dir())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.file_name())))
        .collect();
    files.sort_by(|a, b| b.cmp(a));
    files.iter().take(3).map(|(_, name)| name.to_string_lossy().into_owned()).collect()
}

pub(super) fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn list(missing: &[Missing]) -> String {
    let lines: Vec<_> = missing
        .iter()
        .map(|missing| {
            let folder = missing.folder.display();
            let there = if !missing.folder_exists {
                format!("there is no folder {folder}")
            } else if missing.newest.is_empty() {
                format!("the folder {folder} is empty")
            } else {
                format!("the newest files of {folder} are {}", missing.newest.join(", "))
            };
            format!("no file matches {}; {there}", missing.pattern)
        })
        .collect();
    format!("{}; check input.files, --date and whether the export ran", lines.join("\n"))
}
