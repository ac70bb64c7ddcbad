//! Every file of Wycheproof's RSA vectors, by both back ends: `aws-lc-rs`, which works, and `rsa`, which checks it.

use std::fs;

use passync::wire::crypto::{Hash, KeyFault, Signer, UnwrapKey, Verifier, Wrap};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use rsa::{Pkcs1v15Encrypt, Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::wire::shared;

/// The test groups of a file.
fn groups(file: &str) -> Option<Vec<Value>> {
    let path = shared("suites/wycheproof/testvectors_v1")?.join(file);
    let suite: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    Some(suite["testGroups"].as_array().unwrap().clone())
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn pem<'a>(group: &'a Value, name: &str) -> &'a str {
    group[name].as_str().unwrap()
}

fn scheme(hash: Hash, message: &[u8]) -> (Pkcs1v15Sign, Vec<u8>) {
    match hash {
        Hash::Sha256 => (Pkcs1v15Sign::new::<Sha256>(), Sha256::digest(message).to_vec()),
        Hash::Sha1 => (Pkcs1v15Sign::new::<Sha1>(), Sha1::digest(message).to_vec()),
    }
}

#[test]
fn verification() {
    for file in ["rsa_signature_2048_sha256_test.json", "rsa_signature_4096_sha256_test.json"] {
        let Some(groups) = groups(file) else { return };
        for group in &groups {
            let key = Verifier::parse(pem(group, "publicKeyPem").as_bytes()).unwrap();
            let other = RsaPublicKey::from_public_key_pem(pem(group, "publicKeyPem")).unwrap();
            for test in group["tests"].as_array().unwrap() {
                let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
                let verified = key.verify(&message, &signature);
                let (scheme, digest) = scheme(Hash::Sha256, &message);
                let name = format!("{file} {} {}", test["tcId"], test["comment"]);
                assert_eq!(verified, other.verify(scheme, &digest, &signature).is_ok(), "{name}: back ends");
                match test["result"].as_str().unwrap() {
                    "valid" => assert!(verified, "{name}"),
                    "invalid" => assert!(!verified, "{name}"),
                    // A signature that lacks the NULL of its algorithm: either answer conforms.
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn generation() {
    let mut compared = 0;
    for file in ["rsa_pkcs1_2048_sig_gen_test.json", "rsa_pkcs1_4096_sig_gen_test.json"] {
        let Some(groups) = groups(file) else { return };
        for group in &groups {
            let hash = match group["sha"].as_str().unwrap() {
                "SHA-256" => Hash::Sha256,
                "SHA-1" => Hash::Sha1,
                _ => continue, // no dialect signs with it
            };
            // Keys with odd public exponents are for verifiers; some signers refuse them, and may.
            let Ok(signer) = Signer::parse(pem(group, "privateKeyPem").as_bytes()) else { continue };
            let other = RsaPrivateKey::from_pkcs8_der(&hex(&group["privateKeyPkcs8"])).unwrap();
            for test in group["tests"].as_array().unwrap() {
                let (message, expected) = (hex(&test["msg"]), hex(&test["sig"]));
                let name = format!("{file} {}", test["tcId"]);
                assert_eq!(signer.sign_with(hash, &message), expected, "{name}");
                let (scheme, digest) = scheme(hash, &message);
                assert_eq!(other.sign(scheme, &digest).unwrap(), expected, "{name}: the other back end");
                assert!(signer.public().verify_with(hash, &message, &expected), "{name}");
                compared += 1;
            }
        }
    }
    assert!(compared >= 16, "only {compared} signatures were compared");
}

#[test]
fn small_keys_are_refused() {
    let Some(groups) = groups("rsa_pkcs1_1024_sig_gen_test.json") else { return };
    for group in &groups {
        let fault = Signer::parse(pem(group, "privateKeyPem").as_bytes()).unwrap_err();
        assert_eq!(fault, KeyFault::Size { bits: 1024 });
    }
}

#[test]
fn unwrapping() {
    let Some(groups) = groups("rsa_pkcs1_2048_test.json") else { return };
    for group in &groups {
        let key = UnwrapKey::parse(pem(group, "privateKeyPem").as_bytes()).unwrap();
        let other = RsaPrivateKey::from_pkcs8_der(&hex(&group["privateKeyPkcs8"])).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let wrapped = hex(&test["ct"]);
            let unwrapped = key.unwrap(Wrap::Pkcs1v15, &wrapped).map(|key| key.to_vec());
            let name = format!("{} {}", test["tcId"], test["comment"]);
            if test["result"] == "valid" {
                assert_eq!(unwrapped, Some(hex(&test["msg"])), "{name}");
                assert_eq!(other.decrypt(Pkcs1v15Encrypt, &wrapped).ok(), unwrapped, "{name}: the other back end");
            } else {
                assert_ne!(unwrapped, Some(hex(&test["msg"])), "{name}");
                // `rsa` is laxer about the length, and unwraps nothing of ours.
            }
        }
    }
}
