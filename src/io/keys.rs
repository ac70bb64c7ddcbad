//! Reads secrets from where the job says they are. Bytes of keys are wiped when they are dropped.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::job::settings::Secret;
use crate::wire::setting::Secrecy;

/// Whether others may see a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours alone: a private key, a token. Its file must not be readable by others.
    Private,
    /// A public key or a certificate.
    Public,
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The file cannot be read.
    #[error("the key {path} cannot be read: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Not a file, or an empty or huge one.
    #[error("{place} is no key: {text}")]
    NotAKey {
        /// The file or the variable.
        place: String,
        /// What was found.
        text: String,
    },
    /// Others may read what is secret.
    #[error("the secret file {path} can be read by others (mode {mode:04o}): run `chmod 600 {path}`", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is there already, or cannot be written.
    #[error("the key {path} cannot be written: {error}; a key that exists is never overwritten", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// No such variable.
    #[error("the environment has no variable {name}, which the job names as `env:{name}`")]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// `cred:` outside a systemd service.
    #[error("cred:{name} needs $CREDENTIALS_DIRECTORY: run under systemd with LoadCredential={name}:PATH")]
    NoCredentials {
        /// The credential.
        name: String,
    },
}

/// More than any PEM file of a few certificates.
const SIZE_MAX: u64 = 64 << 10;

/// The bytes of a secret.
pub fn load(secret: &Secret, kind: Kind) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let bytes = match secret {
        Secret::File(path) => read(path, kind)?,
        Secret::Env(name) => {
            let value = std::env::var_os(name).ok_or_else(|| KeyFault::NoVariable { name: name.clone() })?;
            Zeroizing::new(value.into_vec())
        }
        Secret::Cred(name) => {
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY");
            let folder = folder.ok_or_else(|| KeyFault::NoCredentials { name: name.clone() })?;
            // systemd guards the folder and shows group bits for its access list: the mode says nothing here.
            read(&Path::new(&folder).join(name), Kind::Public)?
        }
    };
    if bytes.trim_ascii().is_empty() {
        return Err(KeyFault::NotAKey { place: place(secret), text: "it is empty".to_owned() });
    }
    Ok(bytes)
}

/// Opens what a setting of a dialect names: the [`Vault`](crate::wire::setting::Vault) of real jobs.
pub fn vault(place: &str, secrecy: Secrecy) -> Result<Zeroizing<Vec<u8>>, String> {
    let secret = Secret::parse(place).ok_or("expected \"file:PATH\", \"env:NAME\" or \"cred:NAME\"")?;
    let kind = match secrecy {
        Secrecy::Private => Kind::Private,
        Secrecy::Public => Kind::Public,
    };
    load(&secret, kind).map_err(|fault| fault.to_string())
}

/// Writes a new key: a private one for its owner alone. Its folder is made where it is missing.
pub fn keep(path: &Path, bytes: &[u8], kind: Kind) -> Result<(), KeyFault> {
    let unwritable = |error| KeyFault::Unwritable { path: path.to_owned(), error };
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    }
    let mode = if kind == Kind::Private { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(unwritable)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unwritable)
}

/// Where a secret is, for messages: never its value.
pub fn place(secret: &Secret) -> String {
    match secret {
        Secret::File(path) => path.display().to_string(),
        Secret::Env(name) => format!("env:{name}"),
        Secret::Cred(name) => format!("cred:{name}"),
    }
}

fn read(path: &Path, kind: Kind) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let unreadable = |error| KeyFault::Unreadable { path: path.to_owned(), error };
    let not_a_key = |text: String| KeyFault::NotAKey { place: path.display().to_string(), text };
    // Looked at before it is opened: opening a pipe would wait for a writer.
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(not_a_key("it is not a file".to_owned()));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    let mode = found.permissions().mode() & 0o7777;
    if kind == Kind::Private && mode & 0o077 != 0 {
        return Err(KeyFault::Exposed { path: path.to_owned(), mode });
    }
    if found.len() > SIZE_MAX {
        return Err(not_a_key(format!("it has {} bytes", found.len())));
    }
    // At full size from the start: a vector that grows leaves unwiped copies behind.
    let mut bytes = Zeroizing::new(vec![0; found.len() as usize]);
    file.read_exact(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn key_with_mode(folder: &Path, mode: u32) -> Secret {
        let path = folder.join(format!("key-{mode:o}.pem"));
        fs::write(&path, "key bytes").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Secret::File(path)
    }

    #[test]
    fn a_private_key_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o400, 0o600, 0o700] {
            assert_eq!(load(&key_with_mode(folder.path(), mode), Kind::Private).unwrap().as_slice(), b"key bytes");
        }
        for mode in [0o640, 0o604, 0o644, 0o610] {
            let secret = key_with_mode(folder.path(), mode);
            let fault = load(&secret, Kind::Private).unwrap_err().to_string();
            let path = place(&secret);
            let expected =
                format!("the secret file {path} can be read by others (mode 0{mode:o}): run `chmod 600 {path}`");
            assert_eq!(fault, expected);
            assert!(load(&secret, Kind::Public).is_ok());
        }
    }

    #[test]
    fn a_key_that_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/merchant.pem");
        keep(&path, b"first", Kind::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let fault = keep(&path, b"second", Kind::Private).unwrap_err().to_string();
        assert!(fault.ends_with("a key that exists is never overwritten"), "{fault}");
        assert_eq!(load(&Secret::File(path), Kind::Private).unwrap().as_slice(), b"first");
    }

    #[test]
    fn what_is_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let fault = |path: PathBuf| load(&Secret::File(path), Kind::Public).unwrap_err().to_string();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("empty"), "\n").unwrap();
        fs::write(at("huge"), vec![b'x'; SIZE_MAX as usize + 1]).unwrap();
        assert!(fault(at("none")).contains("/none cannot be read: No such file"), "{}", fault(at("none")));
        assert!(fault(at("empty")).ends_with("/empty is no key: it is empty"));
        assert!(fault(at("huge")).ends_with("/huge is no key: it has 65537 bytes"));
        assert!(fault(folder.path().to_owned()).ends_with("is no key: it is not a file"));
    }

    #[test]
    fn a_variable_is_read_or_named() {
        // Cargo sets it for every test.
        let bytes = load(&Secret::Env("CARGO_PKG_NAME".to_owned()), Kind::Private).unwrap();
        assert_eq!(bytes.as_slice(), b"passync");
        let fault = load(&Secret::Env("PASSYNC_NOT_SET".to_owned()), Kind::Private).unwrap_err();
        assert!(fault.to_string().contains("no variable PASSYNC_NOT_SET"));
    }
}
