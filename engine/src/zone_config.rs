//! What a node needs to be one of a zone: the zone's name, where others are, and what proves that it belongs there.

use std::fmt;
#[cfg(feature = "net")]
use std::path::Path;

use crate::error::Error;
use crate::name::check_name;
use crate::zone_status::ZoneRole;

/// Bytes of the secret of a zone, at least: a shorter one could be guessed from a proof that somebody has overheard.
pub const SECRET_BYTES_LEAST: usize = 16;

/// Bytes of the secret of a zone, at most.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Addresses that a node tries to join at, at most.
pub const JOIN_MAX: usize = 64;

/// Bytes of an address of a node, at most.
const ADDRESS_BYTES_MAX: usize = 255;

/// A node's place in a zone: a group of nodes that hold each other's rows.
///
/// ```
/// use anabranch::ZoneConfig;
///
/// // The first node of a zone has nobody to join; each other one names one that runs, or a name that leads to some.
/// let first = ZoneConfig::new("demo");
/// let other = ZoneConfig::new("demo").join("127.0.0.1:7401");
/// assert!(first.check().is_ok() && other.check().is_ok());
/// assert!(ZoneConfig::new("de mo").check().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneConfig {
    /// The zone's name: one word.
    pub zone: String,
    /// Whether it has rows, or a vote only.
    pub role: ZoneRole,
    /// Where other nodes of the zone may be: `host:port`. A name that leads to several addresses is tried through. A node
    /// with none of them founds the zone.
    pub join: Vec<String>,
    /// Where other nodes reach this one: `host:port`. Where nothing is said, the address where it listens for gRPC.
    pub advertise: Option<String>,
    /// What all nodes of the zone know and nobody else. Without it only nodes of this machine are let in.
    pub secret: Option<ZoneSecret>,
    /// Whether nodes of other machines are let in without a secret.
    pub insecure: bool,
}

impl ZoneConfig {
    /// A zone of this name, which the node founds unless it is told whom to join.
    pub fn new(zone: impl Into<String>) -> Self {
        ZoneConfig { zone: zone.into(), ..ZoneConfig::default() }
    }

    /// Adds an address where another node of the zone may be.
    pub fn join(mut self, address: impl Into<String>) -> Self {
        self.join.push(address.into());
        self
    }

    /// Whether all of it is as it has to be.
    ///
    /// # Errors
    /// [`Error::Unfit`] says what is not.
    pub fn check(&self) -> Result<(), Error> {
        let unfit = |what, given: &str, problem| Error::Unfit { what, given: shown(given), problem };
        check_name(&self.zone).map_err(|problem| unfit("name of a zone", &self.zone, problem))?;
        if self.join.len() > JOIN_MAX {
            let given = format!("{} of them", self.join.len());
            return Err(unfit(
                "list of addresses to join at",
                &given,
                "there may be 64; a name can lead to several",
            ));
        }
        for address in &self.join {
            check_address(address).map_err(|problem| unfit("address to join at", address, problem))?;
        }
        if let Some(address) = &self.advertise {
            check_address(address).map_err(|problem| unfit("node's address for others", address, problem))?;
            if is_any(address) {
                let problem = "it is all addresses of a machine; name one that other nodes reach";
                return Err(unfit("node's address for others", address, problem));
            }
        }
        Ok(())
    }
}

/// As much of a text as an error shows.
fn shown(given: &str) -> String {
    given[..given.floor_char_boundary(ADDRESS_BYTES_MAX)].to_owned()
}

/// Whether it is `host:port`, with a port that is not 0.
pub(crate) fn check_address(address: &str) -> Result<(), &'static str> {
    const FORM: &str = "write HOST:PORT, for example 127.0.0.1:7401, node1.example:7401 or [::1]:7401";
    let (host, port) = address.rsplit_once(':').ok_or(FORM)?;
    let odd = |sign: char| sign.is_whitespace() || sign.is_control() || "/@?#".contains(sign);
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match bracketed {
        Some(host) => host.parse::<core::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    };
    if !is_host || address.len() > ADDRESS_BYTES_MAX || address.contains(odd) {
        return Err(FORM);
    }
    match port.parse::<u16>() {
        Ok(0) => Err("port 0 is nowhere; name the port where the node listens"),
        Ok(_) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        _ => Err(FORM),
    }
}

/// Whether it means all addresses of a machine.
fn is_any(address: &str) -> bool {
    address.parse::<core::net::SocketAddr>().is_ok_and(|address| address.ip().is_unspecified())
}

/// What all nodes of a zone know and nobody else: at least 16 bytes. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ZoneSecret {
    text: String,
}

impl ZoneSecret {
    /// A secret; white space around it is no part of it.
    ///
    /// # Errors
    /// [`Error::Unfit`]: it is shorter than 16 bytes or longer than 1,024.
    pub fn new(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let problem = match text.len() {
            0..SECRET_BYTES_LEAST => "it has fewer than 16 bytes; make one with `openssl rand -base64 32`",
            SECRET_BYTES_LEAST..=SECRET_BYTES_MAX => return Ok(ZoneSecret { text: text.to_owned() }),
            _ => "it has more than 1,024 bytes",
        };
        Err(Error::Unfit { what: "zone secret", given: "(not shown)".to_owned(), problem })
    }

    /// Reads it from a file, which other users of the machine may not read.
    ///
    /// # Errors
    /// [`Error::File`], or as [`ZoneSecret::new`].
    #[cfg(feature = "net")]
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = crate::os::read_secret(path);
        let text = text.map_err(|error| Error::File { path: path.display().to_string(), error })?;
        ZoneSecret::new(&text)
    }

    #[cfg(feature = "net")]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl fmt::Debug for ZoneSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZoneSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_ports() {
        for (address, fits) in [
            ("127.0.0.1:7401", true),
            ("node1.example:7401", true),
            ("[::1]:7401", true),
            ("::1:7401", false),
            ("[x]:7401", false),
            ("7401", false),
            (":7401", false),
            ("a:0", false),
            ("a:+1", false),
            ("a:65536", false),
            ("a b:1", false),
            ("http://a:1", false),
            ("u@a:1", false),
        ] {
            assert_eq!(check_address(address).is_ok(), fits, "{address}");
        }
        assert!(check_address(&format!("{}:1", "a".repeat(254))).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_zone_is_told() {
        let told = |config: ZoneConfig| config.check().expect_err("it is wrong").to_string();
        assert!(told(ZoneConfig::new("")).contains("name of a zone"));
        assert!(told(ZoneConfig::new("demo").join("x")).contains("HOST:PORT"));
        let all = ZoneConfig { advertise: Some("0.0.0.0:7401".into()), ..ZoneConfig::new("demo") };
        assert!(told(all).contains("all addresses"), "");
        let many = (0..=JOIN_MAX).fold(ZoneConfig::new("demo"), |zone, _| zone.join("a:1"));
        assert!(told(many).contains("65 of them"));
    }

    #[test]
    fn a_secret_is_long_enough_and_never_shown() {
        assert!(ZoneSecret::new("fifteen bytes..").is_err());
        let secret = ZoneSecret::new(" sixteen bytes...\n").expect("it is long enough");
        assert_eq!(
            (secret.text.as_bytes(), format!("{secret:?}").as_str()),
            (&b"sixteen bytes..."[..], "ZoneSecret")
        );
        let long = ZoneSecret::new(&"x".repeat(1025)).expect_err("it is too long").to_string();
        assert!(long.contains("1,024") && !long.contains("xxx"), "{long}");
    }
}
