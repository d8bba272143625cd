//! [`Connector`] and [`Connection`]: those of ureq, with the deadline of the exchange and a record of how far it got.
//! [`Later`]: looks names up only for a new connection.
//!
//! ureq's own timeouts do not fit. The timeouts of its phases start again with each phase, so that an exchange could
//! take their sum. The timeout of the whole exchange starts a thread for each request.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use http::Uri;
use ureq::config::Config;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector as UreqConnector, DefaultConnector, NextTimeout, Transport, time,
};
use ureq::{Agent, Error, Timeout};

use crate::watch::{self, Phase};

/// An agent that keeps the deadlines of exchanges, and records how far they get.
pub(crate) fn agent(config: Config, resolver: impl Resolver) -> Agent {
    Agent::with_parts(config, Connector { resolver, inner: DefaultConnector::new() }, Later)
}

/// Stands for the addresses of a name that is still to be looked up.
const LATER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Leaves looking names up to the [`Connector`]: ureq does it for every request, also when it then takes an idle
/// connection.
#[derive(Debug)]
struct Later;

impl Resolver for Later {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        addresses.push(LATER);
        Ok(addresses)
    }
}

/// Makes connections within the deadline of the exchange that wants them.
#[derive(Debug)]
struct Connector<R> {
    resolver: R,
    inner: DefaultConnector,
}

impl<R: Resolver> UreqConnector for Connector<R> {
    type Out = Connection;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Connection>, Error> {
        let addresses = self.addresses(details)?;
        watch::enter(Phase::Connecting);
        let connection = self.connect_in_time(details, addresses);
        // A proxy is asked over a connection that this connector makes as well: that was sending, but not the request.
        watch::enter(if connection.is_ok() { Phase::Connected } else { Phase::Connecting });
        connection
    }
}

impl<R: Resolver> Connector<R> {
    fn addresses(&self, details: &ConnectionDetails<'_>) -> Result<ResolvedSocketAddrs, Error> {
        if details.addrs[..] == [LATER] {
            // With a timeout it would start a thread.
            self.resolver.resolve(details.uri, details.config, NextTimeout::default())
        } else {
            Ok(details.addrs.clone())
        }
    }

    fn connect_in_time(
        &self,
        details: &ConnectionDetails<'_>,
        addrs: ResolvedSocketAddrs,
    ) -> Result<Option<Connection>, Error> {
        let details = ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            // No request has TLS settings of its own, and only those of the agent are prepared once for all
            // connections.
            request_level: false,
            resolver: &self.resolver,
            now: time::Instant::now(),
            timeout: in_time(NextTimeout { reason: Timeout::Connect, ..details.timeout })?,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        Ok(self.inner.connect(&details, None)?.map(|transport| Connection { transport, deaf: false }))
    }
}

/// A connection that ends its waits with the exchange.
#[derive(Debug)]
struct Connection {
    transport: Box<dyn Transport>,
    /// Whether the peer takes no more of the request.
    deaf: bool,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.deaf {
            return Ok(());
        }
        let timeout = in_time(timeout)?;
        let has_begun = watch::phase() >= Phase::Sending;
        watch::enter(Phase::Sending);
        match self.transport.transmit_output(amount, timeout) {
            // Servers refuse a large body after its head and close. Their answer is there to be read; if not, reading
            // it fails.
            Err(Error::Io(error)) if has_begun && is_cut_off(&error) => {
                self.deaf = true;
                Ok(())
            }
            result => result,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = in_time(timeout)?;
        watch::enter(Phase::Receiving);
        let result = self.transport.await_input(timeout);
        if let Err(Error::Io(error)) = &result
            && is_cut_off(error)
        {
            // ureq takes this for the end of a body that has no length.
            watch::cut_off();
        }
        result
    }

    fn is_open(&mut self) -> bool {
        !self.deaf && self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// Whether the peer, or the network, has ended the connection.
pub(crate) fn is_cut_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// A timeout that ends with the exchange.
fn in_time(timeout: NextTimeout) -> Result<NextTimeout, Error> {
    match watch::remaining().map(time::Duration::from) {
        // Zero means "no timeout" further down.
        Some(left) if left.is_zero() => Err(Error::Timeout(timeout.reason)),
        Some(left) => Ok(NextTimeout { after: left.min(timeout.after), ..timeout }),
        None => Ok(timeout),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use ureq::unversioned::resolver::DefaultResolver;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Counting(Arc<AtomicU32>);

    impl Resolver for Counting {
        fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(timeout.after.is_not_happening(), "this starts a thread");
            DefaultResolver::default().resolve(uri, config, timeout)
        }
    }

    #[test]
    fn names_are_looked_up_for_new_connections_only() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let uri = format!("http://{}/", listener.local_addr().expect("bound"));
        let server = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().expect("a connection").0);
            for _ in 0..3 {
                while stream.read_line(&mut String::new()).expect("a request") > 2 {}
                stream.get_mut().write_all(b"HTTP/1.1 204 No\r\n\r\n").expect("an answer");
            }
        });
        let counting = Counting::default();
        let config = Config::builder().proxy(None).build();
        let agent = agent(config, counting.clone());
        for _ in 0..3 {
            agent.get(&uri).call().expect("an answer");
            assert_eq!(counting.0.load(Ordering::Relaxed), 1);
        }
        server.join().expect("no panic");
    }
}
