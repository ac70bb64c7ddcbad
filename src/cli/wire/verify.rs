//! `passync wire verify`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Form, Head, form, key, needed, read, refuse};
use crate::cli::{CliError, Screen};
use crate::model::{Exit, Verdict};
use crate::wire::Signing;
use crate::wire::charset::Charset;
use crate::wire::crypto::{Aes, Verifier};
use crate::wire::explain::Subject;
use crate::wire::json::Json;
use crate::wire::marketing_card::envelope::Envelope;
use crate::wire::marketing_card::params::SignType;
use crate::wire::marketing_card::seal::EncryptType;
use crate::wire::marketing_card::{parse, reply};
use crate::wire::pass;
use crate::wire::pass::head;
use crate::wire::reading::{Claim, NoClaim, Proof};

/// The status that a reply has unless another is said.
const OK: u16 = 200;

/// Verify a signature, and read what a reply says
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync wire verify --dialect alipayhk-card --key keys/alipayhk.pem --client-id 2110200000000044 \\
      --path /api/open/alipay/v1/ipass/pass/manage/updatePass --time 2023-12-18T02:33:32Z --body reply.json \\
      --signature-header 'algorithm=RSA256,keyVersion=1,signature=...'
  passync wire verify --dialect marketing-card --key keys/alipay.pem --response reply.json --json

Exit 0 where the signature verifies, and 1 where it does not or is missing.")]
pub struct Verify {
    #[command(flatten)]
    pub(super) message: Message,
    /// The public key, or certificate, of whoever signed
    #[arg(long, value_name = "PEM")]
    key: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A message that was received.
#[derive(Debug, Args)]
pub(super) struct Message {
    /// The wire form
    #[arg(long, value_parser = form(), value_name = "DIALECT")]
    pub(super) dialect: Form,
    #[command(flatten)]
    pub(super) head: Head,
    /// The value of the Signature header; a message without one is unsigned
    #[arg(long, value_name = "VALUE", help_heading = "alipayhk-card and intl-pass")]
    signature_header: Option<String>,
    /// The HTTP status of the reply
    #[arg(long, value_name = "N", default_value_t = OK)]
    status: u16,
    /// The charset of the reply: utf-8, gbk or gb2312 [default: utf-8]
    #[arg(long, value_name = "CHARSET", value_parser = charset, help_heading = "marketing-card")]
    charset: Option<Charset>,
    /// How replies are signed: RSA2 or RSA [default: RSA2]
    #[arg(long, value_name = "TYPE", value_parser = sign_type, help_heading = "marketing-card")]
    sign_type: Option<SignType>,
    /// The app's AES key, base64: opens an encrypted reply
    #[arg(long, value_name = "FILE", help_heading = "marketing-card")]
    aes_key: Option<PathBuf>,
    /// The reply, byte for byte
    #[arg(long, value_name = "FILE", help_heading = "marketing-card")]
    response: Option<PathBuf>,
}

fn charset(word: &str) -> Result<Charset, String> {
    Charset::parse(word).ok_or_else(|| "expected utf-8, gbk or gb2312".to_owned())
}

fn sign_type(word: &str) -> Result<SignType, String> {
    SignType::parse(word).ok_or_else(|| "expected RSA2 or RSA".to_owned())
}

/// What a message proves and says.
pub(super) struct Finding {
    /// What was signed; `None` where no part of it can be the signed one.
    pub(super) subject: Option<Subject>,
    /// The signature, where it can be read.
    pub(super) signature: Option<Vec<u8>>,
    pub(super) proof: Proof,
    /// `None` for a request.
    claim: Option<Result<Claim, NoClaim>>,
    status: u16,
}

impl Message {
    pub(super) fn charset(&self) -> Charset {
        self.charset_or(Charset::Utf8)
    }

    pub(super) fn charset_or(&self, other: Charset) -> Charset {
        self.charset.unwrap_or(other)
    }

    fn sign_type(&self) -> SignType {
        self.sign_type.unwrap_or(SignType::Rsa2)
    }

    /// Refuses the flags of the other wire form.
    pub(super) fn refuse_foreign(&self) -> Result<(), CliError> {
        let of_pass = [("--signature-header", self.signature_header.is_some())];
        let of_marketing = [
            ("--charset", self.charset.is_some()),
            ("--sign-type", self.sign_type.is_some()),
            ("--aes-key", self.aes_key.is_some()),
            ("--response", self.response.is_some()),
        ];
        match self.dialect.signing {
            Signing::Head => refuse(self.dialect, &of_marketing),
            Signing::Params => refuse(self.dialect, &self.head.flags()).and_then(|()| refuse(self.dialect, &of_pass)),
        }
    }

    /// Reads the message and judges its signature by `key`.
    pub(super) fn judge(&self, key: &Verifier) -> Result<Finding, CliError> {
        self.refuse_foreign()?;
        match self.dialect.signing {
            Signing::Head => self.judge_pass(key),
            Signing::Params => self.judge_response(key),
        }
    }

