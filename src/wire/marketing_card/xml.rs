//! Replies in XML: one element with flat children, signed from its opening tag to its signature. Nothing more of XML
//! is read: what has attributes, doctypes or deeper elements is not the vendor's, and stays unread.

use super::envelope::{CERT_SN, Envelope, EnvelopeFault, Fields, NODES, Node, SIGN};
use crate::wire::charset::Charset;

/// Takes a reply apart.
pub fn read(bytes: &[u8], charset: Charset) -> Result<Envelope<'_>, EnvelopeFault> {
    let mut cursor = Cursor { bytes, at: 0, charset };
    cursor.prolog()?;
    let (name, _) = cursor.open_tag()?;
    if !NODES.iter().any(|node| node.as_bytes() == name) {
        return Err(EnvelopeFault::NoNode);
    }
    let start = cursor.at;
    let mut children = Children::default();
    loop {
        cursor.blanks_and_comments()?;
        let at = cursor.at;
        if cursor.starts_with(b"</") {
            cursor.close_tag(name)?;
            children.signed_end.get_or_insert(at);
            break;
        }
        let (child, is_empty) = cursor.open_tag()?;
        let mut text = String::new();
        if !is_empty {
            text = cursor.text()?;
            cursor.close_tag(child)?;
        }
        children.add(child, text, at)?;
    }
    cursor.blanks_and_comments()?;
    if cursor.at < bytes.len() {
        return Err(EnvelopeFault::Xml("something stands behind the element"));
    }
    let signed = &bytes[start..children.signed_end.unwrap_or(start)];
    let node = children.fields.checked().map(Node::Plain);
    Ok(Envelope { signed, sign: children.sign, cert_sn: children.cert_sn, node, json: false })
}

#[derive(Default)]
struct Children {
    seen: Vec<Vec<u8>>,
    fields: Fields,
    sign: Option<String>,
    cert_sn: Option<String>,
    /// Where the signed text ends: before the certificate's name or the signature, whichever comes first.
    signed_end: Option<usize>,
}

impl Children {
    fn add(&mut self, name: &[u8], text: String, at: usize) -> Result<(), EnvelopeFault> {
        if self.seen.iter().any(|seen| seen == name) {
            return Err(EnvelopeFault::Twice(String::from_utf8_lossy(name).into_owned()));
        }
        self.seen.push(name.to_vec());
        if name == SIGN.as_bytes() {
            self.sign = Some(text).filter(|text| !text.trim().is_empty());
            self.signed_end.get_or_insert(at);
        } else if name == CERT_SN.as_bytes() {
            self.cert_sn = Some(text);
            self.signed_end.get_or_insert(at);
        } else if self.signed_end.is_some() {
            // It would be read, and nobody signed it.
            return Err(EnvelopeFault::Xml("an element behind the signature"));
        } else if let Some((_, field)) = self.fields.slots().into_iter().find(|(known, _)| known.as_bytes() == name) {
            *field = text;
        }
        Ok(())
    }
}

struct Cursor<'b> {
    bytes: &'b [u8],
    at: usize,
    charset: Charset,
}

impl<'b> Cursor<'b> {
    fn rest(&self) -> &'b [u8] {
        &self.bytes[self.at..]
    }

    fn starts_with(&self, text: &[u8]) -> bool {
        self.rest().starts_with(text)
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let next = self.starts_with(text);
        self.at += if next { text.len() } else { 0 };
        next
    }

    /// The bytes up to `end`, which is stepped over too. Only whole characters are compared.
    fn until(&mut self, end: &[u8]) -> Result<&'b [u8], EnvelopeFault> {
        let start = self.at;
        while self.at < self.bytes.len() {
            if self.starts_with(end) {
                let found = &self.bytes[start..self.at];
                self.at += end.len();
                return Ok(found);
            }
            self.at += self.charset.char_len(self.rest());
        }
        Err(EnvelopeFault::Xml("it breaks off"))
    }

    fn prolog(&mut self) -> Result<(), EnvelopeFault> {
        self.take(b"\xef\xbb\xbf");
        self.blanks();
        if self.take(b"<?xml") {
            self.until(b"?>")?;
        }
        self.blanks_and_comments()
    }

    fn blanks(&mut self) {
        while self.rest().first().is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn blanks_and_comments(&mut self) -> Result<(), EnvelopeFault> {
        loop {
            self.blanks();
            if !self.take(b"<!--") {
                return Ok(());
            }
            self.until(b"-->")?;
        }
    }

    /// `<name>`, or `<name/>`, which is an element without content.
    fn open_tag(&mut self) -> Result<(&'b [u8], bool), EnvelopeFault> {
        if !self.take(b"<") {
            return Err(EnvelopeFault::Xml("text where a tag is expected"));
        }
        let tag = self.until(b">")?;
        let (name, is_empty) = tag.strip_suffix(b"/").map_or((tag, false), |name| (name, true));
        let name = name.trim_ascii_end();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        if name.is_empty() || !name.iter().all(plain) {
            return Err(EnvelopeFault::Xml("a tag that is not a bare name"));
        }
        Ok((name, is_empty))
    }

    /// `</name>`.
    fn close_tag(&mut self, name: &[u8]) -> Result<(), EnvelopeFault> {
        let closes = self.take(b"</") && self.until(b">")?.trim_ascii_end() == name;
        if closes { Ok(()) } else { Err(EnvelopeFault::Xml("an element that is not closed, or has elements inside")) }
    }

    /// Text with its entities and CDATA sections undone, up to the next tag.
    fn text(&mut self) -> Result<String, EnvelopeFault> {
        let mut text = String::new();
        loop {
            let start = self.at;
            while self.rest().first().is_some_and(|byte| !b"<&".contains(byte)) {
                self.at += self.charset.char_len(self.rest());
            }
            text += &self.decoded(&self.bytes[start..self.at])?;
            if self.take(b"<![CDATA[") {
                let raw = self.until(b"]]>")?;
                text += &self.decoded(raw)?;
            } else if self.take(b"&") {
                let name = self.until(b";")?;
                text.push(entity(name).ok_or(EnvelopeFault::Xml("an unknown entity"))?);
            } else {
                return Ok(text);
            }
        }
    }

    fn decoded(&self, raw: &[u8]) -> Result<String, EnvelopeFault> {
        let text = self.charset.decode(raw).ok_or(EnvelopeFault::Charset(self.charset.name()))?;
        Ok(text.into_owned())
    }
}

