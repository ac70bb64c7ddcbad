//! RSA signatures over bytes: PKCS#1 v1.5 with SHA-256, and with SHA-1 for those who still must.
//!
//! `aws-lc-rs` does every operation with a key, in constant time and in a third of the time of `rsa`; `rsa` only
//! parses and writes key files, in the forms that Alipay's consoles and openssl give out, and signs with SHA-1, which
//! `aws-lc-rs` will not.

mod aes;
mod certificate;
mod parse;
mod wrap;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use aes::{Aes, AesFault, BLOCK_BYTES, Iv};
pub use certificate::Certificate;
pub use wrap::{PeerKey, UnwrapKey, Wrap};

/// The smallest key that is taken. The vendor's pages ask for 2048 bits, and smaller ones can be forged.
pub const KEY_BITS_MIN: usize = 2048;
/// The largest key that is taken: the `rsa` crate reads no larger one.
pub const KEY_BITS_MAX: usize = 4096;

/// Why bytes are not a usable key. Never holds anything of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// In none of the forms.
    #[error("not a key: {found}; tried {tried}")]
    Unreadable {
        /// What was found.
        found: &'static str,
        /// The forms that were tried.
        tried: &'static str,
    },
    /// Locked by a passphrase.
    #[error("the private key is locked by a passphrase; unlock it: openssl pkey -in KEY -out UNLOCKED")]
    Encrypted,
    /// More than one.
    #[error("several keys in one place; expected one: give each of them a file of its own, and list those that verify")]
    Several,
    /// A certificate in place of the private key.
    #[error("an X.509 certificate, where the private key that signs is expected")]
    Certificate,
    /// No certificate.
    #[error("not an X.509 certificate in PEM")]
    NoCertificate,
    /// A certificate that cannot be read, or whose key is not RSA.
    #[error("an X.509 certificate that is damaged, or has no RSA key of at most {KEY_BITS_MAX} bits")]
    DamagedCertificate,
    /// The public half in place of the private one.
    #[error("a public key, where the private key that signs is expected")]
    PublicForPrivate,
    /// The private half in place of the public one.
    #[error("a private key, where the platform's public key is expected")]
    PrivateForPublic,
    /// Too small or too large.
    #[error("an RSA key of {bits} bits; expected {KEY_BITS_MIN} to {KEY_BITS_MAX}")]
    Size {
        /// The bits of its modulus.
        bits: usize,
    },
    /// Its numbers contradict each other.
    #[error("an RSA key whose numbers do not belong together; export it afresh")]
    Unsound,
}

/// The digest under a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-1: forgeable by whoever can choose what is signed; only where an old app is set up for it.
    Sha1,
}

impl Hash {
    /// The digest of a message, in lower-case hexadecimal.
    pub fn hex(self, message: &[u8]) -> String {
        match self {
            Hash::Sha256 => hex(&Sha256::digest(message)),
            Hash::Sha1 => hex(&Sha1::digest(message)),
        }
    }
}

/// Signs with a private key. Clones share the key, which is wiped when the last one goes.
#[derive(Clone)]
pub struct Signer(Arc<PrivateKey>);

struct PrivateKey {
    pair: KeyPair,
    /// For export. `RsaPrivateKey` wipes itself.
    parts: RsaPrivateKey,
    public: Verifier,
    /// What [`Signer::derive`] draws from.
    secret: hmac::Key,
}

impl Signer {
    /// Reads PKCS#1 or PKCS#8, as PEM or as bare base64.
    pub fn parse(bytes: &[u8]) -> Result<Signer, KeyFault> {
        Signer::from_parts(parse::private_key(bytes)?)
    }

