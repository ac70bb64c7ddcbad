//! `marketing-card`: points, level, balance and looks of a merchant's membership card in Alipay's mainland wallet,
//! through `alipay.marketing.card.update` (<https://docs.antom.com/ac/solution_api/cardupdate>).

mod body;
mod cells;
pub mod codes;
mod columns;
pub mod envelope;
mod gateway;
pub mod params;
pub mod parse;
pub mod reply;
mod scan;
pub mod seal;
#[cfg(test)]
mod tests;
mod xml;

use zeroize::Zeroizing;

use self::params::{Params, SignType};
use self::seal::EncryptType;
use super::charset::Charset;
use super::crypto::{Aes, Certificate, Signer, Verifier};
use super::key::{Key, Shape};
use super::row::Merchants;
use super::setting::{Holds, Keys, PATH_FORM, Secrecy, token};
use super::{
    Answer, Call, CallFault, Column, ColumnFault, Columns, Dialect, Entry, Reply, Request, RowReader, RowRules, Said,
    SettingFault, Signing, reading,
};
use crate::model::{Delta, Reading};

const NAME: &str = "marketing-card";

/// The dialect's line in [`DIALECTS`](super::DIALECTS).
pub const ENTRY: Entry = Entry {
    name: NAME,
    keys: &[
        Key::new("path", Shape::Form(PATH_FORM), "the gateway's path"),
        Key::new("app_id", Shape::Text, "the app's id, as the console shows it"),
        Key::new("sign_type", Shape::Word(&["RSA2", "RSA"]), "SHA-256 or SHA-1"),
        Key::new(
            "charset",
            Shape::Word(&["UTF-8", "GBK", "GB2312"]),
            "of request and reply; a character that it lacks is a rejected row",
        ),
        Key::new("format", Shape::Word(&["json", "xml", ""]), "of the reply; empty omits the parameter"),
        Key::new("app_auth_token", Shape::SECRET, "when acting for another merchant"),
        Key::new("aes_key", Shape::SECRET, "encrypts biz_content, as switched on at the console"),
        Key::new("encrypt_type", Shape::Word(&["AES", "AES_V2"]), "how, with aes_key"),
        Key::new(
            "changed_point",
            Shape::Word(&["omit", "last_changed_points"]),
            "whether the message to the customer names the change",
        ),
        Key::new("certificates", Shape::Table, "certificate mode: app, root and platform"),
    ],
    signing: Signing::Params,
    columns: columns::COLUMNS,
    secrets: &[
        ("certificates.app", Holds::OwnCertificate),
        ("certificates.root", Holds::RootCertificates),
        ("certificates.platform", Holds::PlatformKey),
        ("aes_key", Holds::AesKey),
        ("app_auth_token", Holds::Token),
    ],
    codes: codes::CODES,
    starter: include_str!("starter.toml"),
    build: |keys| Ok(Box::new(MarketingCard::from_settings(keys)?)),
};

/// The API.
const METHOD: &str = "alipay.marketing.card.update";
/// Its version: fixed.
const VERSION: &str = "1.0";
/// The page's limit for an app's id, in characters.
const APP_CHARS_MAX: usize = 32;

/// The dialect with its settings.
struct MarketingCard {
    /// The app, in the place of a merchant.
    app: Merchants,
    app_id: String,
    path: String,
    sign_type: SignType,
    charset: Charset,
    format: Format,
    app_auth_token: Option<Zeroizing<String>>,
    /// `None` where contents go out plain.
    seal: Option<(EncryptType, Aes)>,
    /// `merchant_card_msg_info.changed_point` is sent out of `last_changed_points`.
    tells_change: bool,
    /// `None` in public-key mode.
    certificates: Option<Certificates>,
}

/// What replies are asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Xml,
    /// The parameter is left out; the gateway answers in JSON.
    Unsaid,
}

/// Certificate mode.
struct Certificates {
    app: Certificate,
    root_sn: String,
    platform: Vec<Certificate>,
}

