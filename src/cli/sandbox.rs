//! `passync sandbox`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::job::duration;
use super::{CliError, Screen};
use crate::model::Exit;
use crate::sandbox::{self, AskedToEnd, Config, Delay, Faults, OpenFault, Options, Order, Quota};
use crate::wire::{self, Dialect};

/// A local gateway of all three APIs that verifies signatures, judges order and quota, and misbehaves on request
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync sandbox                                   keys are made in sandbox-keys/; the URL is printed
  passync sandbox --client-key keys/merchant.pub.pem --quota 150/1s --log calls.jsonl
  passync sandbox --listen 127.0.0.1:8080 --seed 7 --faults unknown=2%,drop-after=1%,503=1%,limit=1%,heal=3

Every wire form is served at once. The path tells marketing-card (/gateway.do) from updatePass, whose two dialects the
body tells apart: by its status, and by its kind of update. Answers to marketing-card come as the call asks: in JSON or
XML, in its charset, signed as it is.

Faults: unknown[-applied], system-error[-applied], limit, refuse:CODE, forged[-applied], unsigned[-applied],
5xx[-applied], 429, 429:2s (Retry-After), html[-applied], garbage[-applied], drop-before, drop-after, half, hang,
slow, close; heal=N ends the faults of a bill after N attempts. It serves until it gets a signal, and then prints
what it saw and what the caller did wrong.")]
pub struct Sandbox {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The client whose calls to updatePass are taken
    #[arg(long, value_name = "ID", default_value = "2110200000000044")]
    client_id: String,
    /// The app whose calls of marketing-card are taken
    #[arg(long, value_name = "ID", default_value = "2014072300007148")]
    app_id: String,
    /// The client's public key: calls are verified with it; else that of the folder of keys
    #[arg(long, value_name = "PEM")]
    client_key: Option<PathBuf>,
    /// The gateway's private key: replies are signed with it; else that of the folder of keys
    #[arg(long, value_name = "PEM")]
    platform_key: Option<PathBuf>,
    /// Where keys that are not given are kept, and made where they are missing
    #[arg(long, value_name = "DIR", default_value = "sandbox-keys")]
    keys_dir: PathBuf,
    /// The same seed gives the same faults to the same bills
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which faults, and how often
    #[arg(long, value_name = "FAULT=SHARE,...", default_value = "")]
    faults: Faults,
    /// Throttle arrivals above this quota
    #[arg(long, value_name = "N/WINDOW")]
    quota: Option<Quota>,
    /// Only judge arrivals above the quota
    #[arg(long, requires = "quota")]
    lenient: bool,
    /// The time to a reply
    #[arg(long, value_name = "MIN..MAX", default_value = "1ms..30ms")]
    delay: Delay,
    /// The time that `slow` and `hang` take: longer than the caller's patience
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = duration)]
    slow: Duration,
    /// Judge order by this member (such as `points`), whose number never falls on a card; else by bills
    #[arg(long, value_name = "MEMBER")]
    rising: Option<String>,
    /// Write every exchange to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Print the address, on a line of its own, and the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Sandbox {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let json = self.json;
        let (kept, own_client, own_platform) =
            (self.keys_dir.clone(), self.client_key.clone(), self.platform_key.clone());
        let end = AskedToEnd::listen().map_err(|error| CliError::new(Exit::Storage, error))?;
        let server = sandbox::open(self.options()?)?;
        let url = server.url();
        screen.print(&if json { format!("{}\n", serde_json::json!({ "url": url })) } else { format!("{url}\n") })?;
        let client = own_client.map_or_else(
            || kept.join("client.pem").display().to_string(),
            |public| format!("the private key of {}", public.display()),
        );
        let platform = own_platform.map_or_else(
            || kept.join("platform.pub.pem").display().to_string(),
            |private| format!("the public key of {}", private.display()),
        );
        screen.say(&format!("sign calls with {client}, verify replies with {platform}"));
        end.wait();
        let summary = server.stop();
        if json {
            screen.print_json(&summary)?;
        } else {
            screen.print(&summary.to_string())?;
        }
        Ok(if summary.log_fault.is_some() { Exit::Storage } else { Exit::Clean })
    }

    fn options(self) -> Result<Options, CliError> {
        Ok(Options {
            listen: self.listen,
            dialects: dialects(&self.client_id, &self.app_id)?,
            config: Config {
                seed: self.seed,
                faults: self.faults,
                quota: self.quota,
                enforce_quota: !self.lenient,
                delay: self.delay,
                slow: self.slow,
                order: self.rising.map_or(Order::ByArrival, Order::Rising),
                script: BTreeMap::new(),
            },
            log: self.log,
            client_key: self.client_key,
            platform_key: self.platform_key,
            keys_dir: self.keys_dir,
        })
    }
}

/// Every dialect as its gateway: it knows the client, and takes any merchant.
fn dialects(client_id: &str, app_id: &str) -> Result<Vec<Arc<dyn Dialect>>, CliError> {
    let table = [("merchant_id", "any"), ("client_id", client_id), ("app_id", app_id)];
    let table = table.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let open = |entry: &wire::Entry| entry.open(&table, &wire::setting::no_vault).map(Arc::from);
    wire::DIALECTS.iter().map(open).collect::<Result<_, _>>().map_err(CliError::usage)
}

impl From<OpenFault> for CliError {
    fn from(fault: OpenFault) -> CliError {
        let exit = if matches!(fault, OpenFault::Log { .. }) { Exit::Storage } else { Exit::Usage };
        CliError::new(exit, fault)
    }
}
