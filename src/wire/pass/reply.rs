//! The replies of `updatePass`: who wrote them, and what they claim.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use super::codes;
use super::head;
use crate::model::{Reading, Verdict};
use crate::wire::crypto::Verifier;
use crate::wire::json::{Json, JsonFault};
use crate::wire::reading::{self, Claim, NoClaim, Proof};
use crate::wire::{Reply, header};

/// Checks who wrote a reply to a call on `path` by `client_id`.
pub fn prove(reply: &Reply, path: &str, client_id: &str, keys: &[Verifier]) -> Proof {
    let Some(value) = header(&reply.headers, "signature").filter(|value| !value.trim().is_empty()) else {
        return Proof::Unsigned;
    };
    let signature = match head::read(value, head::SIGNATURE) {
        Ok(header) => header.bytes,
        Err(fault) => return Proof::bad(format!("the signature header: {fault}")),
    };
    if header(&reply.headers, "client-id").is_some_and(|theirs| theirs.trim() != client_id) {
        return Proof::Refused("OTHER_CLIENT", "the reply is for another client-id".into());
    }
    let Some(time) = header(&reply.headers, "response-time") else {
        return Proof::bad("a signature without a response-time");
    };
    let input = head::signing_input(path, client_id, time.trim(), &reply.body);
    if keys.iter().any(|key| key.verify(&input, &signature)) {
        return Proof::Verified;
    }
    Proof::bad(format!("the signature verifies with none of the {} platform keys", keys.len()))
}

/// What a body says.
pub fn claim(body: &[u8]) -> Result<Claim, NoClaim> {
    let Envelope { code, status, message } = Envelope::read(body).map_err(|fault| NoClaim {
        ambiguous: matches!(fault, EnvelopeFault::Json(JsonFault::Twice) | EnvelopeFault::Disagree),
        text: fault.to_string(),
    })?;
    let line = codes::find(&code);
    Ok(Claim {
        verdict: codes::verdict(&code, &status),
        listed: line.is_some(),
        success: status == "S" || line.is_some_and(|line| line.verdict == Verdict::Applied),
        code,
        status,
        message,
    })
}

/// What the reply means: what proof and claim say together, and its time.
pub fn read(reply: &Reply, proof: &Proof, claim: &Result<Claim, NoClaim>) -> Reading {
    let result_at = header(&reply.headers, "response-time").unwrap_or_default().trim();
    Reading {
        result_at: reading::kept(result_at, reading::CODE_CHARS_MAX),
        // A time that nobody signed must not move our clock.
        result_ms: instant_ms(result_at).filter(|_| *proof == Proof::Verified),
        ..reading::weigh(reply, proof, claim)
    }
}

/// The result in a body.
struct Envelope {
    /// `resultCode`.
    code: String,
    /// `resultStatus`, empty where there is none.
    status: String,
    /// `resultMessage`, empty where there is none.
    message: String,
}

/// Why a body has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum EnvelopeFault {
    #[error(transparent)]
    Json(#[from] JsonFault),
    #[error("JSON without a resultCode in `result` or `resultInfo`")]
    NoResult,
    #[error("two results that disagree")]
    Disagree,
}

impl Envelope {
    /// Reads `result`, `resultInfo` or `ResultInfo`: the pages and the samples use one each for the same thing.
    fn read(body: &[u8]) -> Result<Envelope, EnvelopeFault> {
        let json = Json::parse_reply(body)?;
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
        if code.is_empty() {
            return Err(EnvelopeFault::NoResult);
        }
        Ok(Envelope { code: code.to_owned(), status: status.to_owned(), message: text("resultMessage")?.to_owned() })
    }
}

/// RFC 3339 with any offset, as the pages have it; or what its siblings write: epoch milliseconds or seconds, no zone, an HTTP
/// date. A time without a zone is taken as UTC: what that is off by is learnt as the difference of the clocks.
fn instant_ms(text: &str) -> Option<i64> {
    let number = || text.parse::<i64>().ok();
    match text.len() {
        13 if text.bytes().all(|byte| byte.is_ascii_digit()) => return number(),
        10 if text.bytes().all(|byte| byte.is_ascii_digit()) => return number().map(|seconds| seconds * 1_000),
        _ => {}
    }
    let in_utc = |time: DateTime| time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let instant = text.parse::<Timestamp>().ok().or_else(|| text.parse().ok().and_then(in_utc));
    let instant = instant.or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()));
    instant.map(Timestamp::as_millisecond)
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
        let value = head::write("RSA256", 1, head::SIGNATURE, &signature);
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
        read(reply, &prove(reply, PATH, CLIENT, &[PLATFORM.public()]), &claim(&reply.body))
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
    fn times_of_many_forms_are_read() {
        const MS: i64 = 1_702_866_811_000;
        for text in [
            "2023-12-18T02:33:31Z",
            "2023-12-18T10:33:31.000+08:00",
            "2023-12-18T10:33:31+0800",
            "1702866811000",
            "1702866811",
            "2023-12-18T02:33:31",
            "2023-12-18 02:33:31.000",
            "Mon, 18 Dec 2023 02:33:31 GMT",
        ] {
            assert_eq!(instant_ms(text), Some(MS), "{text}");
        }
        for text in ["", "yesterday", "17028668110", "170286681x", "2023-13-18T02:33:31Z"] {
            assert_eq!(instant_ms(text), None, "{text}");
        }
    }

    #[test]
    fn signed_bytes_that_say_nothing_are_in_doubt() {
        for body in [
            "",
            "<html>",
            "{}",
            "[]",
            r#"{"result":1}"#,
            r#"{"result":{}}"#,
            r#"{"result":{"resultCode":1}}"#,
            r#"{"result":{"resultStatus":"F"}}"#,
            r#"{"result":{"resultCode":"","resultStatus":"F"}}"#,
            r#"{"result":{"resultCode":null,"resultStatus":"U"}}"#,
        ] {
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
    fn a_reply_that_is_too_long_to_read_is_not_called_badly_signed() {
        let mut cut = signed(200, &result("SUCCESS", "S").replace("why", &"x".repeat(Reply::BODY_MAX)));
        assert_eq!(says(&cut).0, Verdict::Applied, "who has all of it can verify it");
        cut.body.truncate(Reply::BODY_MAX + 1);
        assert_eq!(says(&cut), (Verdict::InDoubt, "TOO_LONG".into(), Some(false)));
        assert_eq!(says(&Reply { status: 429, ..cut }).0, Verdict::Throttled);
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "no such ".repeat(625);
        let reading = reading(&signed(200, &result(&long, "F").replace("why", &long)));
        assert_eq!((reading.code.len(), reading.message.len()), (64, 400));
    }

    #[test]
    fn times_are_read_with_offsets_fractions_and_as_milliseconds() {
        for text in ["2023-12-18T02:33:32Z", "2023-12-18T10:33:32+08:00", "2023-12-18T02:33:32.000Z", "1702866812000"] {
            assert_eq!(instant_ms(text), Some(1_702_866_812_000), "{text}");
        }
        assert_eq!(instant_ms("yesterday"), None);
    }
}
