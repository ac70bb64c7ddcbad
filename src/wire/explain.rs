//! What was signed, for people who ask why a signature is refused: the string with all that hides in it made visible,
//! where it parts from another one, and what else the signature would have been right for.

use std::borrow::Cow;

use super::charset::Charset;
use super::crypto::{Hash, Verifier};
use super::marketing_card::envelope::Envelope;
use super::marketing_card::params::{Params, SignType};
use super::pass::head;

/// How much of a string is shown on either side of a difference, in characters.
const AROUND: usize = 32;

/// The names of parts that are no parameters.
const METHOD_AND_PATH: &str = "method and path";
const NODE: &str = "node";

/// What was signed, or is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The bytes under the signature.
    pub input: Vec<u8>,
    /// The digest of them that is signed.
    pub hash: Hash,
    charset: Charset,
    /// The same as text, part by part, each with its name.
    parts: Vec<(String, String)>,
    /// Other strings that are signed by mistake, each with the mistake.
    mistakes: Vec<(&'static str, Vec<u8>)>,
}

/// The first place where two strings part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Characters before it.
    pub at: usize,
    /// The part of ours in which it lies.
    pub part: String,
    /// What both have before it.
    pub before: String,
    /// Ours from there on, and theirs; empty at an end.
    pub ours: String,
    /// Theirs from there on.
    pub theirs: String,
}

impl Subject {
    /// What its bytes are texts of.
    pub fn charset(&self) -> Charset {
        self.charset
    }

