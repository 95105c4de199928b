//! Addresses as the command line takes them: `host:7171`, `[::1]:7171`, `:7171`, `7171`, `host`.
//!
//! Who leaves the host out means this machine alone, both where a node listens and where a client looks for it: nobody
//! opens a node to a network by leaving something out. All addresses of a machine are `0.0.0.0:7171` or `[::]:7171`.

use std::fmt;

/// Where a node speaks gRPC when nothing is said.
const GRPC_PORT: u16 = 7171;

/// Where a node speaks HTTP when nothing is said.
const HTTP_PORT: u16 = 7172;

/// The host when nothing is said.
const HOST: &str = "127.0.0.1";

/// Where clients look for a node when nothing is said.
pub(crate) const DEFAULT_AT: &str = "127.0.0.1:7171";

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    /// 0 where a node takes a free one.
    pub(crate) port: u16,
}

/// Where to speak gRPC.
///
/// # Errors
/// What to write.
pub(crate) fn grpc(text: &str) -> Result<Address, String> {
    parse(text, GRPC_PORT)
}

/// Where to speak HTTP.
///
/// # Errors
/// What to write.
pub(crate) fn http(text: &str) -> Result<Address, String> {
    parse(text, HTTP_PORT)
}

/// Where a client finds a node.
///
/// # Errors
/// What to write.
pub(crate) fn at(text: &str) -> Result<Address, String> {
    match parse(text, GRPC_PORT)? {
        Address { port: 0, .. } => {
            Err("port 0 is nowhere; name the port of the node's `ready` line".to_owned())
        }
        address => Ok(address),
    }
}

fn parse(text: &str, port: u16) -> Result<Address, String> {
    let bare = text.trim();
    let bare = bare.strip_prefix("http://").unwrap_or(bare).trim_end_matches('/');
    if bare.contains(|c: char| c.is_whitespace() || c.is_control() || "/@?#".contains(c)) {
        return Err(usage());
    }
    if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Address { host: HOST.to_owned(), port: number(bare)? });
    }
    let (host, port) = match bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, port),
        Some((host, rest)) => (host, number(rest.strip_prefix(':').ok_or_else(usage)?)?),
        None => match bare.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err(format!("write an address with colons in brackets: `[{bare}]:{port}`"));
            }
            Some((host, digits)) => (host, number(digits)?),
            None => (bare, port),
        },
    };
    match host {
        _ if bare.is_empty() || host.contains(['[', ']']) => Err(usage()),
        "" => Ok(Address { host: HOST.to_owned(), port }),
        "*" => Ok(Address { host: "0.0.0.0".to_owned(), port }),
        host => Ok(Address { host: host.to_owned(), port }),
    }
}

fn usage() -> String {
    "write HOST:PORT, for example 127.0.0.1:7171, localhost:7171 or [::1]:7171".to_owned()
}

fn number(digits: &str) -> Result<u16, String> {
    digits.parse().map_err(|_| format!("`{digits}` is no port; write a number from 0 to 65535"))
}

/// As a client connects to it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_mean_this_machine() {
        for (text, full) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            (":7000", "127.0.0.1:7000"),
            ("7000", "127.0.0.1:7000"),
            ("localhost", "localhost:7171"),
            ("node-3.example:80", "node-3.example:80"),
            ("[::1]:80", "[::1]:80"),
            ("[::]", "[::]:7171"),
            ("*:80", "0.0.0.0:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("http://localhost:80/", "localhost:80"),
        ] {
            assert_eq!(grpc(text).map(|address| address.to_string()), Ok(full.to_owned()), "{text}");
        }
        assert_eq!(http("localhost").map(|address| address.port), Ok(HTTP_PORT));
        assert_eq!(at(DEFAULT_AT).map(|address| address.to_string()), Ok(DEFAULT_AT.to_owned()));
    }

    #[test]
    fn what_is_no_address_is_told_what_to_write() {
        for (text, told) in [
            ("", "HOST:PORT"),
            ("a b:1", "HOST:PORT"),
            ("a:", "no port"),
            ("a:65536", "no port"),
            ("a:x", "no port"),
            ("65536", "no port"),
            ("::1", "in brackets"),
            ("[::1]80", "HOST:PORT"),
            ("https://a:1", "HOST:PORT"),
            ("u@a:1", "HOST:PORT"),
        ] {
            let wrong = grpc(text).expect_err(text);
            assert!(wrong.contains(told), "{text}: {wrong}");
        }
        assert!(at(":0").expect_err("nowhere").contains("port 0"));
    }
}
