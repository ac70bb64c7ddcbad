//! `application/x-www-form-urlencoded`, over bytes: what is encoded may be GBK.

/// Encodes pairs as a query or a form. Everything but the unreserved characters of RFC 3986 becomes `%XX`; a space
/// becomes `+`.
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        encode_part(&mut text, name.as_bytes());
        text.push('=');
        encode_part(&mut text, value);
    }
    text
}

fn encode_part(text: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(*byte)),
            b' ' => text.push('+'),
            _ => text.extend(['%', HEX[usize::from(byte >> 4)].into(), HEX[usize::from(byte & 15)].into()]),
        }
    }
}

/// Reads a query or a form; `None` where a `%` is not followed by two digits, or a name is not UTF-8.
pub fn decode(text: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let parts = text.split(|byte| *byte == b'&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let equals = part.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((part, &b""[..]), |at| (&part[..at], &part[at + 1..]));
            Some((String::from_utf8(unescape(name, true)?).ok()?, unescape(value, true)?))
        })
        .collect()
}

/// Undoes `%XX`, and `+` for a space where `plus` says so; `None` where a `%` is not followed by two digits.
pub fn unescape(text: &[u8], plus: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'%' => {
                let [high, low, after @ ..] = rest else { return None };
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                bytes.push((digit(high)? * 16 + digit(low)?) as u8);
                rest = after;
            }
            b'+' if plus => bytes.push(b' '),
            plain => bytes.push(*plain),
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_of_any_charset_and_both_forms_of_a_space() {
        assert_eq!(encode([("a b", &b"\xbd\xf0 +/=~*"[..]), ("c", b"")]), "a+b=%BD%F0+%2B%2F%3D~%2A&c=");
        let expected = vec![("a".to_owned(), b"1 2 ".to_vec()), ("b".to_owned(), b"=+".to_vec()), ("c".into(), vec![])];
        assert_eq!(decode(b"a=1+2%20&&b==%2b&c"), Some(expected));
        assert_eq!(decode(b"a=%4"), None);
        assert_eq!(decode(b"%ff=1"), None);
        assert_eq!(unescape(b"a+b%2B", false), Some(b"a+b+".to_vec()));
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(pairs in proptest::collection::vec((".+", any::<Vec<u8>>()), 0..5)) {
            let text = encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
            prop_assert!(text.is_ascii());
            prop_assert_eq!(decode(text.as_bytes()), Some(pairs));
        }
    }
}
