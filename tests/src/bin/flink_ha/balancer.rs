//! A balancer in front of two JobManagers.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread::spawn;

/// Listens at a port and returns its address. Passes connections on to the same target as before, or else to the next
/// one that accepts them.
pub(crate) fn start(port: u16, targets: Vec<String>) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    spawn(move || {
        let mut current = 0;
        for client in listener.incoming().flatten() {
            let mut candidates = (current..targets.len()).chain(0..current);
            let accepting = candidates.find_map(|at| Some((at, TcpStream::connect(targets.get(at)?).ok()?)));
            // If no target accepts it, the connection is closed.
            if let Some((at, server)) = accepting {
                current = at;
                spawn(move || join(&client, &server));
            }
        }
    });
    Ok(format!("http://127.0.0.1:{port}"))
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
