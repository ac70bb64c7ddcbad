//! Hostile inputs and the real binary: what it may cost, what it must bring through, what it must not believe.

mod ids;
mod memory;
mod naughty;
mod nested;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a job over `in.*` for the sandbox; `settings` are further lines of the job file.
pub struct Bench(tempfile::TempDir);

impl Bench {
    pub fn new(input: &str, settings: &str) -> Bench {
        let bench = Bench(tempfile::tempdir().unwrap());
        let job = format!(
            "name = 'hostile'\ndialect = 'alipayhk-card'\ninput.files = ['{input}']\ngateway.url = 'sandbox'\n\
             gateway.merchant_id = '1'\ngateway.client_id = '2'\n{settings}\n"
        );
        std::fs::write(bench.path("job.toml"), job).unwrap();
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_passync"));
        command.current_dir(self.0.path()).args(words).env_clear();
        command
    }

    /// The exit of a command, and all that it said.
    pub fn said(&self, words: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        let text = String::from_utf8_lossy(&stderr).into_owned() + &String::from_utf8_lossy(&stdout);
        (status.code().unwrap_or(-1), text)
    }
}

/// A file of the suites that lie beside the repository; `None`, with a notice, where they are absent.
pub fn suite(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/suites").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: no suite at {}", path.display());
    None
}