    /// A call to, or a reply from, `updatePass`.
    pub fn of_pass(method: &str, path: &str, client_id: &str, time: &str, body: &[u8]) -> Subject {
        let input = |body: &[u8]| head::signing_input_of(method, path, client_id, time, body);
        let trimmed = body.trim_ascii_end();
        let mut mistakes = vec![
            ("without the line break at the body's end", input(trimmed)),
            ("with a line break at the body's end", input(&[body, b"\n"].concat())),
            ("without the byte order mark", input(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))),
            ("with LF for CRLF", input(&without_cr(body))),
            ("with the path without its query", {
                let path = path.split('?').next().unwrap_or_default();
                head::signing_input_of(method, path, client_id, time, body)
            }),
            ("over the body alone", body.to_vec()),
        ];
        let whole = input(body);
        mistakes.retain(|(_, mistaken)| *mistaken != whole);
        let parts = vec![
            (METHOD_AND_PATH.to_owned(), format!("{method} {path}\n")),
            ("client-id".to_owned(), format!("{client_id}.")),
            ("time".to_owned(), format!("{time}.")),
            ("body".to_owned(), String::from_utf8_lossy(body).into_owned()),
        ];
        Subject { input: whole, hash: Hash::Sha256, charset: Charset::Utf8, parts, mistakes }
    }

    /// A call of `marketing-card`.
    pub fn of_params(params: &Params, sign_type: SignType, charset: Charset) -> Subject {
        let signed = params.signed();
        let last = signed.len().saturating_sub(1);
        let parts = signed.iter().enumerate().map(|(at, (name, value))| {
            let and = if at < last { "&" } else { "" };
            (name.clone(), format!("{name}={}{and}", text(value, charset)))
        });
        let mistakes = vec![("without `sign_type`", params.signing_input_without("sign_type"))];
        Subject { input: params.signing_input(), hash: sign_type.hash(), charset, parts: parts.collect(), mistakes }
    }

    /// A reply of `marketing-card`.
    pub fn of_reply(envelope: &Envelope<'_>, sign_type: SignType, charset: Charset) -> Subject {
        let node = envelope.signed;
        let mut mistakes = vec![
            ("without the blanks around the node", node.trim_ascii().to_vec()),
            ("without the quotes around the encrypted node", without_quotes(node.trim_ascii()).to_vec()),
        ];
        mistakes.retain(|(_, mistaken)| mistaken != node);
        let parts = vec![(NODE.to_owned(), text(node, charset).into_owned())];
        Subject { input: node.to_vec(), hash: sign_type.hash(), charset, parts, mistakes }
    }

    /// The string as text.
    pub fn text(&self) -> String {
        self.parts.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// What hides in it, or is easily overlooked.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (name, text) in &self.parts {
            let value = if name == "body" || name == NODE { text.as_str() } else { continue };
            for (found, note) in [
                (value.ends_with('\n'), "ends with a line break, which is signed"),
                (value.starts_with('\u{feff}'), "begins with a byte order mark, which is signed"),
                (value.contains('\r'), "has carriage returns, which are signed"),
                (value.contains('\u{fffd}'), "has bytes that are not of its charset"),
            ] {
                if found {
                    notes.push(format!("the {name} {note}"));
                }
            }
        }
        if !self.text().is_ascii() {
            notes.push(format!("it has characters beyond ASCII, which are signed as {}", self.charset.name()));
        }
        notes
    }

    /// What the signature would be right for, if it is wrong for this: a mistake that is often made.
    pub fn mistake(&self, key: &Verifier, signature: &[u8]) -> Option<String> {
        let found = self.mistakes.iter().find(|(_, input)| key.verify_with(self.hash, input, signature));
        if let Some((mistake, _)) = found {
            return Some(format!("it was made {mistake}"));
        }
        let (other, name) = match self.hash {
            Hash::Sha256 => (Hash::Sha1, "SHA-1"),
            Hash::Sha1 => (Hash::Sha256, "SHA-256"),
        };
        key.verify_with(other, &self.input, signature).then(|| format!("it was made with {name}"))
    }

    /// Where it parts from a string that another side signed; `None` where they are the same. `given` may be the
    /// gateway's echo, with words before it and `&` as `&amp;`.
    pub fn difference(&self, given: &str) -> Option<Difference> {
        let ours = self.text();
        let theirs = self.without_words(&unescaped(given));
        if ours == theirs {
            return None;
        }
        let at = ours.chars().zip(theirs.chars()).take_while(|(one, other)| one == other).count();
        let shown = |text: &str, from: usize| visible(&text.chars().skip(from).take(AROUND).collect::<String>());
        let before = at.saturating_sub(AROUND);
        let before = visible(&ours.chars().skip(before).take(at - before).collect::<String>());
        let part = self.part_at(at).to_owned();
        Some(Difference { at, part, before, ours: shown(&ours, at), theirs: shown(&theirs, at) })
    }

    /// Cuts off the words before what was signed, and the line break of the file that it came in.
    fn without_words(&self, given: &str) -> String {
        let start = match self.parts.first() {
            Some((name, text)) if name == METHOD_AND_PATH => given.find(text.split_inclusive(' ').next().unwrap_or("")),
            Some((name, _)) if name == NODE => None,
            // Their first parameter may be another than ours: it is whatever stands before the first `=`.
            _ => given.find('=').map(|equals| equals - name_len(&given[..equals])),
        };
        let given = &given[start.unwrap_or(0)..];
        let given = if self.text().ends_with('\n') { given } else { given.trim_end_matches(['\r', '\n']) };
        given.to_owned()
    }

    fn part_at(&self, at: usize) -> &str {
        let mut left = at;
        for (name, text) in &self.parts {
            let length = text.chars().count();
            if left < length {
                return name;
            }
            left -= length;
        }
        "the end"
    }
}

/// The bytes of the parameter's name that a text ends with.
fn name_len(text: &str) -> usize {
    text.bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

/// The quotes around a JSON string taken off.
fn without_quotes(node: &[u8]) -> &[u8] {
    node.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(node)
}

fn without_cr(body: &[u8]) -> Vec<u8> {
    body.iter().copied().filter(|byte| *byte != b'\r').collect()
}

fn text(bytes: &[u8], charset: Charset) -> Cow<'_, str> {
    charset.decode(bytes).unwrap_or_else(|| String::from_utf8_lossy(bytes))
}

