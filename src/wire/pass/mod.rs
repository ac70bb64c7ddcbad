//! What the two dialects of `updatePass` share: the endpoint with its signatures and replies, the columns that name
//! a card, and the extra members. They part in columns and body alone.

pub mod card;
pub mod codes;
pub mod data;
pub mod encryption;
pub mod extra;
pub mod form;
pub mod head;
pub(super) mod keys;
pub mod locale;
pub mod member;
pub mod reply;

use jiff::tz::{Offset, TimeZone};

use encryption::{Encryption, Sealed};

use super::crypto::{Signer, Verifier};
use super::json::{Json, Object};
use super::reading::{NoClaim, Proof};
use super::row::Merchants;
use super::setting::Keys;
use super::{Answer, CallFault, Reply, Request, SettingFault, header};
use crate::model::{Reading, moment};

/// The endpoint's path, unless the job names another.
const PATH: &str = "/api/open/alipay/v1/ipass/pass/manage/updatePass";

/// A merchant's id may be that long; the page's other figure, 32, is the type's (PROTOCOL 1.7).
const MERCHANT_CHARS_MAX: usize = 64;

/// The header of an encrypted body.
const ENCRYPT: &str = "encrypt";

const CONTENT_TYPE: &str = "application/json; charset=UTF-8";

/// The endpoint, as the client sees it and as the sandbox plays it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The merchants that rows may name.
    pub merchants: Merchants,
    client_id: String,
    key_version: u32,
    algorithm: String,
    path: String,
    request_zone: RequestZone,
    /// What the page's own sample calls the result.
    result_name: &'static str,
    encryption: Option<Encryption>,
}

/// How `request-time` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestZone {
    /// `2023-12-18T02:33:31Z`.
    Utc,
    /// `2023-12-18T10:33:31+08:00`.
    HongKong,
}

impl Endpoint {
    /// Reads the settings that both dialects have.
    pub fn from_settings(keys: &Keys<'_>, result_name: &'static str) -> Result<Endpoint, SettingFault> {
        let path = keys.path("path", PATH)?;
        let algorithm = keys.token("algorithm", Some("RSA256"))?;
        if algorithm.contains([',', '=']) {
            return Err(keys.fault("algorithm", format!("found {algorithm:?}, expected a word as RSA256")));
        }
        Ok(Endpoint {
            merchants: merchants(keys)?,
            client_id: keys.token("client_id", None)?.to_owned(),
            key_version: keys.number("key_version", 1)?,
            algorithm: algorithm.to_owned(),
            path: path.to_owned(),
            request_zone: keys.word(
                "request_time_format",
                &[("utc", RequestZone::Utc), ("offset", RequestZone::HongKong)],
                RequestZone::Utc,
            )?,
            result_name,
            encryption: Encryption::from_settings(keys)?,
        })
    }

    /// The client's id.
    pub fn client(&self) -> &str {
        &self.client_id
    }

    /// The path, as it is signed.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A freshly signed request. The time is formatted once: what is signed is what is sent.
    pub fn request(&self, body: &[u8], now_ms: i64, signer: &Signer) -> Request {
        let mut headers = vec![("content-type".to_owned(), CONTENT_TYPE.to_owned())];
        let body = self.seal(body.to_vec(), signer, &mut headers);
        let time = self.time(now_ms);
        let signature = signer.sign(&head::signing_input(&self.path, &self.client_id, &time, &body));
        headers.push(("client-id".into(), self.client_id.clone()));
        headers.push(("request-time".into(), time));
        headers.push(("signature".into(), self.signature(&signature)));
        Request { target: self.path.clone(), headers, body }
    }

    /// The body as it is sent: encrypted, if it is to be, with the header that says so.
    fn seal(&self, plain: Vec<u8>, signer: &Signer, headers: &mut Vec<(String, String)>) -> Vec<u8> {
        let Some(encryption) = &self.encryption else { return plain };
        let Sealed { header, body } = encryption.seal(&plain, signer);
        headers.push((ENCRYPT.to_owned(), header));
        body
    }

    fn signature(&self, signature: &[u8]) -> String {
        head::write(&self.algorithm, self.key_version, head::SIGNATURE, signature)
    }

    /// What a reply means.
    pub fn reply(&self, reply: &Reply, keys: &[Verifier]) -> Reading {
        let proof = reply::prove(reply, &self.path, &self.client_id, keys);
        let (proof, claim) = match (filled(&reply.headers, ENCRYPT), &self.encryption) {
            (None, _) => (proof, reply::claim(&reply.body)),
            // We did not encrypt, so nobody had a key to encrypt to: it cannot be an answer to us.
            (Some(_), None) => {
                let text = "the reply says it is encrypted, and the call was not".to_owned();
                (Proof::Refused("ENCRYPTED_REPLY", text.clone()), Err(NoClaim { ambiguous: false, text }))
            }
            (Some(header), Some(encryption)) => {
                let claim = match proof {
                    Proof::Verified => encryption.open(header, &reply.body).map(|plain| reply::claim(&plain)),
                    _ => Err("encrypted, and not opened".to_owned()),
                };
                (proof, claim.unwrap_or_else(|text| Err(NoClaim { ambiguous: false, text })))
            }
        };
        reply::read(reply, &proof, &claim)
    }

