//! `passync keys`: key pairs for the gateway.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::job::JobArgs;
use super::{CliError, Screen};
use crate::io::credentials::{self, Credential, Facts};
use crate::io::job::Settings;
use crate::io::job::settings::GatewayUrl;
use crate::io::keys::{self, Kind};
use crate::model::Exit;
use crate::run::wall_ms;
use crate::wire::crypto::Signer;

/// Make a key pair, or check the keys of a job
#[derive(Debug, Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an RSA key pair; existing files are never overwritten
    #[command(after_help = "\
Examples:
  passync keys generate --out keys                 keys/merchant.pem (mode 0600) and keys/merchant.pub.pem
  passync keys generate --out keys --name platform

Upload the public key to the gateway's console; the private key never leaves its file.")]
    Generate {
        /// The folder; made where it is missing
        #[arg(long, value_name = "DIR", default_value = "keys")]
        out: PathBuf,
        /// NAME.pem is the private key, NAME.pub.pem the public one
        #[arg(long, value_name = "NAME", default_value = "merchant")]
        name: String,
        /// 2048, 3072 or 4096: the vendor asks for 2048
        #[arg(long, value_name = "N", default_value_t = 2048)]
        bits: usize,
        /// Print as JSON
        #[arg(long)]
        json: bool,
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
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        match self.command {
            Command::Generate { out, name, bits, json } => generate(&out, &name, bits, json, screen),
            Command::Check { job, json } => check(&job.load(&[], None)?, json, screen),
        }
    }
}

fn generate(out: &Path, name: &str, bits: usize, json: bool, screen: Screen) -> Result<Exit, CliError> {
    let (private, public) = (out.join(format!("{name}.pem")), out.join(format!("{name}.pub.pem")));
    // Looked at together first: half a pair beside another's half would be worse than none.
    if let Some(there) = [&private, &public].into_iter().find(|path| path.exists()) {
        let what = format!("the key {} exists; keys are never overwritten", there.display());
        return Err(CliError::usage(what).help("give another --name or --out"));
    }
    let signer = Signer::generate(bits).map_err(|fault| CliError::usage(format!("--bits {bits}: {fault}")))?;
    keys::keep(&private, signer.private_pem().as_bytes(), Kind::Private)?;
    keys::keep(&public, signer.public_pem().as_bytes(), Kind::Public)?;
    let fingerprint = signer.public().fingerprint();
    if json {
        screen.print_json(&json!({ "private_key": private, "public_key": public, "fingerprint": fingerprint }))?;
    } else {
        let (private, public) = (private.display(), public.display());
        screen.print(&format!("private key  {private}\npublic key   {public}\nfingerprint  {fingerprint}\n"))?;
    }
    Ok(Exit::Clean)
}

fn check(settings: &Settings, json: bool, screen: Screen) -> Result<Exit, CliError> {
    let found = credentials::inspect(settings, wall_ms());
    let sound = found.iter().all(|credential| credential.found.is_ok());
    if json {
        let keys = found.iter().map(as_json).collect::<Vec<_>>();
        screen.print_json(&json!({ "sound": sound, "keys": keys }))?;
    } else {
        screen.print(&found.iter().map(lines).collect::<String>())?;
        if settings.gateway.url == GatewayUrl::Sandbox {
            screen.say("the sandbox makes keys of its own; those of the job are not used");
        }
    }
    Ok(if sound { Exit::Clean } else { Exit::Usage })
}

fn as_json(credential: &Credential) -> Value {
    let Credential { setting, place, found } = credential;
    let (facts, fault) = match found {
        Ok(facts) => (facts.clone(), None),
        Err(fault) => (Facts::default(), Some(fault)),
    };
    json!({
        "setting": setting,
        "place": place,
        "fingerprint": facts.fingerprint,
        "serial": facts.serial,
        "expires": facts.expires_ms.map(credentials::date),
        "warnings": facts.warnings,
        "fault": fault,
    })
}

fn lines(credential: &Credential) -> String {
    let Credential { setting, place, found } = credential;
    let line = |word: &str, text: &str| format!("{word:<5}  {setting:<22}  {place}{text}\n");
    let facts = match found {
        Ok(facts) => facts,
        Err(fault) => return line("fault", &format!(": {fault}")),
    };
    let expires = facts.expires_ms.map(|ms| format!("until {}", credentials::date(ms)));
    let serial = facts.serial.as_ref().map(|serial| format!("serial {serial}"));
    let parts = [facts.fingerprint.clone(), serial, expires].into_iter().flatten();
    let text = parts.fold(String::new(), |text, part| text + "  " + &part);
    let warnings = facts.warnings.iter().map(|warning| line("warn", &format!(": {warning}")));
    line("ok", &text) + &warnings.collect::<String>()
}
