//! `passync wire`: the tool for "my signature is refused". Works on bytes and touches no network.

mod explain;
mod sign;
mod verify;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::{CliError, Screen};
use crate::model::Exit;
use crate::wire::charset::Charset;
use crate::wire::explain::Subject;
use crate::wire::json::Json;
use crate::wire::marketing_card::params::{Params, SignType};
use crate::wire::{self, Signing};

/// Sign, verify and explain single messages, byte for byte
#[derive(Debug, Args)]
pub struct Wire {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sign(sign::Sign),
    Verify(verify::Verify),
    Explain(explain::Explain),
}

impl Wire {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        match self.command {
            Command::Sign(command) => command.execute(screen),
            Command::Verify(command) => command.execute(screen),
            Command::Explain(command) => command.execute(screen),
        }
    }
}

/// A dialect, as far as single messages go.
#[derive(Clone, Copy, Debug)]
struct Form {
    name: &'static str,
    signing: Signing,
}

/// Reads the word for a dialect.
fn form() -> impl TypedValueParser<Value = Form> {
    let known = PossibleValuesParser::new(wire::DIALECTS.iter().map(|entry| entry.name));
    known.map(|word| {
        let entry = wire::entry(&word).expect("no other word is let through");
        Form { name: entry.name, signing: entry.signing }
    })
}

/// What is signed around the body of a call to updatePass, or of its reply.
#[derive(Debug, Args)]
#[command(next_help_heading = "alipayhk-card and intl-pass")]
struct Head {
    /// The method [default: POST]
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// The path, with its query if it has one, as it is sent
    #[arg(long, value_name = "URI")]
    path: Option<String>,
    /// The client-id, as its header has it
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The request-time, or the response-time of a reply, as its header has it
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// The body, byte for byte
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

impl Head {
    /// Each flag with whether it was given.
    fn flags(&self) -> [(&'static str, bool); 5] {
        [
            ("--method", self.method.is_some()),
            ("--path", self.path.is_some()),
            ("--client-id", self.client_id.is_some()),
            ("--time", self.time.is_some()),
            ("--body", self.body.is_some()),
        ]
    }

    fn subject(&self) -> Result<(Subject, Vec<u8>), CliError> {
        let path = needed(self.path.as_deref(), "--path")?;
        let client_id = needed(self.client_id.as_deref(), "--client-id")?;
        let time = needed(self.time.as_deref(), "--time")?;
        let body = read(needed(self.body.as_deref(), "--body")?)?;
        let method = self.method.as_deref().unwrap_or("POST");
        Ok((Subject::of_pass(method, path, client_id, time, &body), body))
    }
}

/// The parameters of a marketing-card call.
struct Call {
    params: Params,
    sign_type: SignType,
    charset: Charset,
}

impl Call {
    /// Reads a JSON object of strings: every parameter but `sign`.
    fn read(path: &Path) -> Result<Call, CliError> {
        let bytes = read(path)?;
        let fault = |text: String| CliError::usage(format!("{}: {text}", path.display()));
        let json = Json::parse(&bytes).map_err(|error| fault(error.to_string()))?;
        let Json::Object(members) = &json else { return Err(fault("expected a JSON object of strings".into())) };
        let mut texts: Vec<(&str, &str)> = Vec::new();
        for (name, value) in members {
            let text = value.as_text().ok_or_else(|| fault(format!("`{name}` is no string; quote it")))?;
            if texts.iter().any(|(known, _)| known == name) {
                return Err(fault(format!("`{name}` stands twice")));
            }
            if name == "sign" {
                return Err(fault("`sign` is what is made of the others; take it out".into()));
            }
            texts.push((name, text));
        }
        let text = |name: &str| {
            let found = texts.iter().find(|(known, _)| *known == name).map(|(_, text)| *text);
            found.ok_or_else(|| fault(format!("`{name}` is missing; it is a parameter like the others, and signed")))
        };
        let charset = text("charset")?;
        let charset = Charset::parse(charset)
            .ok_or_else(|| fault(format!("charset {charset:?}: expected UTF-8, GBK or GB2312")))?;
        let sign_type = text("sign_type")?;
        let sign_type = SignType::parse(sign_type)
            .ok_or_else(|| fault(format!("sign_type {sign_type:?}: expected RSA2 or RSA")))?;
        let params = Params::encode(texts, charset);
        let params = params.map_err(|(name, lacking)| {
            fault(format!("`{name}`: {lacking}")).help("take the character out, or choose a charset that has it: UTF-8")
        })?;
        Ok(Call { params, sign_type, charset })
    }

    fn subject(&self) -> Subject {
        Subject::of_params(&self.params, self.sign_type, self.charset)
    }
}

/// Refuses flags of another wire form: whoever gave them expects that they do something.
fn refuse(dialect: Form, flags: &[(&'static str, bool)]) -> Result<(), CliError> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => {
            Err(CliError::usage(format!("{flag} does nothing with --dialect {}; leave it out", dialect.name)))
        }
        None => Ok(()),
    }
}

fn needed<'a, T: ?Sized>(value: Option<&'a T>, flag: &str) -> Result<&'a T, CliError> {
    value.ok_or_else(|| CliError::usage(format!("{flag} is missing: this dialect needs it")))
}

/// More than any message or key.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let fault = |error: &dyn std::fmt::Display| CliError::usage(format!("{} cannot be read: {error}", path.display()));
    let bytes = std::fs::metadata(path).map_err(|error| fault(&error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(fault(&format!("it has {bytes} bytes, more than any message")));
    }
    std::fs::read(path).map_err(|error| fault(&error))
}

/// Reads a key with `parse`, and names its file where it is none.
fn key<K, E: std::fmt::Display>(path: &Path, parse: impl Fn(&[u8]) -> Result<K, E>) -> Result<K, CliError> {
    let bytes = zeroize::Zeroizing::new(read(path)?);
    parse(&bytes).map_err(|fault| CliError::usage(format!("{}: {fault}", path.display())))
}
