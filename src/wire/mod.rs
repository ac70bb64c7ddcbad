//! Pure codecs, bytes <-> values: one folder per dialect. No IO, no clock, and no word of the core: what a reply tells is a
//! [`Reading`], with a [`Verdict`].
//!
//! A dialect is one folder (`columns`, `body`, `codes` ...) and one line in [`DIALECTS`]; those of `updatePass` share
//! their endpoint, replies and code table in [`pass`], and all of them the rules of [`reading`] a reply. Each has both
//! directions, so that the sandbox and the client share it and round trips are tests for free.

pub mod alipayhk_card;
pub mod charset;
pub mod crypto;
pub mod explain;
pub mod form;
pub mod intl_pass;
pub mod json;
pub mod key;
pub mod marketing_card;
pub mod pass;
pub mod personal;
pub mod reading;
pub mod retry_after;
pub mod row;
pub mod setting;

use std::borrow::Cow;
use std::fmt;

use crate::model::{Delta, LocalTime, Reading, Reject, Status, Verdict};
use crypto::{Signer, Verifier};
use key::Key;
use setting::{Holds, Keys, Vault};

/// Every dialect; a fourth is one more line here.
pub const DIALECTS: &[Entry] = &[alipayhk_card::ENTRY, intl_pass::ENTRY, marketing_card::ENTRY];

/// The dialect of that word.
pub fn entry(name: &str) -> Option<&'static Entry> {
    DIALECTS.iter().find(|entry| entry.name == name)
}

/// Canonical columns (CONTRACT section 5), in groups that dialects share; patterns as `level.<locale>`.
#[derive(Clone, Copy, Debug)]
pub struct Columns(pub &'static [&'static [&'static str]]);

impl Columns {
    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().copied().flatten().copied()
    }
}

/// Every canonical column of every dialect: a file column of such a name that the job's dialect cannot send is a mistake
/// worth stopping for.
pub fn canonical() -> impl Iterator<Item = &'static str> {
    DIALECTS.iter().flat_map(|entry| entry.columns.iter())
}

/// The canonical columns that name a person's account, card or code: no message shows one of them whole.
pub const PERSONAL: &[&str] =
    &["pass_id", "user_id", "open_id", "card_no", "code_msg", "code_value", "mdcode_info", "verify_code"];

/// Keys of `[gateway]` that say which keys speak and how, in any dialect: they change with the keys themselves.
pub const KEY_SETTINGS: [&str; 8] = [
    "aes_key",
    "algorithm",
    "app_auth_token",
    "certificates",
    "encrypt_type",
    "encryption",
    "key_version",
    "sign_type",
];

/// Whether a canonical column holds a text that people read, on the card or in a message.
pub fn is_prose(name: &str) -> bool {
    matches!(name, "level" | "change_reason") || name.starts_with("level.") || name.starts_with("data.")
}

/// Whether a canonical column holds JSON.
pub fn is_json(name: &str) -> bool {
    ["mdcode_info", "front_text_list", "mcard_style_info", "merchant_card_msg_info", "notify_messages"].contains(&name)
}

/// A dialect before its settings are known.
pub struct Entry {
    /// The word in the job file.
    pub name: &'static str,
    /// The keys of `[gateway]` that only this dialect has.
    pub keys: &'static [Key],
    /// How its calls and replies are signed.
    pub signing: Signing,
    /// The canonical columns.
    pub columns: Columns,
    /// Which keys, dotted below `gateway`, name keys and certificates.
    pub secrets: &'static [(&'static str, Holds)],
    /// What its gateway's codes mean.
    pub codes: &'static [Code],
    /// Its part of a new job file, with `@key@` where a person says something.
    pub starter: &'static str,
    /// Builds the dialect from the whole `[gateway]` table. Common keys (url, keys, timeouts) are in it too and are
    /// ignored.
    pub build: fn(&Keys<'_>) -> Result<Box<dyn Dialect>, SettingFault>,
}

impl Entry {
    /// Whether the dialect has this key of `[gateway]`.
    pub fn has_key(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// Builds the dialect; `vault` opens the secrets that the settings name.
    pub fn open(&self, table: &toml::Table, vault: &Vault<'_>) -> Result<Box<dyn Dialect>, SettingFault> {
        (self.build)(&Keys::gateway(table, vault))
    }

    /// Builds the dialect with every secret left where it is: to look at rows with, never to send them.
    pub fn unopened(&self, table: &toml::Table) -> Result<Box<dyn Dialect>, SettingFault> {
        (self.build)(&Keys::unopened(table))
    }

    /// Whether the dialect can be built, as far as that shows without opening a secret.
    pub fn check(&self, table: &toml::Table) -> Result<(), SettingFault> {
        self.unopened(table).map(drop)
    }
}

/// How calls and replies are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Over method, path, client, time and body, in a header.
    Head,
    /// Over the sorted parameters of a call, and over the node of a reply.
    Params,
}

