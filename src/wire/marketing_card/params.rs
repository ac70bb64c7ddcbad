//! The parameters of a call: what is signed, and where each of them goes (PROTOCOL 2.1, 2.2).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::charset::{Charset, Unencodable};
use crate::wire::crypto::{Hash, Signer, Verifier};
use crate::wire::form;

/// The parameter that holds the signature, and is the only one not signed.
const SIGN: &str = "sign";
/// The parameter that goes into the form; all others go into the query, where the gateway looks for `charset` before
/// it decodes the rest.
const BIZ_CONTENT: &str = "biz_content";

/// How calls and replies are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignType {
    /// RSA with SHA-256.
    Rsa2,
    /// RSA with SHA-1.
    Rsa,
}

impl SignType {
    /// The words of the wire.
    pub const WORDS: [(&str, SignType); 2] = [("RSA2", SignType::Rsa2), ("RSA", SignType::Rsa)];

    /// The word of the wire.
    pub fn name(self) -> &'static str {
        match self {
            SignType::Rsa2 => "RSA2",
            SignType::Rsa => "RSA",
        }
    }

    /// The type of a word.
    pub fn parse(name: &str) -> Option<SignType> {
        SignType::WORDS.into_iter().find(|(word, _)| *word == name).map(|(_, sign_type)| sign_type)
    }

    /// Its digest.
    pub fn hash(self) -> Hash {
        match self {
            SignType::Rsa2 => Hash::Sha256,
            SignType::Rsa => Hash::Sha1,
        }
    }
}

/// Parameters in the order in which they were given, each name once; values as bytes in the call's charset.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Vec<u8>)>);

/// The signature, the app's token and the card are among them: their names are shown.
impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Why a request has no parameters that could be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsFault {
    /// Not a query, or not a form.
    #[error("the {0} is not URL-encoded")]
    Encoding(&'static str),
    /// A name twice: each side could look at another one.
    #[error("the parameter `{0}` stands twice")]
    Twice(String),
}

impl Params {
    /// Adds a parameter.
    pub fn push(&mut self, name: &str, value: &[u8]) -> &mut Params {
        self.0.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Texts in a charset; the fault is with the name of the parameter.
    pub fn encode<'a>(
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
        charset: Charset,
    ) -> Result<Params, (&'a str, Unencodable)> {
        let encoded = texts.into_iter().map(|(name, text)| {
            let value = charset.encode(text).map_err(|fault| (name, fault))?;
            Ok((name.to_owned(), value.into_owned()))
        });
        encoded.collect::<Result<_, _>>().map(Params)
    }

    /// The parameters of a request, wherever they stand: four clients put them into four places.
    pub fn of_request(target: &str, body: &[u8]) -> Result<Params, ParamsFault> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let mut params = Params::default();
        for (part, text) in [("query", query.as_bytes()), ("form", body)] {
            for (name, value) in form::decode(text).ok_or(ParamsFault::Encoding(part))? {
                if params.get(&name).is_some() {
                    return Err(ParamsFault::Twice(name));
                }
                params.0.push((name, value));
            }
        }
        Ok(params)
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The string that is signed: every parameter that has a value but the signature, sorted by name, joined by `&`,
    /// nothing escaped.
    pub fn signing_input(&self) -> Vec<u8> {
        self.signing_input_without(SIGN)
    }

    /// The same without one more parameter.
    pub fn signing_input_without(&self, without: &str) -> Vec<u8> {
        let signed = self.signed().into_iter().filter(|(name, _)| name != without);
        let pairs: Vec<Vec<u8>> = signed.map(|(name, value)| [name.as_bytes(), b"=", value].concat()).collect();
        pairs.join(&b'&')
    }

    /// The parameters that are signed, sorted.
    pub fn signed(&self) -> Vec<&(String, Vec<u8>)> {
        let mut signed: Vec<_> = self.0.iter().filter(|(name, value)| name != SIGN && !value.is_empty()).collect();
        signed.sort();
        signed
    }

    /// The signature, base64.
    pub fn sign(&self, sign_type: SignType, signer: &Signer) -> String {
        STANDARD.encode(signer.sign_with(sign_type.hash(), &self.signing_input()))
    }

    /// Whether the signature among them verifies; `None` where there is none.
    pub fn verify(&self, sign_type: SignType, key: &Verifier) -> Option<bool> {
        let sign = self.get(SIGN).filter(|sign| !sign.is_empty())?;
        let signature = STANDARD.decode(sign);
        Some(signature.is_ok_and(|bytes| key.verify_with(sign_type.hash(), &self.signing_input(), &bytes)))
    }

    /// The query with its signature.
    pub fn query(&self, sign: &str) -> String {
        let pairs = self.0.iter().filter(|(name, value)| name != BIZ_CONTENT && !value.is_empty());
        let pairs = pairs.map(|(name, value)| (name.as_str(), value.as_slice()));
        form::encode(pairs.chain([(SIGN, sign.as_bytes())]))
    }

    /// The form.
    pub fn form(&self) -> String {
        form::encode(self.get(BIZ_CONTENT).map(|content| (BIZ_CONTENT, content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::encode(pairs.iter().copied(), Charset::Utf8).unwrap()
    }

    #[test]
    fn what_is_signed_is_sorted_by_bytes_and_has_no_empty_value() {
        let params =
            params(&[("b", "1&2=%"), ("sign_type", "RSA2"), ("a_b", "x"), ("aB", ""), ("a", "金"), ("sign", "s")]);
        assert_eq!(String::from_utf8(params.signing_input()).unwrap(), "a=金&a_b=x&b=1&2=%&sign_type=RSA2");
        assert_eq!(params.query("+/="), "b=1%262%3D%25&sign_type=RSA2&a_b=x&a=%E9%87%91&sign=s&sign=%2B%2F%3D");
    }

    #[test]
    fn a_request_is_its_query_and_its_form() {
        let read = |target, body: &str| Params::of_request(target, body.as_bytes());
        let both = params(&[("a", "1 "), ("b", "2")]);
        assert_eq!(read("/gateway.do?a=1+&b=2", ""), Ok(both.clone()));
        assert_eq!(read("/gateway.do?a=1%20", "b=2"), Ok(both));
        assert_eq!(read("/gateway.do?a=1", "a=1"), Err(ParamsFault::Twice("a".into())));
        assert_eq!(read("/gateway.do?a=%", ""), Err(ParamsFault::Encoding("query")));
        assert_eq!(read("/gateway.do", "%x=1"), Err(ParamsFault::Encoding("form")));
    }

    #[test]
    fn a_signature_goes_with_its_type() {
        let signer = Signer::generate(2048).unwrap();
        let mut signed = params(&[("a", "1")]);
        assert_eq!(signed.verify(SignType::Rsa2, &signer.public()), None);
        let sign = signed.sign(SignType::Rsa, &signer);
        signed.push("sign", sign.as_bytes());
        assert_eq!(signed.verify(SignType::Rsa, &signer.public()), Some(true));
        assert_eq!(signed.verify(SignType::Rsa2, &signer.public()), Some(false));
        signed.push("b", b"2");
        assert_eq!(signed.verify(SignType::Rsa, &signer.public()), Some(false));
    }
}
