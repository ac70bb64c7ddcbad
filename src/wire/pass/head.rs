//! The string that is signed, and the headers `Signature` and `encrypt` (PROTOCOL 1.1, 1.2, 1.6).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::form;

/// The string that is signed, for a call with the request's time and for a reply with the response's:
/// `POST SP path LF client-id . time . body`, byte for byte as sent.
pub fn signing_input(path: &str, client_id: &str, time: &str, body: &[u8]) -> Vec<u8> {
    signing_input_of("POST", path, client_id, time, body)
}

/// The same for any method.
pub fn signing_input_of(method: &str, path: &str, client_id: &str, time: &str, body: &[u8]) -> Vec<u8> {
    let mut input = format!("{method} {path}\n{client_id}.{time}.").into_bytes();
    input.extend_from_slice(body);
    input
}

/// What a signature stands under in its header.
pub const SIGNATURE: &str = "signature";

/// The value of a `Signature` or `encrypt` header. The vendor's SDKs emit no spaces, so neither do we.
pub fn write(algorithm: &str, key_version: u32, name: &str, bytes: &[u8]) -> String {
    let mut value = format!("algorithm={algorithm},keyVersion={key_version},{name}=");
    for character in STANDARD.encode(bytes).chars() {
        match character {
            '+' | '/' | '=' => write!(value, "%{:02X}", character as u32).expect("a String takes every character"),
            plain => value.push(plain),
        }
    }
    value
}

/// A `Signature` or `encrypt` header as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `algorithm`, empty where there is none.
    pub algorithm: String,
    /// `keyVersion`, empty where there is none.
    pub key_version: String,
    /// The signature, or the wrapped key.
    pub bytes: Vec<u8>,
}

/// Why a header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// No `signature=`, or what else was looked for.
    #[error("it has no `{0}=`")]
    Missing(&'static str),
    /// A key twice.
    #[error("it has a key twice")]
    Twice,
    /// Not base64.
    #[error("its `{0}` is not base64, URL-encoded or plain")]
    Base64(&'static str),
}

/// Reads a header whose bytes stand under `name`: keys in any order, spaces around them or not, values that may hold
/// `=` themselves. The bytes may be URL-encoded or not; only `%XX` is decoded, because `+` is a character of base64.
pub fn read(value: &str, name: &'static str) -> Result<Header, HeaderFault> {
    let mut items = [("algorithm", None), ("keyVersion", None), (name, None)];
    for (key, item) in value.split(',').filter_map(|item| item.split_once('=')) {
        let Some((_, slot)) = items.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(key.trim())) else {
            continue;
        };
        if slot.replace(item.trim()).is_some() {
            return Err(HeaderFault::Twice);
        }
    }
    let [algorithm, key_version, bytes] = items.map(|(_, item)| item);
    let bytes = bytes.ok_or(HeaderFault::Missing(name))?;
    let base64 = form::unescape(bytes.as_bytes(), false).ok_or(HeaderFault::Base64(name))?;
    Ok(Header {
        algorithm: algorithm.unwrap_or_default().to_owned(),
        key_version: key_version.unwrap_or_default().to_owned(),
        bytes: STANDARD.decode(base64).map_err(|_| HeaderFault::Base64(name))?,
    })
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
        let expected =
            Header { algorithm: "RSA256".into(), key_version: "2".into(), bytes: vec![0xfb, 0xff, 0xfe, 0x00] };
        for value in [
            "algorithm=RSA256,keyVersion=2,signature=%2B%2F%2F%2BAA%3D%3D",
            "algorithm=RSA256, keyVersion=2, signature=%2b%2f%2f%2bAA%3d%3d",
            "signature=+//+AA==,keyVersion=2,algorithm=RSA256",
            " Algorithm = RSA256 ,keyversion=2,signature=+//+AA== ,other=1,",
        ] {
            assert_eq!(read(value, SIGNATURE).as_ref(), Ok(&expected), "{value}");
        }
        let bare = Header { algorithm: String::new(), key_version: String::new(), ..expected };
        assert_eq!(read("signature=+//+AA==", SIGNATURE), Ok(bare));
    }

    #[test]
    fn headers_that_could_be_read_in_two_ways_are_not_read() {
        assert_eq!(read("algorithm=RSA256", SIGNATURE), Err(HeaderFault::Missing(SIGNATURE)));
        assert_eq!(read("", SIGNATURE), Err(HeaderFault::Missing(SIGNATURE)));
        assert_eq!(read("signature=AAAA,signature=AAAA", SIGNATURE), Err(HeaderFault::Twice));
        for signature in ["AAA", "AA==AA==", "A A A", "AAA%3", "AAA%ZZ", "-_-_", "AB==", "AAAA=", "AAAA%0A"] {
            assert_eq!(
                read(&format!("signature={signature}"), SIGNATURE),
                Err(HeaderFault::Base64(SIGNATURE)),
                "{signature}"
            );
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(signature in proptest::collection::vec(any::<u8>(), 0..300), version: u32) {
            let value = write("RSA256", version, SIGNATURE, &signature);
            prop_assert!(!value.contains(['+', '/', ' ']));
            let header = read(&value, SIGNATURE).unwrap();
            prop_assert_eq!((header.key_version, header.bytes), (version.to_string(), signature));
        }
    }
}
