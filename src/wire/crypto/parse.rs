//! Key files: PEM or bare base64, around any of the DER forms. Every copy of private bytes is wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::{RsaPrivateKey, RsaPublicKey};
use zeroize::Zeroizing;

use super::KeyFault;

const PRIVATE_FORMS: &str = "PKCS#8 and PKCS#1, each as PEM and as bare base64";
const PUBLIC_FORMS: &str = "SPKI and PKCS#1, each as PEM and as bare base64";
const NOT_RSA: &str = "base64 of something that is not an RSA key of at most 4096 bits, or of part of one";

/// Reads PKCS#8 or PKCS#1.
pub fn private_key(bytes: &[u8]) -> Result<RsaPrivateKey, KeyFault> {
    let der = der(bytes, PRIVATE_FORMS)?;
    match private_from(&der) {
        Some(key) => Ok(key),
        None if public_from(&der).is_some() => Err(KeyFault::PublicForPrivate),
        None => Err(unreadable(NOT_RSA, PRIVATE_FORMS)),
    }
}

/// Reads SPKI or PKCS#1.
pub fn public_key(bytes: &[u8]) -> Result<RsaPublicKey, KeyFault> {
    let der = der(bytes, PUBLIC_FORMS)?;
    match public_from(&der) {
        Some(key) => Ok(key),
        None if private_from(&der).is_some() => Err(KeyFault::PrivateForPublic),
        None => Err(unreadable(NOT_RSA, PUBLIC_FORMS)),
    }
}

fn private_from(der: &[u8]) -> Option<RsaPrivateKey> {
    RsaPrivateKey::from_pkcs8_der(der).ok().or_else(|| RsaPrivateKey::from_pkcs1_der(der).ok())
}

fn public_from(der: &[u8]) -> Option<RsaPublicKey> {
    RsaPublicKey::from_public_key_der(der).ok().or_else(|| RsaPublicKey::from_pkcs1_der(der).ok())
}

/// The bytes inside PEM or bare base64. The label of PEM is not trusted: consoles print keys under the wrong one.
fn der(bytes: &[u8], tried: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable("bytes that are not text (DER?)", tried))?;
    let base64 = match text.split_once("-----BEGIN ") {
        Some((_, pem)) => pem_body(pem).ok_or_else(|| unreadable("PEM without its end", tried))??,
        None => text,
    };
    // Reserved whole, so that no half-filled copy is left behind by growing.
    let mut packed = Zeroizing::new(String::with_capacity(base64.len()));
    packed.extend(base64.chars().filter(|character| !character.is_ascii_whitespace()));
    if packed.is_empty() {
        return Err(unreadable("nothing", tried));
    }
    let der = STANDARD.decode(packed.as_bytes()).map_err(|_| unreadable("text that is not base64", tried))?;
    Ok(Zeroizing::new(der))
}

/// What stands between the label and the end of the first PEM block; `None` without an end.
fn pem_body(pem: &str) -> Option<Result<&str, KeyFault>> {
    let (label, rest) = pem.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    Some(match label {
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => Err(KeyFault::Certificate),
        "ENCRYPTED PRIVATE KEY" => Err(KeyFault::Encrypted),
        _ if body.contains("ENCRYPTED") => Err(KeyFault::Encrypted),
        _ => Ok(body),
    })
}

fn unreadable(found: &'static str, tried: &'static str) -> KeyFault {
    KeyFault::Unreadable { found, tried }
}
