//! The string that is signed, and the `Signature` header (PROTOCOL 1.1, 1.2).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The string that is signed, for a call with the request's time and for a reply with the response's:
/// `POST SP path LF client-id . time . body`, byte for byte as sent.
pub fn signing_input(path: &str, client_id: &str, time: &str, body: &[u8]) -> Vec<u8> {
    let mut input = format!("POST {path}\n{client_id}.{time}.").into_bytes();
    input.extend_from_slice(body);
    input
}

/// The value of a `Signature` header. The vendor's SDKs emit no spaces, so neither do we.
pub fn write_signature(algorithm: &str, key_version: u32, signature: &[u8]) -> String {
    let mut value = format!("algorithm={algorithm},keyVersion={key_version},signature=");
    for character in STANDARD.encode(signature).chars() {
        match character {
            '+' | '/' | '=' => write!(value, "%{:02X}", character as u32).expect("a String takes every character"),
            plain => value.push(plain),
        }
    }
    value
}

/// A `Signature` header as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureHeader {
    /// `algorithm`, empty where there is none.
    pub algorithm: String,
    /// `keyVersion`, empty where there is none.
    pub key_version: String,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

/// Why a `Signature` header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// No `signature=`.
    #[error("the Signature header has no `signature=`")]
    Missing,
    /// A key twice.
    #[error("the Signature header has a key twice")]
    Twice,
    /// Not base64.
    #[error("the Signature header's signature is not base64, URL-encoded or plain")]
    Base64,
}

/// Reads a `Signature` header: keys in any order, spaces around them or not, values that may hold `=` themselves.
/// The signature may be URL-encoded or not; only `%XX` is decoded, because `+` is a character of base64.
pub fn read_signature(value: &str) -> Result<SignatureHeader, HeaderFault> {
    let mut items = [("algorithm", None), ("keyVersion", None), ("signature", None)];
    for (key, item) in value.split(',').filter_map(|item| item.split_once('=')) {
        let Some((_, slot)) = items.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(key.trim())) else {
            continue;
        };
        if slot.replace(item.trim()).is_some() {
            return Err(HeaderFault::Twice);
        }
    }
    let [algorithm, key_version, signature] = items.map(|(_, item)| item);
    let signature = signature.ok_or(HeaderFault::Missing)?;
    let base64 = percent_decoded(signature).ok_or(HeaderFault::Base64)?;
    Ok(SignatureHeader {
        algorithm: algorithm.unwrap_or_default().to_owned(),
        key_version: key_version.unwrap_or_default().to_owned(),
        signature: STANDARD.decode(base64).map_err(|_| HeaderFault::Base64)?,
    })
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        bytes.push((digit(high)? * 16 + digit(low)?) as u8);
        rest = after;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_string_to_sign_ends_with_the_body_even_an_empty_one() {
        assert_eq!(signing_input("/a?b=c", "21", "T", b"{}\n"), b"POST /a?b=c\n21.T.{}\n");
        assert_eq!(signing_input("/a", "21", "T", b""), b"POST /a\n21.T.");
    }

    #[test]
    fn headers_are_read_as_the_pages_and_the_wild_write_them() {
        let expected = SignatureHeader {
            algorithm: "RSA256".into(),
            key_version: "2".into(),
            signature: vec![0xfb, 0xff, 0xfe, 0x00],
        };
        for value in [
            "algorithm=RSA256,keyVersion=2,signature=%2B%2F%2F%2BAA%3D%3D",
            "algorithm=RSA256, keyVersion=2, signature=%2b%2f%2f%2bAA%3d%3d",
            "signature=+//+AA==,keyVersion=2,algorithm=RSA256",
            " Algorithm = RSA256 ,keyversion=2,signature=+//+AA== ,other=1,",
        ] {
            assert_eq!(read_signature(value).as_ref(), Ok(&expected), "{value}");
        }
        let bare = SignatureHeader { algorithm: String::new(), key_version: String::new(), ..expected };
        assert_eq!(read_signature("signature=+//+AA=="), Ok(bare));
    }

    #[test]
    fn headers_that_could_be_read_in_two_ways_are_not_read() {
        assert_eq!(read_signature("algorithm=RSA256"), Err(HeaderFault::Missing));
        assert_eq!(read_signature(""), Err(HeaderFault::Missing));
        assert_eq!(read_signature("signature=AAAA,signature=AAAA"), Err(HeaderFault::Twice));
        for signature in ["AAA", "AA==AA==", "A A A", "AAA%3", "AAA%ZZ", "-_-_", "AB==", "AAAA=", "AAAA%0A"] {
            assert_eq!(read_signature(&format!("signature={signature}")), Err(HeaderFault::Base64), "{signature}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(signature in proptest::collection::vec(any::<u8>(), 0..300), version: u32) {
            let value = write_signature("RSA256", version, &signature);
            prop_assert!(!value.contains(['+', '/', ' ']));
            let header = read_signature(&value).unwrap();
            prop_assert_eq!((header.key_version, header.signature), (version.to_string(), signature));
        }
    }
}