    /// A new key of 2048, 3072 or 4096 bits.
    pub fn generate(bits: usize) -> Result<Signer, KeyFault> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(KeyFault::Size { bits }),
        };
        let pair = KeyPair::generate(size).map_err(|_| KeyFault::Unsound)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyFault::Unsound)?;
        let parts = RsaPrivateKey::from_pkcs8_der(der.as_ref()).map_err(|_| KeyFault::Unsound)?;
        Signer::from_parts(parts)
    }

    fn from_parts(parts: RsaPrivateKey) -> Result<Signer, KeyFault> {
        check_size(&parts)?;
        let der = parts.to_pkcs1_der().map_err(|_| KeyFault::Unsound)?;
        let pair = KeyPair::from_der(der.as_bytes()).map_err(|_| KeyFault::Unsound)?;
        let public = Verifier::from_parts(&parts.to_public_key())?;
        let secret = hmac::Key::new(hmac::HMAC_SHA256, der.as_bytes());
        Ok(Signer(Arc::new(PrivateKey { pair, parts, public, secret })))
    }

    /// The signature with SHA-256: as many bytes as the key's modulus.
    ///
    /// # Panics
    /// Where the crypto library fails on a key that it has checked, which means that memory has run out.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.0.pair.public_modulus_len()];
        self.0
            .pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("a checked key signs any message");
        signature
    }

    /// The signature with `hash`. Panics as [`Signer::sign`].
    pub fn sign_with(&self, hash: Hash, message: &[u8]) -> Vec<u8> {
        match hash {
            Hash::Sha256 => self.sign(message),
            // Blinded by a random factor: the private operation of `rsa` does not take the same time for all inputs.
            Hash::Sha1 => {
                let digest = Sha1::digest(message);
                let signed = self.0.parts.sign_with_rng(&mut OsRng, Pkcs1v15Sign::new::<Sha1>(), &digest);
                signed.expect("a checked key signs any digest")
            }
        }
    }

    /// 32 bytes that depend on key, purpose and message, and that nobody without the private key can tell from chance.
    pub fn derive(&self, purpose: &str, message: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut context = hmac::Context::with_key(&self.0.secret);
        for part in [b"passync ", purpose.as_bytes(), b"\0", message] {
            context.update(part);
        }
        Zeroizing::new(context.sign().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The public half.
    pub fn public(&self) -> Verifier {
        self.0.public.clone()
    }

    /// The private key as PKCS#8 PEM.
    pub fn private_pem(&self) -> Zeroizing<String> {
        self.0.parts.to_pkcs8_pem(LineEnding::LF).expect("a checked key can be written")
    }

    /// The public key as SPKI PEM: what is uploaded to the gateway.
    pub fn public_pem(&self) -> String {
        self.0.parts.to_public_key().to_public_key_pem(LineEnding::LF).expect("a checked key can be written")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer(public {})", self.0.public.fingerprint())
    }
}

/// Verifies with a public key.
#[derive(Clone)]
pub struct Verifier {
    /// Parsed once: verifying takes 21 us so, against 229 us from bytes.
    key: ParsedPublicKey,
    legacy: ParsedPublicKey,
    fingerprint: [u8; 32],
}

impl Verifier {
    /// Reads SPKI or PKCS#1, as PEM or as bare base64, or a certificate in PEM.
    pub fn parse(bytes: &[u8]) -> Result<Verifier, KeyFault> {
        Verifier::from_parts(&parse::public_key(bytes)?)
    }

    fn from_parts(parts: &RsaPublicKey) -> Result<Verifier, KeyFault> {
        check_size(parts)?;
        let der = parts.to_pkcs1_der().map_err(|_| KeyFault::Unsound)?;
        let spki = parts.to_public_key_der().map_err(|_| KeyFault::Unsound)?;
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_bytes()).map_err(|_| KeyFault::Unsound)?;
        let legacy = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, der.as_bytes());
        let legacy = legacy.map_err(|_| KeyFault::Unsound)?;
        Ok(Verifier { key, legacy, fingerprint: Sha256::digest(spki.as_bytes()).into() })
    }

    /// Whether `signature` was made with SHA-256 over `message` by this key's private half.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// Whether `signature` was made with `hash` over `message` by this key's private half.
    pub fn verify_with(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        match hash {
            Hash::Sha256 => self.verify(message, signature),
            Hash::Sha1 => self.legacy.verify_sig(message, signature).is_ok(),
        }
    }

    /// Whether both are one key: the app's own public key is often given for the platform's.
    pub fn same_key(&self, other: &Verifier) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// SHA-256 of the key's SPKI form in hexadecimal, as
    /// `openssl pkey -pubin -in KEY -outform DER | openssl sha256` prints it.
    pub fn fingerprint(&self) -> String {
        hex(&self.fingerprint)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.fingerprint())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes every character");
        hex
    })
}

