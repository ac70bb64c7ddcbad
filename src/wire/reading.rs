//! "Reading a reply" (CONTRACT): whether it can be believed, what it says, and what the two mean together. Dialects
//! bring a [`Proof`] and a [`Claim`]; the rules are here alone. The clock check, the count of doubtful configuration
//! codes and the halt are the core's.

use super::retry_after::retry_after_ms;
use super::{Reply, header};
use crate::model::{Reading, Verdict};

/// The gateway's words go into ledger and outcomes row by row: no reply may fill them.
pub const CODE_CHARS_MAX: usize = 64;
const TRACE_CHARS_MAX: usize = 128;
const MESSAGE_CHARS_MAX: usize = 400;

/// Whether a reply can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// One of the platform's keys signed these very bytes.
    Verified,
    /// There is no signature.
    Unsigned,
    /// There is one, and it proves nothing: our code for it, and why.
    Refused(&'static str, String),
}

impl Proof {
    /// A signature that does not prove what it should.
    pub fn bad(why: impl Into<String>) -> Proof {
        Proof::Refused("BAD_SIGNATURE", why.into())
    }

    /// The contract's three words: yes, no, and no signature.
    pub fn verified(&self) -> Option<bool> {
        match self {
            Proof::Verified => Some(true),
            Proof::Unsigned => None,
            Proof::Refused(..) => Some(false),
        }
    }
}

/// What the body of a reply says, believed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The vendor's code.
    pub code: String,
    /// The vendor's status, empty where there is none.
    pub status: String,
    /// What it says, without secrets.
    pub message: String,
    /// What the dialect's table makes of code and status.
    pub verdict: Verdict,
    /// Whether the code stands in the table.
    pub listed: bool,
    /// Whether any of its words claims success.
    pub success: bool,
}

/// Why the body of a reply says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoClaim {
    /// It can be read in two ways; else in none.
    pub ambiguous: bool,
    /// What was found.
    pub text: String,
}

impl NoClaim {
    fn code(&self) -> &'static str {
        if self.ambiguous { "AMBIGUOUS" } else { "GARBAGE" }
    }
}

/// What a reply means.
pub fn weigh(reply: &Reply, proof: &Proof, claim: &Result<Claim, NoClaim>) -> Reading {
    let reading = match proof {
        Proof::Verified => believed(claim),
        _ if reply.status == 429 => Reading::transport(Verdict::Throttled, "HTTP_429", disbelieved(proof, claim)),
        _ if reply.body.len() > Reply::BODY_MAX && reply.status < 300 => {
            let found = format!("HTTP {}, more than {} bytes", reply.status, Reply::BODY_MAX);
            Reading::transport(
                Verdict::InDoubt,
                "TOO_LONG",
                format!("{found}: more than a run reads, so it is not verified"),
            )
        }
        Proof::Refused(code, _) => Reading::transport(Verdict::InDoubt, code, disbelieved(proof, claim)),
        Proof::Unsigned => unsigned(reply, claim),
    };
    Reading {
        code: kept(&reading.code, CODE_CHARS_MAX),
        status: kept(&reading.status, CODE_CHARS_MAX),
        message: kept(&reading.message, MESSAGE_CHARS_MAX),
        verified: proof.verified(),
        configuration: claim.as_ref().is_ok_and(|claim| claim.verdict == Verdict::Misconfigured),
        trace_id: trace_id(reply),
        http_status: reply.status,
        retry_after_ms: retry_after_ms(&reply.headers),
        ..reading
    }
}

/// A verified body decides, whatever the HTTP status.
fn believed(claim: &Result<Claim, NoClaim>) -> Reading {
    match claim {
        Ok(Claim { code, status, message, verdict, listed, .. }) => {
            Reading { status: status.clone(), listed: *listed, ..Reading::transport(*verdict, code, message) }
        }
        Err(fault) => Reading::transport(Verdict::InDoubt, fault.code(), format!("signed, but {}", fault.text)),
    }
}

/// Nobody signed it: a failure is a hint, a success is nothing.
fn unsigned(reply: &Reply, claim: &Result<Claim, NoClaim>) -> Reading {
    let message = disbelieved(&Proof::Unsigned, claim);
    let doubt = |code: &str, message| Reading::transport(Verdict::InDoubt, code, message);
    match claim {
        Ok(claim) if claim.success => doubt("UNSIGNED", message),
        Ok(claim) => Reading { status: claim.status.clone(), listed: claim.listed, ..doubt(&claim.code, message) },
        Err(fault) if fault.ambiguous => doubt(fault.code(), message),
        Err(_) => {
            let kind = header(&reply.headers, "content-type").unwrap_or("no type");
            let size = reply.body.len();
            let found = format!("HTTP {}, unsigned, {size} bytes of {}", reply.status, shortened(kind, CODE_CHARS_MAX));
            match reply.status {
                300..400 => doubt("REDIRECT", format!("{found}; redirects are not followed")),
                200..300 => doubt("GARBAGE", found),
                status => doubt(&format!("HTTP_{status}"), found),
            }
        }
    }
}

/// What an unbelieved body claims, with the reason why it is not believed.
fn disbelieved(proof: &Proof, claim: &Result<Claim, NoClaim>) -> String {
    let why = match proof {
        Proof::Refused(_, why) => why,
        _ => "unsigned",
    };
    match claim {
        Ok(Claim { code, status, message, .. }) => {
            let words: Vec<&str> =
                [code, status, message].into_iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
            format!("not believed ({why}): {}", words.join(" "))
        }
        Err(fault) => format!("not believed ({why}): {}", fault.text),
    }
}

/// The pages and the SDKs spell the header in more than one way.
fn trace_id(reply: &Reply) -> String {
    const NAMES: [&str; 6] = ["tracer-id", "tracerid", "trace-id", "traceid", "tracer_id", "trace_id"];
    let found = NAMES.iter().find_map(|name| header(&reply.headers, name));
    kept(found.unwrap_or_default().trim(), TRACE_CHARS_MAX)
}

/// Only a signature has words so long: one of 1,024 bits has 172 characters.
const WORD_CHARS_MAX: usize = 170;

/// What is kept of a text of the gateway: no signature, which it may give back to us, and no control characters, which a
/// terminal would obey.
pub(super) fn kept(text: &str, chars_max: usize) -> String {
    if text.len() <= WORD_CHARS_MAX && !text.contains(char::is_control) {
        return shortened(text, chars_max);
    }
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "+/=%_-".contains(c);
    let mut kept = String::with_capacity(text.len());
    for piece in text.split_inclusive(|c| !is_of_word(c)) {
        let word = piece.trim_end_matches(|c| !is_of_word(c));
        if word.len() > WORD_CHARS_MAX {
            kept += &format!("[a word of {} characters, left out]", word.len());
        } else {
            kept += word;
        }
        kept.extend(piece[word.len()..].chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    shortened(&kept, chars_max)
}

/// At most `chars_max` characters of a text.
pub fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signature_and_no_control_character_is_kept() {
        let said = format!("the signature {} is wrong\u{1b}]0;t\u{7}", "aB+/".repeat(86));
        assert_eq!(kept(&said, 200), "the signature [a word of 344 characters, left out] is wrong ]0;t ");
        assert_eq!(kept("銀卡\n不存在", 9), "銀卡 不存在");
        let long = "no such card, ".repeat(20);
        assert_eq!((kept(&long, 1_000), kept("Success.", 4)), (long.clone(), "Succ".to_owned()));
    }
}
