//! What a reply means (CONTRACT "Reading a reply"): first whether it can be believed, then what it says, then the
//! two together. The clock check, the count of doubtful configuration codes and the halt are the core's.

use jiff::Timestamp;

use super::codes;
use super::head::{self, SignatureHeader};
use crate::model::{Reading, Verdict};
use crate::wire::crypto::Verifier;
use crate::wire::json::{Json, JsonFault};
use crate::wire::retry_after::retry_after_ms;
use crate::wire::{Reply, header};

/// The gateway's words go into ledger and outcomes row by row: no reply may fill them.
const CODE_CHARS_MAX: usize = 64;
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

/// Checks who wrote a reply to a call on `path` by `client_id`.
pub fn prove(reply: &Reply, path: &str, client_id: &str, keys: &[Verifier]) -> Proof {
    let bad = |why: String| Proof::Refused("BAD_SIGNATURE", why);
    // We did not encrypt, so nobody had a key to encrypt to: what is in there cannot be what we would verify.
    if header(&reply.headers, "encrypt").is_some_and(|value| !value.trim().is_empty()) {
        return Proof::Refused("ENCRYPTED_REPLY", "the reply says it is encrypted, and the call was not".into());
    }
    let Some(value) = header(&reply.headers, "signature").filter(|value| !value.trim().is_empty()) else {
        return Proof::Unsigned;
    };
    let SignatureHeader { signature, .. } = match head::read_signature(value) {
        Ok(signature) => signature,
        Err(fault) => return bad(fault.to_string()),
    };
    if header(&reply.headers, "client-id").is_some_and(|theirs| theirs.trim() != client_id) {
        return Proof::Refused("OTHER_CLIENT", "the reply is for another client-id".into());
    }
    let Some(time) = header(&reply.headers, "response-time") else {
        return bad("a signature without a response-time".into());
    };
    let input = head::signing_input(path, client_id, time.trim(), &reply.body);
    if keys.iter().any(|key| key.verify(&input, &signature)) {
        return Proof::Verified;
    }
    bad(format!("the signature verifies with none of the {} platform keys", keys.len()))
}

/// What the body of a reply says, believed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `resultCode`, empty where there is none.
    pub code: String,
    /// `resultStatus`, empty where there is none.
    pub status: String,
    /// `resultMessage`, empty where there is none.
    pub message: String,
}

/// Why the body of a reply says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    /// It cannot be read.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// It has no result, or one of another form.
    #[error("JSON without a resultCode or resultStatus in `result` or `resultInfo`")]
    NoResult,
    /// It has two, and they differ.
    #[error("two results that disagree")]
    Disagree,
}

impl Envelope {
    /// Reads `result`, `resultInfo` or `ResultInfo`: the pages and the samples use one each for the same thing.
    pub fn read(body: &[u8]) -> Result<Envelope, EnvelopeFault> {
        let json = Json::parse(body)?;
        let mut found: Option<Envelope> = None;
        for name in ["result", "resultInfo", "ResultInfo"] {
            let Some(result) = json.get(name)? else { continue };
            let envelope = Envelope::read_result(result)?;
            match &found {
                Some(other) if (&other.code, &other.status) != (&envelope.code, &envelope.status) => {
                    return Err(EnvelopeFault::Disagree);
                }
                Some(_) => {}
                None => found = Some(envelope),
            }
        }
        found.ok_or(EnvelopeFault::NoResult)
    }

    fn read_result(result: &Json<'_>) -> Result<Envelope, EnvelopeFault> {
        let text = |key| match result.get(key)? {
            None => Ok(""),
            Some(value) => value.as_text().ok_or(EnvelopeFault::NoResult),
        };
        let (code, status) = (text("resultCode")?, text("resultStatus")?);
        if code.is_empty() && status.is_empty() {
            return Err(EnvelopeFault::NoResult);
        }
        Ok(Envelope {
            code: shortened(code, CODE_CHARS_MAX),
            status: shortened(status, CODE_CHARS_MAX),
            message: shortened(text("resultMessage")?, MESSAGE_CHARS_MAX),
        })
    }

    /// Whether it claims success in either of its words.
    fn claims_success(&self) -> bool {
        self.status == "S" || codes::find(&self.code).is_some_and(|line| line.verdict == Verdict::Applied)
    }

    fn is_configuration(&self) -> bool {
        codes::find(&self.code).is_some_and(|line| line.verdict == Verdict::Misconfigured)
    }
}

