//! How a client reaches a node at another place: address, TLS, token.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use http::HeaderValue;

use super::tls::Trust;
use super::tokens::unusable;
use crate::client::Client;
use crate::error::Error;
use crate::os;

/// How long a connection may take to come about, where nothing is said.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a client tries to come back to a node, where nothing is said.
const RECONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How a client reaches a node at another place.
///
/// ```no_run
/// use anabranch::ConnectOptions;
///
/// let options = ConnectOptions::new("node1.example:7171").ca_file("authority.crt").token_file("token")?;
/// let mut client = options.connect()?;
/// # Ok::<(), anabranch::Error>(())
/// ```
#[derive(Clone)]
pub struct ConnectOptions {
    address: String,
    /// Other nodes of its zone, in the order in which they are tried.
    others: Vec<String>,
    token: Option<String>,
    trust: Option<Trust>,
    insecure: bool,
    within: Duration,
    reconnect_within: Duration,
}

impl ConnectOptions {
    /// A node at `host:port`, its gRPC address; without TLS and without a token.
    pub fn new(address: &str) -> Self {
        let address = address.to_owned();
        ConnectOptions {
            address,
            others: Vec::new(),
            token: None,
            trust: None,
            insecure: false,
            within: CONNECT_WITHIN,
            reconnect_within: RECONNECT_WITHIN,
        }
    }

    /// Another node of the same zone, at `host:port`: tried where the ones named before it cannot be reached, when the client
    /// connects, when its connection is lost, and when a node gives no sign of life for three seconds. What was under way is sent
    /// again there, and takes effect once.
    ///
    /// ```no_run
    /// use anabranch::ConnectOptions;
    ///
    /// let mut client = ConnectOptions::new("127.0.0.1:7401").also("127.0.0.1:7402").connect()?;
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    pub fn also(mut self, address: &str) -> Self {
        self.others.push(address.to_owned());
        self
    }

    /// Sends a token with every request: over TLS, or to this machine; to others without TLS only where that is said with
    /// [`insecure`](Self::insecure).
    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.trim().to_owned());
        self
    }

    /// Sends the token in a file with every request. The file must not be readable by everybody.
    ///
    /// # Errors
    /// [`Error::File`] where it cannot be read; [`Error::Secret`].
    pub fn token_file(self, path: &str) -> Result<Self, Error> {
        let text = os::read_secret(Path::new(path)).map_err(|error| unusable(path, error))?;
        match text.split_whitespace().collect::<Vec<_>>()[..] {
            [token] => Ok(self.token(token)),
            _ => {
                let problem = "it should have one word, the token, and nothing else";
                Err(Error::Secret { path: path.to_owned(), problems: vec![problem.into()] })
            }
        }
    }

    /// Goes over TLS; the node's certificate must hold by what is trusted.
    pub fn tls(mut self, trust: Trust) -> Self {
        self.trust = Some(trust);
        self
    }

    /// Goes over TLS and trusts the authorities in a PEM file, and no other.
    pub fn ca_file(self, path: &str) -> Self {
        self.tls(Trust::File(path.to_owned()))
    }

    /// Sends the token without TLS, too, where everybody on the way can read it.
    pub fn insecure(mut self) -> Self {
        self.insecure = true;
        self
    }

    /// How long the connection may take to come about; 5 s where nothing is said.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// How long a client whose connection is lost tries to come back, and waits for that, before it gives up what is under
    /// way; 5 s where nothing is said. Take more than a node needs to start.
    pub fn reconnect_within(mut self, time: Duration) -> Self {
        self.reconnect_within = time;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Error::Connect`]; [`Error::Unprotected`]; [`Error::Denied`] where the node asks for a token, or for another one.
    pub fn connect(&self) -> Result<Client, Error> {
        Client::connect_with(self)
    }

    /// The node that is asked first.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// These options once for each node, beginning with the first; in each the others follow in their order.
    pub(crate) fn each(&self) -> impl Iterator<Item = ConnectOptions> {
        let turned = |options: &ConnectOptions| {
            let mut turned = options.clone();
            turned.turn();
            Some(turned)
        };
        std::iter::successors(Some(self.clone()), turned).take(1 + self.others.len())
    }

    /// Lets the node that is asked first be the last one.
    pub(crate) fn turn(&mut self) {
        self.others.push(std::mem::take(&mut self.address));
        self.address = self.others.remove(0);
    }

    /// Whether no other node is named.
    pub(crate) fn is_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// The address without its port.
    pub(crate) fn host(&self) -> &str {
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether the token may go there.
    ///
    /// # Errors
    /// [`Error::Unprotected`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let here = self.host() == "localhost"
            || self.host().parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        match self.token.is_none() || self.trust.is_some() || self.insecure || here {
            true => Ok(()),
            false => Err(Error::Unprotected { address: self.address.clone() }),
        }
    }

    pub(crate) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    pub(crate) fn within_time(&self) -> Duration {
        self.within
    }

    pub(crate) fn reconnect_within_time(&self) -> Duration {
        self.reconnect_within
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.trust.is_some() { "https" } else { "http" }
    }

    /// The header with the token.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let Some(token) = &self.token else { return Ok(None) };
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| "the token has signs that no token has: take the one that was printed".to_owned())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Without the token.
impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("address", &self.address)
            .field("others", &self.others)
            .field("token", &self.token.as_ref().map(|_| "..."))
            .field("trust", &self.trust)
            .field("insecure", &self.insecure)
            .field("within", &self.within)
            .field("reconnect_within", &self.reconnect_within)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_other_machines_over_tls_or_where_it_is_meant() {
        let to = |address: &str| ConnectOptions::new(address).token("anb_secret");
        for (options, sent) in [
            (to("127.0.0.1:1"), true),
            (to("127.9.9.9:1"), true),
            (to("[::1]:1"), true),
            (to("localhost:1"), true),
            (to("10.0.0.1:1"), false),
            (to("node.example:1"), false),
            (to("localhost.example:1"), false),
            (to("node.example:1").ca_file("ca.crt"), true),
            (to("node.example:1").insecure(), true),
            (ConnectOptions::new("node.example:1"), true),
        ] {
            assert_eq!(options.check().is_ok(), sent, "{options:?}");
        }
        let error = to("node.example:1").connect().expect_err("nothing is sent").to_string();
        assert!(error.contains("without TLS") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn each_node_is_tried_in_its_turn() {
        let options = ConnectOptions::new("a:1").also("b:1").also("c:1");
        let tried: Vec<String> = options.each().map(|options| options.address().to_owned()).collect();
        assert_eq!(tried, ["a:1", "b:1", "c:1"]);
        // Who has moved to one begins there.
        let moved = options.each().nth(1).unwrap();
        let tried: Vec<String> = moved.each().map(|options| options.address().to_owned()).collect();
        assert_eq!(tried, ["b:1", "c:1", "a:1"]);
    }

    #[test]
    fn the_token_is_not_shown() {
        let options = ConnectOptions::new("[::1]:7171").token("anb_secret");
        assert!(!format!("{options:?}").contains("secret"));
        let header = options.authorization().unwrap().unwrap();
        assert!(!format!("{header:?}").contains("secret"));
        assert_eq!((options.host(), ConnectOptions::new("a.example:1").host()), ("::1", "a.example"));
        assert!(options.token("a\nb").authorization().is_err());
    }
}
