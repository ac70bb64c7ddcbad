//! The envelope of a reply: which bytes are signed, by what, and what they say (PROTOCOL 2.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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
    /// What the node holds; a fault takes nothing from its signature.
    pub node: Result<Node, EnvelopeFault>,
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

impl Fields {
    /// The fields of a decrypted node.
    pub fn of_plain(bytes: &[u8], charset: Charset) -> Result<Fields, EnvelopeFault> {
        let text = charset.decode(bytes).ok_or(EnvelopeFault::Charset(charset.name()))?;
        Fields::of_json(&Json::parse_reply(text.as_bytes())?)
    }

    /// The fields of a node.
    pub fn of_json(json: &Json<'_>) -> Result<Fields, EnvelopeFault> {
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
