//! The program `pipewright-sim`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use pipewright_mock::flink::Program;

/// How long anything may take.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

fn sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipewright-sim"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    sim(arguments).output().expect("it starts")
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_says_where_it_listens_and_then_what_it_is_asked() {
    let mut command = sim(&["flink", "--seed", "7", "--time", "fast:10", "--slots", "9", "--release", "1.20.5"]);
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("listening on http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.write_all(b"GET /v1/overview HTTP/1.0\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.contains(r#""slots-total":9"#) && answer.contains(r#""flink-version":"1.20.5""#), "{answer}");
    let mut line = String::new();
    BufReader::new(process.0.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("GET /v1/overview 200 ") && line.ends_with(" ms\n"), "{line}");

    // The port is taken.
    let output = run(&["flink", "--port", address.rsplit(':').next().expect("a port")]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let port = address.rsplit(':').next().unwrap_or_default();
    assert!(said.starts_with(&format!("pipewright-sim: port {port} of 127.0.0.1: ")), "{said}");

    // An error that is not about the port.
    let output = run(&["proxy", "--upstream", "http://127.0.0.1:1", "--record", "/nowhere/at/all.har"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.starts_with("pipewright-sim: recording /nowhere/at/all.har: "), "{said}");
}

#[test]
fn the_routes_of_each_service_are_listed_with_whether_they_are_simulated() {
    for (service, simulated, missing) in [
        ("flink", "GET    /jobs/:jobid/status (1.14+)", Some("POST   /jobs/:jobid/coordinators/:operatorUid")),
        ("flink-sql-gateway", "POST   /sessions/{session_handle}/scripts (v4+)", None),
        ("snowpipe", "POST   /oauth/token", Some("POST   /api/v2/statements")),
        ("feldera", "GET    /v0/pipelines", Some("GET    /v0/tenants (0.337+)")),
    ] {
        let output = run(&[service, "--routes"]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.lines().any(|line| line == format!("simulated      {simulated}")), "{text}");
        if let Some(missing) = missing {
            assert!(text.lines().any(|line| line == format!("not simulated  {missing}")), "{text}");
        }
    }
}

#[test]
fn a_proxy_stands_in_front_of_another_server() {
    let (server, upstream) = listening(&["flink", "--slots", "9"]);
    let arguments = ["proxy", "--upstream", &upstream, "--seed", "7", "--at-most", "1", "--delays", "0.1..0.2"];
    let (mut proxy, url) = listening(&[&arguments[..], &["--chance", "unavailable=1"]].concat());
    let address = url.strip_prefix("http://").expect("an address");
    for status in ["503", "200"] {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(b"GET /v1/overview HTTP/1.1\r\nConnection: close\r\n\r\n").expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let mut line = String::new();
    BufReader::new(proxy.0.stderr.take().expect("piped")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("GET /v1/overview 503 [503 of a proxy"), "{line}");
    drop(server);

    for (wrong, word) in [
        (&["proxy"][..], "--upstream"),
        (&["proxy", "--upstream", "https://a"], "http://HOST:PORT"),
        (&["proxy", "--upstream", "http://a", "--chance", "lost=1"], "reply-lost"),
        (&["proxy", "--upstream", "http://a", "--chance", "reply-lost=2"], "from 0 to 1"),
        (&["proxy", "--upstream", "http://a", "--time", "real"], "--time"),
    ] {
        let output = run(wrong);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && said.lines().next().is_some_and(|line| line.contains(word)),
            "{said}"
        );
    }
}

/// A running program and the address that it prints.
fn listening(arguments: &[&str]) -> (Killed, String) {
    let mut command = sim(arguments);
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let url = line.trim_end().strip_prefix("listening on ").expect("an address").to_owned();
    (process, url)
}

#[test]
fn a_snowflake_account_is_its_own_ingest_host() {
    let mut command = sim(&[
        "snowpipe",
        "--seed",
        "7",
        "--time",
        "fast:10",
        "--replay",
        "stale",
        "--commit-delay",
        "0.1..0.2",
        "--token",
        "pat",
        "--appends",
        "5",
        "--number-column",
        "ID",
    ]);
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("listening on http://").expect("an address");
    let mut stream = TcpStream::connect(address).expect("a connection");
    let head = format!("Host: {address}\r\nAccept: */*\r\nAuthorization: Bearer pat\r\n\r\n");
    stream.write_all(format!("GET /v2/streaming/hostname HTTP/1.0\r\n{head}").as_bytes()).expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{address}")), "{answer}");
}

#[cfg(feature = "tls")]
#[test]
fn the_certificate_of_its_authority_is_in_a_file() {
    let mut command = sim(&["snowpipe", "--tls", "--advertise", "ingest.snowpipe.test"]);
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let mut lines = BufReader::new(process.0.stdout.take().expect("piped")).lines();
    let mut line = || lines.next().expect("a line").expect("a text");
    assert!(line().starts_with("listening on https://127.0.0.1:"));
    let line = line();
    let path = Path::new(line.strip_prefix("CA certificate: ").expect("a path"));
    let text = std::fs::read_to_string(path).expect("a file");
    std::fs::remove_file(path).expect("removed");
    assert!(text.starts_with("-----BEGIN CERTIFICATE-----") && !text.contains("PRIVATE"), "{text}");
}

#[test]
fn a_feldera_has_its_release_its_edition_and_its_key() {
    let mut command = sim(&["feldera", "--release", "0.375", "--edition", "enterprise-dev", "--api-key", "apikey:x"]);
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("listening on http://").expect("an address");
    for (key, status, found) in [
        ("apikey:x", "200", r#""edition":"EnterpriseDev""#),
        ("apikey:x", "200", r#""version":"0.375.0""#),
        ("apikey:y", "401", "Unauthorized API key"),
    ] {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let request = format!("GET /v0/config HTTP/1.0\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(found), "{answer}");
    }
}

#[test]
fn it_writes_jars() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim.jar");
    let path = file.to_str().expect("a path");
    for (arguments, program) in [
        (&["endless", "--name", "a b", "--rate", "5"][..], Program::endless("a b").rate(5)),
        (&["bounded"], Program::bounded("bounded", 1000)),
        (&["failing", "--records", "3"], Program::endless("failing").fails_after(3).restarts(2)),
        (
            &["endless", "--state-incompatible", "--restarts", "1", "--parallelism", "2"],
            Program::endless("endless").state_incompatible().restarts(1).parallelism(2),
        ),
    ] {
        let output = run(&[&["jar", "-o", path], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read(&file).expect("written"), program.jar(), "{arguments:?}");
    }
    assert_eq!(run(&["jar", "bounded", "-o", "/nowhere/at/all.jar"]).status.code(), Some(1));
}

#[test]
fn the_simulator_exits_with_2_and_a_reason_if_its_usage_is_wrong() {
    for (arguments, problem) in [
        (&[][..], "the command is missing"),
        (&["feather"], "`feather`"),
        (&["flink", "--port", "x"], "--port x"),
        (&["flink", "--port", "65536"], "--port 65536"),
        (&["flink", "--faults", "some"], "--faults some"),
        (&["flink", "--time", "fast:0"], "--time fast:0"),
        (&["flink", "--release", "two"], "--release two"),
        (&["flink", "more"], "more"),
        (&["flink", "--replay", "stale"], "--replay"),
        (&["snowpipe", "--slots", "3"], "--slots"),
        (&["snowpipe", "--replay", "both"], "--replay both"),
        (&["snowpipe", "--token-life", "1..2"], "--token-life 1..2"),
        (&["snowpipe", "--advertise", "localhost:8080"], "--advertise localhost:8080"),
        (&["snowpipe", "--advertise", "https://localhost"], "--advertise https://localhost"),
        (&["snowpipe", "--commit-delay", "soon"], "--commit-delay soon"),
        (&["snowpipe", "--commit-delay", "2..1"], "--commit-delay 2..1"),
        (&["snowpipe", "--commit-delay", "-1"], "--commit-delay -1"),
        (&["feldera", "--edition", "both"], "--edition both"),
        (&["feldera", "--release", "0.338"], "use one of 0.130, 0.337, 0.375"),
        (&["jar"], "the kind of jar is missing"),
        (&["jar", "bounded"], "-o is missing"),
        (&["jar", "endless", "--records", "3", "-o", "x"], "--records"),
        (&["jar", "odd", "-o", "x"], "`odd`"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said.lines().next().is_some_and(|line| line.contains(problem)), "{arguments:?}: {said}");
        assert!(said.contains("usage: "), "{said}");
    }
    let help = run(&["flink", "--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"usage: "));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_in_good_order() {
    let arguments = ["proxy", "--upstream", "http://127.0.0.1:1"];
    for (command, signal) in [(&["flink"][..], "TERM"), (&["feldera"], "INT"), (&arguments, "TERM")] {
        let (mut process, url) = listening(command);
        let mut idle = TcpStream::connect(url.strip_prefix("http://").expect("an address")).expect("a connection");
        idle.set_read_timeout(Some(LIMIT)).expect("a timeout");
        idle.write_all(b"GET /absent HTTP/1.1\r\nHost: x\r\n\r\n").expect("written");
        assert_eq!(idle.read(&mut [0]).expect("an answer"), 1);
        kill(&process, signal);
        assert_eq!(process.0.wait().expect("its end").code(), Some(0), "{command:?}");
        idle.read_to_end(&mut Vec::new()).expect("an end without a reset");
        let mut said = String::new();
        process.0.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines.len() == 2 && lines[0].starts_with("GET /absent ") && lines[1] == "shut down", "{said}");
    }
}

#[cfg(unix)]
fn kill(process: &Killed, signal: &str) {
    let killed = Command::new("kill").args([format!("-{signal}"), process.0.id().to_string()]).status();
    assert!(killed.expect("the program kill").success());
}

#[cfg(all(unix, feature = "tls"))]
#[test]
fn a_signal_removes_the_file_of_the_certificate() {
    let mut command = sim(&["flink", "--tls"]);
    let mut process = Killed(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let lines = BufReader::new(process.0.stdout.take().expect("piped")).lines();
    let line = lines.map_while(Result::ok).nth(1).expect("two lines");
    let path = Path::new(line.strip_prefix("CA certificate: ").expect("a path"));
    assert!(path.exists());
    kill(&process, "TERM");
    assert_eq!(process.0.wait().expect("its end").code(), Some(0));
    assert!(!path.exists(), "{}", path.display());
}

#[cfg(target_os = "linux")]
#[test]
fn outputs_that_cannot_be_written_are_ignored() {
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").expect("a device"));
    for (arguments, code) in
        [(&["flink", "--help"][..], 0), (&["flink", "--routes"], 0), (&["flink", "--port", "x"], 2)]
    {
        let status = sim(arguments).stdout(full()).stderr(full()).status().expect("it starts");
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}

/// Takes as long as the grace period, because the threads of the connections wait for a reader.
#[cfg(unix)]
#[test]
fn a_full_error_output_does_not_keep_the_process() {
    let recording = std::env::temp_dir().join(format!("pipewright-sim-{}-full.har", std::process::id()));
    let file = recording.to_str().expect("a path");
    let (mut process, url) = listening(&["proxy", "--upstream", "http://127.0.0.1:1", "--record", file]);
    let address = url.strip_prefix("http://").expect("an address");
    // Twice what fits into a pipe.
    for _ in 0..40 {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
        write!(stream, "GET /{} HTTP/1.1\r\n\r\n", "a".repeat(3500)).expect("written");
        assert_eq!(stream.read(&mut [0]).expect("an answer"), 1);
    }
    kill(&process, "TERM");
    let started = std::time::Instant::now();
    let status = loop {
        match process.0.try_wait().expect("a status") {
            Some(status) => break status,
            None => assert!(started.elapsed() < LIMIT, "it is still running"),
        }
        std::thread::yield_now();
    };
    std::fs::remove_file(recording).expect("deleted");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn faults_come_from_a_file_and_what_passes_is_recorded() {
    let folder = std::env::temp_dir();
    let file = |name: &str| folder.join(format!("pipewright-sim-{}-{name}", std::process::id())).display().to_string();
    let (plan, wrong, recording) = (file("plan"), file("wrong"), file("recording.har"));
    std::fs::write(&plan, "at-most = 2\n[GET /v1/*]\nunavailable = 1\n").expect("written");
    std::fs::write(&wrong, "\nreply-lots = 1\n").expect("written");
    let (server, upstream) = listening(&["flink", "--faults", &plan]);
    let arguments = ["proxy", "--upstream", &upstream, "--faults", &plan, "--record", &recording];
    let (proxy, url) = listening(&arguments);
    // Two of the proxy, two of the simulator; the bare path meets none.
    let statuses =
        ["/overview", "/v1/overview", "/v1/jobs", "/v1/overview", "/v1/overview", "/v1/overview"].map(|path| {
            let mut stream =
                TcpStream::connect(url.strip_prefix("http://").expect("an address")).expect("a connection");
            write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n").expect("written");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            answer.get(9..12).unwrap_or_default().to_owned()
        });
    assert_eq!(statuses, ["200", "503", "503", "503", "503", "200"]);
    // Killed between two entries: an entry is written before the line of its request.
    drop((server, proxy));
    let text = std::fs::read_to_string(&recording).expect("a recording");
    let document: serde_json::Value = serde_json::from_str(&text).expect("whole JSON");
    assert!(document["log"]["entries"].as_array().is_some_and(|entries| entries.len() == 6), "{text}");

    for (value, problem) in
        [(&wrong, "line 2: unknown setting \"reply-lots\""), (&file("absent"), "use none, flaky, hostile")]
    {
        let output = run(&["flink", "--faults", value]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(problem), "{said}");
    }
    for file in [plan, wrong, recording] {
        std::fs::remove_file(file).expect("deleted");
    }
}
