//! The envelope of a reply: which bytes are signed, by what, and what they say (PROTOCOL 2.3).
//!
//! The signature covers the raw text of one node, so the node is cut out of the bytes as they came, and what is
//! believed is read from that very cut: nothing is parsed from elsewhere.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{scan, xml};
use crate::wire::charset::Charset;
use crate::wire::json::{Json, JsonFault};

/// The node of an answer of the API, and that of the gateway's own security checks.
pub const NODES: [&str; 2] = ["alipay_marketing_card_update_response", "error_response"];
/// Where the signature stands.
pub const SIGN: &str = "sign";
/// Where the certificate is named.
pub const CERT_SN: &str = "alipay_cert_sn";

/// A reply, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'b> {
    /// The raw text of the node: what is signed.
    pub signed: &'b [u8],
    /// The signature, base64; `None` where there is none.
    pub sign: Option<String>,
    /// The serial number of the certificate; `None` where there is none.
    pub cert_sn: Option<String>,
    /// What the node holds.
    pub node: Node,
    /// Whether it is JSON, where `/` may be escaped.
    pub json: bool,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Its fields.
    Plain(Fields),
    /// Base64 of its fields, encrypted.
    Sealed(String),
}

/// The fields of a node; empty where they are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// `code`.
    pub code: String,
    /// `msg`.
    pub msg: String,
    /// `sub_code`.
    pub sub_code: String,
    /// `sub_msg`.
    pub sub_msg: String,
    /// `result_code`.
    pub result_code: String,
}

/// Why bytes are no envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    /// Not of the charset.
    #[error("bytes that are not {0}")]
    Charset(&'static str),
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// Not XML of the vendor's form.
    #[error("not the vendor's XML: {0}")]
    Xml(&'static str),
    /// No node of a known name.
    #[error("neither `{}` nor `{}`", NODES[0], NODES[1])]
    NoNode,
    /// Something that may stand once stands twice: two readers could see two answers.
    #[error("`{0}` stands twice")]
    Twice(String),
    /// A node without a code.
    #[error("a node without `code`")]
    NoCode,
}

impl EnvelopeFault {
    /// Whether it can be read in two ways; else in none.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, EnvelopeFault::Twice(_) | EnvelopeFault::Json(JsonFault::Twice))
    }
}

impl Envelope<'_> {
    /// The signature's bytes; `None` where there is none, or it is not base64.
    pub fn signature(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.sign.as_ref()?.trim()).ok()
    }
}

/// Takes a reply apart, JSON or XML.
pub fn read(bytes: &[u8], charset: Charset) -> Result<Envelope<'_>, EnvelopeFault> {
    let text = charset.decode(bytes).ok_or(EnvelopeFault::Charset(charset.name()))?;
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        return xml::read(bytes, charset);
    }
    // All of it is JSON, whatever is cut out of it.
    Json::parse(text.as_bytes())?;
    read_json(bytes, charset)
}

fn read_json(bytes: &[u8], charset: Charset) -> Result<Envelope<'_>, EnvelopeFault> {
    let members = scan::members(bytes, charset).ok_or(EnvelopeFault::NoNode)?;
    let once = |name: &str| {
        let mut found = members.iter().filter(|(key, _)| key == name).map(|(_, raw)| *raw);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(EnvelopeFault::Twice(name.to_owned())),
            (raw, None) => Ok(raw),
        }
    };
    let signed = match (once(NODES[0])?, once(NODES[1])?) {
        (Some(_), Some(_)) => return Err(EnvelopeFault::Twice("the node".to_owned())),
        (Some(raw), None) | (None, Some(raw)) => raw,
        (None, None) => return Err(EnvelopeFault::NoNode),
    };
    let text = |name: &str| {
        let Some(raw) = once(name)? else { return Ok(None) };
        let text = decoded(raw, charset)?;
        let json = Json::parse(text.as_bytes())?;
        Ok::<_, EnvelopeFault>(json.as_text().map(str::to_owned).filter(|text| !text.trim().is_empty()))
    };
    let node = decoded(signed, charset)?;
    let node = match Json::parse(node.as_bytes())? {
        Json::Text(sealed) => Node::Sealed(sealed.into_owned()),
        json => Node::Plain(Fields::of_json(&json)?),
    };
    Ok(Envelope { signed, sign: text(SIGN)?, cert_sn: text(CERT_SN)?, node, json: true })
}

fn decoded(raw: &[u8], charset: Charset) -> Result<Cow<'_, str>, EnvelopeFault> {
    charset.decode(raw).ok_or(EnvelopeFault::Charset(charset.name()))
}

impl Fields {
    /// The fields of a decrypted node.
    pub fn of_plain(bytes: &[u8], charset: Charset) -> Result<Fields, EnvelopeFault> {
        let text = decoded(bytes, charset)?;
        Fields::of_json(&Json::parse(text.as_bytes())?)
    }

    fn of_json(json: &Json<'_>) -> Result<Fields, EnvelopeFault> {
        let mut fields = Fields::default();
        for (name, field) in fields.slots() {
            if let Some(value) = json.get(name)? {
                value.scalar().ok_or(EnvelopeFault::NoCode)?.clone_into(field);
            }
        }
        fields.checked()
    }

