//! A node on the network, certificates, and connections that are not what a client would make.

#![allow(dead_code, unreachable_pub, reason = "every test uses a part of it")]
#![allow(clippy::disallowed_types, reason = "the sockets of clients that do wrong")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anabranch::{Flow, Listen, Node, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A node with its servers.
pub struct Served {
    pub server: Server,
    pub node: Node,
}

/// Serves the reference flow over gRPC and HTTP.
pub fn served(listen: Listen) -> Served {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let here = Some(([127, 0, 0, 1], 0).into());
    let server = node.serve(&Listen { grpc: here, http: here, ..listen }).expect("it listens");
    Served { server, node }
}

impl Served {
    pub fn grpc(&self) -> String {
        self.server.grpc().expect("it speaks gRPC").to_string()
    }

    pub fn http(&self) -> String {
        self.server.http().expect("it speaks HTTP").to_string()
    }
}

/// Sends a request, whose head ends in a line, and gives the whole answer.
pub fn http(served: &Served, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(served.http()).expect("it connects");
    // A test that waits for ever fails instead.
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
    let host = if head.contains("Host:") { "" } else { "Host: localhost\r\n" };
    let length = body.len();
    let kind = "Content-Type: application/json";
    write!(stream, "{head}{host}{kind}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
        .expect("written");
    read_all(&mut stream)
}

/// Everything until the node hangs up.
pub fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends some bytes, keeps the connection open and waits until the node ends it.
pub fn half_open(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it connects");
    let _ = stream.write_all(bytes);
    read_all(&mut stream)
}

/// An authority for certificates, with its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("it signs");
        Authority { issuer, directory: TempDir::new().expect("a directory") }
    }

    /// The authority's own certificate.
    pub fn file(&self) -> String {
        let text = self.issuer.pem();
        let path = self.directory.path().join("ca.crt");
        write(path, &text)
    }

    /// Certificate and key of a node at 127.0.0.1.
    pub fn node(&self) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()]).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("it signs");
        let path = |name: &str| self.directory.path().join(name);
        (write(path("node.crt"), &certificate.pem()), write(path("node.key"), &key.serialize_pem()))
    }
}

#[expect(clippy::disallowed_methods, reason = "a test writes its files")]
fn write(path: PathBuf, text: &str) -> String {
    std::fs::write(&path, text).expect("written");
    set_mode(&path, 0o600);
    path.display().to_string()
}

fn set_mode(path: &std::path::Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    }
}

/// Lets every user of the machine read a file.
#[cfg(unix)]
pub fn open_to_all(path: &str) {
    set_mode(std::path::Path::new(path), 0o644);
}
