//! `passync sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::job::{duration, environment};
use super::{CliError, Screen};
use crate::io::job::{self, Overrides};
use crate::model::Exit;
use crate::sandbox::{Config, Delay, Faults, Options, Quota, open};
use crate::wire::{self, DIALECTS, Dialect};

/// A local gateway that verifies signatures, judges order and quota, and misbehaves on request
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync sandbox                                  keys are made in state/sandbox; jobs sign with client.pem
  passync sandbox --listen 127.0.0.1:0 --seed 7 --faults unknown=2%,503=1%,drop-after=1%,heal=3 --log calls.jsonl
  passync sandbox --job jobs/nightly.toml --client-key keys/merchant.pub.pem --quota 50/1s

Faults: unknown system-error drop-before drop-after 5xx 429 429:2s limit html garbage half hang slow close forged
unsigned refuse:CODE; many take -applied, for a change that is made all the same; heal=N ends a bill's faults after N
attempts.")]
pub struct Sandbox {
    /// Where to listen; port 0 takes a free one. The URL goes to stdout
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The same seed gives the same faults to the same bills
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which faults, and how often
    #[arg(long, value_name = "FAULT=SHARE,...", default_value = "")]
    faults: Faults,
    /// Throttle calls above this quota
    #[arg(long, value_name = "N/WINDOW")]
    quota: Option<Quota>,
    /// Only judge calls above the quota, and answer them
    #[arg(long, requires = "quota")]
    lenient: bool,
    /// How long replies take
    #[arg(long, value_name = "TIME[..TIME]", default_value = "1ms..30ms")]
    delay: Delay,
    /// How long the faults slow and hang take
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    slow: Duration,
    /// Write every call and its judgement to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Take dialect and client from this job
    #[arg(long, value_name = "JOB", conflicts_with_all = ["dialect", "client_id", "merchant_id"])]
    job: Option<PathBuf>,
    /// The wire form
    #[arg(long, default_value = "alipayhk-card")]
    dialect: String,
    /// The client that is let in
    #[arg(long, value_name = "ID", default_value = "2110200000000044")]
    client_id: String,
    /// The client's merchant
    #[arg(long, value_name = "ID", default_value = "2160120036095023")]
    merchant_id: String,
    /// The client's public key
    #[arg(long, value_name = "PEM")]
    client_key: Option<PathBuf>,
    /// The private key that replies are signed with
    #[arg(long, value_name = "PEM")]
    platform_key: Option<PathBuf>,
    /// Where keys that are not given are kept, and made where missing
    #[arg(long, value_name = "DIR", default_value = "state/sandbox")]
    keys: PathBuf,
    /// Print the closing summary as JSON
    #[arg(long)]
    json: bool,
}

impl Sandbox {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let dialect = self.dialect()?;
        let Sandbox { listen, seed, faults, quota, lenient, delay, slow, log, keys, json, .. } = self;
        let config = Config { seed, faults, quota, enforce_quota: !lenient, delay, slow, ..Config::default() };
        let makes_keys = self.client_key.is_none() || self.platform_key.is_none();
        let options = Options {
            listen,
            dialect,
            config,
            log,
            client_key: self.client_key,
            platform_key: self.platform_key,
            keys_dir: keys.clone(),
        };
        let server = open(options).map_err(CliError::usage)?;
        screen.print(&format!("{}\n", server.url()))?;
        if makes_keys {
            let keys = keys.display();
            screen.say(&format!(
                "keys: private_key = \"file:{keys}/client.pem\", platform_keys = [\"file:{keys}/platform.pub.pem\"]"
            ));
        }
        screen.say("Ctrl-C ends it");
        until_signalled()?;
        let summary = server.stop();
        let shown = if json { screen.print_json(&summary) } else { screen.print(&summary.to_string()) };
        shown.map(|()| Exit::Clean)
    }

    fn dialect(&self) -> Result<Arc<dyn Dialect>, CliError> {
        let (name, table) = if let Some(path) = &self.job {
            let settings = job::load(path, &Overrides { environment: environment(), ..Overrides::default() })?;
            (settings.dialect, settings.gateway.table)
        } else {
            let ids = [("client_id", &self.client_id), ("merchant_id", &self.merchant_id)];
            let table = ids.into_iter().map(|(key, id)| (key.to_owned(), id.as_str().into())).collect();
            (self.dialect.clone(), table)
        };
        let entry = wire::entry(&name).ok_or_else(|| {
            let names = DIALECTS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
            CliError::usage(format!("--dialect {name}: there is no such dialect")).help(format!("there are {names}"))
        })?;
        (entry.build)(&table).map(Arc::from).map_err(CliError::usage)
    }
}

/// Waits for SIGINT or SIGTERM.
fn until_signalled() -> Result<(), CliError> {
    let fault = |error| CliError::new(Exit::Storage, format!("signals cannot be awaited: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fault)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fault)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
