//! The gateway's side, for the sandbox: reads calls wherever their parameters stand, and answers in the form and charset
//! that they ask for, encrypted where the app is set up so.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::envelope::{CERT_SN, NODES, SIGN};
use super::params::{Params, SignType};
use super::{METHOD, MarketingCard, VERSION, body, codes, xml};
use crate::wire::charset::Charset;
use crate::wire::crypto::{Signer, Verifier};
use crate::wire::json::Object;
use crate::wire::pass::parameter;
use crate::wire::{Answer, Call, CallFault, Reply, Request, Said};

/// Reads a call: the app first, as the real gateway does, then the signature, then the rest.
pub fn read_call(dialect: &MarketingCard, request: &Request, key: &Verifier) -> Result<Call, CallFault> {
    let params = Params::of_request(&request.target, &request.body);
    let params = params.map_err(|fault| CallFault::Parameter(fault.to_string()))?;
    let text = |name: &str| {
        let value = params.get(name).and_then(|value| std::str::from_utf8(value).ok());
        value.filter(|text| !text.is_empty()).ok_or_else(|| parameter(name, "is missing"))
    };
    let app_id = text("app_id")?;
    if app_id != dialect.app_id {
        return Err(CallFault::Client(format!("app_id {app_id} is not known")));
    }
    let sign_type = SignType::parse(text("sign_type")?).ok_or_else(|| parameter("sign_type", "is not RSA2 or RSA"))?;
    match params.verify(sign_type, key) {
        Some(true) => {}
        Some(false) => return Err(CallFault::Signature("it does not verify over the parameters received".into())),
        None => return Err(CallFault::Signature("there is none".into())),
    }
    for (name, expected) in [("method", METHOD), ("version", VERSION)] {
        if text(name)? != expected {
            return Err(parameter(name, &format!("is not {expected}")));
        }
    }
    let charset = Charset::parse(text("charset")?).ok_or_else(|| parameter("charset", "is none that is known"))?;
    let content = params.get("biz_content").ok_or_else(|| parameter("biz_content", "is missing"))?;
    let content = plain(dialect, params.get("encrypt_type"), content)?;
    let content = charset.decode(&content).ok_or_else(|| parameter("biz_content", "is not of the call's charset"))?;
    body::read(&content, app_id, text("timestamp")?.to_owned())
}

fn plain(dialect: &MarketingCard, encrypt_type: Option<&[u8]>, content: &[u8]) -> Result<Vec<u8>, CallFault> {
    match (encrypt_type, &dialect.seal) {
        (None, None) => Ok(content.to_vec()),
        (Some(word), Some((encrypt_type, aes))) if word == encrypt_type.name().as_bytes() => {
            encrypt_type.open(aes, content).ok_or_else(|| parameter("biz_content", "does not decrypt"))
        }
        _ => Err(parameter("encrypt_type", "is not what the app is set to")),
    }
}

const BAD_SIGNATURE: &str = "40002/isv.invalid-signature";

/// What a call asks its answer to be.
struct Manner {
    params: Params,
    xml: bool,
    charset: Charset,
    sign_type: SignType,
}