impl MarketingCard {
    fn from_settings(keys: &Keys<'_>) -> Result<MarketingCard, SettingFault> {
        let app_id = keys.token("app_id", None)?;
        if app_id.chars().count() > APP_CHARS_MAX {
            return Err(keys.fault("app_id", format!("found {app_id:?}, expected at most {APP_CHARS_MAX} characters")));
        }
        let path = keys.path("path", "/gateway.do")?;
        let formats = [("json", Format::Json), ("xml", Format::Xml), ("", Format::Unsaid)];
        let format = keys.word("format", &formats, Format::Json)?;
        Ok(MarketingCard {
            app: Merchants::new(app_id, &[]),
            app_id: app_id.to_owned(),
            path: path.to_owned(),
            sign_type: keys.word("sign_type", &SignType::WORDS, SignType::Rsa2)?,
            charset: keys.word("charset", &Charset::ALL.map(|charset| (charset.name(), charset)), Charset::Utf8)?,
            format,
            app_auth_token: keys.secret("app_auth_token", Secrecy::Private, token)?,
            seal: read_seal(keys, format)?,
            tells_change: keys.word("changed_point", &[("omit", false), ("last_changed_points", true)], false)?,
            certificates: read_certificates(keys)?,
        })
    }

    /// What every call has beside its content. The time is GMT+8 whatever the machine's zone.
    fn protocol(&self, charset: Charset, now_ms: i64) -> Params {
        let mut params = Params::default();
        let mut add = |name: &str, value: &str| {
            params.push(name, value.as_bytes());
        };
        add("app_id", &self.app_id);
        add("method", METHOD);
        match self.format {
            Format::Json => add("format", "json"),
            Format::Xml => add("format", "xml"),
            Format::Unsaid => {}
        }
        add("charset", charset.name());
        add("sign_type", self.sign_type.name());
        add("timestamp", &body::time(now_ms));
        add("version", VERSION);
        if let Some((encrypt_type, _)) = &self.seal {
            add("encrypt_type", encrypt_type.name());
        }
        if let Some(Certificates { app, root_sn, .. }) = &self.certificates {
            add("app_cert_sn", &app.sn);
            add("alipay_root_cert_sn", root_sn);
        }
        if let Some(token) = &self.app_auth_token {
            add("app_auth_token", token);
        }
        params
    }
}

fn read_seal(keys: &Keys<'_>, format: Format) -> Result<Option<(EncryptType, Aes)>, SettingFault> {
    let encrypt_type = keys.word("encrypt_type", &EncryptType::WORDS, EncryptType::Aes)?;
    if !keys.names("aes_key") {
        return match keys.get("encrypt_type") {
            Some(_) => Err(keys.fault("encrypt_type", "is set, and there is no `aes_key`; set that too, or neither")),
            None => Ok(None),
        };
    }
    if format == Format::Xml {
        return Err(keys.fault("format", "found \"xml\" beside `aes_key`; encrypted replies are read in JSON only"));
    }
    Ok(keys.secret("aes_key", Secrecy::Private, Aes::parse)?.map(|aes| (encrypt_type, aes)))
}

fn read_certificates(gateway: &Keys<'_>) -> Result<Option<Certificates>, SettingFault> {
    let Some(keys) = gateway.table("certificates", "certificates.")? else { return Ok(None) };
    keys.only(&["app", "root", "platform"])?;
    for key in ["app", "root"] {
        if !keys.names(key) {
            return Err(keys.fault(key, "missing; certificate mode needs app, root and platform"));
        }
    }
    if keys.texts("platform", &[])?.is_empty() {
        return Err(keys.fault("platform", "missing; replies are verified with it: [\"file:keys/alipay.crt\"]"));
    }
    let root_sn = |bytes: &[u8]| {
        let roots = Certificate::parse_all(bytes).map_err(|fault| fault.to_string())?;
        Certificate::root_sn(&roots).ok_or_else(|| "no certificate in it is signed with RSA".to_owned())
    };
    let with_key = |bytes: &[u8]| {
        let certificate = Certificate::parse(bytes)?;
        certificate.verifier().map(|_| certificate)
    };
    let platform = keys.secrets("platform", Secrecy::Public, with_key)?;
    let app = keys.secret("app", Secrecy::Public, with_key)?;
    let root_sn = keys.secret("root", Secrecy::Public, root_sn)?;
    Ok(app.zip(root_sn).map(|(app, root_sn)| Certificates { app, root_sn, platform }))
}

/// What a row froze: its content, and the charset that the content's bytes are in, which is that of all its calls: in
/// another one they would be other words. It is encrypted on its way out, always to the same bytes by the same key: the
/// gateway opens it with the key of the day.
struct Revision<'a> {
    charset: Charset,
    content: &'a [u8],
}

