//! Takes replies apart.
//!
//! The signature covers the raw text of one node, so the node is cut out of the bytes as they came, and what is
//! believed is read from that very cut: nothing is parsed from elsewhere.

use super::envelope::{CERT_SN, Envelope, EnvelopeFault, Fields, NODES, Node, SIGN};
use super::{scan, xml};
use crate::wire::charset::Charset;
use crate::wire::json::Json;

/// Takes a reply apart, JSON or XML.
pub fn read(bytes: &[u8], charset: Charset) -> Result<Envelope<'_>, EnvelopeFault> {
    let text = charset.decode(bytes).ok_or(EnvelopeFault::Charset(charset.name()))?;
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('<') {
        return xml::read(bytes, charset);
    }
    match scan::members(bytes, charset) {
        Some(members) => read_json(&members, charset),
        None => Err(Json::parse_reply(text.as_bytes()).map_or_else(Into::into, |_| EnvelopeFault::NoNode)),
    }
}

fn read_json<'b>(members: &[(String, &'b [u8])], charset: Charset) -> Result<Envelope<'b>, EnvelopeFault> {
    let once = |name: &str| {
        let mut found = members.iter().filter(|(key, _)| key == name).map(|(_, raw)| *raw);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(EnvelopeFault::Twice(name.to_owned())),
            (raw, None) => Ok(raw),
        }
    };
    let signed = match (once(NODES[0])?, once(NODES[1])?) {
        (Some(_), Some(_)) => return Err(EnvelopeFault::Twice("the node".to_owned())),
        (Some(raw), None) | (None, Some(raw)) => raw,
        (None, None) => return Err(EnvelopeFault::NoNode),
    };
    // Whatever stands beside the node is JSON, or the node may not be where it seems to be.
    for (_, raw) in members.iter().filter(|(key, _)| !NODES.contains(&key.as_str())) {
        parsed(raw, charset, |_| Ok(()))?;
    }
    let text = |name: &str| {
        let text = |json: &Json<'_>| Ok(json.as_text().map(str::to_owned).filter(|text| !text.trim().is_empty()));
        once(name)?.map_or(Ok(None), |raw| parsed(raw, charset, text))
    };
    let node = parsed(signed, charset, |json| match json {
        Json::Text(sealed) => Ok(Node::Sealed(sealed.to_string())),
        json => Fields::of_json(json).map(Node::Plain),
    });
    Ok(Envelope { signed, sign: text(SIGN)?, cert_sn: text(CERT_SN)?, node, json: true })
}

