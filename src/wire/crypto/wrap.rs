//! Keys for one message, wrapped for the peer with RSA.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey,
    PrivateDecryptingKey,
};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::{Oaep, Pkcs1v15Encrypt, RsaPublicKey};
use sha1::Sha1;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{KeyFault, check_size, parse};

/// How a key is padded before RSA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// RSAES-PKCS1-v1_5.
    Pkcs1v15,
    /// RSAES-OAEP with SHA-1.
    OaepSha1,
    /// RSAES-OAEP with SHA-256.
    OaepSha256,
}

/// The peer's public key: what is wrapped with it, only the peer unwraps.
#[derive(Clone, Debug)]
pub struct PeerKey(RsaPublicKey);

impl PeerKey {
    /// Reads what [`Verifier::parse`](super::Verifier::parse) reads.
    pub fn parse(bytes: &[u8]) -> Result<PeerKey, KeyFault> {
        let key = parse::public_key(bytes)?;
        check_size(&key)?;
        Ok(PeerKey(key))
    }

    /// The wrapped key. `seed` takes the place of chance, so that every attempt of one call says the same: it must be
    /// secret, and of this call alone.
    ///
    /// # Panics
    /// Where `key` has more than 32 bytes.
    pub fn wrap(&self, how: Wrap, key: &[u8], seed: &[u8; 32]) -> Vec<u8> {
        assert!(key.len() <= 32, "the key of a message is an AES key");
        let mut chance = Stream::new(seed);
        let wrapped = match how {
            Wrap::Pkcs1v15 => self.0.encrypt(&mut chance, Pkcs1v15Encrypt, key),
            Wrap::OaepSha1 => self.0.encrypt(&mut chance, Oaep::new::<Sha1>(), key),
            Wrap::OaepSha256 => self.0.encrypt(&mut chance, Oaep::new::<Sha256>(), key),
        };
        wrapped.expect("a checked key has room for 32 bytes")
    }
}

/// Our private key, as the one that unwraps.
#[derive(Clone)]
pub struct UnwrapKey(PrivateDecryptingKey);

impl UnwrapKey {
    /// Reads what [`Signer::parse`](super::Signer::parse) reads.
    pub fn parse(bytes: &[u8]) -> Result<UnwrapKey, KeyFault> {
        let key = parse::private_key(bytes)?;
        check_size(&key)?;
        let der = key.to_pkcs8_der().map_err(|_| KeyFault::Unsound)?;
        PrivateDecryptingKey::from_pkcs8(der.as_bytes()).map(UnwrapKey).map_err(|_| KeyFault::Unsound)
    }

    /// The key inside; `None` where it was not wrapped for us, or not so. Only to be asked about what a signature has
    /// proved to be the peer's: answers to forgeries would tell of the private key.
    pub fn unwrap(&self, how: Wrap, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut room = Zeroizing::new(vec![0; self.0.key_size_bytes()]);
        let oaep = |algorithm: &'static OaepAlgorithm, room: &mut [u8]| {
            let key = OaepPrivateDecryptingKey::new(self.0.clone()).ok()?;
            Some(key.decrypt(algorithm, wrapped, room, None).ok()?.to_vec())
        };
        let key = match how {
            Wrap::Pkcs1v15 => {
                let key = Pkcs1PrivateDecryptingKey::new(self.0.clone()).ok()?;
                key.decrypt(wrapped, &mut room).ok()?.to_vec()
            }
            Wrap::OaepSha1 => oaep(&OAEP_SHA1_MGF1SHA1, &mut room)?,
            Wrap::OaepSha256 => oaep(&OAEP_SHA256_MGF1SHA256, &mut room)?,
        };
        Some(Zeroizing::new(key))
    }
}

impl fmt::Debug for UnwrapKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnwrapKey")
    }
}

/// HMAC in counter mode: a stream that looks like chance to those who do not know its seed (NIST SP 800-108).
struct Stream {
    key: hmac::Key,
    counter: u64,
    block: Vec<u8>,
}

impl Stream {
    fn new(seed: &[u8; 32]) -> Stream {
        Stream { key: hmac::Key::new(hmac::HMAC_SHA256, seed), counter: 0, block: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        if self.block.is_empty() {
            self.block = hmac::sign(&self.key, &self.counter.to_be_bytes()).as_ref().to_vec();
            self.counter += 1;
        }
        self.block.pop().expect("a block has 32 bytes")
    }
}

impl RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    fn fill_bytes(&mut self, room: &mut [u8]) {
        room.fill_with(|| self.byte());
    }

    fn try_fill_bytes(&mut self, room: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(room);
        Ok(())
    }
}

impl CryptoRng for Stream {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::crypto::Signer;

    #[test]
    fn what_is_wrapped_for_a_key_only_that_key_unwraps() {
        let pair = Signer::generate(2048).unwrap();
        let peer = PeerKey::parse(pair.public_pem().as_bytes()).unwrap();
        let own = UnwrapKey::parse(pair.private_pem().as_bytes()).unwrap();
        let other = UnwrapKey::parse(Signer::generate(2048).unwrap().private_pem().as_bytes()).unwrap();
        for how in [Wrap::Pkcs1v15, Wrap::OaepSha1, Wrap::OaepSha256] {
            let wrapped = peer.wrap(how, &[7; 32], &[1; 32]);
            assert_eq!(wrapped, peer.wrap(how, &[7; 32], &[1; 32]), "the same seed, the same bytes");
            assert_ne!(wrapped, peer.wrap(how, &[7; 32], &[2; 32]));
            assert_eq!(own.unwrap(how, &wrapped).unwrap().as_slice(), [7; 32], "{how:?}");
            // PKCS#1 v1.5 may answer a forgery with bytes of its own, which is no key either.
            assert_ne!(other.unwrap(how, &wrapped).as_deref(), Some(&vec![7; 32]), "{how:?}");
            assert_ne!(own.unwrap(how, &wrapped[1..]).as_deref(), Some(&vec![7; 32]), "{how:?}");
        }
    }
}