/// What the reply means: verdict, code, status and message from proof and body; the rest from the headers.
pub fn read(reply: &Reply, proof: &Proof) -> Reading {
    let envelope = Envelope::read(&reply.body);
    let reading = match proof {
        Proof::Verified => believed(&envelope),
        _ if reply.status == 429 => Reading::transport(Verdict::Throttled, "HTTP_429", disbelieved(proof, &envelope)),
        Proof::Refused(code, _) => Reading::transport(Verdict::InDoubt, code, disbelieved(proof, &envelope)),
        Proof::Unsigned => unsigned(reply, &envelope),
    };
    let result_at = header(&reply.headers, "response-time").unwrap_or_default().trim();
    let verified = match proof {
        Proof::Verified => Some(true),
        Proof::Unsigned => None,
        Proof::Refused(..) => Some(false),
    };
    Reading {
        verified,
        configuration: envelope.as_ref().is_ok_and(Envelope::is_configuration),
        trace_id: trace_id(reply),
        http_status: reply.status,
        result_at: shortened(result_at, TRACE_CHARS_MAX),
        // A time that nobody signed must not move our clock.
        result_ms: instant_ms(result_at).filter(|_| verified == Some(true)),
        retry_after_ms: retry_after_ms(&reply.headers),
        ..reading
    }
}

/// A verified body decides, whatever the HTTP status.
fn believed(envelope: &Result<Envelope, EnvelopeFault>) -> Reading {
    match envelope {
        Ok(Envelope { code, status, message }) => Reading {
            status: status.clone(),
            listed: codes::find(code).is_some(),
            ..Reading::transport(codes::verdict(code, status), code, message)
        },
        Err(fault) => Reading::transport(Verdict::InDoubt, own_code(*fault), format!("signed, but {fault}")),
    }
}

/// Nobody signed it: a failure is a hint, a success is nothing.
fn unsigned(reply: &Reply, envelope: &Result<Envelope, EnvelopeFault>) -> Reading {
    let message = disbelieved(&Proof::Unsigned, envelope);
    let doubt = |code: &str, message| Reading::transport(Verdict::InDoubt, code, message);
    match envelope {
        Ok(envelope) if envelope.claims_success() => doubt("UNSIGNED", message),
        Ok(envelope) => Reading {
            status: envelope.status.clone(),
            listed: codes::find(&envelope.code).is_some(),
            ..doubt(&envelope.code, message)
        },
        Err(EnvelopeFault::Disagree) => doubt("AMBIGUOUS", message),
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
fn disbelieved(proof: &Proof, envelope: &Result<Envelope, EnvelopeFault>) -> String {
    let why = match proof {
        Proof::Refused(_, why) => why,
        _ => "unsigned",
    };
    match envelope {
        Ok(Envelope { code, status, message }) => format!("not believed ({why}): {code} {status} {message}"),
        Err(fault) => format!("not believed ({why}): {fault}"),
    }
}

fn own_code(fault: EnvelopeFault) -> &'static str {
    match fault {
        EnvelopeFault::Json(JsonFault::Twice) | EnvelopeFault::Disagree => "AMBIGUOUS",
        EnvelopeFault::Json(_) | EnvelopeFault::NoResult => "GARBAGE",
    }
}

/// The pages spell the header in more than one way.
fn trace_id(reply: &Reply) -> String {
    const NAMES: [&str; 5] = ["tracer-id", "tracerid", "trace-id", "traceid", "tracer_id"];
    let found = NAMES.iter().find_map(|name| header(&reply.headers, name));
    shortened(found.unwrap_or_default().trim(), TRACE_CHARS_MAX)
}

/// RFC 3339 with any offset, or epoch milliseconds as the sibling APIs write them.
fn instant_ms(text: &str) -> Option<i64> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Some(instant.as_millisecond()),
        Err(_) if text.len() == 13 => text.parse().ok(),
        Err(_) => None,
    }
}

