//! The keys and certificates that a job names, one by one: what is in each, and what is wrong with it. Nothing of a
//! secret itself is in what is found.

use std::fmt::Display;

use super::job::Settings;
use super::job::settings::Secret;
use super::keys::{self, Kind};
use crate::model::moment;
use crate::wire;
use crate::wire::crypto::{Aes, Certificate, PeerKey, Signer, UnwrapKey, Verifier};
use crate::wire::setting::Holds;

/// One key or certificate of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its setting below `gateway`.
    pub setting: String,
    /// Where it is: never its value.
    pub place: String,
    /// What it is, or why it cannot be used.
    pub found: Result<Facts, String>,
}

/// What a key or certificate is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// SHA-256 of the public key (in SPKI form), in hexadecimal; `None` where there is no such key.
    pub fingerprint: Option<String>,
    /// What certificates are called on the wire; `None` for a bare key.
    pub serial: Option<String>,
    /// When the first of the certificates runs out, milliseconds since 1970; `None` for a bare key.
    pub expires_ms: Option<i64>,
    /// What a person should see to.
    pub warnings: Vec<String>,
}

/// A certificate that runs out sooner is to be renewed: the vendor's console takes some days.
const WARN_BEFORE_MS: i64 = 30 * DAY_MS;
const DAY_MS: i64 = 86_400_000;

/// Looks at every key and certificate that the job names. `now_ms`: wall clock, milliseconds since 1970.
pub fn inspect(settings: &Settings, now_ms: i64) -> Vec<Credential> {
    let gateway = &settings.gateway;
    let mut look = Look { own: None, now_ms, found: Vec::new() };
    if let Some(secret) = &gateway.private_key {
        look.private_key(secret);
    }
    for secret in &gateway.platform_keys {
        look.see("platform_keys", secret, Holds::PlatformKey);
    }
    let secrets = wire::entry(&settings.dialect).map_or(&[][..], |entry| entry.secrets);
    for (setting, holds) in secrets {
        for secret in named(&gateway.table, setting) {
            look.see(setting, &secret, *holds);
        }
    }
    look.found
}

/// What a dotted setting names: one secret, or a list of them.
fn named(table: &toml::Table, setting: &str) -> Vec<Secret> {
    if let Some((first, rest)) = setting.split_once('.') {
        let below = table.get(first).and_then(toml::Value::as_table);
        return below.map(|table| named(table, rest)).unwrap_or_default();
    }
    let Some(value) = table.get(setting) else { return Vec::new() };
    let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    texts.iter().filter_map(|text| Secret::parse(text.as_str()?)).collect()
}

struct Look {
    /// Our own public key, if the private one could be read.
    own: Option<Verifier>,
    now_ms: i64,
    found: Vec<Credential>,
}

impl Look {
    fn private_key(&mut self, secret: &Secret) {
        let signer = load(secret, Kind::Private, Signer::parse).and_then(proved);
        self.own = signer.as_ref().ok().map(Signer::public);
        self.book("private_key", secret, signer.map(|signer| of_key(&signer.public())));
    }

    fn see(&mut self, setting: &str, secret: &Secret, holds: Holds) {
        let found = match holds {
            Holds::PlatformKey => self.platform_key(setting, secret),
            Holds::OwnCertificate => self.own_certificate(secret),
            Holds::RootCertificates => self.roots(secret),
            Holds::PeerKey => load(secret, Kind::Public, |bytes| PeerKey::parse(bytes).and(Verifier::parse(bytes)))
                .map(|key| of_key(&key)),
            Holds::UnwrapKey => load(secret, Kind::Private, |bytes| UnwrapKey::parse(bytes).and(Signer::parse(bytes)))
                .map(|signer| of_key(&signer.public())),
            Holds::AesKey => load(secret, Kind::Private, Aes::parse).map(|_| Facts::default()),
            Holds::Token => load(secret, Kind::Private, wire::setting::token).map(|_| Facts::default()),
        };
        self.book(setting, secret, found);
    }

    fn book(&mut self, setting: &str, secret: &Secret, found: Result<Facts, String>) {
        self.found.push(Credential { setting: setting.to_owned(), place: keys::place(secret), found });
    }

