//! `passync wire explain`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::verify::{Finding, Message};
use super::{Call, key, read, refuse};
use crate::cli::{CliError, Screen};
use crate::model::Exit;
use crate::wire::Signing;
use crate::wire::charset::Charset;
use crate::wire::crypto::{Hash, Verifier};
use crate::wire::explain::{Difference, Subject, visible};
use crate::wire::marketing_card::envelope::Node;
use crate::wire::marketing_card::parse;

/// Show the string that is signed, what hides in it, and where it differs from another one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  passync wire explain --dialect marketing-card --params params.json --against echo.txt
  passync wire explain --dialect alipayhk-card --client-id 2110200000000044 --body body.json \\
      --path /api/open/alipay/v1/ipass/pass/manage/updatePass --time 2023-12-18T02:33:31Z \\
      --key keys/merchant.pub.pem --signature-header 'algorithm=RSA256,keyVersion=1,signature=...'

echo.txt is a string that another side signed: such as the gateway's own in the sub_msg of isv.invalid-signature,
with the words around it and `&` as `&amp;`, as it came; or the whole reply.")]
pub struct Explain {
    #[command(flatten)]
    message: Message,
    /// The public key, or certificate, of whoever signed: judges the signature too
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,
    /// A string that another side signed
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// All parameters of a call but `sign`, as a JSON object of strings
    #[arg(long, value_name = "FILE", help_heading = "marketing-card", conflicts_with = "response")]
    params: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// What is shown.
struct Explanation {
    subject: Subject,
    finding: Option<Finding>,
    /// What the signature would have been right for.
    mistake: Option<String>,
    comparison: Comparison,
}

/// How it compares with a given string.
enum Comparison {
    /// None was given.
    None,
    Same,
    Differs(Difference),
}

impl Explain {
    pub(super) fn execute(self, screen: Screen) -> Result<Exit, CliError> {
        let against = self.against.as_deref().map(read).transpose()?;
        let explanation = self.explanation(against.as_deref())?;
        if self.json {
            screen.print_json(&explanation.json())?;
        } else {
            screen.print(&explanation.lines())?;
        }
        let same = !matches!(explanation.comparison, Comparison::Differs(_));
        let sound = explanation.finding.as_ref().is_none_or(|finding| finding.verified() != Some(false));
        Ok(if same && sound { Exit::Clean } else { Exit::Failures })
    }

    fn explanation(&self, against: Option<&[u8]>) -> Result<Explanation, CliError> {
        self.message.refuse_foreign()?;
        let params = [("--params", self.params.is_some())];
        if self.message.dialect.signing == Signing::Head {
            refuse(self.message.dialect, &params)?;
        }
        let public = self.key.as_deref().map(|path| key(path, Verifier::parse)).transpose()?;
        let finding = match &public {
            Some(public) if self.params.is_none() => Some(self.message.judge(public)?),
            _ => None,
        };
        let subject = match finding.as_ref().and_then(|finding| finding.subject.clone()) {
            Some(subject) => subject,
            None => self.subject()?,
        };
        let mistake = finding
            .as_ref()
            .filter(|finding| finding.verified() == Some(false))
            .and_then(|finding| subject.mistake(public.as_ref()?, finding.signature.as_deref()?));
        let given = against.map(|bytes| given(bytes, self.message.charset_or(subject.charset())));
        let comparison = match given.map(|given| subject.difference(&given)) {
            None => Comparison::None,
            Some(None) => Comparison::Same,
            Some(Some(difference)) => Comparison::Differs(difference),
        };
        Ok(Explanation { subject, finding, mistake, comparison })
    }

    fn subject(&self) -> Result<Subject, CliError> {
        match (self.message.dialect.signing, &self.params) {
            (Signing::Params, Some(params)) => Ok(Call::read(params)?.subject()),
            (Signing::Params, None) => self.message.response_subject(),
            (Signing::Head, _) => Ok(self.message.head.subject()?.0),
        }
    }
}

/// The string in a given file: as it stands, or the `sub_msg` of a reply.
fn given(bytes: &[u8], charset: Charset) -> String {
    match parse::read(bytes, charset).and_then(|envelope| envelope.node) {
        Ok(Node::Plain(fields)) => fields.sub_msg,
        _ => charset.decode(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes)).into_owned(),
    }
}

impl Explanation {
    fn digest(&self) -> (&'static str, String) {
        let name = match self.subject.hash {
            Hash::Sha256 => "SHA-256",
            Hash::Sha1 => "SHA-1",
        };
        (name, self.subject.hash.hex(&self.subject.input))
    }

    fn json(&self) -> serde_json::Value {
        let text = self.subject.text();
        let (hash, digest) = self.digest();
        let difference = match &self.comparison {
            Comparison::None => json!(null),
            Comparison::Same => json!({ "same": true }),
            Comparison::Differs(Difference { at, part, before, ours, theirs }) => {
                json!({ "same": false, "at": at, "part": part, "before": before, "ours": ours, "theirs": theirs })
            }
        };
        json!({
            "signing_input": text,
            "visible": visible(&text),
            "bytes": self.subject.input.len(),
            "hash": hash,
            "digest": digest,
            "notes": self.subject.notes(),
            "finding": self.finding.as_ref().map(Finding::json),
            "mistake": self.mistake,
            "difference": difference,
        })
    }

    fn lines(&self) -> String {
        let (hash, digest) = self.digest();
        let mut lines =
            format!("string to sign, {} bytes:\n{}\n\n", self.subject.input.len(), visible(&self.subject.text()));
        lines += &format!("{hash}  {digest}\n");
        for note in self.subject.notes() {
            lines += &format!("note: {note}\n");
        }
        if let Some(finding) = &self.finding {
            lines += &format!("\n{}", finding.lines());
        }
        if let Some(mistake) = &self.mistake {
            lines += &format!("the signature would be right otherwise: {mistake}\n");
        }
        match &self.comparison {
            Comparison::None => {}
            Comparison::Same => lines += "\nthe given string is the same\n",
            Comparison::Differs(Difference { at, part, before, ours, theirs }) => {
                let (ours, theirs) = (or_end(ours), or_end(theirs));
                lines += &format!(
                    "\nthe given string differs after {at} characters, in {part}:\n  both    …{before}\n  ours    {ours}\n  theirs  {theirs}\n"
                );
            }
        }
        lines
    }
}

fn or_end(text: &str) -> &str {
    if text.is_empty() { "(the end)" } else { text }
}
