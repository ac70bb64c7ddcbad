//! What a person types next behind a run. Decided here alone: the last screen, the webhook and the page say the same.

use std::path::{Path, absolute};

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::numbers::count;
use crate::core::card::NEWER_IN_DOUBT;
use crate::model::Outcome;

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

/// A command, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// A sentence that ends with a colon.
    pub why: String,
    /// To be typed as it stands.
    pub command: String,
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

    /// Behind these runs, in the order in which they were done. `open_in_ledger`: rows that are open there now;
    /// `shown`: how a run directory is written.
    pub fn next(&self, runs: &[&Manifest], open_in_ledger: u64, shown: impl Fn(&Path) -> String) -> Vec<Next> {
        let failed = runs.iter().any(|manifest| manifest.rows.failures() > 0);
        if failed && self.forgets {
            let why = "to see a replay, run it with a ledger that stays:".to_owned();
            return vec![Next { why, command: self.keeping(runs) }];
        }
        let with_file = runs.iter().filter(|manifest| manifest.files.keys().any(|name| name.starts_with("failures")));
        let mut next = Vec::new();
        for manifest in with_file {
            let dir = shown(Path::new(&manifest.dir));
            // What an earlier run left open, a later one may have closed.
            next.extend((open_in_ledger > 0).then(|| self.next_of_open(manifest, &dir)).flatten());
            next.extend(self.next_of_others(manifest, &dir));
        }
        if next.is_empty() && open_in_ledger > 0 && !self.forgets {
            let why = "see what earlier runs left open, and how to close it:".to_owned();
            next.push(Next { why, command: self.command("open", &[]) });
        }
        next
    }

    /// Open rows are sent again as they stand.
    fn next_of_open(&self, manifest: &Manifest, dir: &str) -> Option<Next> {
        let open = manifest.rows.open();
        let rows = || count(open, "row");
        let waiting = manifest.rows.failure_codes.of(NEWER_IN_DOUBT);
        (open > 0).then(|| {
            // Another replay would find what this one found.
            if manifest.kind == "replay" && waiting >= open {
                let why = format!("see for which newer updates of their cards {} have to wait:", rows());
                return Next { why, command: self.command("open", &[]) };
            }
            let why = format!("send what stayed open again ({}):", rows());
            Next { why, command: self.replay(dir, &self.out_words()) }
        })
    }

    /// The others want a person.
    fn next_of_others(&self, manifest: &Manifest, dir: &str) -> Option<Next> {
        let classes = [Outcome::Rejected, Outcome::Conflict, Outcome::Refused];
        let classes: Vec<_> = classes.into_iter().filter(|class| manifest.rows.of(*class) > 0).collect();
        let rows = classes.iter().map(|class| manifest.rows.of(*class)).sum();
        let words = classes.into_iter().map(Outcome::as_str).collect::<Vec<_>>().join(",");
        (rows > 0).then(|| Next {
            why: format!(
                "a person looks at {} ({words}); mended in a copy of the failure file, they are sent by this with the copy's name:",
                count(rows, "row")
            ),
            command: self.replay(dir, &[vec!["--include".to_owned(), words], self.out_words()].concat()),
        })
    }

    /// The same job with a ledger that is kept.
    fn keeping(&self, runs: &[&Manifest]) -> String {
        let name = runs.first().map_or("job", |manifest| manifest.job.as_str());
        let state = ["--state".to_owned(), format!("state/{name}")];
        self.command("run", &[state.to_vec(), self.out_words()].concat())
    }

    fn out_words(&self) -> Vec<String> {
        self.out.iter().flat_map(|out| ["--out".to_owned(), out.clone()]).collect()
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
