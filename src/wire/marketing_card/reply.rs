//! The replies of the gateway: who wrote them, and what they claim.

use super::codes;
use super::envelope::{Envelope, EnvelopeFault, Fields, Node};
use super::params::SignType;
use crate::model::Verdict;
use crate::wire::charset::Charset;
use crate::wire::crypto::Verifier;
use crate::wire::reading::{Claim, NoClaim, Proof};
use crate::wire::{Reply, header};

/// An envelope, or why there is none.
pub type Read<'b> = Result<Envelope<'b>, EnvelopeFault>;

/// The charset of a reply: what its header says. Without one it is UTF-8, as the vendor's SDK has it, unless the bytes
/// are not and the call's charset was another.
pub fn charset(reply: &Reply, of_call: Charset) -> Charset {
    let stated = header(&reply.headers, "content-type").and_then(|value| {
        let value = value.to_ascii_lowercase();
        let (_, after) = value.split_once("charset=")?;
        match after.split(';').next()?.trim().trim_matches('"') {
            "gb18030" => Some(Charset::Gbk), // which is read as that
            name => Charset::parse(name),
        }
    });
    let guessed = || if std::str::from_utf8(&reply.body).is_ok() { Charset::Utf8 } else { of_call };
    stated.unwrap_or_else(guessed)
}

/// Checks who wrote a reply.
pub fn prove(read: &Read<'_>, sign_type: SignType, charset: Charset, keys: &[Verifier]) -> Proof {
    let envelope = match read {
        Ok(envelope) => envelope,
        Err(fault) if fault.is_ambiguous() => return Proof::Refused("AMBIGUOUS", fault.to_string()),
        Err(_) => return Proof::Unsigned,
    };
    if envelope.sign.is_none() {
        return Proof::Unsigned;
    }
    let Some(signature) = envelope.signature() else { return Proof::bad("the signature is not base64") };
    let hash = sign_type.hash();
    let verifies = |text: &[u8]| keys.iter().any(|key| key.verify_with(hash, text, &signature));
    if verifies(envelope.signed) {
        return Proof::Verified;
    }
    // The gateway's JSON writer escapes slashes, and its signer has been seen to sign before that (official Java SDK).
    if envelope.json && unescaped_slashes(envelope.signed, charset).is_some_and(|text| verifies(&text)) {
        return Proof::Verified;
    }
    let under = envelope.cert_sn.as_ref().map(|sn| format!(" (it names the certificate {sn:.64})")).unwrap_or_default();
    Proof::bad(format!("the signature verifies with none of the {} platform keys{under}", keys.len()))
}

/// The text with `\/` as `/`; `None` where it has none.
fn unescaped_slashes(text: &[u8], charset: Charset) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let taken = match rest {
            [b'\\', b'/', ..] => {
                plain.push(b'/');
                2
            }
            // An escape is stepped over whole: the second half of `\\` escapes nothing.
            [b'\\', _, ..] => {
                plain.extend_from_slice(&rest[..2]);
                2
            }
            _ => {
                let len = charset.char_len(rest);
                plain.extend_from_slice(&rest[..len]);
                len
            }
        };
        rest = &rest[taken..];
    }
    (plain.len() < text.len()).then_some(plain)
}

/// What a reply says. `open` decrypts a node, if there is a key.
pub fn claim(read: &Read<'_>, charset: Charset, open: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Claim, NoClaim> {
    let nothing = |fault: &EnvelopeFault| NoClaim { ambiguous: fault.is_ambiguous(), text: fault.to_string() };
    let fields = match read.as_ref().and_then(|envelope| envelope.node.as_ref()).map_err(nothing)? {
        Node::Plain(fields) => fields.clone(),
        Node::Sealed(sealed) => {
            let text = "an encrypted reply that our key does not open".to_owned();
            let plain = open(sealed).ok_or(NoClaim { ambiguous: false, text })?;
            Fields::of_plain(&plain, charset).map_err(|fault| nothing(&fault))?
        }
    };
    let (code, detail) = (fields.code.as_str(), fields.detail());
    let verdict = codes::verdict(code, detail);
    let said = if fields.sub_msg.is_empty() { &fields.msg } else { &fields.sub_msg };
    Ok(Claim {
        code: codes::joined(code, detail),
        status: String::new(),
        message: without_secrets(said),
        verdict,
        listed: codes::find(code, detail).is_some(),
        success: code == codes::SUCCESS || verdict == Verdict::Applied,
    })
}

