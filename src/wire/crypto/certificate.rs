//! X.509 certificates, as far as signatures of the gateway need them: the key inside, and the serial number that
//! Alipay names a certificate by. Chains, dates and revocation are not checked: which certificates are trusted is said
//! by the job, file by file, as it is for bare keys.

use md5::{Digest as _, Md5};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::{BigUint, RsaPublicKey};
use x509_cert::certificate::Certificate as X509;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::time::Time;

use super::{KeyFault, Verifier, hex, parse};

/// Every signature algorithm of PKCS#1 begins so; Alipay's root bundle also has roots of other kinds, which do not
/// count.
const PKCS1: &str = "1.2.840.113549.1.1.";

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its name on the wire: MD5, in lower-case hexadecimal, of the issuer (most specific part first) and the serial
    /// number in decimal (PROTOCOL 2.2).
    pub sn: String,
    /// When it begins to be valid, milliseconds since 1970. Only for people to see: nothing is refused for it.
    pub not_before_ms: i64,
    /// When it runs out, milliseconds since 1970.
    pub not_after_ms: i64,
    rsa_signed: bool,
    /// The key inside as SPKI.
    spki: Vec<u8>,
}

impl Certificate {
    /// Reads every certificate of a PEM bundle; at least one.
    pub fn parse_all(pem: &[u8]) -> Result<Vec<Certificate>, KeyFault> {
        parse::certificates(pem)?.iter().map(|der| Certificate::from_der(der)).collect()
    }

    /// Reads the first certificate of a PEM file.
    pub fn parse(pem: &[u8]) -> Result<Certificate, KeyFault> {
        Ok(Certificate::parse_all(pem)?.swap_remove(0))
    }

    fn from_der(der: &[u8]) -> Result<Certificate, KeyFault> {
        let damaged = |_| KeyFault::DamagedCertificate;
        let certificate = X509::from_der(der).map_err(damaged)?.tbs_certificate;
        let serial = BigUint::from_bytes_be(certificate.serial_number.as_bytes());
        let ms = |time: Time| i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
        let named = Md5::digest(format!("{}{serial}", certificate.issuer));
        Ok(Certificate {
            sn: hex(&named),
            not_before_ms: ms(certificate.validity.not_before),
            not_after_ms: ms(certificate.validity.not_after),
            rsa_signed: certificate.signature.oid.to_string().starts_with(PKCS1),
            spki: certificate.subject_public_key_info.to_der().map_err(damaged)?,
        })
    }

    /// Whether it was signed with RSA: roots of other kinds do not count.
    pub fn is_rsa_signed(&self) -> bool {
        self.rsa_signed
    }

    /// The name of a bundle of roots: those that were signed with RSA, joined. `None` where there are none.
    pub fn root_sn(bundle: &[Certificate]) -> Option<String> {
        let names: Vec<&str> = bundle.iter().filter(|root| root.rsa_signed).map(|root| root.sn.as_str()).collect();
        (!names.is_empty()).then(|| names.join("_"))
    }

    /// The key inside.
    pub(super) fn key(&self) -> Result<RsaPublicKey, KeyFault> {
        RsaPublicKey::from_public_key_der(&self.spki).map_err(|_| KeyFault::DamagedCertificate)
    }

    /// Verifies with the key inside.
    pub fn verifier(&self) -> Result<Verifier, KeyFault> {
        Verifier::from_parts(&self.key()?)
    }
}
