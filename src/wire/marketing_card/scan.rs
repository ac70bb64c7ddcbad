//! Finds the members of a JSON object without changing a byte of them.

use crate::wire::charset::Charset;
use crate::wire::json::Json;

/// The members of the outermost object of a JSON text, each key read and each value raw. `None` where it is no object
/// and nothing but that. What lies inside of a value is stepped over, and not judged.
pub fn members(bytes: &[u8], charset: Charset) -> Option<Vec<(String, &[u8])>> {
    let bytes = if charset == Charset::Utf8 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
    let mut cursor = Cursor { bytes, at: 0, charset };
    let mut found = Vec::new();
    cursor.take(b'{')?;
    if cursor.take(b'}').is_none() {
        loop {
            found.push(cursor.member()?);
            if cursor.take(b',').is_none() {
                cursor.take(b'}')?;
                break;
            }
        }
    }
    cursor.next().is_none().then_some(found)
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
    charset: Charset,
}

impl<'b> Cursor<'b> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not blank.
    fn next(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn member(&mut self) -> Option<(String, &'b [u8])> {
        let key = self.charset.decode(self.value()?)?;
        let key = Json::parse_reply(key.as_bytes()).ok()?.as_text()?.to_owned();
        self.take(b':')?;
        Some((key, self.value()?))
    }

    /// Steps over a value.
    fn value(&mut self) -> Option<&'b [u8]> {
        if matches!(self.next()?, b',' | b':') {
            return None;
        }
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ => self.at += 1,
            }
            let ends = matches!(self.peek(), None | Some(b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
            if depth == 0 && ends {
                return Some(&self.bytes[start..self.at]);
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += self.charset.char_len(&self.bytes[self.at..]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_cut_where_they_end() {
        let text = br#" { "a" : {"x":"}"} , "b":"\"","c" :-1.5e3,"d":[ ] , "\u0065":null} "#;
        let expected = [("a", r#"{"x":"}"}"#), ("b", r#""\"""#), ("c", "-1.5e3"), ("d", "[ ]"), ("e", "null")];
        let expected: Vec<_> = expected.map(|(key, raw)| (key.to_owned(), raw.as_bytes())).into();
        assert_eq!(members(text, Charset::Utf8), Some(expected));
        assert_eq!(members(b"{ }\n", Charset::Utf8), Some(vec![]));
        for text in
            ["", "[]", "1", "{", r#"{"a"}"#, r#"{"a":"}"#, "{1:2}", r#"{"a":,"b":1}"#, r#"{"a":1,}"#, r#"{"a":1}}"#]
        {
            assert_eq!(members(text.as_bytes(), Charset::Utf8), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            for charset in Charset::ALL {
                let _ = members(&bytes, charset);
                let _ = members(&[b"{\"a\":", &bytes[..]].concat(), charset);
            }
        }
    }
}