    /// The gateway's side: sees that the request is the client's, and gives its time and its plain body.
    pub fn admit(&self, request: &Request, key: &Verifier) -> Result<(String, Vec<u8>), CallFault> {
        let need = |name: &str| filled(&request.headers, name);
        let client_id = need("client-id").ok_or_else(|| CallFault::Client("there is no client-id".into()))?;
        if client_id != self.client_id {
            return Err(CallFault::Client(format!("client-id {client_id} is not known")));
        }
        let time = need("request-time").ok_or_else(|| CallFault::Parameter("there is no request-time".into()))?;
        let value = need("signature").ok_or_else(|| CallFault::Signature("there is none".into()))?;
        let signature =
            head::read(value, head::SIGNATURE).map_err(|fault| CallFault::Signature(fault.to_string()))?.bytes;
        if !key.verify(&head::signing_input(&request.target, client_id, time, &request.body), &signature) {
            return Err(CallFault::Signature("it does not verify over the bytes received".into()));
        }
        let plain = match (need(ENCRYPT), &self.encryption) {
            (None, None) => request.body.clone(),
            (Some(header), Some(encryption)) => encryption.open(header, &request.body).map_err(CallFault::Parameter)?,
            (Some(_), None) => return Err(CallFault::Parameter("encrypted bodies are not read here".into())),
            (None, Some(_)) => return Err(CallFault::Parameter("the body is not encrypted".into())),
        };
        Ok((time.to_owned(), plain))
    }

    /// The gateway's side: an answer, signed if there is a `signer`.
    pub fn write_reply(&self, asked: &Request, answer: &Answer, now_ms: i64, signer: Option<&Signer>) -> Reply {
        let mut result = Object::new();
        result.text("resultCode", &answer.code).text("resultStatus", &answer.status);
        result.text("resultMessage", &answer.message);
        let mut envelope = Object::new();
        envelope.object(self.result_name, result);
        let mut body = envelope.finish();
        let mut headers = vec![("content-type".into(), CONTENT_TYPE.into())];
        headers.push(("tracer-id".to_owned(), answer.trace_id.clone()));
        if let Some(signer) = signer {
            body = self.seal(body, signer, &mut headers);
            let time = self.time(now_ms);
            let signature = signer.sign(&head::signing_input(&asked.target, &self.client_id, &time, &body));
            headers.push(("client-id".into(), self.client_id.clone()));
            headers.push(("response-time".into(), time));
            headers.push(("signature".into(), self.signature(&signature)));
        }
        Reply { status: 200, headers, body }
    }

    fn time(&self, now_ms: i64) -> String {
        match self.request_zone {
            RequestZone::Utc => moment::format_in(now_ms, &TimeZone::UTC, "%Y-%m-%dT%H:%M:%SZ"),
            RequestZone::HongKong => {
                moment::format_in(now_ms, &TimeZone::fixed(Offset::constant(8)), "%Y-%m-%dT%H:%M:%S%:z")
            }
        }
    }
}

/// A header that has a value.
fn filled<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    header(headers, name).map(str::trim).filter(|value| !value.is_empty())
}

fn merchants(keys: &Keys<'_>) -> Result<Merchants, SettingFault> {
    let first = keys.token("merchant_id", None)?;
    let others = keys.texts("merchants", &[])?;
    for (key, id) in std::iter::once(("merchant_id", first)).chain(others.iter().map(|id| ("merchants", *id))) {
        if id.chars().count() > MERCHANT_CHARS_MAX {
            return Err(keys.fault(key, format!("found {id:?}, expected at most {MERCHANT_CHARS_MAX} characters")));
        }
    }
    Ok(Merchants::new(first, &others))
}

/// The members of a received body, or of an object in it; the gateway's side.
#[derive(Clone, Copy)]
pub struct Members<'a>(pub &'a Json<'a>);

impl<'a> Members<'a> {
    /// The value of `key`; `None` where it is absent or null.
    pub fn get(self, key: &str) -> Result<Option<&'a Json<'a>>, CallFault> {
        self.0.get(key).map_err(|fault| CallFault::Parameter(format!("{key}: {fault}")))
    }

    /// A string.
    pub fn text(self, key: &str) -> Result<Option<&'a str>, CallFault> {
        match self.get(key)? {
            None => Ok(None),
            Some(value) => value.as_text().map(Some).ok_or_else(|| parameter(key, "is not a string")),
        }
    }

    /// A string that every call needs.
    pub fn needed(self, key: &str) -> Result<&'a str, CallFault> {
        self.text(key)?.filter(|text| !text.is_empty()).ok_or_else(|| parameter(key, "is missing"))
    }

    /// The `$name$` values of the object itself, which stands under `key`; each may stand once. Other members of it
    /// are passed over.
    pub fn values(self, key: &str) -> Result<Vec<(&'a str, &'a Json<'a>)>, CallFault> {
        let Json::Object(members) = self.0 else { return Err(parameter(key, "is not an object")) };
        let mut values: Vec<(&str, &Json<'_>)> = Vec::new();
        for (key, value) in members {
            let Some(name) = key.strip_prefix('$').and_then(|rest| rest.strip_suffix('$')) else { continue };
            if values.iter().any(|(earlier, _)| *earlier == name) {
                return Err(parameter(key, "stands twice"));
            }
            values.push((name, value));
        }
        Ok(values)
    }
}

/// The key of a value of the card: `$name$`.
pub fn value_key(name: &str) -> String {
    format!("${name}$")
}

/// A parameter that the gateway does not take.
pub fn parameter(key: &str, text: &str) -> CallFault {
    CallFault::Parameter(format!("{key} {text}"))
}
