//! `passync wire sign`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;

use super::{Call, Form, Head, form, key, needed, refuse};
use crate::cli::{CliError, Screen};
use crate::model::Exit;
use crate::wire::Signing;
use crate::wire::crypto::Signer;
use crate::wire::pass::head;

/// Sign a call, and show what was signed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync wire sign --dialect alipayhk-card --key keys/merchant.pem --client-id 2110200000000044 \\
      --path /api/open/alipay/v1/ipass/pass/manage/updatePass --time 2023-12-18T02:33:31Z --body body.json
  passync wire sign --dialect marketing-card --key keys/app.pem --params params.json --json")]
pub struct Sign {
    /// The wire form
    #[arg(long, value_parser = form(), value_name = "DIALECT")]
    dialect: Form,
    /// The private key that signs: PEM or bare base64, PKCS#1 or PKCS#8
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    #[command(flatten)]
    head: Head,
    /// The word for the algorithm in the header; the signature is made with RSA and SHA-256 whatever it says
    /// [default: RSA256]
    #[arg(long, value_name = "WORD", help_heading = "alipayhk-card and intl-pass")]
    algorithm: Option<String>,
    /// The version of the key in the header [default: 1]
    #[arg(long, value_name = "N", help_heading = "alipayhk-card and intl-pass")]
    key_version: Option<u32>,
    /// All parameters but `sign`, as a JSON object of strings
    #[arg(long, value_name = "FILE", help_heading = "marketing-card")]
    params: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Sign {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let signer = key(&self.key, Signer::parse)?;
        let members = match self.dialect.signing {
            Signing::Head => {
                refuse(self.dialect, &[("--params", self.params.is_some())])?;
                let (subject, _) = self.head.subject()?;
                let signature = signer.sign(&subject.input);
                let algorithm = self.algorithm.as_deref().unwrap_or("RSA256");
                let header = head::write(algorithm, self.key_version.unwrap_or(1), head::SIGNATURE, &signature);
                vec![
                    ("signing_input", subject.text()),
                    ("signature", STANDARD.encode(signature)),
                    ("signature_header", header),
                ]
            }
            Signing::Params => {
                refuse(self.dialect, &self.head.flags())?;
                let header = [("--algorithm", self.algorithm.is_some()), ("--key-version", self.key_version.is_some())];
                refuse(self.dialect, &header)?;
                let call = Call::read(needed(self.params.as_deref(), "--params")?)?;
                let sign = call.params.sign(call.sign_type, &signer);
                let (query, form) = (call.params.query(&sign), call.params.form());
                vec![("signing_input", call.subject().text()), ("sign", sign), ("query", query), ("form", form)]
            }
        };
        if self.json {
            let object: serde_json::Map<_, _> =
                members.into_iter().map(|(name, text)| (name.into(), json!(text))).collect();
            screen.print_json(&object)?;
        } else {
            let paragraphs: Vec<String> = members.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect();
            screen.print(&paragraphs.join("\n"))?;
        }
        Ok(Exit::Clean)
    }
}
