//! A relay in front of the simulated cluster, which kills a process at one of its requests.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// A moment of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before it is delivered.
    Before,
    /// After the cluster has answered it, and before the answer is delivered.
    After,
}

/// Decides at the moments of each request whether the process is killed then. Requests are counted from 1 on; the text
/// is that of the first line.
pub(crate) type Hook = dyn Fn(u32, &str, When) -> bool + Send + Sync;

/// The process behind a relay, and how many requests it has sent.
#[derive(Default)]
struct Victim {
    process: Mutex<Option<Child>>,
    started: Condvar,
    requests: Mutex<u32>,
}

/// Forwards requests to a server until the process is killed.
pub(crate) struct Relay {
    pub(crate) url: String,
    victim: Arc<Victim>,
}

impl Relay {
    pub(crate) fn start(upstream: &str, hook: impl Fn(u32, &str, When) -> bool + Send + Sync + 'static) -> Self {
        let hook: Arc<Hook> = Arc::new(hook);
        let upstream = upstream.strip_prefix("http://").expect("plain").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let victim = Arc::new(Victim::default());
        let own = Arc::clone(&victim);
        thread::spawn(move || {
            // Threads end with their connections. This thread ends with the test.
            for stream in listener.incoming().map_while(Result::ok) {
                let (victim, upstream, hook) = (Arc::clone(&own), upstream.clone(), Arc::clone(&hook));
                thread::spawn(move || forward(&stream, &upstream, &victim, &*hook));
            }
        });
        Self { url, victim }
    }

    /// Runs the process that sends the requests to its end; and how many it has sent.
    pub(crate) fn run(&self, command: &mut Command) -> (Output, u32) {
        let lock = || self.victim.process.lock().expect("no panic");
        *lock() = Some(command.spawn().expect("it starts"));
        self.victim.started.notify_all();
        loop {
            thread::sleep(Duration::from_millis(2));
            let mut process = lock();
            let has_ended = |child: &mut Child| child.try_wait().expect("a child").is_some();
            if let Some(child) = process.take_if(has_ended) {
                // What it says is short, and fits into the pipes.
                let output = child.wait_with_output().expect("a child");
                return (output, *self.victim.requests.lock().expect("no panic"));
            }
        }
    }
}

impl Victim {
    fn kill(&self) {
        let mut process = self.process.lock().expect("no panic");
        while process.is_none() {
            process = self.started.wait(process).expect("no panic");
        }
        let child = process.as_mut().expect("it was started");
        child.kill().expect("it is a child");
        child.wait().expect("it is a child");
    }
}

fn forward(client: &TcpStream, upstream: &str, victim: &Victim, hook: &Hook) {
    let mut requests = BufReader::new(client);
    let mut server = None;
    while let Some(request) = message(&mut requests) {
        let number = {
            let mut requests = victim.requests.lock().expect("no panic");
            *requests += 1;
            *requests
        };
        let line = request.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
        if hook(number, &line, When::Before) {
            return victim.kill();
        }
        let server = server.get_or_insert_with(|| BufReader::new(TcpStream::connect(upstream).expect("it is served")));
        server.get_mut().write_all(&request).expect("it reads");
        let response = message(server).expect("the simulator answers everything");
        if hook(number, &line, When::After) {
            return victim.kill();
        }
        if (&*client).write_all(&response).is_err() {
            return;
        }
    }
}

/// A request or an answer; `None` at the end of the connection. Bodies have lengths: nothing in an upgrade comes in
/// chunks.
fn message(stream: &mut BufReader<impl std::io::Read>) -> Option<Vec<u8>> {
    let (mut text, mut length) = (Vec::new(), 0);
    loop {
        let begin = text.len();
        if stream.read_until(b'\n', &mut text).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&text[begin..]).to_ascii_lowercase();
        assert!(!line.starts_with("transfer-encoding:"), "{line}");
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        if line.trim_end().is_empty() {
            break;
        }
    }
    let begin = text.len();
    text.resize(begin + length, 0);
    stream.read_exact(&mut text[begin..]).ok()?;
    Some(text)
}