fn check_size(key: &impl PublicKeyParts) -> Result<(), KeyFault> {
    match key.n().bits() {
        KEY_BITS_MIN..=KEY_BITS_MAX => Ok(()),
        bits => Err(KeyFault::Size { bits }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rsa::signature::{SignatureEncoding as _, Signer as _};

    use super::*;

    /// Generated once: in a debug build a key takes a moment.
    static KEY: LazyLock<Signer> = LazyLock::new(|| Signer::generate(2048).unwrap());

    fn base64_of(der: &[u8]) -> Vec<u8> {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(der).into_bytes()
    }

    #[test]
    fn a_signature_verifies_and_a_changed_message_or_signature_does_not() {
        let signature = KEY.sign(b"message");
        let public = KEY.public();
        assert!(public.verify(b"message", &signature));
        assert!(!public.verify(b"massage", &signature));
        assert!(!public.verify(b"message", &signature[1..]));
        assert!(!public.verify(b"message", &[]));
        let mut flipped = signature;
        flipped[100] ^= 1;
        assert!(!public.verify(b"message", &flipped));
    }

    #[test]
    fn the_rsa_crate_makes_the_same_signature() {
        let other = rsa::pkcs1v15::SigningKey::<Sha256>::new(KEY.0.parts.clone());
        for message in [&b""[..], b"message", &[0xff; 4096]] {
            assert_eq!(KEY.sign(message), other.sign(message).to_vec());
        }
    }

    #[test]
    fn sha1_is_another_signature() {
        let signature = KEY.sign_with(Hash::Sha1, b"message");
        assert!(KEY.public().verify_with(Hash::Sha1, b"message", &signature));
        assert!(!KEY.public().verify_with(Hash::Sha1, b"massage", &signature));
        assert!(!KEY.public().verify_with(Hash::Sha256, b"message", &signature));
        assert_eq!(KEY.sign_with(Hash::Sha256, b"message"), KEY.sign(b"message"));
        assert_eq!(Hash::Sha1.hex(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn what_is_derived_depends_on_key_purpose_and_message() {
        let derived = KEY.derive("a", b"message");
        assert_eq!(derived, KEY.derive("a", b"message"));
        let other = Signer::generate(2048).unwrap();
        for different in [KEY.derive("b", b"message"), KEY.derive("a", b"massage"), other.derive("a", b"message")] {
            assert_ne!(derived, different);
        }
    }

    #[test]
    fn every_form_of_a_private_key_is_the_same_key() {
        let pem = KEY.private_pem();
        let pkcs1_pem = KEY.0.parts.to_pkcs1_pem(LineEnding::CRLF).unwrap();
        let pkcs1 = base64_of(KEY.0.parts.to_pkcs1_der().unwrap().as_bytes());
        let pkcs8 = base64_of(KEY.0.parts.to_pkcs8_der().unwrap().as_bytes());
        let marked = [b"\xef\xbb\xbf", &pkcs8[..]].concat();
        let preamble = format!("Bag Attributes\n    friendlyName: merchant\n{}", pem.as_str());
        for form in [pem.as_bytes(), pkcs1_pem.as_bytes(), &pkcs1, &pkcs8, &marked, preamble.as_bytes()] {
            assert!(Signer::parse(form).unwrap().public().same_key(&KEY.public()));
        }
    }

    #[test]
    fn every_form_of_a_public_key_is_the_same_key() {
        let public = KEY.0.parts.to_public_key();
        let pkcs1_pem = public.to_pkcs1_pem(LineEnding::LF).unwrap();
        let pkcs1 = base64_of(public.to_pkcs1_der().unwrap().as_bytes());
        let mut spki = base64_of(public.to_public_key_der().unwrap().as_bytes());
        spki.extend(b" \r\n");
        for form in [KEY.public_pem().as_bytes(), pkcs1_pem.as_bytes(), &pkcs1, &spki] {
            assert!(Verifier::parse(form).unwrap().same_key(&KEY.public()));
        }
    }

    #[test]
    fn faults_name_what_was_found() {
        let pem = KEY.private_pem();
        let public = KEY.public_pem();
        assert_eq!(Signer::parse(public.as_bytes()).unwrap_err(), KeyFault::PublicForPrivate);
        assert_eq!(Verifier::parse(pem.as_bytes()).unwrap_err(), KeyFault::PrivateForPublic);
        let pkcs8 = base64_of(KEY.0.parts.to_pkcs8_der().unwrap().as_bytes());
        let spki = base64_of(KEY.0.parts.to_public_key().to_public_key_der().unwrap().as_bytes());
        assert_eq!(Verifier::parse(&pkcs8).unwrap_err(), KeyFault::PrivateForPublic);
        assert_eq!(Signer::parse(&spki).unwrap_err(), KeyFault::PublicForPrivate);
        let [two, both] = [[&public, &public], [&public, &*pem]].map(|parts| parts.map(String::as_str).concat());
        assert_eq!(Verifier::parse(two.as_bytes()).unwrap_err(), KeyFault::Several);
        assert!(Verifier::parse(both.as_bytes()).is_ok(), "with its other half behind it");
        let certificate = b"-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\n";
        assert_eq!(Signer::parse(certificate).unwrap_err(), KeyFault::Certificate);
        assert_eq!(Verifier::parse(certificate).unwrap_err(), KeyFault::DamagedCertificate);
        assert_eq!(Certificate::parse(public.as_bytes()).unwrap_err(), KeyFault::NoCertificate);
        let locked = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIID\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(Signer::parse(locked).unwrap_err(), KeyFault::Encrypted);
        for hopeless in [&b""[..], b"hello", b"\xff\xfe", b"-----BEGIN PUBLIC KEY-----", &pkcs8[..400]] {
            let fault = Verifier::parse(hopeless).unwrap_err();
            assert!(fault.to_string().contains("tried SPKI and PKCS#1"), "{fault}");
        }
    }

    #[test]
    fn small_keys_are_refused() {
        let small = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 1024).unwrap();
        let pem = small.to_pkcs8_pem(LineEnding::LF).unwrap();
        assert_eq!(Signer::parse(pem.as_bytes()).unwrap_err(), KeyFault::Size { bits: 1024 });
        assert_eq!(Signer::generate(1024).unwrap_err(), KeyFault::Size { bits: 1024 });
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?} {:?}", *KEY, KEY.public());
        assert!(shown.len() < 200 && shown.contains(&KEY.public().fingerprint()), "{shown}");
    }
}
