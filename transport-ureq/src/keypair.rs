//! [`RsaKey`]: signs key-pair tokens of Snowflake.

use std::error::Error;
use std::fmt;

use pipewright::Secret;
use pipewright::error::CredentialError;
use pipewright::snowpipe::jwt::Signer;
use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256};

/// A private RSA key of 2048 to 4096 bits.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pipewright::snowpipe::jwt::KeyPairJwt;
/// use pipewright_ureq::RsaKey;
///
/// let key = RsaKey::from_pem(&std::fs::read_to_string("rsa_key.p8")?, None)?;
/// println!("RSA_PUBLIC_KEY_FP must be {}", KeyPairJwt::fingerprint(&key));
/// # Ok(()) }
/// ```
pub struct RsaKey {
    key: KeyPair,
    public_key_sha256: [u8; 32],
}

impl RsaKey {
    /// Reads a PKCS#8 key: `BEGIN PRIVATE KEY`, or `BEGIN ENCRYPTED PRIVATE KEY` with its passphrase.
    ///
    /// # Errors
    /// If the text is not such a key, if the passphrase is missing or wrong, or if the key is not an RSA key of at
    /// least 2048 bits.
    pub fn from_pem(pem: &str, passphrase: Option<&Secret>) -> Result<Self, KeyError> {
        let block = block(pem, "PRIVATE KEY").or_else(|| block(pem, "ENCRYPTED PRIVATE KEY"));
        let block = block.ok_or_else(|| {
            KeyError(match pem.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")) {
                Some(("RSA PRIVATE KEY", _)) => {
                    "a PKCS#1 key, and PKCS#8 is wanted: openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW".to_owned()
                }
                Some((label @ ("PRIVATE KEY" | "ENCRYPTED PRIVATE KEY"), _)) => {
                    format!("no PEM text: -----END {label}----- is missing")
                }
                Some((label, _)) => format!("a {label}, and a PRIVATE KEY is wanted"),
                None => "no PEM text: no -----BEGIN".to_owned(),
            })
        })?;
        let (label, document) =
            SecretDocument::from_pem(block).map_err(|error| KeyError(format!("no PEM text: {error}")))?;
        match (label, passphrase) {
            ("PRIVATE KEY", _) => Self::from_pkcs8(document.as_bytes()),
            ("ENCRYPTED PRIVATE KEY", None) => Err(KeyError("the key is encrypted: give its passphrase".to_owned())),
            ("ENCRYPTED PRIVATE KEY", Some(passphrase)) => {
                let plain = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
                    .and_then(|key| key.decrypt(passphrase.expose()))
                    .map_err(|error| KeyError(format!("it cannot be decrypted; is the passphrase right? {error}")))?;
                Self::from_pkcs8(plain.as_bytes())
            }
            (label, _) => Err(KeyError(format!("a {label}, and a PRIVATE KEY is wanted"))),
        }
    }

    /// Reads an unencrypted PKCS#8 key in DER form.
    ///
    /// # Errors
    /// If the bytes are not such a key, or if the key is not an RSA key of at least 2048 bits.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let key =
            KeyPair::from_pkcs8(der).map_err(|error| KeyError(format!("no RSA key that can be used: {error}")))?;
        let info = public_key_info(key.public_key().as_ref());
        let mut public_key_sha256 = [0; 32];
        public_key_sha256.copy_from_slice(digest(&SHA256, &info).as_ref());
        Ok(Self { key, public_key_sha256 })
    }
}

/// The first block of a kind. Text of other tools around the block is ignored.
fn block<'a>(pem: &'a str, label: &str) -> Option<&'a str> {
    let (first, last) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let rest = pem.get(pem.find(&first)?..)?;
    rest.get(..rest.find(&last)? + last.len())
}

/// A PKCS#1 public key as `SubjectPublicKeyInfo`: the algorithm, and the key as a bit string.
fn public_key_info(pkcs1: &[u8]) -> Vec<u8> {
    /// `rsaEncryption` with a `NULL` ([RFC 8017 §A.1](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1)).
    const ALGORITHM: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bits = [&[0], pkcs1].concat();
    element(0x30, &[ALGORITHM, &element(3, &bits)].concat())
}

/// Tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = length.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &length[first..]);
    let mut element = vec![tag];
    match significant {
        [] => element.push(0),
        [short] if *short < 128 => element.push(*short),
        long => {
            element.push(0x80 | u8::try_from(long.len()).unwrap_or(0x7f));
            element.extend_from_slice(long);
        }
    }
    element.extend_from_slice(content);
    element
}

impl Signer for RsaKey {
    fn public_key_sha256(&self) -> [u8; 32] {
        self.public_key_sha256
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CredentialError> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
        signed.map(|()| signature).map_err(|_| CredentialError::permanent("the RSA key could not sign"))
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").finish_non_exhaustive()
    }
}

/// The reason why a key could not be read. It does not contain the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "private key: {}", self.0)
    }
}

impl Error for KeyError {}