    /// Each field with its name.
    pub fn slots(&mut self) -> [(&'static str, &mut String); 5] {
        [
            ("code", &mut self.code),
            ("msg", &mut self.msg),
            ("sub_code", &mut self.sub_code),
            ("sub_msg", &mut self.sub_msg),
            ("result_code", &mut self.result_code),
        ]
    }

    /// Themselves, if there is a code.
    pub fn checked(self) -> Result<Fields, EnvelopeFault> {
        if self.code.is_empty() { Err(EnvelopeFault::NoCode) } else { Ok(self) }
    }

    /// What is said beside the code: `sub_code`, or else `result_code`.
    pub fn detail(&self) -> &str {
        if self.sub_code.is_empty() { &self.result_code } else { &self.sub_code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = r#"{"code":"10000","msg":"Success"}"#;

    fn signed(text: &str) -> Result<(String, Option<String>), EnvelopeFault> {
        let envelope = read(text.as_bytes(), Charset::Utf8)?;
        Ok((String::from_utf8(envelope.signed.to_vec()).unwrap(), envelope.sign))
    }

    #[test]
    fn the_node_is_cut_out_raw_wherever_it_stands() {
        let node = |name: &str| format!(r#"{{"{name}":{NODE},"sign":"AA=="}}"#);
        let expected = Ok((NODE.to_owned(), Some("AA==".to_owned())));
        assert_eq!(signed(&node(NODES[0])), expected);
        assert_eq!(signed(&node(NODES[1])), expected);
        assert_eq!(signed(&format!(r#"{{"sign":"AA==","alipay_cert_sn":"b","{}":{NODE}}}"#, NODES[0])), expected);
        let spaced = format!("\r\n{{ \"{}\" :\t{{ \"code\" : 10000 }} , \"sign\" : \"AA==\" }}\n", NODES[0]);
        assert_eq!(signed(&spaced).unwrap().0, r#"{ "code" : 10000 }"#);
        let tricky = r#"{"code":"1","msg":"} \"sign\":\"x\" {\\","sub_msg":"]"}"#;
        assert_eq!(signed(&format!(r#"{{"{}":{tricky},"sign":"AA=="}}"#, NODES[0])).unwrap().0, tricky);
        assert_eq!(signed(&format!(r#"{{"{}":{NODE}}}"#, NODES[0])).unwrap().1, None);
        assert_eq!(signed(&format!(r#"{{"{}":{NODE},"sign":" "}}"#, NODES[0])).unwrap().1, None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let node = NODES[0];
        for text in [
            format!(r#"{{"{node}":{NODE},"{node}":{NODE},"sign":"AA=="}}"#),
            format!(r#"{{"{node}":{NODE},"alipay\u005fmarketing_card_update_response":{NODE}}}"#),
            format!(r#"{{"{node}":{NODE},"error_response":{NODE},"sign":"AA=="}}"#),
            format!(r#"{{"{node}":{NODE},"sign":"AA==","sign":"AA=="}}"#),
            format!(r#"{{"{node}":{{"code":"40004","code":"10000"}},"sign":"AA=="}}"#),
        ] {
            assert!(signed(&text).unwrap_err().is_ambiguous(), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_is_named() {
        for (text, fault) in [
            ("{}", EnvelopeFault::NoNode),
            ("[]", EnvelopeFault::NoNode),
            (r#"{"x":{"alipay_marketing_card_update_response":{"code":"10000"}}}"#, EnvelopeFault::NoNode),
            (r#"{"error_response":{"msg":"x"}}"#, EnvelopeFault::NoCode),
            (r#"{"error_response":{"code":[]}}"#, EnvelopeFault::NoCode),
            (r#"{"error_response":[]}"#, EnvelopeFault::NoCode),
        ] {
            assert_eq!(signed(text), Err(fault), "{text}");
        }
        assert!(matches!(signed(r#"{"error_response":{"code":"1"}"#), Err(EnvelopeFault::Json(_))));
        assert_eq!(read(b"\xff", Charset::Utf8), Err(EnvelopeFault::Charset("UTF-8")));
        assert_eq!(read(b"\x81", Charset::Gbk), Err(EnvelopeFault::Charset("GBK")));
    }

    #[test]
    fn bytes_of_gbk_are_stepped_over() {
        let text = r#"{"code":"40004","msg":"刓寋","sub_msg":"\\刓"}"#;
        let bytes = Charset::Gbk.encode(text).unwrap().into_owned();
        let reply = [b"{\"error_response\":", &bytes[..], b",\"sign\":\"AA==\"}"].concat();
        let envelope = read(&reply, Charset::Gbk).unwrap();
        assert_eq!(envelope.signed, bytes);
        let Node::Plain(fields) = envelope.node else { panic!("it is plain") };
        assert_eq!((fields.msg.as_str(), fields.sub_msg.as_str()), ("刓寋", "\\刓"));
    }
}
