//! What lies in some folders: read from the disk, or put there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What lies in a folder, by its path in there; a folder comes before what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Image(pub BTreeMap<PathBuf, Thing>);

#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Thing {
    File(Vec<u8>),
    Folder,
    Link(String),
}

impl std::fmt::Debug for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Thing::File(bytes) => write!(f, "{} bytes", bytes.len()),
            Thing::Folder => write!(f, "folder"),
            Thing::Link(target) => write!(f, "-> {target}"),
        }
    }
}

impl Image {
    /// The bytes of a file.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        match self.0.get(path.as_ref()) {
            Some(Thing::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// What lies in these folders of `base`.
    pub fn read(base: &Path, folders: &[&str]) -> Image {
        let mut image = Image::default();
        let mut paths: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        while let Some(path) = paths.pop() {
            let full = base.join(&path);
            let Ok(facts) = fs::symlink_metadata(&full) else { continue };
            let thing = if facts.is_symlink() {
                Thing::Link(fs::read_link(&full).unwrap().to_str().unwrap().to_owned())
            } else if facts.is_dir() {
                paths.extend(fs::read_dir(&full).unwrap().map(|entry| path.join(entry.unwrap().file_name())));
                Thing::Folder
            } else {
                Thing::File(fs::read(&full).unwrap())
            };
            image.0.insert(path, thing);
        }
        image
    }

    /// Puts these folders of `base` into this state.
    pub fn place(&self, base: &Path, folders: &[&str]) {
        for folder in folders {
            let _ = fs::remove_dir_all(base.join(folder)); // it may not be there
        }
        for (path, thing) in &self.0 {
            let path = base.join(path);
            match thing {
                Thing::Folder => fs::create_dir(path).unwrap(),
                Thing::File(bytes) => fs::write(path, bytes).unwrap(),
                Thing::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            }
        }
    }
}
