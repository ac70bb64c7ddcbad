//! How a job was called, and other commands on it as a person would type them.

use std::path::absolute;

use serde::{Deserialize, Serialize};

/// How a job was called, as far as another command on it has to say the same again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// This program.
    pub program: String,
    /// The job file.
    pub job: String,
    /// `--state`.
    pub state: Option<String>,
    /// `--set`, without addresses that may hold a token.
    pub set: Vec<String>,
    /// `--out`.
    pub out: Option<String>,
    /// The ledger goes with the embedded sandbox.
    pub forgets: bool,
    /// The embedded sandbox throws the same dice for the same bill: without its faults a replay can heal.
    pub misbehaves: bool,
}

impl Called {
    /// The same from any folder.
    pub fn from_anywhere(self) -> Called {
        let full = |path: String| absolute(&path).map_or(path, |path| path.display().to_string());
        // A program that is found by its name stays a name.
        let program = if self.program.contains('/') { full(self.program) } else { self.program };
        Called { program, job: full(self.job), state: self.state.map(full), out: self.out.map(full), ..self }
    }

    /// A command on the same job with the same ledger and settings.
    pub fn command(&self, verb: &str, words: &[String]) -> String {
        let state = self.state.iter().flat_map(|state| ["--state", state]);
        let set = self.set.iter().flat_map(|set| ["--set", set]);
        let words = [verb, &self.job].into_iter().chain(words.iter().map(String::as_str)).chain(state).chain(set);
        command_line(&self.program, words)
    }

    /// The replay of the run directory `dir`, as it is to be written.
    pub fn replay(&self, dir: &str, more: &[String]) -> String {
        let words = [&[dir.to_owned()], more].concat();
        self.command("replay", &words) + if self.misbehaves { " --set sandbox.faults=" } else { "" }
    }
}

/// A command of this program, quoted for the shell.
pub fn command_line<'a>(program: &str, words: impl Iterator<Item = &'a str>) -> String {
    words.fold(quoted(program), |line, word| line + " " + &quoted(word))
}

/// A word as a shell reads it back.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        for (word, shown) in [
            ("limits.quota=20/1s", "limits.quota=20/1s"),
            ("", "''"),
            ("my file.csv", "'my file.csv'"),
            ("it's", "'it'\\''s'"),
            ("a;b", "'a;b'"),
            ("~/x", "'~/x'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }

    #[test]
    fn a_call_from_anywhere_names_its_places_whole_and_a_program_on_the_path_by_its_name() {
        let called = Called {
            program: "passync".into(),
            job: "jobs/a job.toml".into(),
            state: Some("state".into()),
            set: vec!["limits.quota=1/1s".into()],
            ..Called::default()
        };
        let here = absolute(".").unwrap().display().to_string();
        assert_eq!(
            called.clone().from_anywhere().command("open", &[]),
            format!("passync open '{here}/jobs/a job.toml' --state {here}/state --set limits.quota=1/1s")
        );
        let built = Called { program: "target/debug/passync".into(), ..called };
        assert!(built.from_anywhere().program.ends_with("/target/debug/passync"));
    }
}