    /// A key of the platform, bare or in a certificate.
    fn platform_key(&self, setting: &str, secret: &Secret) -> Result<Facts, String> {
        let bytes = keys::load(secret, Kind::Public).map_err(|fault| fault.to_string())?;
        let platform = Verifier::parse(&bytes).map_err(|fault| fault.to_string())?;
        if self.own.as_ref().is_some_and(|own| own.same_key(&platform)) {
            return Err(
                "this is our own public key: replies are verified with the platform's, from its console".to_owned()
            );
        }
        let certificate = Certificate::parse(&bytes).ok();
        let mut facts = certificate.map_or_else(Facts::default, |certificate| self.of_certificates(&[certificate]));
        facts.fingerprint = Some(platform.fingerprint());
        let twin = |earlier: &&Credential| {
            earlier.setting == setting
                && earlier.found.as_ref().is_ok_and(|found| found.fingerprint == facts.fingerprint)
        };
        if let Some(earlier) = self.found.iter().find(twin) {
            facts.warnings.push(format!("the same key as {}: one of them is enough", earlier.place));
        }
        Ok(facts)
    }

    fn own_certificate(&self, secret: &Secret) -> Result<Facts, String> {
        let certificate = load(secret, Kind::Public, Certificate::parse)?;
        let certified = certificate.verifier().map_err(|fault| fault.to_string())?;
        if let Some(own) = self.own.as_ref().filter(|own| !own.same_key(&certified)) {
            let (theirs, ours) = (certified.fingerprint(), own.fingerprint());
            return Err(format!("this certificate is for another key ({theirs}) than private_key's ({ours})"));
        }
        Ok(Facts { fingerprint: Some(certified.fingerprint()), ..self.of_certificates(&[certificate]) })
    }

    fn roots(&self, secret: &Secret) -> Result<Facts, String> {
        let mut roots = load(secret, Kind::Public, Certificate::parse_all)?;
        roots.retain(Certificate::is_rsa_signed);
        if roots.is_empty() {
            return Err("no certificate in it is signed with RSA".to_owned());
        }
        Ok(self.of_certificates(&roots))
    }

    /// What certificates are called, and until when they last.
    fn of_certificates(&self, certificates: &[Certificate]) -> Facts {
        let warnings = certificates.iter().filter_map(|certificate| self.age(certificate)).collect();
        Facts {
            fingerprint: None,
            serial: Some(certificates.iter().map(|one| one.sn.as_str()).collect::<Vec<_>>().join("_")),
            expires_ms: certificates.iter().map(|certificate| certificate.not_after_ms).min(),
            warnings,
        }
    }

    fn age(&self, certificate: &Certificate) -> Option<String> {
        let Certificate { not_before_ms, not_after_ms, .. } = *certificate;
        let left_ms = not_after_ms - self.now_ms;
        match () {
            () if self.now_ms < not_before_ms => Some(format!("not valid before {}", date(not_before_ms))),
            () if left_ms < 0 => Some(format!("ran out on {}: get a new one from the console", date(not_after_ms))),
            () if left_ms < WARN_BEFORE_MS => {
                let days = left_ms / DAY_MS;
                Some(format!("runs out in {days} days, on {}: renew it at the console", date(not_after_ms)))
            }
            () => None,
        }
    }
}

fn load<K, E: Display>(secret: &Secret, kind: Kind, parse: impl Fn(&[u8]) -> Result<K, E>) -> Result<K, String> {
    let bytes = keys::load(secret, kind).map_err(|fault| fault.to_string())?;
    parse(&bytes).map_err(|fault| fault.to_string())
}

/// A key that has signed a message.
fn proved(signer: Signer) -> Result<Signer, String> {
    let message = b"passync keys check";
    if signer.public().verify(message, &signer.sign(message)) { Ok(signer) } else { Err("it does not sign".to_owned()) }
}

fn of_key(key: &Verifier) -> Facts {
    Facts { fingerprint: Some(key.fingerprint()), ..Facts::default() }
}

/// The day of an instant, in UTC.
pub fn date(ms: i64) -> String {
    moment::format_in(ms, &jiff::tz::TimeZone::UTC, "%Y-%m-%d")
}