/// Undoes the escapes of an echo in HTML: only where every `&` begins one, because a bare `&` shows that nobody
/// escaped.
fn unescaped(given: &str) -> String {
    const ESCAPES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    let escaped =
        given.match_indices('&').all(|(at, _)| ESCAPES.iter().any(|(escape, _)| given[at..].starts_with(escape)));
    if !escaped {
        return given.to_owned();
    }
    // `&amp;` last: what it uncovers is no escape.
    ESCAPES.iter().fold(given.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// A string with every character that cannot be seen, or taken for another, written out.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (at, character) in text.chars().enumerate() {
        let edge = character == ' ' && (at == 0 || at == last);
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '\\' => shown.push_str("\\\\"),
            _ if edge || is_invisible(character) => shown.extend(character.escape_unicode()),
            _ => shown.push(character),
        }
    }
    shown
}

fn is_invisible(character: char) -> bool {
    character.is_control()
        || (character.is_whitespace() && character != ' ')
        || matches!(
            character,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fffd}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::crypto::Signer;

    fn params(pairs: &[(&str, &str)]) -> Subject {
        let params = Params::encode(pairs.iter().copied(), Charset::Utf8).unwrap();
        Subject::of_params(&params, SignType::Rsa2, Charset::Utf8)
    }

    #[test]
    fn what_hides_is_shown() {
        assert_eq!(
            visible("POST /a\n21.T.{\"a\":\"\u{feff}\u{200b}\"} "),
            "POST /a\\n21.T.{\"a\":\"\\u{feff}\\u{200b}\"}\\u{20}"
        );
        assert_eq!(visible("a b\\n"), "a b\\\\n");
        let subject = Subject::of_pass("POST", "/a", "21", "T", "\u{feff}{}\r\n".as_bytes());
        assert_eq!(subject.notes().len(), 4, "{:?}", subject.notes());
        assert_eq!(Subject::of_pass("POST", "/a", "21", "T", b"{}").notes(), Vec::<String>::new());
    }

    #[test]
    fn the_first_difference_is_found_behind_words_and_escapes() {
        let ours = params(&[("app_id", "1"), ("biz_content", r#"{"a":"b"}"#), ("charset", "utf-8")]);
        assert_eq!(ours.text(), r#"app_id=1&biz_content={"a":"b"}&charset=utf-8"#);
        let echo = r#"验签出错，网关生成的验签字符串为：app_id=1&amp;biz_content={"a":"c"}&amp;charset=utf-8"#;
        let difference = ours.difference(echo).unwrap();
        assert_eq!((difference.at, difference.part.as_str()), (27, "biz_content"));
        assert!(difference.ours.starts_with("b\"}&charset") && difference.theirs.starts_with("c\"}&charset"));
        assert_eq!(ours.difference(&echo.replace("\"c\"", "\"b\"")), None);
        assert_eq!(ours.difference(&format!("{}\n", ours.text())), None, "a file ends with a line break");
        for (theirs, shown) in [
            ("字符串为：app_auth_token=t&app_id=1", "auth_token=t&app_id=1"),
            ("字符串为：biz_content={}", "biz_content={}"),
        ] {
            assert_eq!(ours.difference(theirs).unwrap().theirs, shown, "their first parameter is another");
        }
        let short = ours.difference("app_id=1&biz_content={}").unwrap();
        assert_eq!((short.part.as_str(), short.theirs.as_str()), ("biz_content", "}"));
        let long = ours.difference(&format!("{}&sign_type=RSA2", ours.text())).unwrap();
        assert_eq!((long.part.as_str(), long.ours.as_str()), ("the end", ""));
    }

    #[test]
    fn mistakes_are_recognised() {
        let signer = Signer::generate(2048).unwrap();
        let mistake =
            |subject: &Subject, hash, input: &[u8]| subject.mistake(&signer.public(), &signer.sign_with(hash, input));
        let pass = Subject::of_pass("POST", "/a?b=1", "21", "T", b"{}\n");
        let other = head::signing_input_of("POST", "/a?b=1", "21", "T", b"{}");
        assert!(mistake(&pass, Hash::Sha256, &other).unwrap().contains("line break"));
        assert!(mistake(&pass, Hash::Sha1, &pass.input).unwrap().contains("SHA-1"));
        assert_eq!(mistake(&pass, Hash::Sha256, b"something else"), None);
        let call = params(&[("app_id", "1"), ("sign_type", "RSA2")]);
        assert!(mistake(&call, Hash::Sha256, b"app_id=1").unwrap().contains("sign_type"));
    }
}
