//! Typed reading of `[gateway]` keys. Settings name their secrets and do not hold them: whoever builds a dialect
//! brings a [`Vault`], so that files and the environment stay at the edges.

use std::fmt::Display;

use zeroize::Zeroizing;

use super::SettingFault;

/// Whether others may see what a setting names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// Ours alone: a key, a token.
    Private,
    /// A public key or a certificate.
    Public,
}

/// What a setting that names a secret, or a certificate, leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A public key of the platform, bare or in a certificate: replies are verified with it.
    PlatformKey,
    /// The certificate of our own key.
    OwnCertificate,
    /// The roots of the platform's certificates.
    RootCertificates,
    /// A public key that contents are encrypted to.
    PeerKey,
    /// The private key that opens what was encrypted to us.
    UnwrapKey,
    /// An AES key.
    AesKey,
    /// A token.
    Token,
}

/// Reads a token: visible ASCII without blanks, whatever stands around it.
pub fn token(bytes: &[u8]) -> Result<Zeroizing<String>, &'static str> {
    let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("not a token: expected visible ASCII characters without blanks");
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Opens what a setting names (`file:`, `env:`, `cred:`). Its error says what could not be read and why.
pub type Vault<'a> = dyn Fn(&str, Secrecy) -> Result<Zeroizing<Vec<u8>>, String> + 'a;

/// The vault of those who have no secrets.
pub fn no_vault(_: &str, _: Secrecy) -> Result<Zeroizing<Vec<u8>>, String> {
    Err("there are no secrets here".to_owned())
}

/// What [`Keys::path`] takes, but for the dots, as a regular expression.
pub const PATH_FORM: &str = "^/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*$";

/// The `[gateway]` table of a job, or a table below it.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    table: &'a toml::Table,
    /// Where the table stands below `gateway`, with its dot; empty for `[gateway]` itself.
    prefix: &'a str,
    /// `None` where settings are only checked.
    vault: Option<&'a Vault<'a>>,
}

