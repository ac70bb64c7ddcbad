//! `[gateway.encryption]`: bodies of `updatePass` encrypted before they are signed. Off where the table is absent.
//!
//! The vendor documents that the whole body is encrypted under a key of its own (`RSA_AES`), which travels in the
//! `encrypt` header, wrapped with the peer's RSA key. Mode, padding and wrap are on none of its pages: the defaults are
//! those of a sibling gateway (PROTOCOL 1.6), and every one of them can be set. Ask AlipayHK before switching it on.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::head;
use crate::wire::SettingFault;
use crate::wire::crypto::{Aes, BLOCK_BYTES, Iv, PeerKey, Signer, UnwrapKey, Wrap};
use crate::wire::setting::{Holds, Keys, Secrecy};

/// How bodies are encrypted, and how replies are read. Clones share nothing that changes.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// `None` only where settings are merely checked.
    secrets: Option<(PeerKey, UnwrapKey)>,
    algorithm: String,
    key_version: u32,
    cipher: Cipher,
    wrap: Wrap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cipher {
    key_bytes: usize,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Ecb,
    /// With a vector of zeros: every message has a key of its own.
    Cbc,
}

/// Unconfirmed, all of them.
const CIPHERS: [(&str, Cipher); 4] = [
    ("AES-256-ECB-PKCS5", Cipher { key_bytes: 32, mode: Mode::Ecb }),
    ("AES-128-ECB-PKCS5", Cipher { key_bytes: 16, mode: Mode::Ecb }),
    ("AES-256-CBC-PKCS5", Cipher { key_bytes: 32, mode: Mode::Cbc }),
    ("AES-128-CBC-PKCS5", Cipher { key_bytes: 16, mode: Mode::Cbc }),
];
const WRAPS: [(&str, Wrap); 3] =
    [("PKCS1v15", Wrap::Pkcs1v15), ("OAEP-SHA1", Wrap::OaepSha1), ("OAEP-SHA256", Wrap::OaepSha256)];

/// What the table names that is a key.
pub const SECRETS: &[(&str, Holds)] =
    &[("encryption.peer_key", Holds::PeerKey), ("encryption.private_key", Holds::UnwrapKey)];

const KEYS: [&str; 6] = ["peer_key", "private_key", "header_algorithm", "key_version", "cipher", "key_wrap"];

/// A message whose key is known: what the `encrypt` header and the body hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The value of the `encrypt` header.
    pub header: String,
    /// The body, base64.
    pub body: Vec<u8>,
}

impl Encryption {
    /// Reads `[gateway.encryption]`; `None` where it is absent.
    pub fn from_settings(gateway: &Keys<'_>) -> Result<Option<Encryption>, SettingFault> {
        let Some(keys) = gateway.table("encryption", "encryption.")? else { return Ok(None) };
        keys.only(&KEYS)?;
        for key in ["peer_key", "private_key"] {
            if !keys.names(key) {
                return Err(keys.fault(key, "missing; calls are encrypted to the peer's key, replies to ours"));
            }
        }
        let peer = keys.secret("peer_key", Secrecy::Public, PeerKey::parse)?;
        let own = keys.secret("private_key", Secrecy::Private, UnwrapKey::parse)?;
        Ok(Some(Encryption {
            secrets: peer.zip(own),
            algorithm: keys.token("header_algorithm", Some("RSA_AES"))?.to_owned(),
            key_version: keys.number("key_version", 1)?,
            cipher: keys.word("cipher", &CIPHERS, CIPHERS[0].1)?,
            wrap: keys.word("key_wrap", &WRAPS, WRAPS[0].1)?,
        }))
    }

    fn secrets(&self) -> &(PeerKey, UnwrapKey) {
        self.secrets.as_ref().expect("a dialect in use was built with its secrets")
    }

    /// Encrypts a body to the peer. Key and padding come out of our private key and the body itself, so that every
    /// attempt sends the same bytes (law 6), and nobody else can foresee them.
    pub fn seal(&self, plain: &[u8], signer: &Signer) -> Sealed {
        let key = signer.derive("updatePass key", plain);
        let key = &key[..self.cipher.key_bytes];
        let wrapped = self.secrets().0.wrap(self.wrap, key, &signer.derive("updatePass wrap", plain));
        let aes = Aes::new(key).expect("the cipher's key has a length of AES");
        Sealed {
            header: head::write(&self.algorithm, self.key_version, "symmetricKey", &wrapped),
            body: STANDARD.encode(self.encrypt(&aes, plain)).into_bytes(),
        }
    }

