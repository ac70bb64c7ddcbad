//! AES with PKCS#7 padding, as the vendor encrypts contents.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The bytes of a block, and of an initialisation vector.
pub const BLOCK_BYTES: usize = 16;

/// An initialisation vector.
pub type Iv = [u8; BLOCK_BYTES];

/// An AES key of 128, 192 or 256 bits.
pub struct Aes {
    key: Zeroizing<Vec<u8>>,
    algorithm: &'static Algorithm,
}

/// Why bytes are not an AES key. Never holds anything of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AesFault {
    /// Not base64.
    #[error("not an AES key: expected base64, as the console shows it")]
    Base64,
    /// Of another length.
    #[error("not an AES key: found {bytes} bytes, expected 16, 24 or 32")]
    Length {
        /// The bytes that were found.
        bytes: usize,
    },
}

impl Aes {
    /// A key of 16, 24 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Aes, AesFault> {
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            32 => &AES_256,
            bytes => return Err(AesFault::Length { bytes }),
        };
        Ok(Aes { key: Zeroizing::new(key.to_vec()), algorithm })
    }

    /// Reads a key as the console shows it: base64, with blanks around it or not.
    pub fn parse(base64: &[u8]) -> Result<Aes, AesFault> {
        let base64 = base64.strip_prefix("\u{feff}".as_bytes()).unwrap_or(base64);
        let key = STANDARD.decode(base64.trim_ascii()).map_err(|_| AesFault::Base64)?;
        Aes::new(&Zeroizing::new(key))
    }

    fn unbound(&self) -> UnboundCipherKey {
        UnboundCipherKey::new(self.algorithm, &self.key).expect("the key has its algorithm's length")
    }

    /// Encrypts in CBC mode.
    ///
    /// # Panics
    /// Where the crypto library fails, which means that memory has run out.
    pub fn encrypt_cbc(&self, plain: &[u8], iv: Iv) -> Vec<u8> {
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(self.unbound()).expect("AES has a CBC mode");
        encrypt(&key, plain, EncryptionContext::Iv128(FixedLength::from(iv)))
    }

    /// Decrypts in CBC mode; `None` where the padding is wrong.
    pub fn decrypt_cbc(&self, sealed: &[u8], iv: Iv) -> Option<Vec<u8>> {
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(self.unbound()).expect("AES has a CBC mode");
        decrypt(&key, sealed, DecryptionContext::Iv128(FixedLength::from(iv)))
    }

    /// Encrypts in ECB mode. Panics as [`Aes::encrypt_cbc`].
    pub fn encrypt_ecb(&self, plain: &[u8]) -> Vec<u8> {
        let key = PaddedBlockEncryptingKey::ecb_pkcs7(self.unbound()).expect("AES has an ECB mode");
        encrypt(&key, plain, EncryptionContext::None)
    }

    /// Decrypts in ECB mode; `None` where the padding is wrong.
    pub fn decrypt_ecb(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let key = PaddedBlockDecryptingKey::ecb_pkcs7(self.unbound()).expect("AES has an ECB mode");
        decrypt(&key, sealed, DecryptionContext::None)
    }

    /// An initialisation vector made of key and content. One content has one ciphertext, as frozen bodies need it, and
    /// nobody without the key can tell it from chance: HMAC is a pseudo-random function, which is what synthetic
    /// vectors rest on (RFC 5297). What it gives away is that two contents are equal, and equal contents are one bill.
    pub fn synthetic_iv(&self, plain: &[u8]) -> Iv {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.key));
        context.update(b"passync synthetic iv\0");
        context.update(plain);
        context.sign().as_ref()[..BLOCK_BYTES].try_into().expect("SHA-256 has 32 bytes")
    }
}

fn encrypt(key: &PaddedBlockEncryptingKey, plain: &[u8], context: EncryptionContext) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    key.less_safe_encrypt(&mut bytes, context).expect("a padded text of any length can be encrypted");
    bytes
}

fn decrypt(key: &PaddedBlockDecryptingKey, sealed: &[u8], context: DecryptionContext) -> Option<Vec<u8>> {
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK_BYTES) {
        return None;
    }
    let mut bytes = sealed.to_vec();
    key.decrypt(&mut bytes, context).ok().map(|plain| plain.to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn the_vectors_of_sp_800_38a() {
        let key = Aes::new(&hex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
        let plain = hex("6bc1bee22e409f96e93d7e117393172a");
        let iv: Iv = hex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
        assert_eq!(key.encrypt_cbc(&plain, iv)[..16], hex("7649abac8119b246cee98e9b12e9197d"));
        assert_eq!(key.encrypt_ecb(&plain)[..16], hex("3ad77bb40d7a3660a89ecaf32466ef97"));
    }

    #[test]
    fn keys_are_base64_of_a_length_that_aes_has() {
        assert!(Aes::parse(b" AAECAwQFBgcICQoLDA0ODw==\r\n").is_ok());
        assert_eq!(Aes::parse(b"AAEC").err(), Some(AesFault::Length { bytes: 3 }));
        assert_eq!(Aes::parse(b"not base64").err(), Some(AesFault::Base64));
        assert!(Aes::parse("\u{feff}AAAAAAAAAAAAAAAAAAAAAA==\r\n".as_bytes()).is_ok(), "an editor's BOM");
    }

    proptest! {
        #[test]
        fn decrypts_what_it_encrypts(key in prop::sample::select(vec![16_usize, 24, 32]), plain: Vec<u8>, iv: Iv) {
            let aes = Aes::new(&vec![7; key]).unwrap();
            prop_assert_eq!(aes.decrypt_cbc(&aes.encrypt_cbc(&plain, iv), iv), Some(plain.clone()));
            prop_assert_eq!(aes.decrypt_ecb(&aes.encrypt_ecb(&plain)), Some(plain.clone()));
            prop_assert_eq!(aes.synthetic_iv(&plain), aes.synthetic_iv(&plain));
            prop_assert!(aes.synthetic_iv(&plain) != Aes::new(&vec![8; key]).unwrap().synthetic_iv(&plain));
        }

        #[test]
        fn garbage_is_no_panic(sealed: Vec<u8>, iv: Iv) {
            let aes = Aes::new(&[7; 16]).unwrap();
            let _ = (aes.decrypt_cbc(&sealed, iv), aes.decrypt_ecb(&sealed));
        }
    }
}