/// What a code means in a verified reply, whichever dialect's it is: those of the mainland have no status beside them.
pub fn meaning(code: &str, status: &str) -> Verdict {
    match code.split_once('/') {
        Some((code, sub_code)) => marketing_card::codes::verdict(code, sub_code),
        None if status.is_empty() => marketing_card::codes::verdict(code, ""),
        None => pass::codes::verdict(code, status),
    }
}

/// One line of a dialect's table of codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The vendor's code.
    pub code: &'static str,
    /// The status that the vendor's pages print beside it, empty where they print none.
    pub status: &'static str,
    /// What a verified reply with it means.
    pub verdict: Verdict,
    /// What happened.
    pub meaning: &'static str,
    /// What a person can do.
    pub advice: &'static str,
    /// The page that says so.
    pub source: &'static str,
}

/// A fault of a `[gateway]` setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("gateway.{key}: {text}")]
pub struct SettingFault {
    /// The key, dotted below `gateway`.
    pub key: String,
    /// What was found, what was expected.
    pub text: String,
}

/// One wire form, with its settings.
pub trait Dialect: Send + Sync {
    /// The word in the job file.
    fn name(&self) -> &'static str;

    /// Who calls: the client's id, or the app's. With the gateway's address it is what quotas are counted by.
    fn client(&self) -> &str;

    /// Whether its replies have a time of their own below the signature.
    fn signs_times(&self) -> bool;

    /// What bills are keyed by: the dialect and the client, as `alipayhk-card/2110...`.
    fn scope(&self) -> String {
        format!("{}/{}", self.name(), self.client())
    }

    /// The path (with a query that is the same for every call, if any) below the gateway's URL.
    fn path(&self) -> &str;

    /// The methods that its gateway takes; calls go out with the first.
    fn methods(&self) -> &'static [&'static str] {
        &["POST"]
    }

    /// What is known of a canonical column; `None` where this dialect cannot send it.
    fn column(&self, name: &str) -> Option<Column>;

    /// The canonical columns, for "did you mean" and lists.
    fn columns(&self) -> Columns;

    /// The column that names the card.
    fn card_column(&self) -> &'static str;

    /// A reader for rows whose cells are these canonical columns, in this order.
    fn reader(&self, columns: &[String], rules: &RowRules) -> Result<Box<dyn RowReader>, ColumnFault>;

    /// The frozen bytes of a revision, with whatever else decides about their meaning; `drop` has a bit per member that
    /// it leaves out.
    fn body(&self, delta: &Delta, drop: u64) -> Vec<u8>;

    /// The messages that the call sends to the customer, each as the member whose change it tells: a revision without
    /// that member has no such message.
    fn messages(&self, _: &Delta) -> Vec<&'static str> {
        Vec::new()
    }

    /// A freshly signed request around `body`. `now_ms`: wall clock, milliseconds since 1970.
    fn request(&self, body: &[u8], now_ms: i64, signer: &Signer) -> Request;

    /// What a reply means. Any of `keys` verifies.
    fn reply(&self, reply: &Reply, keys: &[Verifier]) -> Reading;

    /// The key that our own certificate is for, where calls name one: it must be the one that signs.
    fn certified(&self) -> Option<Verifier> {
        None
    }

    /// The platform's keys that the dialect's own settings bring (certificates), beside those of `platform_keys`.
    fn verifiers(&self) -> Vec<Verifier> {
        Vec::new()
    }

    /// The gateway's side of [`Dialect::request`]: verifies over the received bytes and reads the call.
    fn read_call(&self, request: &Request, key: &Verifier) -> Result<Call, CallFault>;

    /// The gateway's side of [`Dialect::reply`]: the answer to a request, in the form that this asks for, as far as it
    /// can be read; unsigned without a `signer`.
    fn write_reply(&self, asked: &Request, answer: &Answer, now_ms: i64, signer: Option<&Signer>) -> Reply;

    /// The vendor's code and status for what a gateway has to say. The default is what Ant's international gateways
    /// share (docs.alipay.hk `codeConsult`, `error_handling`); a dialect with other codes has its own.
    fn phrase(&self, said: &Said) -> (String, String) {
        let (code, status) = match said {
            Said::Applied => ("SUCCESS", "S"),
            Said::Unknown => ("UNKNOWN_EXCEPTION", "U"),
            Said::SystemError => ("SYSTEM_ERROR", "U"),
            Said::Throttled => ("REQUEST_TRAFFIC_EXCEED_LIMIT", "U"),
            Said::Refused(code) => (code.as_str(), "F"),
            Said::NotActive => ("PASS_UPDATE_FAIL", "F"),
            Said::AlreadyEnded => ("PASS_USED_OCCUPIED", "F"),
            Said::BadSignature => ("INVALID_SIGNATURE", "F"),
            Said::WrongClient => ("INVALID_CLIENT", "F"),
            Said::BadParameter => ("PARAM_ILLEGAL", "F"),
        };
        (code.to_owned(), status.to_owned())
    }
}

