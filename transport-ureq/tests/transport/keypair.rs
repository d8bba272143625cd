//! RSA keys beside openssl, which makes them, hashes them and checks their signatures. Each key is deleted after its
//! test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pipewright::Secret;
use pipewright::snowpipe::jwt::{KeyPairJwt, Signer};
use pipewright_ureq::RsaKey;

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pipewright-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = run.expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).expect(name)
}

#[test]
fn keys_are_read_encrypted_or_not_and_sign_what_openssl_verifies() {
    let folder = Folder::new("keys");
    let Folder(path) = &folder;
    openssl(path, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out plain.p8");
    openssl(path, "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:s3cr3t -in plain.p8 -out aes.p8");
    openssl(path, "pkcs8 -topk8 -v2 des3 -passout pass:s3cr3t -in plain.p8 -out des3.p8");
    openssl(path, "pkey -in plain.p8 -pubout -outform DER -out public.der");
    openssl(path, "pkey -in plain.p8 -pubout -out public.pem");
    let hash = openssl(path, "dgst -sha256 -binary public.der");

    let passphrase = Secret::new("s3cr3t");
    for (name, passphrase) in [("plain.p8", None), ("aes.p8", Some(&passphrase)), ("des3.p8", Some(&passphrase))] {
        let key = RsaKey::from_pem(&read(path, name), passphrase).expect(name);
        assert_eq!(key.public_key_sha256()[..], hash, "{name}");
        fs::write(path.join("message"), "head.claims").expect("written");
        fs::write(path.join("signature"), key.sign(b"head.claims").expect("a signature")).expect("written");
        openssl(path, "dgst -sha256 -verify public.pem -signature signature message");
        assert!(KeyPairJwt::fingerprint(&key).starts_with("SHA256:"));
        assert_eq!(format!("{key:?}"), "RsaKey { .. }");
    }
    let with_text = format!("Bag Attributes\n    friendlyName: x\n{}", read(path, "plain.p8"));
    assert!(RsaKey::from_pem(&with_text, None).is_ok());
    // And behind it.
    for behind in ["\n\n", "  \n", "\r\n\r\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(RsaKey::from_pem(&(with_text.clone() + behind), None).is_ok(), "{behind:?}");
    }
}

#[test]
fn what_is_no_such_key_is_named() {
    let folder = Folder::new("no-keys");
    let Folder(path) = &folder;
    openssl(path, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out plain.p8");
    openssl(path, "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:s3cr3t -in plain.p8 -out aes.p8");
    openssl(path, "rsa -in plain.p8 -traditional -out pkcs1.pem");
    openssl(path, "pkey -in plain.p8 -pubout -out public.pem");
    openssl(path, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out small.p8");
    openssl(path, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.p8");
    let wrong = Secret::new("wr0ng");
    for (name, passphrase, problem) in [
        ("aes.p8", None, "give its passphrase"),
        ("aes.p8", Some(&wrong), "is the passphrase right?"),
        ("pkcs1.pem", None, "openssl pkcs8 -topk8"),
        ("public.pem", None, "a PUBLIC KEY, and a PRIVATE KEY is wanted"),
        ("small.p8", None, "no RSA key that can be used: TooSmall"),
        ("ec.p8", None, "no RSA key that can be used"),
    ] {
        let error = RsaKey::from_pem(&read(path, name), passphrase).expect_err(name).to_string();
        assert!(error.contains(problem) && !error.contains("wr0ng"), "{name}: {error}");
    }
    for text in ["", "not a key", "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n"] {
        assert!(RsaKey::from_pem(text, None).is_err_and(|error| error.to_string().contains("no PEM text")), "{text}");
    }
}
