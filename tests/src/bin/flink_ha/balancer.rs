//! A balancer in front of two JobManagers.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::spawn;

/// Listens at a port and passes connections on to one target, or else to the next target that accepts them.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) url: String,
    current: Arc<AtomicUsize>,
}

impl Balancer {
    /// Starts to listen. The first target is preferred.
    pub(crate) fn start(port: u16, targets: Vec<String>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let current = Arc::new(AtomicUsize::new(0));
        let balancer = Self { url: format!("http://127.0.0.1:{port}"), current: Arc::clone(&current) };
        spawn(move || {
            for client in listener.incoming().flatten() {
                let preferred = current.load(Ordering::Relaxed);
                let mut candidates = (preferred..targets.len()).chain(0..preferred);
                let accepting = candidates.find_map(|at| Some((at, TcpStream::connect(targets.get(at)?).ok()?)));
                // If no target accepts it, the connection is closed.
                if let Some((at, server)) = accepting {
                    current.store(at, Ordering::Relaxed);
                    spawn(move || join(&client, &server));
                }
            }
        });
        Ok(balancer)
    }

    /// Sends connections to this target until it no longer accepts them.
    pub(crate) fn prefer(&self, target: usize) {
        self.current.store(target, Ordering::Relaxed);
    }
}

fn join(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let there = spawn(move || copy(&from, &to));
    copy(server, client);
    let _ = there.join();
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
