//! Where a node listens, and what it asks of those who come.

use std::net::SocketAddr;

use http::uri::Authority;

use super::limits::NetLimits;
use super::server::Timeouts;
use super::tls::ServerTls;
use super::tokens::Tokens;
use crate::error::Error;

/// Where a node listens, and what it asks of those who come.
///
/// An address that other machines can reach needs both TLS and tokens, unless `insecure` says that it is meant:
///
/// ```
/// use anabranch::{Error, Listen, Node};
///
/// let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
/// let node = Node::builder("A").flow(flow).start()?;
///
/// // For this machine alone nothing is needed.
/// let server = node.serve(&Listen { http: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() })?;
/// assert_ne!(server.http().expect("it listens").port(), 0);
///
/// let for_all = Listen { http: Some(([0, 0, 0, 0], 0).into()), ..Listen::default() };
/// assert!(matches!(node.serve(&for_all), Err(Error::Exposed { .. })));
/// # Ok::<(), Error>(())
/// ```
///
/// With both, from files:
///
/// ```no_run
/// # use anabranch::{Listen, ServerTls, Tokens};
/// let listen = Listen {
///     grpc: Some(([0, 0, 0, 0], 7171).into()),
///     http: Some(([0, 0, 0, 0], 7172).into()),
///     tls: Some(ServerTls::read("node.crt", "node.key")?),
///     tokens: Some(Tokens::read("tokens")?),
///     ..Listen::default()
/// };
/// # Ok::<(), anabranch::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// For gRPC; port 0 takes a free one.
    pub grpc: Option<SocketAddr>,
    /// For HTTP; port 0 takes a free one.
    pub http: Option<SocketAddr>,
    /// How long a server waits for its clients.
    pub timeouts: Timeouts,
    /// The certificate and key of both.
    pub tls: Option<ServerTls>,
    /// The tokens of which every request needs one.
    pub tokens: Option<Tokens>,
    /// Whether other machines may reach the node without TLS or tokens.
    pub insecure: bool,
    /// Names of this node, beside `localhost` and its addresses, that requests may be for. They are checked where they
    /// are given, and at an address of this machine alone without tokens.
    pub hosts: Vec<String>,
    /// Sites, as `https://app.example`, whose pages may ask in a browser.
    pub origins: Vec<String>,
    /// What connections may cost.
    pub limits: NetLimits,
}

impl Listen {
    /// Whether the hosts and sites are written as requests have them.
    ///
    /// # Errors
    /// [`Error::Unfit`].
    pub(crate) fn check_names(&self) -> Result<(), Error> {
        let unfit = |what, given: &String, problem| Error::Unfit { what, given: given.clone(), problem };
        for host in &self.hosts {
            check_host(host).map_err(|problem| unfit("allowed host", host, problem))?;
        }
        for site in &self.origins {
            check_origin(site).map_err(|problem| unfit("allowed origin", site, problem))?;
        }
        Ok(())
    }

    /// Whether a node may listen so at an address.
    ///
    /// # Errors
    /// [`Error::Exposed`] says what is missing.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), Error> {
        let missing = match (&self.tls, &self.tokens) {
            (Some(_), Some(_)) => return Ok(()),
            (None, Some(_)) => "TLS",
            (Some(_), None) => "tokens",
            (None, None) => "TLS and tokens",
        };
        if self.insecure || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(Error::Exposed { address: address.to_string(), missing })
    }
}

/// A name, or an address.
fn check_host(given: &str) -> Result<(), &'static str> {
    if given.contains("://") || given.contains('/') {
        return Err("write the name only, such as node1.example");
    }
    let authority = Authority::try_from(given).map_err(|_| "it is no host name")?;
    match authority.host() == given {
        true => Ok(()),
        false => Err("leave out the port: the name is taken at any port"),
    }
}

/// A site as browsers write it in `Origin`: scheme, host, and the port where it is not that of the scheme.
fn check_origin(given: &str) -> Result<(), &'static str> {
    const FORM: &str = "write scheme and host, and the port if there is one, such as https://app.example";
    let (scheme, site) = given.split_once("://").ok_or(FORM)?;
    let usual = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err("the scheme of a site is `https` or `http`, in small letters"),
    };
    if site.contains('/') {
        return Err("leave out the path: an origin ends with the host or its port, without a `/`");
    }
    let authority = Authority::try_from(site).map_err(|_| FORM)?;
    if authority.host().is_empty() || site.contains('@') {
        return Err(FORM);
    }
    if authority.port_u16() == Some(usual) {
        return Err("leave out the port, which is the usual one of the scheme: browsers do");
    }
    match site == site.to_ascii_lowercase() {
        true => Ok(()),
        false => Err("write it in small letters, as browsers do"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_can_reach_needs_tls_and_tokens_or_a_word() {
        let plain = Listen::default();
        for (address, taken) in [
            ("127.0.0.1:0", true),
            ("127.9.9.9:0", true),
            ("[::1]:0", true),
            ("[::ffff:127.0.0.1]:0", true),
            ("0.0.0.0:0", false),
            ("[::]:0", false),
            ("10.0.0.1:0", false),
        ] {
            assert_eq!(plain.check(address.parse().unwrap()).is_ok(), taken, "{address}");
        }
        let insecure = Listen { insecure: true, ..Listen::default() };
        assert!(insecure.check("0.0.0.0:0".parse().unwrap()).is_ok());
        let tokens =
            super::super::tokens::NewToken::make("t", &[super::super::access::Scope::Read], &[]).unwrap();
        let half = Listen { tokens: Tokens::parse("tokens", tokens.line()).ok(), ..Listen::default() };
        let error = half.check("0.0.0.0:0".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("it has no TLS;"), "{error}");
    }

    #[test]
    fn hosts_and_sites_that_no_request_would_have_are_refused() {
        for (host, fits) in [
            ("node1.example", true),
            ("Node1", true),
            ("10.0.0.1", true),
            ("[::1]", true),
            ("a.example:80", false),
            ("https://a.example", false),
            ("a.example/", false),
            ("user@a.example", false),
            ("", false),
            ("a b", false),
        ] {
            let listen = Listen { hosts: vec![host.into()], ..Listen::default() };
            assert_eq!(listen.check_names().is_ok(), fits, "{host}");
        }
        for (site, fits) in [
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("https://[::1]:8443", true),
            ("foo", false),
            ("*", false),
            ("null", false),
            ("https://a.example/", false),
            ("https://a.example:443", false),
            ("https://A.example", false),
            ("ftp://a.example", false),
            ("https://", false),
            ("https://user@a.example", false),
        ] {
            let listen = Listen { origins: vec![site.into()], ..Listen::default() };
            assert_eq!(listen.check_names().is_ok(), fits, "{site}");
        }
    }
}