/// Where the gateway echoes the string that it would have signed, that is cut off: it may hold the app's token, and
/// has the card. It begins with the first of its parameters.
fn without_secrets(message: &str) -> String {
    const PARAMETERS: [&str; 8] = [
        "alipay_root_cert_sn=",
        "app_auth_token=",
        "app_cert_sn=",
        "app_id=",
        "auth_token=",
        "biz_content=",
        "charset=",
        "sign=",
    ];
    match PARAMETERS.iter().filter_map(|parameter| message.find(parameter)).min() {
        None => message.to_owned(),
        Some(at) => {
            let left_out = message[at..].chars().count();
            format!("{}[the gateway's string to sign, {left_out} characters, left out]", &message[..at])
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::wire::crypto::Signer;
    use crate::wire::marketing_card::parse;

    #[test]
    fn slashes_are_unescaped_by_characters() {
        let unescaped = |text: &str, charset: Charset| {
            let bytes = charset.encode(text).unwrap();
            unescaped_slashes(&bytes, charset).map(|plain| charset.decode(&plain).unwrap().into_owned())
        };
        assert_eq!(unescaped(r"https:\/\/a", Charset::Utf8).as_deref(), Some("https://a"));
        assert_eq!(unescaped(r"a\\/b", Charset::Utf8), None);
        assert_eq!(unescaped("刓/", Charset::Gbk), None, "its last byte is a backslash, and no escape");
        assert_eq!(unescaped(r"刓\/", Charset::Gbk).as_deref(), Some("刓/"));
    }

    #[test]
    fn the_echo_of_what_was_signed_is_left_out() {
        let echo = "验签出错，网关生成的验签字符串为：app_auth_token=SECRET&amp;app_id=1&amp;biz_content={\"target_card_no\":\"C1\"}";
        let shown = without_secrets(echo);
        assert!(shown.starts_with("验签出错") && !shown.contains("SECRET") && !shown.contains("C1"), "{shown}");
        assert_eq!(without_secrets("无效的AppID参数"), "无效的AppID参数");
    }

    #[test]
    fn the_charset_is_what_the_header_says() {
        let reply = |kind: &str, body: &[u8]| Reply {
            status: 200,
            headers: vec![("content-type".into(), kind.into())],
            body: body.to_vec(),
        };
        assert_eq!(charset(&reply("text/html;charset=GBK", b"{}"), Charset::Utf8), Charset::Gbk);
        assert_eq!(charset(&reply("text/html; charset=\"utf-8\"; x=y", b"{}"), Charset::Gbk), Charset::Utf8);
        assert_eq!(charset(&reply("text/html", b"{}"), Charset::Gbk), Charset::Utf8);
        assert_eq!(charset(&reply("text/html", b"\xbd\xf0"), Charset::Gbk), Charset::Gbk);
    }

    #[test]
    fn a_signature_is_judged_over_the_raw_node() {
        let platform = Signer::generate(2048).unwrap();
        let node = r#"{"code":"10000","msg":"Success"}"#;
        let sign = STANDARD.encode(platform.sign(node.as_bytes()));
        let proof = |text: &str, keys: &[Verifier]| {
            prove(&parse::read(text.as_bytes(), Charset::Utf8), SignType::Rsa2, Charset::Utf8, keys)
        };
        let keys = [platform.public()];
        assert_eq!(proof(&format!(r#"{{"error_response":{node},"sign":"{sign}"}}"#), &keys), Proof::Verified);
        assert_eq!(proof(&format!(r#"{{"error_response":{node}}}"#), &keys), Proof::Unsigned);
        assert_eq!(proof("<html>", &keys), Proof::Unsigned);
        let spaced = node.replace(',', ", ");
        for (text, word) in [
            (format!(r#"{{"error_response":{spaced},"sign":"{sign}"}}"#), "BAD_SIGNATURE"),
            (format!(r#"{{"error_response":{node},"sign":"{}"}}"#, &sign[1..]), "BAD_SIGNATURE"),
            (format!(r#"{{"error_response":{node},"error_response":{spaced},"sign":"{sign}"}}"#), "AMBIGUOUS"),
        ] {
            assert!(matches!(proof(&text, &keys), Proof::Refused(code, _) if code == word), "{text}");
        }
        let named = format!(r#"{{"error_response":{node},"alipay_cert_sn":"c0ffee","sign":"{sign}"}}"#);
        assert!(matches!(proof(&named, &[]), Proof::Refused(_, why) if why.contains("certificate c0ffee")));
    }
}
