//! What a person types next behind a run. Decided here alone: the last screen, the webhook and the page say the same.

use std::path::Path;

use super::called::Called;
use super::manifest::Manifest;
use super::numbers::count;
use crate::core::card::NEWER_IN_DOUBT;
use crate::model::Outcome;

/// A command, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// A sentence that ends with a colon.
    pub why: String,
    /// To be typed as it stands.
    pub command: String,
}

/// Failures that are not open: sent as they stand they would fail again.
const OTHERS: [Outcome; 3] = [Outcome::Rejected, Outcome::Conflict, Outcome::Refused];

impl Called {
    /// Behind these runs, in the order in which they were done. `open_in_ledger`: rows that are open there now;
    /// `shown`: how a run directory is written.
    pub fn next(&self, runs: &[&Manifest], open_in_ledger: u64, shown: impl Fn(&Path) -> String) -> Vec<Next> {
        let failed = runs.iter().any(|manifest| manifest.rows.failures() > 0);
        if failed && self.forgets {
            let why = "to see a replay, run it with a ledger that stays:".to_owned();
            return vec![Next { why, command: self.keeping(runs) }];
        }
        let mut next = Vec::new();
        for manifest in runs {
            let dir = shown(Path::new(&manifest.dir));
            if !Self::has_file(manifest) {
                next.extend(self.next_without_file(manifest, &dir));
                continue;
            }
            // What an earlier run left open, a later one may have closed.
            next.extend((open_in_ledger > 0).then(|| self.next_of_open(manifest, &dir)).flatten());
            next.extend(self.next_of_others(manifest, &dir));
        }
        let has_no_file = |manifest: &&Manifest| !Self::has_file(manifest) && manifest.rows.open() > 0;
        if (next.is_empty() || runs.iter().any(has_no_file)) && open_in_ledger > 0 && !self.forgets {
            let why = "see what earlier runs left open, and how to close it:".to_owned();
            next.push(Next { why, command: self.command("open", &[]) });
        }
        next
    }

    fn has_file(manifest: &Manifest) -> bool {
        manifest.files.keys().any(|name| name.starts_with("failures"))
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

    /// A run that was given up without its inputs has no failure file; of its rows that are not open the outcomes tell.
    fn next_without_file(&self, manifest: &Manifest, dir: &str) -> Option<Next> {
        let rows = OTHERS.iter().map(|class| manifest.rows.of(*class)).sum();
        (rows > 0).then(|| Next {
            why: format!(
                "a person looks at {} that the outcomes in {dir} name; mended in an input of their own, they are sent by:",
                count(rows, "row")
            ),
            command: self.command("run", &["--input".to_owned(), "PATH".to_owned()]),
        })
    }

    /// The others want a person.
    fn next_of_others(&self, manifest: &Manifest, dir: &str) -> Option<Next> {
        let classes: Vec<_> = OTHERS.into_iter().filter(|class| manifest.rows.of(*class) > 0).collect();
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
