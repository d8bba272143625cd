//! TLS with a certificate authority of one server's own. No private key leaves the process.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

/// How long the certificates are valid. Some clients reject more than 825 days.
const VALIDITY: Duration = Duration::from_secs(365 * 86_400);
/// By how much the clocks of client and server may differ.
const SKEW: Duration = Duration::from_secs(86_400);
/// What the certificate is valid for in any case.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];

/// What every connection of a server needs.
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    /// The certificate of the authority, as PEM.
    pub(super) authority: String,
}

impl Tls {
    /// Generates an authority, and a certificate for the loopback interface and for one more host.
    pub(super) fn generate(host: Option<&str>) -> io::Result<Self> {
        let mut params = params(&[], "pipewright-sim CA")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let authority = params.self_signed(&key).map_err(io::Error::other)?.pem();
        let issuer = Issuer::new(params, key);

        let names: Vec<&str> = NAMES.into_iter().chain(host.filter(|host| !NAMES.contains(host))).collect();
        let mut params = self::params(&names, "pipewright-sim")?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &issuer).map_err(io::Error::other)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = builder.map_err(io::Error::other)?.with_no_client_auth();
        let mut config = config.with_single_cert(vec![certificate.into()], key).map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), authority })
    }

    /// Agrees with a client on keys.
    ///
    /// # Errors
    /// If the client does not trust the authority, does not speak TLS, or has ended the connection.
    pub(super) fn accept<'a>(&self, tcp: &'a TcpStream) -> io::Result<Session<'a>> {
        let mut tls = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            if tls.complete_io(&mut &*tcp)? == (0, 0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Session { tcp, tls: RefCell::new(tls) })
    }
}

fn params(names: &[&str], name: &str) -> io::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, format!("names {names:?}: {error}"));
    let mut params = CertificateParams::new(names.clone()).map_err(invalid)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    params.not_before = (now - SKEW).into();
    params.not_after = (now + VALIDITY).into();
    Ok(params)
}

/// An encrypted connection, which one thread serves.
pub(super) struct Session<'a> {
    tcp: &'a TcpStream,
    tls: RefCell<ServerConnection>,
}

impl Session<'_> {
    pub(super) fn receive(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut tls = self.tls.borrow_mut();
        match rustls::Stream::new(&mut *tls, &mut { self.tcp }).read(bytes) {
            // Without an announcement, as most clients end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }

    /// Writes all that it takes, so that an error shows at once.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut tls = self.tls.borrow_mut();
        let mut tcp = self.tcp;
        let mut stream = rustls::Stream::new(&mut *tls, &mut tcp);
        let length = stream.write(bytes)?;
        stream.flush()?;
        Ok(length)
    }

    pub(super) fn is_gone(&self) -> bool {
        let mut tls = self.tls.borrow_mut();
        let read = self.tcp.set_nonblocking(true).and_then(|()| tls.read_tls(&mut { self.tcp }));
        let restored = self.tcp.set_nonblocking(false);
        let gone = match read {
            Ok(0) => true,
            Ok(_) => tls.process_new_packets().map_or(true, |state| state.peer_has_closed()),
            // There is more than fits in: the connection lives.
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Other),
        };
        gone || restored.is_err()
    }

    pub(super) fn finish(&self) {
        let mut tls = self.tls.borrow_mut();
        tls.send_close_notify();
        // The other side may have been quicker.
        let _ = tls.complete_io(&mut { self.tcp });
    }
}