/// What `read` makes of a raw value.
fn parsed<T>(
    raw: &[u8],
    charset: Charset,
    read: impl FnOnce(&Json<'_>) -> Result<T, EnvelopeFault>,
) -> Result<T, EnvelopeFault> {
    let text = charset.decode(raw).ok_or(EnvelopeFault::Charset(charset.name()))?;
    read(&Json::parse_reply(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::JsonFault;

    const NODE: &str = r#"{"code":"10000","msg":"Success"}"#;

    fn signed(text: &str) -> Result<(String, Option<String>), EnvelopeFault> {
        let envelope = read(text.as_bytes(), Charset::Utf8)?;
        Ok((String::from_utf8(envelope.signed.to_vec()).unwrap(), envelope.sign))
    }

    #[test]
    fn the_node_is_cut_out_raw_wherever_it_stands() {
        let node = |name: &str| format!(r#"{{"{name}":{NODE},"sign":"AA=="}}"#);
        let expected = Ok((NODE.to_owned(), Some("AA==".to_owned())));
        assert_eq!(signed(&node(NODES[0])), expected);
        assert_eq!(signed(&node(NODES[1])), expected);
        assert_eq!(signed(&format!(r#"{{"sign":"AA==","alipay_cert_sn":"b","{}":{NODE}}}"#, NODES[0])), expected);
        let spaced = format!("\r\n{{ \"{}\" :\t{{ \"code\" : 10000 }} , \"sign\" : \"AA==\" }}\n", NODES[0]);
        assert_eq!(signed(&spaced).unwrap().0, r#"{ "code" : 10000 }"#);
        let tricky = r#"{"code":"1","msg":"} \"sign\":\"x\" {\\","sub_msg":"]"}"#;
        assert_eq!(signed(&format!(r#"{{"{}":{tricky},"sign":"AA=="}}"#, NODES[0])).unwrap().0, tricky);
        assert_eq!(signed(&format!(r#"{{"{}":{NODE}}}"#, NODES[0])).unwrap().1, None);
        assert_eq!(signed(&format!(r#"{{"{}":{NODE},"sign":" "}}"#, NODES[0])).unwrap().1, None);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        let node = NODES[0];
        for text in [
            format!(r#"{{"{node}":{NODE},"{node}":{NODE},"sign":"AA=="}}"#),
            format!(r#"{{"{node}":{NODE},"alipay\u005fmarketing_card_update_response":{NODE}}}"#),
            format!(r#"{{"{node}":{NODE},"error_response":{NODE},"sign":"AA=="}}"#),
            format!(r#"{{"{node}":{NODE},"sign":"AA==","sign":"AA=="}}"#),
        ] {
            assert!(signed(&text).unwrap_err().is_ambiguous(), "{text}");
        }
    }

    fn node(text: &str) -> Result<Node, EnvelopeFault> {
        read(format!(r#"{{"error_response":{text},"sign":"AA=="}}"#).as_bytes(), Charset::Utf8).unwrap().node
    }

    #[test]
    fn a_node_that_says_nothing_can_be_signed_all_the_same() {
        assert!(node(r#"{"code":"40004","code":"10000"}"#).unwrap_err().is_ambiguous());
        for text in [r#"{"msg":"x"}"#, r#"{"code":[]}"#, r#"{"code":""}"#, "[]", "7"] {
            assert_eq!(node(text), Err(EnvelopeFault::NoCode), "{text}");
        }
        let deep = format!(r#"{{"code":"10000","x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        assert_eq!(node(&deep), Err(EnvelopeFault::Json(JsonFault::Depth)));
        assert!(matches!(node("{\"code\":\"1\0\"}"), Err(EnvelopeFault::Json(JsonFault::Syntax(_)))));
    }

    #[test]
    fn what_stands_around_a_node_is_json() {
        let whole = format!(r#"{{"error_response":{NODE},"x":[1],"sign":"AA=="}}"#);
        assert!(signed(&whole).is_ok() && signed(&format!("\u{feff}{whole}\n")).is_ok());
        for (from, to) in
            [("},", "},,"), ("},", "} "), ("[1]", "[1"), ("[1]", "1]"), ("[1]", ""), ("\"}", "\"},"), ("\"}", "\"}}")]
        {
            let text = whole.replacen(from, to, 1);
            assert_ne!(text, whole);
            assert!(matches!(signed(&text), Err(EnvelopeFault::Json(_))), "{text}");
        }
    }

    #[test]
    fn what_says_nothing_is_named() {
        for (text, fault) in [
            ("{}", EnvelopeFault::NoNode),
            ("[]", EnvelopeFault::NoNode),
            (r#"{"x":{"alipay_marketing_card_update_response":{"code":"10000"}}}"#, EnvelopeFault::NoNode),
        ] {
            assert_eq!(signed(text), Err(fault), "{text}");
        }
        assert!(matches!(signed(r#"{"error_response":{"code":"1"}"#), Err(EnvelopeFault::Json(_))));
        assert_eq!(read(b"\xff", Charset::Utf8), Err(EnvelopeFault::Charset("UTF-8")));
        assert_eq!(read(b"\x81", Charset::Gbk), Err(EnvelopeFault::Charset("GBK")));
    }

    #[test]
    fn bytes_of_gbk_are_stepped_over() {
        let text = r#"{"code":"40004","msg":"刓寋","sub_msg":"\\刓"}"#;
        let bytes = Charset::Gbk.encode(text).unwrap().into_owned();
        let reply = [b"{\"error_response\":", &bytes[..], b",\"sign\":\"AA==\"}"].concat();
        let envelope = read(&reply, Charset::Gbk).unwrap();
        assert_eq!(envelope.signed, bytes);
        let Ok(Node::Plain(fields)) = envelope.node else { panic!("it is plain") };
        assert_eq!((fields.msg.as_str(), fields.sub_msg.as_str()), ("刓寋", "\\刓"));
    }
}
