//! `passync keys`: key pairs for the gateway.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::job::JobArgs;
use super::{CliError, Screen};
use crate::model::Exit;

/// Make a key pair, or check the keys of a job
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an RSA-2048 key pair; existing files are never overwritten
    #[command(after_help = "\
Examples:
  passync keys generate --out keys                 keys/merchant.pem (mode 0600) and keys/merchant.pub.pem
  passync keys generate --out keys --name platform")]
    Generate {
        /// The folder; made where it is missing
        #[arg(long, value_name = "DIR", default_value = "keys")]
        out: PathBuf,
        /// NAME.pem is the private key, NAME.pub.pem the public one
        #[arg(long, value_name = "NAME", default_value = "merchant")]
        name: String,
    },
    /// Check that the keys of a job can be read, sign and verify
    #[command(after_help = "\
Examples:
  passync keys check jobs/nightly.toml")]
    Check {
        #[command(flatten)]
        job: JobArgs,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

impl Keys {
    pub(super) fn execute(self, _screen: Screen) -> Result<Exit, CliError> {
        Err(CliError::usage("keys: not built yet"))
    }
}
