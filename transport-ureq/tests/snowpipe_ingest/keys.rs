//! `snowpipe_ingest` with a key pair, which openssl makes for the test.

use std::path::Path;
use std::process::Command;

use pipewright::Secret;
use pipewright::snowpipe::jwt::KeyPairJwt;
use pipewright_mock::snowpipe::Config;
use pipewright_ureq::RsaKey;

use super::program::{Folder, ingest_with_key, run, run_with_input};
use super::{config, lines, rows, serve};

fn openssl(folder: &Path, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = run.expect("openssl is installed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_encrypted_key_opens_the_door_and_a_wrong_one_is_named() {
    let folder = Folder::new("key");
    openssl(&folder.0, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out plain.p8");
    openssl(&folder.0, "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:s3cr3t-phrase -in plain.p8 -out key.p8");
    openssl(&folder.0, "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out other.p8");
    let key = folder.0.join("key.p8");
    let pem = std::fs::read_to_string(&key).expect("written");
    let own = RsaKey::from_pem(&pem, Some(&Secret::new("s3cr3t-phrase"))).expect("a key");
    let fingerprint = KeyPairJwt::fingerprint(&own);
    let server = serve(Config { account: Some("MYORG-ACCT".into()), public_key_fp: Some(fingerprint), ..config() });

    let mut command = ingest_with_key(server.url(), &key);
    command.args(["--passphrase-env", "PHRASE"]).env("PHRASE", "s3cr3t-phrase");
    run_with_input(&mut command, &lines(1..=3)).ended(0, "committed up to line 3: 3 rows");
    assert_eq!(rows(&server).len(), 3);

    run(&mut ingest_with_key(server.url(), &key))
        .ended(1, "key.p8: private key: the key is encrypted: give its passphrase");
    run(command.env("PHRASE", "s3cr3t-other")).ended(1, "is the passphrase right?");
    run(command.env_remove("PHRASE"))
        .ended(2, "--passphrase-env PHRASE: this environment variable does not exist; export it");
    run(&mut ingest_with_key(server.url(), &folder.0.join("none.p8"))).ended(1, "none.p8: No such file");

    let other = run(&mut ingest_with_key(server.url(), &folder.0.join("other.p8")));
    other.ended(1, "390144");
    assert!(other.err.contains("what DESC USER shows as RSA_PUBLIC_KEY_FP"), "{other:?}");
}
