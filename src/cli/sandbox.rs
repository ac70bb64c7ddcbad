//! `passync sandbox`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::{CliError, Screen};
use crate::model::Exit;

/// A local gateway that verifies signatures, judges order and quota, and misbehaves on request
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync sandbox --public-key keys/merchant.pub.pem --private-key keys/platform.pem
  passync sandbox --listen 127.0.0.1:8080 --seed 7 --faults unknown=2%,http503=1%,throttle=1% --log calls.jsonl")]
pub struct Sandbox {
    /// Where to listen; port 0 takes a free one and prints it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The same seed gives the same faults to the same bills
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Which faults, and how often
    #[arg(long, value_name = "FAULT=SHARE,...", default_value = "")]
    faults: String,
    /// Throttle calls above this quota
    #[arg(long, value_name = "N/WINDOW")]
    quota: Option<String>,
    /// Write every call and its judgement to this file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The client's public key: calls are verified with it
    #[arg(long, value_name = "PEM")]
    public_key: PathBuf,
    /// The gateway's private key: replies are signed with it
    #[arg(long, value_name = "PEM")]
    private_key: PathBuf,
}

impl Sandbox {
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        Err(CliError::usage("sandbox: not built yet"))
    }
}