fn entity(name: &[u8]) -> Option<char> {
    match name {
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"amp" => Some('&'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => {
            let number = std::str::from_utf8(name).ok()?.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Adds an element to XML; the gateway's side.
pub fn write_element(xml: &mut String, name: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    xml.push_str(&format!("<{name}>{escaped}</{name}>"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wrapped(inner: &str) -> String {
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<{0}>{inner}</{0}>\n", NODES[0])
    }

    fn parsed(text: &str) -> Result<Envelope<'_>, EnvelopeFault> {
        read(text.as_bytes(), Charset::Utf8)
    }

    #[test]
    fn what_stands_before_the_signature_is_signed_as_it_is() {
        const INNER: &str = "<code>40004</code> <sub_msg>&lt;a&gt; &#x91d1;<![CDATA[<sign>]]></sub_msg>\n<msg></msg>";
        for (tail, cert_sn) in [
            ("<sign>AA==</sign>", None),
            ("<alipay_cert_sn>c</alipay_cert_sn><sign>AA==</sign>", Some("c")),
            ("<sign>AA==</sign><alipay_cert_sn>c</alipay_cert_sn>", Some("c")),
        ] {
            let text = wrapped(&format!("{INNER}{tail}"));
            let envelope = parsed(&text).unwrap();
            assert_eq!(String::from_utf8_lossy(envelope.signed), INNER, "{tail}");
            assert_eq!((envelope.sign.as_deref(), envelope.cert_sn.as_deref()), (Some("AA=="), cert_sn));
            let Ok(Node::Plain(fields)) = envelope.node else { panic!("it is plain") };
            assert_eq!((fields.code.as_str(), fields.sub_msg.as_str()), ("40004", "<a> 金<sign>"));
        }
        let empty = wrapped("<code>10000</code><msg /><sub_code/>");
        let Ok(Node::Plain(fields)) = parsed(&empty).unwrap().node else { panic!("it is plain") };
        assert_eq!((fields.code.as_str(), fields.msg.as_str(), fields.sub_code.as_str()), ("10000", "", ""));
        let text = wrapped("<code>10000</code>");
        let unsigned = parsed(&text).unwrap();
        assert_eq!((unsigned.signed, unsigned.sign), (&b"<code>10000</code>"[..], None));
    }

    #[test]
    fn what_is_not_the_vendors_form_is_refused() {
        for inner in [
            "<code>10000</code><sign>AA==</sign><sub_code>x</sub_code>",
            "<sign>AA==</sign><code>10000</code>",
            "<code a='1'>10000</code>",
            "<code><b>10000</b></code>",
            "<code>10000</cod>",
            "<code>&nbsp;</code>",
            "<code>1</code><sign/>x",
            "text",
            "<code>10000",
            "<!-- ",
        ] {
            assert!(parsed(&wrapped(inner)).is_err(), "{inner}");
        }
        for nothing in ["", "<code/>", "<msg>x</msg>"] {
            assert_eq!(parsed(&wrapped(nothing)).unwrap().node, Err(EnvelopeFault::NoCode), "{nothing}");
        }
        let twice = wrapped("<code>40004</code><code>10000</code>");
        assert_eq!(parsed(&twice), Err(EnvelopeFault::Twice("code".into())));
        assert_eq!(parsed("<html></html>"), Err(EnvelopeFault::NoNode));
        let text = wrapped("<code>1</code>");
        assert!(parsed(&text.repeat(2)).is_err());
        assert!(parsed(&format!("<!DOCTYPE x>{text}")).is_err());
    }

    #[test]
    fn gbk_is_stepped_over_by_characters() {
        let text = wrapped("<code>1</code><msg>刓寋</msg><sign>AA==</sign>");
        let bytes = Charset::Gbk.encode(&text).unwrap();
        let Ok(Node::Plain(fields)) = read(&bytes, Charset::Gbk).unwrap().node else { panic!("it is plain") };
        assert_eq!(fields.msg, "刓寋");
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(message in ".*") {
            let mut xml = String::new();
            write_element(&mut xml, "code", "1");
            write_element(&mut xml, "sub_msg", &message);
            let text = wrapped(&xml);
            let Ok(Node::Plain(fields)) = parsed(&text).unwrap().node else { panic!("it is plain") };
            prop_assert_eq!(fields.sub_msg, message);
        }

        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let wrapped = [b"<error_response><code>", &bytes[..]].concat();
            for charset in Charset::ALL {
                let _ = (read(&bytes, charset), read(&wrapped, charset));
            }
        }
    }
}
