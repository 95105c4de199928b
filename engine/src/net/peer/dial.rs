//! An address that is dialed whenever there is no link with the node there, on a thread of its own, which then reads what
//! comes over the link.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anabranch_wire::peer::hello::{Reason, Refused};

use super::config::PeerTimes;
use super::handshake::{self, Fault};
use super::shared::Shared;
use crate::error::Error;
use crate::zone_config::check_address;
use crate::{log, os};

/// Dials an address from now on.
///
/// # Errors
/// It is none, or the operating system refuses a thread.
pub(super) fn dial(shared: &Arc<Shared>, address: &str, node: Option<&str>) -> Result<(), Error> {
    check_address(address).map_err(|problem| {
        let given = address.to_owned();
        Error::Unfit { what: "address of a node", given, problem }
    })?;
    let Some(forgotten) = shared.target(address) else { return Ok(()) };
    let wait = Backoff::new(&shared.config.times);
    let (address, node) = (address.to_owned(), node.map(str::to_owned));
    let dialer = Dialer { shared: shared.clone(), address: address.clone(), node, forgotten, wait };
    os::spawn_aside("anabranch-dial", move || dialer.run()).map(drop).map_err(|error| {
        shared.forget(&address);
        Error::Start(format!("no thread to dial {address}: {error}"))
    })
}

struct Dialer {
    shared: Arc<Shared>,
    address: String,
    /// Who is there, as far as is known.
    node: Option<String>,
    forgotten: Arc<AtomicBool>,
    wait: Backoff,
}

/// What became of a try.
enum Tried {
    /// There was a link, which has ended.
    Was,
    /// There is a link with the node of this name.
    Linked(String),
    /// Nothing.
    Failed(Fault),
}

impl Dialer {
    fn run(mut self) {
        loop {
            let over = || self.forgotten.load(Ordering::Acquire);
            if let Some(node) = &self.node {
                self.shared.wait_while_linked(node, over);
            }
            if over() || self.shared.is_stopping() {
                return;
            }
            match self.once() {
                Tried::Was => self.wait.begin_anew(),
                Tried::Linked(node) => {
                    // Another thread may still be about to make it.
                    if !self.shared.has_link_with(&node) {
                        self.rest();
                    }
                    self.node = Some(node);
                }
                Tried::Failed(fault) => {
                    self.tell(fault);
                    self.rest();
                }
            }
        }
    }

    fn rest(&mut self) {
        let time = self.wait.next();
        self.shared.wait(time, || self.forgotten.load(Ordering::Acquire));
    }

    /// Tries all addresses that the name leads to.
    fn once(&mut self) -> Tried {
        let found = match self.address.to_socket_addrs() {
            Ok(found) => found,
            Err(error) => return Tried::Failed(Fault::Broken(format!("the name leads nowhere: {error}"))),
        };
        let mut last = Fault::Broken("the name leads nowhere".to_owned());
        for at in found {
            match self.at(at) {
                Ok(()) => return Tried::Was,
                Err(Fault::Linked(node)) => return Tried::Linked(node),
                Err(fault) => last = fault,
            }
        }
        Tried::Failed(last)
    }

    /// Tries one address; comes back when the link has ended.
    fn at(&mut self, at: SocketAddr) -> Result<(), Fault> {
        if !self.shared.config.goes_out() && !at.ip().to_canonical().is_loopback() {
            let text = "it is another machine, which is dialed only with a zone secret: give one to all nodes of the zone \
                        (--zone-secret), or say --insecure";
            return Err(Fault::Unwanted(Refused { reason: Reason::Open, text: text.to_owned() }));
        }
        let stream = TcpStream::connect_timeout(&at, self.shared.config.times.connect);
        let stream = stream.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => Fault::Broken("nothing listens there".to_owned()),
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::Broken("no answer".to_owned()),
            _ => Fault::Broken(error.to_string()),
        })?;
        stream.set_nodelay(true).map_err(|error| Fault::Broken(error.to_string()))?;
        let made = handshake::dial(&self.shared, &stream, at)?;
        self.node = Some(made.up.peer.hello.node.clone());
        self.shared.tell_well(&self.address);
        self.shared.run(made.up, made.pieces, &stream, made.ahead);
        Ok(())
    }

    fn tell(&self, fault: Fault) {
        match fault {
            // These pass by themselves.
            Fault::TurnedDown(Refused { reason: Reason::Linked | Reason::Itself, .. })
            | Fault::Unwanted(Refused { reason: Reason::Itself, .. })
            | Fault::Linked(_) => {}
            Fault::TurnedDown(refused) | Fault::Unwanted(refused) => {
                if self.shared.tell_trouble(&self.address, &format!("{:?}", refused.reason)) {
                    log::peer_refused(&self.address, &refused.text);
                    self.shared.tell_refused(&self.address, refused);
                }
            }
            Fault::Broken(why) => {
                if self.shared.tell_trouble(&self.address, "unreachable") {
                    log::peer_unreachable(&self.address, &why);
                }
            }
        }
    }
}

/// How long to wait before the next try: twice as long each time, up to a limit, a part of it by chance so that nodes which
/// have lost each other do not come back all at once.
struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    fn new(times: &PeerTimes) -> Self {
        Backoff { first: times.redial, most: times.redial_most, next: times.redial }
    }

    fn begin_anew(&mut self) {
        self.next = self.first;
    }

    fn next(&mut self) -> Duration {
        let part = (os::seed() % 512) as u32;
        let wait = self.next / 1024 * (512 + part);
        self.next = (self.next * 2).min(self.most);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_get_rarer_up_to_a_limit() {
        let times = PeerTimes::default();
        let mut backoff = Backoff::new(&times);
        for most in [20, 40, 80, 160, 320, 500, 500] {
            let (wait, most) = (backoff.next(), Duration::from_millis(most));
            assert!(wait >= most * 49 / 100 && wait <= most, "{wait:?} {most:?}");
        }
        backoff.begin_anew();
        assert!(backoff.next() <= times.redial);
    }
}