fn shortened(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::wire::crypto::Signer;

    const PATH: &str = "/updatePass";
    const CLIENT: &str = "2110200000000044";
    const TIME: &str = "2023-12-18T02:33:32Z";
    static PLATFORM: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());

    fn reply(status: u16, body: &str, headers: &[(&str, &str)]) -> Reply {
        let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Reply { status, headers, body: body.as_bytes().to_vec() }
    }

    fn signed(status: u16, body: &str) -> Reply {
        let signature = PLATFORM.sign(&head::signing_input(PATH, CLIENT, TIME, body.as_bytes()));
        let value = head::write_signature("RSA256", 1, &signature);
        reply(
            status,
            body,
            &[("Signature", &value), ("Client-Id", CLIENT), ("Response-Time", TIME), ("tracerId", "t1")],
        )
    }

    fn result(code: &str, status: &str) -> String {
        format!(r#"{{"result":{{"resultCode":"{code}","resultStatus":"{status}","resultMessage":"why"}}}}"#)
    }

    fn reading(reply: &Reply) -> Reading {
        read(reply, &prove(reply, PATH, CLIENT, &[PLATFORM.public()]))
    }

    fn says(reply: &Reply) -> (Verdict, String, Option<bool>) {
        let Reading { verdict, code, verified, .. } = reading(reply);
        (verdict, code, verified)
    }

    #[test]
    fn a_verified_body_decides_whatever_the_http_status() {
        for status in [200, 302, 404, 429, 503] {
            let done = reading(&signed(status, &result("SUCCESS", "S")));
            assert_eq!((done.verdict, done.verified), (Verdict::Applied, Some(true)), "{status}");
            assert_eq!((done.trace_id.as_str(), done.result_ms), ("t1", Some(1_702_866_812_000)));
            let no = reading(&signed(status, &result("PARAM_ILLEGAL", "F")));
            assert_eq!((no.verdict, no.status.as_str(), no.message.as_str()), (Verdict::Refused, "F", "why"));
        }
        let halt = reading(&signed(200, &result("KEY_NOT_FOUND", "F")));
        assert_eq!((halt.verdict, halt.configuration, halt.listed), (Verdict::Misconfigured, true, true));
        let new = reading(&signed(200, &result("NEW_CODE", "S")));
        assert_eq!((new.verdict, new.listed), (Verdict::InDoubtFinal, false));
    }

    #[test]
    fn three_names_are_one_result_and_two_that_disagree_are_in_doubt() {
        for name in ["result", "resultInfo", "ResultInfo"] {
            let body = format!(r#"{{"{name}":{{"resultCode":"SUCCESS","resultStatus":"S"}}}}"#);
            assert_eq!(says(&signed(200, &body)).0, Verdict::Applied, "{name}");
        }
        let agree = r#"{"result":{"resultCode":"SUCCESS","resultStatus":"S"},
            "resultInfo":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"ok"}}"#;
        assert_eq!(says(&signed(200, agree)).0, Verdict::Applied);
        let disagree = r#"{"result":{"resultCode":"SUCCESS","resultStatus":"S"},
            "ResultInfo":{"resultCode":"PARAM_ILLEGAL","resultStatus":"F"}}"#;
        assert_eq!(says(&signed(200, disagree)), (Verdict::InDoubt, "AMBIGUOUS".into(), Some(true)));
    }

    #[test]
    fn a_key_that_stands_twice_is_never_success() {
        for body in [
            r#"{"result":{"resultCode":"PARAM_ILLEGAL","resultCode":"SUCCESS","resultStatus":"S"}}"#,
            r#"{"result":{"resultCode":"SUCCESS","resultStatus":"F","resultStatus":"S"}}"#,
            r#"{"result":{"resultCode":"F"},"result":{"resultCode":"SUCCESS","resultStatus":"S"}}"#,
        ] {
            assert_eq!(says(&signed(200, body)), (Verdict::InDoubt, "AMBIGUOUS".into(), Some(true)), "{body}");
        }
    }

    #[test]
    fn signed_bytes_that_say_nothing_are_in_doubt() {
        for body in ["", "<html>", "{}", "[]", r#"{"result":1}"#, r#"{"result":{}}"#, r#"{"result":{"resultCode":1}}"#]
        {
            assert_eq!(says(&signed(200, body)), (Verdict::InDoubt, "GARBAGE".into(), Some(true)), "{body}");
        }
    }

    #[test]
    fn unsigned_replies_are_hints_at_most() {
        let said = |status, code, result_status| says(&reply(status, &result(code, result_status), &[]));
        assert_eq!(said(200, "SUCCESS", "S"), (Verdict::InDoubt, "UNSIGNED".into(), None));
        assert_eq!(said(200, "SUCCESS", "F"), (Verdict::InDoubt, "UNSIGNED".into(), None));
        assert_eq!(said(200, "PARAM_ILLEGAL", "F"), (Verdict::InDoubt, "PARAM_ILLEGAL".into(), None));
        assert_eq!(said(503, "SYSTEM_ERROR", "U"), (Verdict::InDoubt, "SYSTEM_ERROR".into(), None));
        assert_eq!(said(200, "RATE_LIMIT", "F"), (Verdict::InDoubt, "RATE_LIMIT".into(), None));
        assert_eq!(said(429, "SUCCESS", "S"), (Verdict::Throttled, "HTTP_429".into(), None));
        let hint = reading(&reply(200, &result("INVALID_SIGNATURE", "F"), &[("response-time", TIME)]));
        assert_eq!((hint.verdict, hint.configuration, hint.status.as_str()), (Verdict::InDoubt, true, "F"));
        assert_eq!((hint.result_at.as_str(), hint.result_ms), (TIME, None), "an unsigned time moves no clock");
    }

    #[test]
    fn bodies_without_a_result_are_named_by_the_http_status() {
        for (status, code) in [
            (200, "GARBAGE"),
            (204, "GARBAGE"),
            (302, "REDIRECT"),
            (404, "HTTP_404"),
            (500, "HTTP_500"),
            (503, "HTTP_503"),
        ] {
            let half = r#"{"result":{"resultCode":"SUCCESS","resultSta"#;
            for body in ["<html>busy</html>", "", half] {
                assert_eq!(says(&reply(status, body, &[])), (Verdict::InDoubt, code.into(), None), "{status} {body}");
            }
        }
        let wait = reading(&reply(429, "slow down", &[("Retry-After", "3")]));
        assert_eq!((wait.verdict, wait.retry_after_ms, wait.http_status), (Verdict::Throttled, Some(3_000), 429));
    }

    #[test]
    fn a_signature_that_proves_nothing_is_worse_than_none() {
        let good = signed(200, &result("SUCCESS", "S"));
        let without = |name: &str| {
            let mut reply = good.clone();
            reply.headers.retain(|(key, _)| key != name);
            reply
        };
        let with = |name: &str, value: &str| {
            let mut reply = good.clone();
            reply.headers.retain(|(key, _)| key != name);
            reply.headers.push((name.into(), value.into()));
            reply
        };
        let mut tampered = good.clone();
        tampered.body = result("SUCCESS", "S").replace("why", "not").into_bytes();
        for (bad, code) in [
            (tampered, "BAD_SIGNATURE"),
            (without("Response-Time"), "BAD_SIGNATURE"),
            (with("Response-Time", "2023-12-18T02:33:33Z"), "BAD_SIGNATURE"),
            (with("Signature", "signature=???"), "BAD_SIGNATURE"),
            (with("Signature", "algorithm=RSA256"), "BAD_SIGNATURE"),
            (with("Client-Id", "2110200000000045"), "OTHER_CLIENT"),
            (with("encrypt", "algorithm=RSA_AES,keyVersion=1,symmetricKey=x"), "ENCRYPTED_REPLY"),
        ] {
            assert_eq!(says(&bad), (Verdict::InDoubt, code.into(), Some(false)));
            assert_eq!(says(&Reply { status: 429, ..bad }).0, Verdict::Throttled);
        }
        assert_eq!(says(&without("Client-Id")).0, Verdict::Applied, "the client-id is ours where there is none");
        assert_eq!(says(&with("Signature", " ")).1, "UNSIGNED");
    }

    #[test]
    fn any_of_the_platform_keys_verifies() {
        let good = signed(200, &result("SUCCESS", "S"));
        let other = Signer::generate(2048).unwrap().public();
        assert_eq!(prove(&good, PATH, CLIENT, &[other.clone(), PLATFORM.public()]), Proof::Verified);
        assert!(matches!(prove(&good, PATH, CLIENT, &[other]), Proof::Refused("BAD_SIGNATURE", _)));
        assert!(matches!(prove(&good, PATH, CLIENT, &[]), Proof::Refused("BAD_SIGNATURE", _)));
    }

    #[test]
    fn long_words_are_cut() {
        let long = "x".repeat(5_000);
        let reading = reading(&signed(200, &result(&long, "F").replace("why", &long)));
        assert_eq!((reading.code.len(), reading.message.len()), (CODE_CHARS_MAX, MESSAGE_CHARS_MAX));
    }

    #[test]
    fn times_are_read_with_offsets_fractions_and_as_milliseconds() {
        for text in ["2023-12-18T02:33:32Z", "2023-12-18T10:33:32+08:00", "2023-12-18T02:33:32.000Z", "1702866812000"] {
            assert_eq!(instant_ms(text), Some(1_702_866_812_000), "{text}");
        }
        assert_eq!(instant_ms("yesterday"), None);
    }
}
