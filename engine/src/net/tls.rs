//! TLS on both ends, by rustls with ring. There is no way to go without checking a certificate.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tokens::unusable;
use crate::error::Error;
use crate::os;

/// What a node shows of itself: a certificate and its key.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads a certificate, with those between it and the authority behind it, and its key: PEM files. The key must
    /// not be readable by everybody.
    ///
    /// # Errors
    /// [`Error::File`]: one cannot be read. [`Error::Secret`]: it has nothing of the kind, or they do not belong together.
    pub fn read(certificates: &str, key: &str) -> Result<ServerTls, Error> {
        let chain = read_certificates(certificates)?;
        let text = os::read_secret(Path::new(key)).map_err(|error| unusable(key, error))?;
        // What the reader says may quote the file.
        let secret = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            wrong(key, "it has no private key: it should have a block `-----BEGIN PRIVATE KEY-----`")
        })?;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(certificates, &error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, secret);
        let mut config = config.map_err(|error| {
            wrong(certificates, &format!("it does not go with the key in `{key}`: {error}"))
        })?;
        config.alpn_protocols = protocols();
        Ok(ServerTls { config: Arc::new(config) })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}

/// Whom a client trusts to say who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The authorities that the operating system trusts.
    System,
    /// The authorities in a PEM file, and no other.
    File(String),
}

/// The client's end of a TLS connection over a stream.
///
/// # Errors
/// What is wrong, in words.
pub(crate) async fn dial(
    trust: &Trust,
    host: &str,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate could have"))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots(trust)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| explained(trust, &error))
}

fn explained(trust: &Trust, error: &std::io::Error) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match (cause, trust) {
        (Some(rustls::Error::InvalidCertificate(why)), Trust::System) => format!(
            "its certificate does not hold ({why}); where the node has an authority of its own, give the file with \
             the authority's certificate"
        ),
        (Some(rustls::Error::InvalidCertificate(why)), Trust::File(path)) => {
            format!("its certificate does not hold by the authorities in `{path}` ({why})")
        }
        (Some(rustls::Error::InvalidMessage(_)), _) => format!("it does not speak TLS ({error})"),
        _ => format!("no TLS connection came about: {error}"),
    }
}

fn roots(trust: &Trust) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let (certificates, of) = match trust {
        Trust::System => (rustls_native_certs::load_native_certs().certs, "the operating system"),
        Trust::File(path) => (read_certificates(path).map_err(|error| error.to_string())?, path.as_str()),
    };
    let (taken, _) = roots.add_parsable_certificates(certificates);
    match taken {
        0 => Err(format!("there is no certificate of an authority in {of}")),
        _ => Ok(roots),
    }
}

fn read_certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = os::read_text(Path::new(path)).map_err(|error| unusable(path, error))?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(wrong(path, "it has no certificate: it should have a block `-----BEGIN CERTIFICATE-----`")),
    }
}

fn wrong(path: &str, problem: &str) -> Error {
    Error::Secret { path: path.to_owned(), problems: vec![problem.to_owned()] }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}
