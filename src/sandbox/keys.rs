//! The keys of a gateway that nobody gave keys to: made once, kept in a folder, good for nothing but tests.
#![expect(clippy::disallowed_methods, reason = "keys are files")]

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::io::job::settings::Secret;
use crate::io::keys::{self, Kind};
use crate::wire::crypto::{KeyFault, Signer, Verifier};

/// The size that the vendor asks for.
const BITS: usize = 2048;

/// Both ends' keys.
pub struct Keys {
    /// What a caller signs with.
    pub client: Signer,
    /// What the gateway signs with.
    pub platform: Signer,
}

/// A key that cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysFault {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] keys::KeyFault),
    /// The file or folder cannot be written.
    #[error("the key {path} cannot be kept: {error}", path = path.display())]
    Keep {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file holds no usable key.
    #[error("the key {path}: {fault}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What was found.
        fault: KeyFault,
    },
    /// No key could be made.
    #[error("no key could be made: {0}")]
    Made(KeyFault),
}

impl Keys {
    /// New keys that are kept nowhere.
    pub fn throw_away() -> Result<Keys, KeysFault> {
        let generate = || Signer::generate(BITS).map_err(KeysFault::Made);
        Ok(Keys { client: generate()?, platform: generate()? })
    }

    /// The keys of a folder, made where they are missing, so that jobs which name them go on working after a restart:
    /// `client.pem` and `platform.pem` (private, for the owner alone) and `client.pub.pem`, `platform.pub.pem`.
    pub fn kept_in(dir: &Path) -> Result<Keys, KeysFault> {
        fs::create_dir_all(dir).map_err(|error| KeysFault::Keep { path: dir.to_owned(), error })?;
        Ok(Keys { client: kept(dir, "client")?, platform: kept(dir, "platform")? })
    }
}

/// Reads a caller's public key.
pub fn read_public(path: &Path) -> Result<Verifier, KeysFault> {
    let bytes = keys::load(&Secret::File(path.to_owned()), Kind::Public)?;
    Verifier::parse(&bytes).map_err(|fault| KeysFault::Key { path: path.to_owned(), fault })
}

/// Reads a gateway's private key.
pub fn read_private(path: &Path) -> Result<Signer, KeysFault> {
    let bytes = keys::load(&Secret::File(path.to_owned()), Kind::Private)?;
    Signer::parse(&bytes).map_err(|fault| KeysFault::Key { path: path.to_owned(), fault })
}

fn kept(dir: &Path, name: &str) -> Result<Signer, KeysFault> {
    let private = dir.join(format!("{name}.pem"));
    let public = dir.join(format!("{name}.pub.pem"));
    let signer = if private.exists() {
        read_private(&private)?
    } else {
        let signer = Signer::generate(BITS).map_err(KeysFault::Made)?;
        write(&private, 0o600, signer.private_pem().as_bytes())?;
        signer
    };
    if !public.exists() {
        write(&public, 0o644, signer.public_pem().as_bytes())?;
    }
    Ok(signer)
}

fn write(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), KeysFault> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|error| KeysFault::Keep { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn kept_keys_are_made_once_and_private_ones_are_the_owners() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        let made = Keys::kept_in(&dir).unwrap();
        let found = Keys::kept_in(&dir).unwrap();
        assert!(made.client.public().same_key(&found.client.public()));
        assert!(!made.client.public().same_key(&made.platform.public()));
        let public = read_public(&dir.join("platform.pub.pem")).unwrap();
        assert!(public.same_key(&found.platform.public()));
        let private = fs::metadata(dir.join("client.pem")).unwrap().permissions();
        assert_eq!(private.mode() & 0o777, 0o600);
        fs::write(dir.join("client.pem"), "no key").unwrap();
        let fault = Keys::kept_in(&dir).err().unwrap().to_string();
        assert!(fault.contains("client.pem: "), "{fault}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let fault = read_public(Path::new("nowhere/client.pub.pem")).err().unwrap().to_string();
        assert!(fault.starts_with("the key nowhere/client.pub.pem cannot be read: "), "{fault}");
    }
}