impl<'a> Revision<'a> {
    fn freeze(&self) -> Vec<u8> {
        [self.charset.name().as_bytes(), b"\n", self.content].concat()
    }

    /// `charset`: of a body that does not say.
    fn thaw(body: &'a [u8], charset: Charset) -> Revision<'a> {
        let marked = Charset::ALL.into_iter().find_map(|charset| {
            let content = body.strip_prefix(charset.name().as_bytes())?.strip_prefix(b"\n")?;
            Some(Revision { charset, content })
        });
        marked.unwrap_or(Revision { charset, content: body })
    }
}

impl Dialect for MarketingCard {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signs_times(&self) -> bool {
        false
    }

    fn client(&self) -> &str {
        &self.app_id
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn methods(&self) -> &'static [&'static str] {
        &["POST", "GET"]
    }

    fn column(&self, name: &str) -> Option<Column> {
        columns::column(name)
    }

    fn columns(&self) -> Columns {
        columns::COLUMNS
    }

    fn card_column(&self) -> &'static str {
        "card_no"
    }

    fn reader(&self, columns: &[String], rules: &RowRules) -> Result<Box<dyn RowReader>, ColumnFault> {
        Ok(Box::new(columns::Reader::new(self, columns, rules)?))
    }

    fn body(&self, delta: &Delta, drop: u64) -> Vec<u8> {
        let text = String::from_utf8(body::write(self, delta, drop)).expect("JSON made of text is text");
        let content = self.charset.encode(&text).expect("a row with such a character was rejected");
        Revision { charset: self.charset, content: &content }.freeze()
    }

    fn messages(&self, delta: &Delta) -> Vec<&'static str> {
        body::messages(delta)
    }

    fn request(&self, body: &[u8], now_ms: i64, signer: &Signer) -> Request {
        let Revision { charset, content } = Revision::thaw(body, self.charset);
        let mut params = self.protocol(charset, now_ms);
        match &self.seal {
            Some((encrypt_type, aes)) if content.starts_with(b"{") => {
                params.push("biz_content", &encrypt_type.seal(aes, content))
            }
            _ => params.push("biz_content", content), // what an earlier version froze was encrypted already
        };
        let sign = params.sign(self.sign_type, signer);
        let content_type = format!("application/x-www-form-urlencoded;charset={}", charset.name());
        Request {
            target: format!("{}?{}", self.path, params.query(&sign)),
            headers: vec![("content-type".to_owned(), content_type)],
            body: params.form().into_bytes(),
        }
    }

    fn reply(&self, reply: &Reply, keys: &[Verifier]) -> Reading {
        let charset = reply::charset(reply, self.charset);
        let read = parse::read(&reply.body, charset);
        let proof = reply::prove(&read, self.sign_type, charset, keys);
        let mut claim = reply::claim(&read, charset, |sealed| {
            let (encrypt_type, aes) = self.seal.as_ref()?;
            encrypt_type.open(aes, sealed.as_bytes())
        });
        if let Some(token) = &self.app_auth_token {
            let said = match &mut claim {
                Ok(claim) => vec![&mut claim.code, &mut claim.message],
                Err(fault) => vec![&mut fault.text],
            };
            said.into_iter().for_each(|text| *text = text.replace(token.as_str(), "[app_auth_token]"));
        }
        reading::weigh(reply, &proof, &claim)
    }

    fn certified(&self) -> Option<Verifier> {
        let Certificates { app, .. } = self.certificates.as_ref()?;
        Some(app.verifier().expect("its key was read before"))
    }

    fn verifiers(&self) -> Vec<Verifier> {
        let platform = self.certificates.iter().flat_map(|certificates| &certificates.platform);
        platform.map(|certificate| certificate.verifier().expect("its key was read before")).collect()
    }

    fn read_call(&self, request: &Request, key: &Verifier) -> Result<Call, CallFault> {
        gateway::read_call(self, request, key)
    }

    fn write_reply(&self, asked: &Request, answer: &Answer, _now_ms: i64, signer: Option<&Signer>) -> Reply {
        gateway::write_reply(self, asked, answer, signer)
    }

    fn phrase(&self, said: &Said) -> (String, String) {
        (gateway::phrase(said), String::new())
    }
}
