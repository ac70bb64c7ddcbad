//! JSON as the wire needs it: numbers keep their digits, and an object with a key twice can be seen for what it is.
//!
//! A reader that lets the last of two equal keys win can be shown one value while the signature's reader sees the
//! other, and one that goes through a float changes `1999.10` and 27-digit ids. So neither is built on here.

use std::borrow::Cow;

use crate::model::Value;

/// Deeper nesting is refused: no reply or call has more than four levels, and recursion must end.
const DEPTH_MAX: usize = 32;

/// A JSON value. It borrows from the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, digit for digit.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object, in its order, with every key as often as it stands there.
    Object(Vec<Member<'a>>),
}

/// A key and its value.
pub type Member<'a> = (Cow<'a, str>, Json<'a>);

/// Why bytes are not JSON, or why a member of it cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON from this byte on.
    #[error("not JSON from byte {0} on")]
    Syntax(usize),
    /// Nested too deep.
    #[error("JSON nested deeper than {DEPTH_MAX} levels")]
    Depth,
    /// A key stands twice in one object.
    #[error("a JSON object with one key twice")]
    Twice,
}

impl<'a> Json<'a> {
    /// Reads one value with nothing but white space around it.
    pub fn parse(bytes: &'a [u8]) -> Result<Json<'a>, JsonFault> {
        Json::parse_with(bytes, None)
    }

    /// The same for what a gateway answers, in two things less strict, for neither changes what a code says: a byte
    /// order mark before it is passed over, and half a surrogate pair (Java leaves one where it cuts a text short)
    /// becomes U+FFFD.
    pub fn parse_reply(bytes: &'a [u8]) -> Result<Json<'a>, JsonFault> {
        Json::parse_with(bytes, Some(char::REPLACEMENT_CHARACTER))
    }

    fn parse_with(bytes: &'a [u8], half_pair: Option<char>) -> Result<Json<'a>, JsonFault> {
        let text = std::str::from_utf8(bytes).map_err(|fault| JsonFault::Syntax(fault.valid_up_to()))?;
        let mut parser = Parser { text, at: 0, half_pair };
        if half_pair.is_some() && text.starts_with('\u{feff}') {
            parser.at = '\u{feff}'.len_utf8();
        }
        parser.blanks();
        let value = parser.value(0)?;
        parser.blanks();
        if parser.at == text.len() { Ok(value) } else { Err(parser.fault()) }
    }

    /// The value of `key`; `None` where it is absent, `null`, or this is no object.
    pub fn get(&self, key: &str) -> Result<Option<&Json<'a>>, JsonFault> {
        let Json::Object(members) = self else { return Ok(None) };
        let mut found = members.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(JsonFault::Twice),
            (Some(Json::Null), None) => Ok(None),
            (value, None) => Ok(value),
        }
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A string's text or a number's digits.
    pub fn scalar(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            Json::Number(digits) => Some(digits),
            _ => None,
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// What half a surrogate pair is read as; `None` where it is refused.
    half_pair: Option<char>,
}

impl<'a> Parser<'a> {
    fn fault(&self) -> JsonFault {
        JsonFault::Syntax(self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    fn need(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.take(byte) { Ok(()) } else { Err(self.fault()) }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonFault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault());
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonFault> {
        if depth > DEPTH_MAX {
            return Err(JsonFault::Depth);
        }
        match self.peek() {
            Some(b'n') => self.word("null", Json::Null),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            _ => self.number(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, JsonFault> {
        let mut values = Vec::new();
        self.sequence(b'[', b']', |parser| {
            values.push(parser.value(depth + 1)?);
            Ok(())
        })?;
        Ok(Json::List(values))
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonFault> {
        let mut members = Vec::new();
        self.sequence(b'{', b'}', |parser| {
            let key = parser.string()?;
            parser.blanks();
            parser.need(b':')?;
            parser.blanks();
            members.push((key, parser.value(depth + 1)?));
            Ok(())
        })?;
        Ok(Json::Object(members))
    }

    /// Items between brackets, parted by commas.
    fn sequence(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), JsonFault>,
    ) -> Result<(), JsonFault> {
        self.need(open)?;
        self.blanks();
        if self.take(close) {
            return Ok(());
        }
        loop {
            item(self)?;
            self.blanks();
            if self.take(close) {
                return Ok(());
            }
            self.need(b',')?;
            self.blanks();
        }
    }

    fn number(&mut self) -> Result<Json<'a>, JsonFault> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.fault()) }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        self.need(b'"')?;
        let mut text = Cow::Borrowed("");
        loop {
            let start = self.at;
            while self.peek().is_some_and(|byte| byte != b'"' && byte != b'\\' && byte >= b' ') {
                self.at += 1;
            }
            text += &self.text[start..self.at];
            if self.take(b'"') {
                return Ok(text);
            }
            self.need(b'\\')?;
            text.to_mut().push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonFault> {
        let escape = self.peek().ok_or(self.fault())?;
        let plain = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(self.fault()),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `u` and four digits, or two such that make one character beyond the first plane.
    fn unicode_escape(&mut self) -> Result<char, JsonFault> {
        let fault = self.fault();
        let first = self.unit()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).or(self.half_pair).ok_or(fault);
        }
        let after_first = self.at;
        if self.take(b'\\') && self.peek() == Some(b'u') {
            let second = self.unit()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(fault);
            }
        }
        // What follows is an escape of its own.
        self.at = after_first;
        self.half_pair.ok_or(fault)
    }

    fn unit(&mut self) -> Result<u32, JsonFault> {
        self.need(b'u')?;
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(self.fault())?;
        let unit = digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?));
        self.at += 4;
        unit.ok_or(self.fault())
    }
}

/// Writes an object member by member: no spaces, no escapes but those that JSON demands.
pub struct Object(Vec<u8>);

impl Object {
    /// An object without members.
    pub fn new() -> Object {
        Object(vec![b'{'])
    }

    /// Whether it has no member yet.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// Adds a string.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Object {
        self.key(key);
        write_text(&mut self.0, text);
        self
    }

    /// Adds JSON as it stands: a number's digits, `null`, or what another writer finished.
    pub fn raw(&mut self, key: &str, json: &[u8]) -> &mut Object {
        self.key(key);
        self.0.extend_from_slice(json);
        self
    }

    /// Adds a canonical value: numbers and JSON bare, texts and times quoted.
    pub fn value(&mut self, key: &str, value: &Value) -> &mut Object {
        match value {
            Value::Text(text) => self.text(key, text),
            Value::Number(amount) => self.raw(key, amount.to_string().as_bytes()),
            Value::Time(ms) => self.text(key, &ms.to_string()),
            Value::Json(json) => self.raw(key, json.as_bytes()),
        }
    }

    /// Adds another object; one without members is left out.
    pub fn object(&mut self, key: &str, object: Object) -> &mut Object {
        if object.is_empty() { self } else { self.raw(key, &object.finish()) }
    }

    /// The bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn key(&mut self, key: &str) {
        if !self.is_empty() {
            self.0.push(b',');
        }
        write_text(&mut self.0, key);
        self.0.push(b':');
    }
}

impl Default for Object {
    fn default() -> Object {
        Object::new()
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(bytes, text).expect("a Vec takes every byte");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_text_its_characters() {
        let json = Json::parse(br#" {"n":-1999.10e+2,"t":"\u94bb\ud83d\ude00\/\n","l":[0,true,null]} "#).unwrap();
        assert_eq!(json.get("n").unwrap(), Some(&Json::Number("-1999.10e+2")));
        assert_eq!(json.get("t").unwrap().and_then(Json::as_text), Some("钻😀/\n"));
        assert_eq!(json.get("l").unwrap(), Some(&Json::List(vec![Json::Number("0"), Json::Bool(true), Json::Null])));
    }

    #[test]
    fn a_key_that_stands_twice_is_seen() {
        let json = Json::parse(br#"{"a":1,"a":1,"b":null,"c":2}"#).unwrap();
        assert_eq!(json.get("a"), Err(JsonFault::Twice));
        assert_eq!(json.get("b"), Ok(None));
        assert_eq!(json.get("c"), Ok(Some(&Json::Number("2"))));
        assert_eq!(json.get("d"), Ok(None));
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in
            ["", "{", "{\"a\":1,}", "[1 2]", "01", "+1", "1.", ".5", "\"\\x\"", "\"\\ud800\"", "\"\t\"", "nul", "{}x"]
        {
            assert!(matches!(Json::parse(text.as_bytes()), Err(JsonFault::Syntax(_))), "{text}");
        }
        assert_eq!(Json::parse(&[b'"', 0xff, b'"']), Err(JsonFault::Syntax(1)));
        assert_eq!(Json::parse("[".repeat(100_000).as_bytes()), Err(JsonFault::Depth));
    }

    #[test]
    fn replies_may_have_a_mark_and_half_a_pair() {
        let text = |json: &[u8]| Json::parse_reply(json).map(|json| json.as_text().map(str::to_owned));
        for (json, expected) in [
            ("\u{feff}\"a\"", "a"),
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ude00 x""#, "\u{fffd} x"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
        ] {
            assert_eq!(text(json.as_bytes()), Ok(Some(expected.to_owned())), "{json}");
            assert!(Json::parse(json.as_bytes()).is_err(), "{json}");
        }
        for json in ["\u{feff}", "\u{feff}\u{feff}1", "{\u{feff}}", r#""\ud83d\""#, r#""\ud83d\u00""#, r#""\ud83d\x""#]
        {
            assert!(Json::parse_reply(json.as_bytes()).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(key in ".*", text in ".*") {
            let mut object = Object::new();
            object.text(&key, &text).raw("\u{0}n", b"1.50");
            let bytes = object.finish();
            let json = Json::parse(&bytes).unwrap();
            prop_assert_eq!(json.get("\u{0}n"), Ok(Some(&Json::Number("1.50"))));
            prop_assert_eq!(json.get(&key).unwrap().and_then(Json::as_text), Some(text.as_str()));
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (Json::parse(&bytes), Json::parse_reply(&bytes));
        }
    }
}