impl Manner {
    /// What cannot be read is what the page begins with: JSON, UTF-8, RSA2.
    fn of(asked: &Request) -> Manner {
        let params = Params::of_request(&asked.target, &asked.body).unwrap_or_default();
        let text = |name: &str| params.get(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
        Manner {
            xml: text("format").eq_ignore_ascii_case("xml"),
            charset: Charset::parse(text("charset")).unwrap_or(Charset::Utf8),
            sign_type: SignType::parse(text("sign_type")).unwrap_or(SignType::Rsa2),
            params,
        }
    }

    /// The string that was verified, as the real gateway echoes it where a signature is wrong: for `wire explain`.
    fn echo(&self) -> String {
        let signed = self.params.signing_input();
        let text = self.charset.decode(&signed).unwrap_or_else(|| String::from_utf8_lossy(&signed));
        format!("the signature is wrong; the string that it was verified over: {}", text.replace('&', "&amp;"))
    }
}

/// The answer to a request, signed if there is a `signer`.
pub fn write_reply(dialect: &MarketingCard, asked: &Request, answer: &Answer, signer: Option<&Signer>) -> Reply {
    let manner = Manner::of(asked);
    let Manner { xml, charset, sign_type, .. } = manner;
    let message = if answer.code == BAD_SIGNATURE { manner.echo() } else { answer.message.clone() };
    let fields = fields(&answer.code, &message);
    let node = if xml { xml_fields(&fields) } else { json_fields(&fields) };
    // What the charset lacks, the gateway has no way to say.
    let mut node =
        charset.encode(&node).map_or_else(|_| node.replace(|c: char| !c.is_ascii(), "?").into_bytes(), Into::into);
    if let Some((encrypt_type, aes)) = &dialect.seal {
        node = [b"\"", &encrypt_type.seal(aes, &node)[..], b"\""].concat();
    }
    let sign = signer.map(|signer| STANDARD.encode(signer.sign_with(sign_type.hash(), &node)));
    let cert_sn = dialect.certificates.as_ref().and_then(|certificates| certificates.platform.first());
    let proof = [(CERT_SN, cert_sn.map(|certificate| certificate.sn.as_str())), (SIGN, sign.as_deref())];
    let proof = proof.into_iter().filter_map(|(name, value)| Some((name, value?))).filter(|_| signer.is_some());
    let body = if xml { xml_reply(&node, proof) } else { json_reply(&node, proof) };
    let content_type = format!("text/html;charset={}", charset.name().to_ascii_lowercase());
    let headers = vec![("content-type".into(), content_type), ("trace_id".into(), answer.trace_id.clone())];
    Reply { status: 200, headers, body }
}

fn fields<'a>(code: &'a str, message: &'a str) -> Vec<(&'static str, &'a str)> {
    let (code, detail) = code.split_once('/').unwrap_or((code, ""));
    let mut fields = vec![("code", code), ("msg", codes::message(code))];
    match (code, detail) {
        (_, "") => {}
        (codes::SUCCESS, result) => fields.push(("result_code", result)),
        (_, sub_code) => fields.extend([("sub_code", sub_code), ("sub_msg", message)]),
    }
    fields
}

fn json_fields(fields: &[(&str, &str)]) -> String {
    let mut object = Object::new();
    for (name, text) in fields {
        object.text(name, text);
    }
    String::from_utf8(object.finish()).expect("JSON made of text is text")
}

fn xml_fields(fields: &[(&str, &str)]) -> String {
    let mut xml = String::new();
    for (name, text) in fields {
        xml::write_element(&mut xml, name, text);
    }
    xml
}

fn json_reply<'a>(node: &[u8], proof: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut reply = Object::new();
    reply.raw(NODES[0], node);
    for (name, value) in proof {
        reply.text(name, value);
    }
    reply.finish()
}

fn xml_reply<'a>(node: &[u8], proof: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut tail = String::new();
    for (name, value) in proof {
        xml::write_element(&mut tail, name, value);
    }
    let [open, close] = [format!("<{}>", NODES[0]), format!("</{}>", NODES[0])];
    [open.as_bytes(), node, tail.as_bytes(), close.as_bytes()].concat()
}

/// The code for what a gateway has to say.
pub fn phrase(said: &Said) -> String {
    match said {
        Said::Applied => codes::SUCCESS,
        Said::Unknown => "20000/isp.unknow-error",
        Said::SystemError => "40004/SYSTEM_ERROR",
        Said::Throttled => "40005/isv.app-call-limited",
        Said::Refused(code) if code.contains('/') => code,
        Said::Refused(code) => return format!("40004/{code}"),
        Said::NotActive | Said::AlreadyEnded => "40004/CARD_NOT_EXIT",
        Said::BadSignature => BAD_SIGNATURE,
        Said::WrongClient => "40002/isv.invalid-app-id",
        Said::BadParameter => "40004/INVALID_PARAMETER",
    }
    .to_owned()
}