impl<'a> Keys<'a> {
    /// The keys of `[gateway]`.
    pub fn gateway(table: &'a toml::Table, vault: &'a Vault<'a>) -> Keys<'a> {
        Keys { table, prefix: "", vault: Some(vault) }
    }

    /// The keys of `[gateway]`, with every secret left where it is. What is built so may be looked at, never used.
    pub(super) fn unopened(table: &'a toml::Table) -> Keys<'a> {
        Keys { table, prefix: "", vault: None }
    }

    /// The keys of a table below it; `prefix` ends with a dot.
    pub fn below<'b>(&self, table: &'b toml::Table, prefix: &'b str) -> Keys<'b>
    where
        'a: 'b,
    {
        Keys { table, prefix, vault: self.vault }
    }

    /// A table below it; `None` where it is absent. `prefix` is its name and a dot.
    pub fn table(&self, key: &str, prefix: &'a str) -> Result<Option<Keys<'a>>, SettingFault> {
        match self.get(key) {
            None => Ok(None),
            Some(toml::Value::Table(table)) => Ok(Some(self.below(table, prefix))),
            Some(other) => Err(self.mistyped(key, other, "a table")),
        }
    }

    /// A fault for the first key that is not among `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), SettingFault> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(other) => Err(self.fault(other, format!("is not known; expected {}", known.join(", ")))),
            None => Ok(()),
        }
    }

    /// A fault of `key`.
    pub fn fault(&self, key: &str, text: impl Into<String>) -> SettingFault {
        SettingFault { key: format!("{}{key}", self.prefix), text: text.into() }
    }

    fn mistyped(&self, key: &str, found: &toml::Value, expected: &str) -> SettingFault {
        self.fault(key, format!("found {} `{found}`, expected {expected}", found.type_str()))
    }

    /// The same of what wants to be text, without its value: it may be a secret that was written down in another form.
    fn not_text(&self, key: &str, found: &toml::Value, expected: &str) -> SettingFault {
        self.fault(key, format!("found {}, expected {expected}", found.type_str()))
    }

    /// The value as it stands.
    pub fn get(&self, key: &str) -> Option<&'a toml::Value> {
        self.table.get(key)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>, SettingFault> {
        match self.get(key) {
            None => Ok(None),
            Some(toml::Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.not_text(key, other, "a text in quotes")),
        }
    }

    /// A text that goes into a header or a path: visible ASCII, at least one character. Required without `default`.
    pub fn token(&self, key: &str, default: Option<&'a str>) -> Result<&'a str, SettingFault> {
        let text = self.text(key)?.or(default).ok_or_else(|| self.fault(key, "missing; this dialect needs it"))?;
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(self.fault(key, format!("found {text:?}, expected visible ASCII characters without blanks")));
        }
        Ok(text)
    }

    /// The path of an endpoint, in the very characters that are sent: HTTP clients escape others, and take dots between
    /// slashes for steps, behind our signature's back.
    pub fn path(&self, key: &str, default: &'a str) -> Result<&'a str, SettingFault> {
        let path = self.token(key, Some(default))?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~!$&'()*+,;=:@%-".contains(&byte);
        let is_step = |part: &str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
        if path.starts_with('/') && path.bytes().all(is_plain) && !path.split('/').any(is_step) {
            return Ok(path);
        }
        const EXPECTED: &str = "a path as it is sent: it begins with /, has no query, no `.` or `..` between slashes, and its \
                                characters need no escapes";
        Err(self.fault(key, format!("found {path:?}, expected {EXPECTED}")))
    }

    /// Whether a secret is named.
    pub fn names(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value.as_str() != Some(""))
    }

    /// What a key names, as `parse` reads it. `None` where it names nothing, and where secrets stay unopened.
    pub fn secret<T, E: Display>(
        &self,
        key: &str,
        secrecy: Secrecy,
        parse: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<Option<T>, SettingFault> {
        match self.text(key)? {
            None | Some("") => Ok(None),
            Some(place) => self.open(key, place, secrecy, parse),
        }
    }

    /// What each of a list names, as `parse` reads it; none of them where secrets stay unopened.
    pub fn secrets<T, E: Display>(
        &self,
        key: &str,
        secrecy: Secrecy,
        parse: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<Vec<T>, SettingFault> {
        let places = self.texts(key, &[])?;
        places.into_iter().filter_map(|place| self.open(key, place, secrecy, &parse).transpose()).collect()
    }

    fn open<T, E: Display>(
        &self,
        key: &str,
        place: &str,
        secrecy: Secrecy,
        parse: impl Fn(&[u8]) -> Result<T, E>,
    ) -> Result<Option<T>, SettingFault> {
        if !["file:", "env:", "cred:"].iter().any(|kind| place.strip_prefix(kind).is_some_and(|name| !name.is_empty()))
        {
            // Whatever stands there may be the secret itself: it is not shown.
            return Err(self.fault(key, "expected where it is: \"file:PATH\", \"env:NAME\" or \"cred:NAME\""));
        }
        let Some(vault) = self.vault else { return Ok(None) };
        let bytes = vault(place, secrecy).map_err(|fault| self.fault(key, fault))?;
        parse(&bytes).map(Some).map_err(|fault| self.fault(key, format!("{place}: {fault}")))
    }

    /// A list of texts, none of them empty or twice.
    pub fn texts(&self, key: &str, default: &[&'a str]) -> Result<Vec<&'a str>, SettingFault> {
        const EXPECTED: &str = "a list of texts in quotes, as [\"a\", \"b\"]";
        let texts = match self.get(key) {
            None => return Ok(default.to_vec()),
            Some(value) => value
                .as_array()
                .and_then(|items| items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>())
                .ok_or_else(|| self.not_text(key, value, EXPECTED))?,
        };
        for (at, text) in texts.iter().enumerate() {
            if text.is_empty() {
                return Err(self.fault(key, "found an empty text in the list; remove it"));
            }
            if texts[..at].contains(text) {
                return Err(self.fault(key, format!("found {text:?} twice; remove one")));
            }
        }
        Ok(texts)
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], default: T) -> Result<T, SettingFault> {
        let Some(found) = self.text(key)? else { return Ok(default) };
        words.iter().find(|(word, _)| *word == found).map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.fault(key, format!("found {found:?}, expected {}", words.join(" or ")))
        })
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &str, default: bool) -> Result<bool, SettingFault> {
        match self.get(key) {
            None => Ok(default),
            Some(toml::Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(self.mistyped(key, other, "true or false")),
        }
    }

    /// A whole number from 0 on.
    pub fn number(&self, key: &str, default: u32) -> Result<u32, SettingFault> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value
                .as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .ok_or_else(|| self.mistyped(key, value, "a whole number from 0 on, without quotes")),
        }
    }

    /// A table; empty where it is absent.
    pub fn entries(
        &self,
        key: &str,
    ) -> Result<impl Iterator<Item = (&'a str, &'a toml::Value)> + use<'a>, SettingFault> {
        let table = match self.get(key) {
            None => None,
            Some(toml::Value::Table(table)) => Some(table),
            Some(other) => return Err(self.mistyped(key, other, "a table")),
        };
        Ok(table.into_iter().flatten().map(|(name, value)| (name.as_str(), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_wrong_type_are_named() {
        let table: toml::Table =
            "path = 1\nflag = 'yes'\nlist = ['a', 'a']\nversion = -1\nword = 'no'".parse().unwrap();
        let keys = Keys::gateway(&table, &no_vault);
        for (fault, expected) in [
            (keys.token("path", None).unwrap_err(), "gateway.path: found integer, expected a text in quotes"),
            (keys.token("client_id", None).unwrap_err(), "gateway.client_id: missing; this dialect needs it"),
            (keys.flag("flag", false).unwrap_err(), "gateway.flag: found string `\"yes\"`, expected true or false"),
            (keys.texts("list", &[]).unwrap_err(), "gateway.list: found \"a\" twice; remove one"),
            (
                keys.word("word", &[("a", 1), ("b", 2)], 1).unwrap_err(),
                "gateway.word: found \"no\", expected \"a\" or \"b\"",
            ),
        ] {
            assert_eq!(fault.to_string(), expected);
        }
        assert!(keys.number("version", 1).is_err());
        assert!(keys.token("blank", Some("a b")).is_err());
        assert_eq!(keys.number("other", 7), Ok(7));
    }

    #[test]
    fn secrets_are_named_and_opened_by_whoever_builds() {
        let table: toml::Table =
            "key = 'env:KEY'\nkeys = ['file:a', 'file:b']\nliteral = 'MIIEvQ'\nnone = ''".parse().unwrap();
        let vault = |place: &str, _| Ok(Zeroizing::new(place.as_bytes().to_vec()));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
        let keys = Keys::gateway(&table, &vault);
        assert_eq!(keys.secret("key", Secrecy::Private, text), Ok(Some("env:KEY".to_owned())));
        assert_eq!(keys.secret("none", Secrecy::Private, text), Ok(None));
        assert_eq!(keys.secrets("keys", Secrecy::Public, text), Ok(vec!["file:a".to_owned(), "file:b".to_owned()]));
        let fault = keys.secret("literal", Secrecy::Private, text).unwrap_err().to_string();
        assert!(fault.contains("file:PATH") && !fault.contains("MIIEvQ"), "{fault}");
        let no = |_: &[u8]| Err::<(), _>("no key");
        assert_eq!(keys.secret("key", Secrecy::Private, no).unwrap_err().to_string(), "gateway.key: env:KEY: no key");

        let unopened = Keys::unopened(&table);
        assert_eq!(unopened.secret("key", Secrecy::Private, no), Ok(None));
        assert!(unopened.names("key") && !unopened.names("none") && !unopened.names("other"));
        assert!(unopened.secret("literal", Secrecy::Private, no).is_err());
        let closed = Keys::gateway(&table, &no_vault);
        assert!(closed.secret("key", Secrecy::Private, text).unwrap_err().text.contains("no secrets here"));
    }
}
