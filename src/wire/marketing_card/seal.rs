//! Encrypted contents (PROTOCOL 2.2): AES in CBC mode, base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::crypto::{Aes, BLOCK_BYTES, Iv};

/// How a content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptType {
    /// With a vector of zeros.
    Aes,
    /// With a vector of its own, which stands before the ciphertext.
    AesV2,
}

impl EncryptType {
    /// The words of the wire.
    pub const WORDS: [(&str, EncryptType); 2] = [("AES", EncryptType::Aes), ("AES_V2", EncryptType::AesV2)];

    /// The word of the wire.
    pub fn name(self) -> &'static str {
        match self {
            EncryptType::Aes => "AES",
            EncryptType::AesV2 => "AES_V2",
        }
    }

    /// Encrypts. The same content gives the same bytes, under either type: they are the frozen bytes of a revision.
    pub fn seal(self, aes: &Aes, plain: &[u8]) -> Vec<u8> {
        let sealed = match self {
            EncryptType::Aes => aes.encrypt_cbc(plain, NO_IV),
            EncryptType::AesV2 => {
                let iv = aes.synthetic_iv(plain);
                [&iv[..], &aes.encrypt_cbc(plain, iv)].concat()
            }
        };
        STANDARD.encode(sealed).into_bytes()
    }

    /// Decrypts; `None` where it is not base64 of what this key encrypted.
    pub fn open(self, aes: &Aes, sealed: &[u8]) -> Option<Vec<u8>> {
        let sealed = STANDARD.decode(sealed.trim_ascii()).ok()?;
        match self {
            EncryptType::Aes => aes.decrypt_cbc(&sealed, NO_IV),
            EncryptType::AesV2 => {
                let (iv, sealed) = sealed.split_first_chunk::<BLOCK_BYTES>()?;
                aes.decrypt_cbc(sealed, *iv)
            }
        }
    }
}

const NO_IV: Iv = [0; BLOCK_BYTES];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_opens_its_own() {
        let aes = Aes::new(&[7; 16]).unwrap();
        let plain = b"{\"code\":\"10000\",\"msg\":\"Success\"}";
        for (word, kind) in EncryptType::WORDS {
            let sealed = kind.seal(&aes, plain);
            assert_eq!(sealed, kind.seal(&aes, plain), "{word}: every attempt sends the same bytes");
            assert_eq!(kind.open(&aes, &sealed).as_deref(), Some(&plain[..]), "{word}");
            assert_eq!(kind.open(&Aes::new(&[8; 16]).unwrap(), &sealed).filter(|opened| opened == plain), None);
            assert_eq!(kind.open(&aes, b"not base64"), None);
            assert_eq!(kind.open(&aes, b""), None);
        }
        let (one, other) = (EncryptType::AesV2.seal(&aes, b"one"), EncryptType::AesV2.seal(&aes, b"two"));
        assert_ne!(one[..16], other[..16], "two contents, two vectors");
    }
}