    /// Decrypts a body that was encrypted to us. Only to be asked once its signature has verified.
    pub fn open(&self, header: &str, body: &[u8]) -> Result<Vec<u8>, String> {
        let head = head::read(header, "symmetricKey").map_err(|fault| format!("the encrypt header: {fault}"))?;
        let key = self.secrets().1.unwrap(self.wrap, &head.bytes);
        let aes = key.and_then(|key| (key.len() == self.cipher.key_bytes).then(|| Aes::new(&key).ok()).flatten());
        let aes = aes.ok_or("the key of the message was not wrapped to our key, or not as `key_wrap` says")?;
        let sealed = STANDARD.decode(body.trim_ascii()).map_err(|_| "the encrypted body is not base64")?;
        self.decrypt(&aes, &sealed).ok_or_else(|| "the body does not decrypt as `cipher` says".to_owned())
    }

    fn encrypt(&self, aes: &Aes, plain: &[u8]) -> Vec<u8> {
        match self.cipher.mode {
            Mode::Ecb => aes.encrypt_ecb(plain),
            Mode::Cbc => aes.encrypt_cbc(plain, NO_IV),
        }
    }

    fn decrypt(&self, aes: &Aes, sealed: &[u8]) -> Option<Vec<u8>> {
        match self.cipher.mode {
            Mode::Ecb => aes.decrypt_ecb(sealed),
            Mode::Cbc => aes.decrypt_cbc(sealed, NO_IV),
        }
    }
}

const NO_IV: Iv = [0; BLOCK_BYTES];

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    /// The encryption of one end: its own pair, and the other's public key.
    fn end(own: &Signer, peer: &Signer, settings: &str) -> Encryption {
        let vault = |place: &str, secrecy| match (place, secrecy) {
            ("file:own", Secrecy::Private) => Ok(Zeroizing::new(own.private_pem().as_bytes().to_vec())),
            ("file:peer", Secrecy::Public) => Ok(Zeroizing::new(peer.public_pem().into_bytes())),
            other => Err(format!("{other:?}")),
        };
        let table =
            format!("[encryption]\npeer_key = 'file:peer'\nprivate_key = 'file:own'\n{settings}").parse().unwrap();
        Encryption::from_settings(&Keys::gateway(&table, &vault)).unwrap().unwrap()
    }

    #[test]
    fn every_form_makes_the_round_and_every_attempt_is_the_same() {
        let (client, gateway) = (Signer::generate(2048).unwrap(), Signer::generate(2048).unwrap());
        for (cipher, _) in CIPHERS {
            for (wrap, _) in WRAPS {
                let settings = format!("cipher = '{cipher}'\nkey_wrap = '{wrap}'");
                let sealed = end(&client, &gateway, &settings).seal(b"{\"a\":1}", &client);
                assert_eq!(sealed, end(&client, &gateway, &settings).seal(b"{\"a\":1}", &client));
                let there = end(&gateway, &client, &settings);
                assert_eq!(there.open(&sealed.header, &sealed.body).unwrap(), b"{\"a\":1}", "{cipher} {wrap}");
                let not_its_own = end(&client, &gateway, &settings).open(&sealed.header, &sealed.body);
                assert_ne!(not_its_own.ok().as_deref(), Some(&b"{\"a\":1}"[..]));
            }
        }
    }

    #[test]
    fn two_bodies_have_two_keys() {
        let pair = Signer::generate(2048).unwrap();
        let end = end(&pair, &pair, "");
        let (one, other) = (end.seal(b"one", &pair), end.seal(b"two", &pair));
        assert_ne!(one.header, other.header);
        // With another key the padding is seldom in order; where it is (one in 256), what comes out is not the body.
        assert_ne!(end.open(&other.header, &one.body).ok().as_deref(), Some(&b"one"[..]));
        assert!(one.header.starts_with("algorithm=RSA_AES,keyVersion=1,symmetricKey="));
        for (header, body) in [("", "AAAA"), ("symmetricKey=AAAA", "AAAA"), (one.header.as_str(), "not base64")] {
            assert!(end.open(header, body.as_bytes()).is_err(), "{header}");
        }
    }

    #[test]
    fn settings_that_cannot_be_meant() {
        for (settings, key) in [
            ("encryption = 1", "encryption"),
            ("[encryption]", "encryption.peer_key"),
            ("[encryption]\npeer_key = 'file:a'", "encryption.private_key"),
            ("[encryption]\npeer_key = 'file:a'\nprivate_key = 'file:b'\ncipher = 'DES'", "encryption.cipher"),
            ("[encryption]\npeer_key = 'file:a'\nprivate_key = 'file:b'\nkey_wrap = 'OAEP'", "encryption.key_wrap"),
            ("[encryption]\nmode = 'ECB'", "encryption.mode"),
        ] {
            let table = settings.parse().unwrap();
            assert_eq!(Encryption::from_settings(&Keys::unopened(&table)).unwrap_err().key, key, "{settings}");
        }
        assert!(Encryption::from_settings(&Keys::unopened(&toml::Table::new())).unwrap().is_none());
    }
}
