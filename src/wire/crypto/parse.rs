//! Key files: PEM or bare base64, around any of the DER forms. Every copy of private bytes is wiped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey};
use rsa::{RsaPrivateKey, RsaPublicKey};
use zeroize::Zeroizing;

use super::{Certificate, KeyFault};

const PRIVATE_FORMS: &str = "PKCS#8 and PKCS#1, each as PEM and as bare base64";
const PUBLIC_FORMS: &str = "SPKI and PKCS#1, each as PEM and as bare base64, and certificates in PEM";
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

/// Reads SPKI, PKCS#1 or a certificate.
pub fn public_key(bytes: &[u8]) -> Result<RsaPublicKey, KeyFault> {
    let der = match der(bytes, PUBLIC_FORMS) {
        Err(KeyFault::Certificate) => return Certificate::parse(bytes)?.key(),
        der => der?,
    };
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

/// The DER of every certificate in PEM; at least one.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, KeyFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| KeyFault::NoCertificate)?;
    let mut found = Vec::new();
    for block in text.split("-----BEGIN ").skip(1) {
        match pem_body(block).ok_or(KeyFault::NoCertificate)? {
            (label, body) if is_certificate(label) => {
                let packed: String = body.split_ascii_whitespace().collect();
                found.push(STANDARD.decode(packed).map_err(|_| KeyFault::DamagedCertificate)?);
            }
            _ => {}
        }
    }
    if found.is_empty() { Err(KeyFault::NoCertificate) } else { Ok(found) }
}

fn is_certificate(label: &str) -> bool {
    ["CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"].contains(&label)
}

/// The bytes inside PEM or bare base64. The label of PEM is not trusted: consoles print keys under the wrong one.
fn der(bytes: &[u8], tried: &'static str) -> Result<Zeroizing<Vec<u8>>, KeyFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| unreadable("bytes that are not text (DER?)", tried))?;
    let base64 = match text.split_once("-----BEGIN ") {
        Some((_, pem)) => match pem_body(pem).ok_or_else(|| unreadable("PEM without its end", tried))? {
            (label, _) if is_certificate(label) => return Err(KeyFault::Certificate),
            (label, body) if label == "ENCRYPTED PRIVATE KEY" || body.contains("ENCRYPTED") => {
                return Err(KeyFault::Encrypted);
            }
            (label, _) if has_another(pem, label) => return Err(KeyFault::Several),
            (_, body) => body,
        },
        None => text,
    };
    // Reserved whole, so that no half-filled copy is left behind by growing.
    let mut packed = Zeroizing::new(String::with_capacity(base64.len()));
    // Editors of some systems put a BOM before whatever they write.
    packed.extend(base64.trim_start_matches('\u{feff}').chars().filter(|character| !character.is_ascii_whitespace()));
    if packed.is_empty() {
        return Err(unreadable("nothing", tried));
    }
    let der = STANDARD.decode(packed.as_bytes()).map_err(|_| unreadable("text that is not base64", tried))?;
    Ok(Zeroizing::new(der))
}

/// Whether behind the first key there is another of its kind, which would be passed over in silence. Its certificates, and its
/// other half, may be there.
fn has_another(pem: &str, label: &str) -> bool {
    let others = pem.split("-----BEGIN ").skip(1).filter_map(|block| block.split("-----").next());
    let is_private = |label: &str| label.contains("PRIVATE");
    others.into_iter().any(|other| other.ends_with("KEY") && is_private(other) == is_private(label))
}

/// The label of a PEM block and what stands between it and the end; `None` without an end.
fn pem_body(pem: &str) -> Option<(&str, &str)> {
    let (label, rest) = pem.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    Some((label, body))
}

fn unreadable(found: &'static str, tried: &'static str) -> KeyFault {
    KeyFault::Unreadable { found, tried }
}
