//! The recordings of a proxy.

use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipewright_mock::serve::{Proxy, ProxyOptions};
use pipewright_mock::{Fault, FaultPlan};
use serde_json::Value;

use crate::proxy::{Upstream, ask};

const GET: &str = "GET /v1/jobs?get=a%20b&get=c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// A file that is deleted at the end.
struct Recording(PathBuf);

impl Recording {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("pipewright-{}-{name}.har", std::process::id())))
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("a file")
    }

    fn entries(&self) -> Vec<Value> {
        let document: Value = serde_json::from_str(&self.text()).expect("whole JSON");
        assert_eq!(
            (&document["log"]["version"], &document["log"]["creator"]["name"]),
            (&"1.2".into(), &"pipewright-sim".into())
        );
        document["log"]["entries"].as_array().expect("a list").clone()
    }

    fn proxy(&self, upstream: &Upstream, faults: FaultPlan) -> Proxy {
        let options = ProxyOptions::new(&upstream.url).expect("a base").faults(faults).record(&self.0);
        Proxy::start(options).expect("a free port")
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The proxy records an exchange right after its client has read the end of it.
fn recorded(recording: &Recording, proxy: &Proxy) -> Vec<Value> {
    assert!(proxy.shutdown(std::time::Duration::from_secs(20)));
    recording.entries()
}

#[test]
fn the_file_is_whole_before_during_and_after_the_exchanges() {
    let upstream =
        Upstream::new("HTTP/1.1 201 Made\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
    let recording = Recording::new("whole");
    let proxy = recording.proxy(&upstream, FaultPlan::none());
    assert_eq!(recording.entries(), Vec::<Value>::new());
    for _ in 0..50 {
        ask(&proxy, GET);
        assert!(recording.entries().len() <= 50);
    }
    let entries = recorded(&recording, &proxy);
    assert_eq!((entries.len(), proxy.recording_failure()), (50, None));
    let (request, response) = (&entries[0]["request"], &entries[0]["response"]);
    assert_eq!(request["url"], format!("{}/v1/jobs?get=a%20b&get=c", upstream.url));
    assert_eq!(request["queryString"][1], serde_json::json!({"name": "get", "value": "c"}));
    assert_eq!((&response["status"], &response["content"]["text"]), (&201.into(), &"{\"a\":1}".into()));
    assert_eq!(response["content"]["mimeType"], "application/json");
    assert_eq!(entries[0].get("comment"), None);
    let started = entries[0]["startedDateTime"].as_str().expect("a time");
    assert!(started.len() == "2026-01-01T00:00:00.000Z".len() && started.ends_with('Z'), "{started}");
}

#[test]
fn no_credential_is_recorded() {
    let answer = "{\"name\":\"k\",\"api_key\":\"SECRET\"}";
    let upstream = Upstream::with(move |stream, _| {
        let head = "HTTP/1.1 200 OK\r\nSet-Cookie: a=SECRET\r\nLocation: /a?access_token=SECRET\r\n";
        write!(stream, "{head}Content-Length: {}\r\n\r\n{answer}", answer.len()).is_ok()
    });
    let recording = Recording::new("secrets");
    let plan = FaultPlan::none().nth(3, Fault::CutOff).nth(4, Fault::ShortBody).nth(5, Fault::MalformedBody);
    let proxy = recording.proxy(&upstream, plan);
    let post = |path: &str, kind: &str, body: &str| {
        let secrets =
            "Authorization: Bearer SECRET\r\nX-Api-Key: SECRET\r\nCookie: SECRET\r\nProxy-Authorization: SECRET\r\n";
        let head = format!("POST {path} HTTP/1.1\r\nConnection: close\r\nContent-Type: {kind}\r\n{secrets}");
        ask(&proxy, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
    };
    post("/v0/api_keys?api_key=SECRET", "application/json", r#"{"x":[{"password":"SECRET","y":1}]}"#);
    post("/oauth/token", "application/x-www-form-urlencoded", "subject_token=SECRET&scope=a");
    for _ in 3..=5 {
        post("/login", "application/x-www-form-urlencoded", "client_secret=SECRET&scope=a");
    }
    let entries = recorded(&recording, &proxy);
    assert!(!recording.text().contains("SECRET"), "{}", recording.text());
    assert_eq!(entries.len(), 5);
    assert_eq!(entries[0]["request"]["postData"]["text"], r#"{"x":[{"password":"REDACTED","y":1}]}"#);
    assert_eq!(entries[0]["response"]["content"]["text"], r#"{"api_key":"REDACTED","name":"k"}"#);
    assert_eq!(entries[1]["response"]["content"]["comment"], "not recorded: it is or holds a token");
    assert_eq!(entries[2]["request"]["postData"]["text"], "client_secret=REDACTED&scope=a");
}

#[test]
fn no_credential_is_recorded_of_a_body_that_a_fault_spoils() {
    const SPOILT: [&[u8]; 3] = [
        // The byte in the middle is one of the name.
        b"{\"a_very_long_password\":\"hunter2\"}",
        b"{\"password\":\"hunter2\",\"x\":\"\xff\"}",
        b"{\n\"credentials\":\n[\"hunter2\",\n\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}",
    ];
    const FAULTS: [Option<Fault>; 4] = [None, Some(Fault::MalformedBody), Some(Fault::ShortBody), Some(Fault::CutOff)];
    let upstream = Upstream::with(|stream, number| {
        let body = SPOILT[(number - 1) / FAULTS.len()];
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).is_ok()
            && stream.write_all(body).is_ok()
    });
    let recording = Recording::new("spoilt");
    let faults = FAULTS.iter().cycle().zip(1..=12).filter_map(|(fault, number)| Some((number, (*fault)?)));
    let plan = faults.fold(FaultPlan::none(), |plan, (number, fault)| plan.nth(number, fault));
    let proxy = recording.proxy(&upstream, plan);
    (0..12).for_each(|_| drop(ask(&proxy, GET)));
    let entries = recorded(&recording, &proxy);
    assert_eq!(entries.len(), 12);
    for entry in &entries {
        let content = &entry["response"]["content"];
        let text = content["text"].as_str().unwrap_or_default();
        let bytes = match content["encoding"].as_str() {
            Some(_) => STANDARD.decode(text).expect("Base64"),
            None => text.into(),
        };
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter"), "{entry}");
    }
    let spoilt = "not recorded: it is spoilt, and what it was made of holds a secret or cannot be read";
    assert_eq!(entries[1]["response"]["content"]["comment"], spoilt);
    assert_eq!(entries[4]["response"]["content"]["comment"], "not recorded: it is not UTF-8, and it names a secret");
}

#[test]
fn a_streaming_answer_that_is_cut_is_recorded_as_far_as_it_was_sent() {
    let upstream = Upstream::new("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\naaaaa\r\n5\r\nbbbbb\r\n");
    let recording = Recording::new("cut");
    let proxy = recording.proxy(&upstream, FaultPlan::none().nth(1, Fault::CutOff));
    let answer = ask(&proxy, GET);
    assert!(answer.contains("aaaaa") && !answer.contains('b'), "{answer}");
    let content = &recorded(&recording, &proxy)[0]["response"]["content"];
    assert_eq!((&content["text"], &content["size"]), (&"aaaaa".into(), &5.into()));
}

#[cfg(unix)]
#[test]
fn other_users_cannot_read_a_recording() {
    use std::os::unix::fs::PermissionsExt as _;
    let upstream = Upstream::new("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let recording = Recording::new("mode");
    let mode = || std::fs::metadata(&recording.0).expect("a file").permissions().mode() & 0o777;
    drop(recording.proxy(&upstream, FaultPlan::none()));
    assert_eq!(mode(), 0o600);
    // One that is replaced.
    std::fs::set_permissions(&recording.0, std::fs::Permissions::from_mode(0o644)).expect("its owner");
    drop(recording.proxy(&upstream, FaultPlan::none()));
    assert_eq!(mode(), 0o600);
}

#[test]
fn bodies_are_bounded_and_a_lost_answer_has_status_0_and_names_its_fault() {
    let upstream = Upstream::with(|stream, number| {
        let body = match number {
            1 => vec![b'x'; (1 << 20) + 1],
            _ => b"\xff\xfe".to_vec(),
        };
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).is_ok()
            && stream.write_all(&body).is_ok()
    });
    let recording = Recording::new("bounds");
    let proxy = recording.proxy(&upstream, FaultPlan::none().nth(3, Fault::ReplyLost).nth(4, Fault::NotSent));
    (0..4).for_each(|_| drop(ask(&proxy, GET)));
    let entries = recorded(&recording, &proxy);
    let content = |at: usize| &entries[at]["response"]["content"];
    assert_eq!((&content(0)["size"], content(0).get("text")), (&1_048_577.into(), None));
    assert_eq!(content(0)["comment"], "not recorded: more than 1048576 bytes");
    assert_eq!((&content(1)["text"], &content(1)["encoding"]), (&"//4=".into(), &"base64".into()));
    for (at, fault) in [(2, "applied, but the reply lost"), (3, "not sent")] {
        assert_eq!((&entries[at]["response"]["status"], &entries[at]["comment"]), (&0.into(), &fault.into()));
    }
}

#[test]
fn a_recording_that_cannot_be_created_is_an_error_that_names_it() {
    let options = ProxyOptions::new("http://127.0.0.1:1").expect("a base").record("/nowhere/at/all.har");
    let error = Proxy::start(options).expect_err("no folder");
    assert!(error.to_string().starts_with("recording /nowhere/at/all.har: "), "{error}");
}
