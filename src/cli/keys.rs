//! `passync keys`: key pairs for the gateway.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::job::JobArgs;
use super::{CliError, Screen};
use crate::io::job::Settings;
use crate::io::job::settings::{GatewayUrl, Secret};
use crate::io::keys::{self, Kind};
use crate::model::Exit;
use crate::wire::crypto::{Signer, Verifier};

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

/// One key of a job, and what is wrong with it.
struct Finding {
    setting: &'static str,
    place: String,
    fingerprint: Result<String, String>,
}

fn check(settings: &Settings, json: bool, screen: Screen) -> Result<Exit, CliError> {
    let gateway = &settings.gateway;
    let own = gateway.private_key.as_ref().map(|secret| (secret, read_private(secret)));
    let mut findings = Vec::new();
    if let Some((secret, signer)) = &own {
        let fingerprint = signer.as_ref().map(|signer| signer.public().fingerprint()).map_err(Clone::clone);
        findings.push(Finding { setting: "private_key", place: keys::place(secret), fingerprint });
    }
    let own_public = own.and_then(|(_, signer)| signer.ok()).map(|signer| signer.public());
    for secret in &gateway.platform_keys {
        let fingerprint = read_platform(secret, own_public.as_ref());
        findings.push(Finding { setting: "platform_keys", place: keys::place(secret), fingerprint });
    }
    let sound = findings.iter().all(|finding| finding.fingerprint.is_ok());
    if json {
        let keys = findings.iter().map(Finding::json).collect::<Vec<_>>();
        screen.print_json(&json!({ "sound": sound, "keys": keys }))?;
    } else {
        screen.print(&findings.iter().map(Finding::line).collect::<String>())?;
        if gateway.url == GatewayUrl::Sandbox {
            screen.say("the sandbox makes keys of its own; those of the job are not used");
        }
    }
    Ok(if sound { Exit::Clean } else { Exit::Usage })
}

/// Reads a private key and proves it on a message.
fn read_private(secret: &Secret) -> Result<Signer, String> {
    let bytes = keys::load(secret, Kind::Private).map_err(|fault| fault.to_string())?;
    let signer = Signer::parse(&bytes).map_err(|fault| fault.to_string())?;
    let proof = b"passync keys check";
    if signer.public().verify(proof, &signer.sign(proof)) { Ok(signer) } else { Err("it does not sign".to_owned()) }
}

fn read_platform(secret: &Secret, own: Option<&Verifier>) -> Result<String, String> {
    let bytes = keys::load(secret, Kind::Public).map_err(|fault| fault.to_string())?;
    let platform = Verifier::parse(&bytes).map_err(|fault| fault.to_string())?;
    if own.is_some_and(|own| own.same_key(&platform)) {
        return Err("this is our own public key: replies are verified with the platform's, from its console".to_owned());
    }
    Ok(platform.fingerprint())
}

impl Finding {
    fn json(&self) -> Value {
        let Finding { setting, place, fingerprint } = self;
        let (fingerprint, fault) = (fingerprint.as_ref().ok(), fingerprint.as_ref().err());
        json!({ "setting": setting, "place": place, "fingerprint": fingerprint, "fault": fault })
    }

    fn line(&self) -> String {
        let Finding { setting, place, fingerprint } = self;
        match fingerprint {
            Ok(fingerprint) => format!("ok     {setting:<13}  {place}  {fingerprint}\n"),
            Err(fault) => format!("fault  {setting:<13}  {place}: {fault}\n"),
        }
    }
}
