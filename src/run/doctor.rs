//! Whether everything that a run needs is in place, looked at from outside: no call that changes anything is made, no
//! file is written.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::context::holder_of;
use super::endpoint::Endpoint;
use super::manifest::Manifest;
use super::{Fault, inputs, notify, wall_ms};
use crate::core::limits;
use crate::io::gateway::{Gateway, GatewayConfig};
use crate::io::job::dates;
use crate::io::job::settings::{GatewayUrl, Settings};
use crate::io::ledger::{Ledger, LedgerError};
use crate::io::lock::{Lock, LockFault};
use crate::io::{StorageError, disk, folder, job};
use crate::model::Exit;

/// What was found about one subject.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// keys, clock, gateway, room, ledger, lock, inputs, schedule, metrics, notify.
    pub subject: &'static str,
    /// How it is.
    pub health: Health,
    /// What was seen.
    pub said: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// In place.
    Ok,
    /// A run would go, and somebody should look.
    Warning,
    /// A run would end with this.
    Fault(Exit),
}

impl Serialize for Health {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Fault(_) => "fault",
        })
    }
}

impl Finding {
    /// The exit of a run that would meet this.
    pub fn exit(&self) -> Option<Exit> {
        if let Health::Fault(exit) = self.health { Some(exit) } else { None }
    }

    fn ok(subject: &'static str, said: impl Display) -> Finding {
        Finding { subject, health: Health::Ok, said: said.to_string(), help: None }
    }

    fn warning(subject: &'static str, said: impl Display, help: &str) -> Finding {
        Finding { subject, health: Health::Warning, said: said.to_string(), help: Some(help.to_owned()) }
    }

    fn fault(subject: &'static str, fault: &Fault) -> Finding {
        let help = fault.advice().map(str::to_owned);
        Finding { subject, health: Health::Fault(fault.exit()), said: fault.to_string(), help }
    }
}

/// Looks at everything; `offline` leaves the gateway out.
pub fn examine(settings: &Settings, offline: bool) -> Vec<Finding> {
    let mut findings = keys(settings);
    match &settings.gateway.url {
        GatewayUrl::Url(url) if !offline => findings.extend(gateway(settings, url)),
        GatewayUrl::Url(_) => {}
        GatewayUrl::Sandbox => findings.push(Finding::ok("gateway", "the embedded sandbox")),
    }
    findings.extend(room(settings));
    findings.extend(ledger(settings));
    findings.push(lock(settings));
    findings.push(files(settings));
    findings.extend(schedule(settings));
    findings.extend(observers(settings));
    findings
}

/// Those who want to be told how a run goes. None of them stops a run.
fn observers(settings: &Settings) -> Vec<Finding> {
    let textfile = settings.metrics_textfile.as_ref().map(|file| {
        const SUBJECT: &str = "metrics";
        let folder = folder::of(file);
        match std::fs::metadata(folder) {
            Ok(meta) if meta.is_dir() => Finding::ok(SUBJECT, format!("written to {}", file.display())),
            _ => Finding::warning(
                SUBJECT,
                format!("{} is no folder: no metrics are written", folder.display()),
                "make it, or name the collector's own in `metrics.textfile`",
            ),
        }
    });
    let webhook = settings.notify_url.as_ref().map(|webhook| {
        const SUBJECT: &str = "notify";
        match notify::address(webhook, settings) {
            Ok(url) => Finding::ok(SUBJECT, format!("{} is told", job::masked(&url))),
            Err(why) => Finding::warning(SUBJECT, why, "nobody is told how runs end until `notify.url` can be read"),
        }
    });
    textfile.into_iter().chain(webhook).collect()
}

/// Opens all that a run opens: keys, certificates, roots. The pair, the mix-ups and permissions are looked at there.
fn keys(settings: &Settings) -> Vec<Finding> {
    const SUBJECT: &str = "keys";
    let opened = super::dialect(settings).and_then(|dialect| Endpoint::open(settings, &dialect));
    vec![match opened {
        Ok(endpoint) => {
            let own = endpoint.tools.signer.public().fingerprint();
            let theirs = endpoint.tools.verifiers.len();
            Finding::ok(SUBJECT, format!("ours signs (fingerprint {own}); platform keys that verify: {theirs}"))
        }
        Err(fault) => Finding::fault(SUBJECT, &fault),
    }]
}

fn gateway(settings: &Settings, url: &str) -> Vec<Finding> {
    const SUBJECT: &str = "gateway";
    const HELP: &str = "see to name, route, firewall and `gateway.proxy`; the platform admits listed addresses alone";
    const UNPROVED: &str = "see to the name in gateway.url and to this machine's clock; a proxy that opens TLS has roots \
                            of its own: they go into `gateway.ca_file`";
    let looked = Gateway::new(&GatewayConfig {
        url: url.to_owned(),
        connect_timeout: settings.gateway.connect_timeout,
        request_timeout: settings.gateway.request_timeout,
        proxy: settings.gateway.proxy.clone(),
        ca_file: settings.gateway.ca_file.clone(),
    })
    .and_then(|gateway| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(gateway.look())
    });
    match looked {
        Err(error) => {
            let help = if error.contains("certificate") { UNPROVED } else { HELP };
            let fault = Fault::usage(format!("{url} cannot be reached: {error}")).help(help);
            vec![Finding::fault(SUBJECT, &fault)]
        }
        Ok(look) => {
            let mut findings = vec![Finding::ok(SUBJECT, format!("{url} answers (HTTP {})", look.status))];
            findings.extend(look.date_ms.map(clock));
            findings
        }
    }
}