/// What a gateway has to say, before a dialect finds its code for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The card shows it.
    Applied,
    /// The result is unknown.
    Unknown,
    /// An internal error; the result is unknown.
    SystemError,
    /// Too many calls; not applied.
    Throttled,
    /// A final no, with its code.
    Refused(String),
    /// A final no: the card has ended, and only an active one can be updated.
    NotActive,
    /// A final no: the card had ended before.
    AlreadyEnded,
    /// The signature is missing or wrong.
    BadSignature,
    /// Another client than the key's.
    WrongClient,
    /// The call has a form that the page does not allow.
    BadParameter,
}

/// What is known of a canonical column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Every row needs it.
    pub required: bool,
    /// It names something: text always, never a number, and the gate for damaged ids looks at it.
    pub id: bool,
}

/// What shapes rows beside the dialect's own settings.
#[derive(Clone, Debug)]
pub struct RowRules {
    /// The columns of `bill_key`.
    pub bill_key: Vec<String>,
    /// Every row needs a bill.
    pub require_bill_no: bool,
    /// Points below zero are valid.
    pub negative_points: bool,
    /// How local times are read.
    pub times: LocalTime,
}

/// A column that cannot be read as the job says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}`: {text}")]
pub struct ColumnFault {
    /// The canonical name.
    pub column: String,
    /// What was found, what was expected, what to do.
    pub text: String,
}

/// Reads the cells of one row.
pub trait RowReader: Send {
    /// `cells` stand as the columns that the reader was made for; `None` is an absent cell.
    fn read(&self, cells: &[Option<Cow<'_, str>>]) -> Result<Delta, Reject>;
}

/// An HTTP request, before the transport adds its own headers.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Path and query, percent-encoded.
    pub target: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

/// Signatures, tokens and ids are in it: shown are the path, the names of the headers and how much there is.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("Request").field("path", &path).field("headers", &Names(&self.headers)).finish()?;
        write!(f, " with {} bytes", self.body.len())
    }
}

/// An HTTP reply.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body; of a longer one [`Reply::BODY_MAX`] and one more.
    pub body: Vec<u8>,
}

impl Reply {
    /// Bytes of a body that can be read; the documented ones have a few hundred. Who reads one that has more stops behind
    /// the next byte.
    pub const BODY_MAX: usize = 64 << 10;
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).field("headers", &Names(&self.headers)).finish()?;
        write!(f, " with {} bytes", self.body.len())
    }
}

/// The names of headers.
struct Names<'a>(&'a [(String, String)]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The first header of that (lower-case) name.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A call as the gateway reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The merchant, or the app.
    pub merchant: String,
    /// The card.
    pub card: String,
    /// The bill, where the wire form tells it.
    pub bill_no: Option<String>,
    /// What is asked of the card.
    pub status: Status,
    /// What the card shows afterwards: canonical column (locale in the name) and value.
    pub members: Vec<(String, String)>,
    /// The request's own time as it wrote it.
    pub sent_at: String,
    /// The plain body (decrypted, where it was encrypted): frozen bytes are compared by it.
    pub body: Vec<u8>,
}

/// Why the gateway does not take a call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// No signature, or one that does not verify.
    #[error("signature: {0}")]
    Signature(String),
    /// Another client.
    #[error("client: {0}")]
    Client(String),
    /// A form that the page does not allow.
    #[error("parameter: {0}")]
    Parameter(String),
}

/// What the gateway answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The vendor's code, as the dialect's table lists it (`SUCCESS`; marketing-card `10000`, `40004/SYSTEM_ERROR`).
    pub code: String,
    /// The vendor's status (`S`, `F`, `U`), where the dialect has one.
    pub status: String,
    /// What it says.
    pub message: String,
    /// Its trace id.
    pub trace_id: String,
}

#[cfg(test)]
mod tests {
    use super::marketing_card::params::Params;
    use super::*;

    #[test]
    fn what_is_sent_is_not_shown_by_debug() {
        let headers = vec![("signature".to_owned(), "canary".to_owned())];
        let request = Request { target: "/g.do?sign=canary".into(), headers: headers.clone(), body: b"canary".into() };
        assert_eq!(format!("{request:?}"), r#"Request { path: "/g.do", headers: ["signature"] } with 6 bytes"#);
        let reply = Reply { status: 200, headers, body: b"canary".into() };
        assert_eq!(format!("{reply:?}"), r#"Reply { status: 200, headers: ["signature"] } with 6 bytes"#);
        let params = Params::of_request("/g.do?app_auth_token=canary", b"biz_content=canary").unwrap();
        assert_eq!(format!("{params:?}"), r#"["app_auth_token", "biz_content"]"#);
    }
}
