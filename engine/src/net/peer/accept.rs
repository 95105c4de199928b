//! Nodes that dial this one: a thread for each, as few as may be before they have said who they are.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_wire::peer::hello::{Reason, Refused};

use super::handshake::{self, Fault};
use super::shared::Shared;
use crate::{log, os};

/// Connections of those who have not proved yet who they are, at most.
const HANDSHAKES_MAX: usize = 64;

/// Those from one address of another machine, at most.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 16;

/// Connections whose other ends are not known yet, by address.
#[derive(Default)]
pub(super) struct Handshakes {
    under_way: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
}

/// One of them, until it is dropped.
struct Place {
    of: Arc<Mutex<BTreeMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Handshakes {
    fn place(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = under_way.values().sum();
        let own = under_way.get(&address).copied().unwrap_or_default();
        let most = if address.is_loopback() { HANDSHAKES_MAX } else { HANDSHAKES_PER_ADDRESS_MAX };
        if all >= HANDSHAKES_MAX || own >= most {
            return None;
        }
        *under_way.entry(address).or_default() += 1;
        Some(Place { of: self.under_way.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut under_way = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.address);
            }
        }
    }
}

/// Takes a connection of which nothing was read. Does not wait.
pub(super) fn accept(shared: &Arc<Shared>, stream: TcpStream) {
    // One that has ended already is nobody's.
    let Ok(from) = stream.peer_addr() else { return };
    let Some(place) = shared.handshakes.place(from.ip()) else {
        return turn_away(shared, &stream, from.ip());
    };
    let shared = shared.clone();
    let work = move || {
        // A socket of a runtime does not wait; answers are small and awaited.
        if stream.set_nonblocking(false).and_then(|()| stream.set_nodelay(true)).is_err() {
            return;
        }
        let made = handshake::answer(&shared, &stream, from);
        drop(place);
        match made {
            Ok(made) => {
                shared.tell_well(&from.ip().to_string());
                shared.run(made.up, made.pieces, &stream, made.ahead);
            }
            Err(fault) => told(&shared, from.ip(), &fault),
        }
    };
    if let Err(error) = os::spawn_aside("anabranch-peer", work) {
        log::cannot_accept(&error);
    }
}

fn told(shared: &Shared, from: IpAddr, fault: &Fault) {
    match fault {
        Fault::Unwanted(refused) if refused.reason != Reason::Linked => {
            // Texts may have figures in them that change.
            if shared.tell_trouble(&from.to_string(), &format!("{:?}", refused.reason)) {
                log::peer_turned_down(from, &refused.text);
            }
        }
        Fault::TurnedDown(refused) => log::peer_gave_up(from, &refused.text),
        Fault::Broken(why) => log::peer_gave_up(from, why),
        Fault::Unwanted(_) | Fault::Linked(_) => {}
    }
}

/// Says that there are too many, to whoever is there to hear it.
fn turn_away(shared: &Shared, mut stream: &TcpStream, from: IpAddr) {
    let text = "too many nodes come at once; it tries again by itself";
    if shared.tell_trouble(&from.to_string(), text) {
        log::peer_turned_down(from, text);
    }
    let mut out = Vec::new();
    Refused { reason: Reason::Busy, text: text.to_owned() }.write(&mut out);
    if stream.set_nonblocking(true).is_ok() {
        let _ = stream.write(&out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_all_places_of_those_who_come() {
        let handshakes = Handshakes::default();
        let take = |count: usize, address: [u8; 4]| -> Vec<Place> {
            (0..count).filter_map(|_| handshakes.place(address.into())).collect()
        };
        let far = take(HANDSHAKES_MAX, [10, 0, 0, 1]);
        assert_eq!(far.len(), HANDSHAKES_PER_ADDRESS_MAX);
        let near = take(HANDSHAKES_MAX, [127, 0, 0, 1]);
        assert_eq!(near.len(), HANDSHAKES_MAX - HANDSHAKES_PER_ADDRESS_MAX);
        assert!(take(1, [10, 0, 0, 2]).is_empty());
        drop(far);
        assert_eq!(take(1, [10, 0, 0, 1]).len(), 1);
        drop(near);
        assert!(handshakes.under_way.lock().expect("no panic").is_empty());
    }
}