fn clock(theirs_ms: i64) -> Finding {
    const SUBJECT: &str = "clock";
    let (difference, tolerance) = ((theirs_ms - wall_ms()) / 1_000, limits::CLOCK_TOLERANCE.as_secs());
    if difference.unsigned_abs() <= tolerance {
        return Finding::ok(SUBJECT, format!("within {tolerance} s of the gateway's"));
    }
    let help = "see to the time service (chrony, systemd-timesyncd): the request time is signed";
    Finding::warning(SUBJECT, format!("the gateway's clock is {difference} s from ours"), help)
}

fn room(settings: &Settings) -> Vec<Finding> {
    const SUBJECT: &str = "room";
    /// Of a million rows in the ledger and in the outcomes, about.
    const COMFORT: u64 = 1 << 30;
    let state = settings.ledger.parent().unwrap_or(Path::new("/"));
    let look = |folder: &Path| match disk::takes_files(folder).and_then(|()| disk::room(folder)) {
        Err(error) => Finding::fault(SUBJECT, &StorageError::new("make files in", folder, error).into()),
        Ok(Some(room)) if room.free < COMFORT => {
            let said = format!("{} MiB free under {}", room.free >> 20, folder.display());
            Finding::warning(SUBJECT, said, "a night of a million rows wants about a GiB in each")
        }
        Ok(room) => {
            let free = room.map_or_else(|| "unknown".to_owned(), |room| format!("{} GiB", room.free >> 30));
            Finding::ok(SUBJECT, format!("{free} free under {}", folder.display()))
        }
    };
    vec![look(state), look(&settings.output.dir)]
}

fn ledger(settings: &Settings) -> Vec<Finding> {
    const SUBJECT: &str = "ledger";
    let path = settings.ledger.display();
    let ledger = match Ledger::open_existing(&settings.ledger) {
        Ok(ledger) => ledger,
        Err(LedgerError::Absent(_)) => {
            return vec![Finding::ok(SUBJECT, format!("{path}: none yet, the first run makes it"))];
        }
        Err(LedgerError::Old(_)) => {
            let said = format!("{path}: an older program made it");
            let help = "the job's next `run` brings it up to date; that program's `ledger backup` keeps it as it is";
            return vec![Finding::warning(SUBJECT, said, help)];
        }
        Err(error) => return vec![Finding::fault(SUBJECT, &error.into())],
    };
    let told = || -> Result<Vec<Finding>, LedgerError> {
        let mut findings = vec![Finding::ok(SUBJECT, path)];
        for run in ledger.interrupted_all()? {
            if Lock::is_held_by(&settings.ledger, &holder_of(&run.job)) {
                findings.push(Finding::ok(SUBJECT, format!("run {} of job {} is on", run.id, run.job)));
                continue;
            }
            let said = format!("run {} of job {} is interrupted", run.id, run.job);
            findings.push(Finding::warning(SUBJECT, said, "the job's next `run`, or `passync resume`, finishes it"));
        }
        match ledger.open_count()? {
            0 => {}
            open => {
                let said = format!("{open} rows of earlier runs are open");
                findings.push(Finding::warning(SUBJECT, said, "`passync open` lists them with what closes them"));
            }
        }
        Ok(findings)
    };
    told().unwrap_or_else(|error| vec![Finding::fault(SUBJECT, &error.into())])
}

fn lock(settings: &Settings) -> Finding {
    const SUBJECT: &str = "lock";
    match Lock::look(&settings.ledger) {
        Ok(()) => Finding::ok(SUBJECT, "free"),
        Err(LockFault::Held { by, .. }) => {
            Finding::warning(SUBJECT, format!("another run is on: {by}"), "wait for it, or give `run --wait DURATION`")
        }
        Err(fault) => Finding::fault(SUBJECT, &fault.into()),
    }
}

fn files(settings: &Settings) -> Finding {
    const SUBJECT: &str = "inputs";
    match inputs::of_job(settings, None, wall_ms()) {
        Ok(files) => {
            let names = files.iter().map(|input| input.name.as_str()).collect::<Vec<_>>().join(", ");
            Finding::ok(SUBJECT, format!("a run that starts now reads {names}"))
        }
        Err(fault) => Finding::fault(SUBJECT, &fault),
    }
}

/// Whether a night like the last one ends before `finish_by`, if it begins now.
fn schedule(settings: &Settings) -> Option<Finding> {
    const SUBJECT: &str = "schedule";
    let finish_by = settings.run.finish_by?;
    let now_ms = wall_ms();
    let left_ms = dates::next_ms(finish_by, now_ms, &settings.input.timezone) - now_ms;
    let left = Duration::from_millis(left_ms.max(0) as u64).saturating_sub(settings.gateway.request_timeout);
    let windows = left.as_secs_f64() / settings.limits.quota_window.as_secs_f64();
    let calls = (windows * f64::from(settings.limits.quota)) as u64;
    let last = last_calls(settings);
    let said = match last {
        Some(last) => format!("until {finish_by} the quota permits {calls} calls; the last run made {last}"),
        None => format!("until {finish_by} the quota permits {calls} calls"),
    };
    Some(match last {
        Some(last) if last > calls => Finding::warning(
            SUBJECT,
            said,
            "start earlier, move finish_by, agree a higher quota, or set run.coalesce = true; what is not sent stays `unsent`",
        ),
        _ => Finding::ok(SUBJECT, said),
    })
}

fn last_calls(settings: &Settings) -> Option<u64> {
    let runs = Ledger::open_existing(&settings.ledger).ok()?.closed_runs(&settings.name, 1).ok()?;
    Some(Manifest::of(runs.first()?)?.calls.attempts)
}
