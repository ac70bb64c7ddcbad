//! The webhook: how a run ended, told to those who were asleep. It never changes how it ended.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::context::Job;
use super::job::Finished;
use super::manifest::Manifest;
use super::{Fault, meaning};
use crate::io::job;
use crate::io::job::settings::{Settings, Webhook};
use crate::io::keys::{self, Kind};
use crate::io::post::{Missed, Post};
use crate::model::{Exit, Outcome};

/// How long a webhook may take: for the second try the end of a run waits for twice that and a second at most.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What passes may have passed by then.
const PAUSE: Duration = Duration::from_secs(1);

/// What is posted. No personal id is in it, and no name of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// All of it in a line: what chat programs show.
    pub text: String,
    /// The job's name.
    pub job: String,
    /// The run's name; `None`: none was booked.
    pub run: Option<String>,
    /// `run` or `replay`.
    pub kind: Option<String>,
    /// The exit code.
    pub exit: u8,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: String,
    /// Why the run stopped, or why there is none.
    pub reason: Option<String>,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub closed_at: Option<String>,
    /// Rows by outcome.
    pub rows: BTreeMap<Outcome, u64>,
    /// Rows in the failure file.
    pub failures: u64,
    /// Rows that are open in the ledger; `None` where nobody could ask it.
    pub open_rows: Option<u64>,
    /// HTTP requests.
    pub attempts: u64,
    /// Those that repeat an earlier one of their row.
    pub retries: u64,
    /// Those that ended in doubt.
    pub in_doubt: u64,
    /// The commands to type next.
    pub next: Vec<String>,
    /// The program's version.
    pub version: &'static str,
}

impl Notice {
    /// How a command on `job` ended; `next`: what a person is shown to type.
    pub fn of(job: &str, ended: Result<&Finished, &Fault>, next: Vec<String>) -> Notice {
        let exit = ended.map_or_else(Fault::exit, Finished::exit);
        let meaning = meaning::of_exit(exit);
        let finished = ended.ok();
        let manifest = finished.and_then(Finished::newest);
        let reason = match ended {
            Ok(_) => manifest.and_then(|manifest| Some(manifest.stopped.as_ref()?.message.clone())),
            Err(fault) => Some(fault.to_string()),
        };
        let advice = ended.err().and_then(Fault::advice).unwrap_or(meaning.advice).to_owned();
        let failures = manifest.map_or(0, |manifest| manifest.rows.failures());
        let calls = manifest.map(|manifest| manifest.calls.clone()).unwrap_or_default();
        Notice {
            text: sentence(job, exit, reason.as_deref().unwrap_or(meaning.what), manifest),
            job: job.to_owned(),
            run: manifest.map(|manifest| manifest.run.clone()),
            kind: manifest.map(|manifest| manifest.kind.clone()),
            exit: exit.code(),
            meaning: meaning.what,
            advice,
            reason,
            started_at: manifest.map(|manifest| manifest.started_at.clone()),
            closed_at: manifest.map(|manifest| manifest.closed_at.clone()),
            rows: manifest.map(rows).unwrap_or_default(),
            failures,
            open_rows: finished.map(|finished| finished.open_rows),
            attempts: calls.attempts,
            retries: calls.retries,
            in_doubt: calls.in_doubt,
            next,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn rows(manifest: &Manifest) -> BTreeMap<Outcome, u64> {
    manifest.rows.outcomes.iter().map(|(outcome, sum)| (*outcome, sum.rows)).collect()
}

fn sentence(job: &str, exit: Exit, why: &str, manifest: Option<&Manifest>) -> String {
    let failed = manifest.map(|manifest| {
        let rows = manifest.rows.read.rows - manifest.rows.passed_over.rows;
        format!("; {} of {rows} rows did not end well", manifest.rows.failures())
    });
    format!("passync: {job} ended with {}: {why}{}", exit.code(), failed.unwrap_or_default())
}

impl Job {
    /// Tells how a command on the job ended, where the job wants it told.
    pub fn notify(&self, ended: Result<&Finished, &Fault>, next: Vec<String>) {
        tell_end(&self.settings, ended, next);
    }
}

/// Tells how a command ended, where these settings want it told. What goes wrong with that is a warning.
pub(super) fn tell_end(settings: &Settings, ended: Result<&Finished, &Fault>, next: Vec<String>) {
    let exit = ended.map_or_else(Fault::exit, Finished::exit);
    let Some(webhook) = settings.notify_url.as_ref().filter(|_| settings.notify_on.contains(&exit.code())) else {
        return;
    };
    let notice = Notice::of(&settings.name, ended, next);
    if let Err(why) = address(webhook, settings).and_then(|url| tell(&url, &notice, settings)) {
        tracing::warn!("notify.url was not told how the run ended: {why}");
    }
}

/// The webhook's URL. The error says why it cannot be had, and not what it is.
pub(super) fn address(webhook: &Webhook, settings: &Settings) -> Result<String, String> {
    let secret = match webhook {
        Webhook::Url(url) => return Ok(url.clone()),
        Webhook::Secret(secret) => secret,
    };
    let bytes = keys::load(secret, Kind::Private).map_err(|fault| fault.to_string())?;
    let url = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    if job::is_web(url, settings.gateway.insecure_loopback) {
        return Ok(url.to_owned());
    }
    Err(format!("{} holds no https:// address without user and password", keys::place(secret)))
}

fn tell(url: &str, notice: &Notice, settings: &Settings) -> Result<(), String> {
    let (proxy, ca_file) = (settings.gateway.proxy.as_deref(), settings.gateway.ca_file.as_deref());
    let post = Post::to(url, TIMEOUT, proxy, ca_file)?;
    let json = serde_json::to_string(notice).expect("a notice is plain data");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let told = runtime.map_err(|error| error.to_string())?.block_on(async {
        match post.send(json.clone()).await {
            Err(Missed { is_passing: true, .. }) => {
                tokio::time::sleep(PAUSE).await;
                post.send(json).await
            }
            told => told,
        }
    });
    told.map_err(|missed| format!("{}: {}", job::masked(url), missed.why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_never_was_is_told_as_well() {
        let fault = Fault::input("inbox/points-2026-01-02.csv is not there").help("wait for it");
        let notice = Notice::of("nightly", Err(&fault), Vec::new());
        assert_eq!(notice.text, "passync: nightly ended with 3: inbox/points-2026-01-02.csv is not there");
        assert_eq!((notice.exit, notice.run.clone(), notice.open_rows), (3, None, None));
        assert_eq!(notice.advice, "wait for it");
        assert_eq!(
            Notice::of("nightly", Err(&Fault::input("x")), Vec::new()).advice,
            meaning::of_exit(Exit::Input).advice
        );
    }
}