    fn judge_pass(&self, key: &Verifier) -> Result<Finding, CliError> {
        let (subject, body) = self.head.subject()?;
        let header = self.signature_header.as_deref().filter(|value| !value.trim().is_empty());
        let signature = header.map(|value| head::read(value, head::SIGNATURE));
        let proof = match &signature {
            None => Proof::Unsigned,
            Some(Err(fault)) => Proof::bad(format!("the signature header: {fault}")),
            Some(Ok(header)) if key.verify(&subject.input, &header.bytes) => Proof::Verified,
            Some(Ok(_)) => Proof::bad("the signature does not verify with this key over these bytes"),
        };
        // With a status of its own it is a reply, whatever it looks like.
        let is_reply = self.status != OK || !is_request(&body);
        let claim = is_reply.then(|| pass::reply::claim(&body));
        let signature = signature.and_then(Result::ok).map(|header| header.bytes);
        Ok(Finding { subject: Some(subject), signature, proof, claim, status: self.status })
    }

    /// What is signed in a marketing-card reply.
    pub(super) fn response_subject(&self) -> Result<Subject, CliError> {
        let path = needed(self.response.as_deref(), "--response or --params")?;
        let bytes = read(path)?;
        let envelope = parse::read(&bytes, self.charset());
        let envelope = envelope.map_err(|fault| CliError::usage(format!("{}: {fault}", path.display())))?;
        Ok(Subject::of_reply(&envelope, self.sign_type(), self.charset()))
    }

    fn judge_response(&self, key: &Verifier) -> Result<Finding, CliError> {
        let bytes = read(needed(self.response.as_deref(), "--response")?)?;
        let aes = self.aes_key.as_deref().map(|path| super::key(path, Aes::parse)).transpose()?;
        let (charset, sign_type) = (self.charset(), self.sign_type());
        let read = parse::read(&bytes, charset);
        let proof = reply::prove(&read, sign_type, charset, std::slice::from_ref(key));
        let claim = reply::claim(&read, charset, |sealed| opened(aes.as_ref()?, sealed, charset));
        let subject = read.as_ref().ok().map(|envelope| Subject::of_reply(envelope, sign_type, charset));
        let signature = read.as_ref().ok().and_then(Envelope::signature);
        Ok(Finding { subject, signature, proof, claim: Some(claim), status: self.status })
    }
}

/// A body of updatePass that is a call, plain or encrypted, and so has no verdict.
fn is_request(body: &[u8]) -> bool {
    let Ok(json) = Json::parse(body) else {
        // An encrypted body is base64, and says nothing to us; nor does an empty one.
        let packed = body.trim_ascii();
        return packed.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
    };
    let Json::Object(members) = &json else { return false };
    let has = |names: &[&str]| members.iter().any(|(name, _)| names.contains(&&**name));
    has(&["merchantId", "userId", "openId", "passId", "dataInfo"]) && !has(&["result", "resultInfo", "ResultInfo"])
}

/// A node opened with the key. Which of the two types it is shows in what comes out.
fn opened(aes: &Aes, sealed: &str, charset: Charset) -> Option<Vec<u8>> {
    let is_json =
        |plain: &Vec<u8>| charset.decode(plain).is_some_and(|text| Json::parse_reply(text.as_bytes()).is_ok());
    EncryptType::WORDS.iter().find_map(|(_, encrypt_type)| encrypt_type.open(aes, sealed.as_bytes()).filter(is_json))
}

impl Finding {
    pub(super) fn verified(&self) -> Option<bool> {
        self.proof.verified()
    }

    fn reason(&self) -> String {
        let success = matches!(&self.claim, Some(Ok(claim)) if claim.success);
        match &self.proof {
            Proof::Verified => "the signature verifies".to_owned(),
            Proof::Unsigned if success => "there is no signature, and a success without one is not believed".to_owned(),
            Proof::Unsigned => match (&self.subject, &self.claim) {
                (None, Some(Err(fault))) => format!("there is no signature to be found: {}", fault.text),
                _ => "there is no signature".to_owned(),
            },
            Proof::Refused(_, why) => why.clone(),
        }
    }

    /// What the code table makes of the reply, believed or not; but nobody's success is no success.
    fn verdict(&self) -> Option<Verdict> {
        match self.claim.as_ref()? {
            Ok(claim) if self.verified() == Some(true) || claim.verdict != Verdict::Applied => Some(claim.verdict),
            _ if self.status == 429 && self.verified() != Some(true) => Some(Verdict::Throttled),
            _ => Some(Verdict::InDoubt),
        }
    }

    pub(super) fn json(&self) -> Value {
        let claim = self.claim.as_ref().and_then(|claim| claim.as_ref().ok());
        let (code, sub_code) = match claim.map(|claim| claim.code.split_once('/').unwrap_or((&claim.code, ""))) {
            None => (None, None),
            Some((code, sub_code)) => (Some(code), Some(sub_code).filter(|sub_code| !sub_code.is_empty())),
        };
        let message = match &self.claim {
            None => None,
            Some(Ok(claim)) => Some(&claim.message),
            Some(Err(fault)) => Some(&fault.text),
        };
        json!({
            "verified": self.verified(),
            "reason": self.reason(),
            "verdict": self.verdict().map(Verdict::as_str),
            "code": code,
            "sub_code": sub_code,
            "message": message,
        })
    }

    pub(super) fn lines(&self) -> String {
        let json = self.json();
        let word = |name: &str| match &json[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let names = ["verified", "reason", "verdict", "code", "sub_code", "message"];
        names.map(|name| format!("{name:<9} {}\n", word(name))).concat()
    }
}

impl Verify {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let finding = self.message.judge(&key(&self.key, Verifier::parse)?)?;
        if self.json {
            screen.print_json(&finding.json())?;
        } else {
            screen.print(&finding.lines())?;
        }
        Ok(if finding.verified() == Some(true) { Exit::Clean } else { Exit::Failures })
    }
}
