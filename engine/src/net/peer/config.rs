//! Who a node is among its peers, and how patient it is with them.

use std::time::Duration;

use anabranch_model::zone::MemberId;
use anabranch_wire::peer::hello::Role;

use crate::os;
use crate::zone_config::{ZoneConfig, ZoneSecret};
use crate::zone_status::ZoneRole;

/// Who a node is among its peers, and whom it lets in.
#[derive(Clone, Debug)]
pub struct PeersConfig {
    /// The zone.
    pub zone: String,
    /// The node's name.
    pub node: String,
    /// A number that tells this life of it from others.
    pub incarnation: u128,
    /// Its number in the zone, where it has one.
    pub member: Option<MemberId>,
    /// Its workers.
    pub workers: u32,
    /// What it is.
    pub role: Role,
    /// Where others reach it.
    pub address: String,
    /// What all nodes of the zone know.
    pub secret: Option<ZoneSecret>,
    /// Whether nodes of other machines are let in, and dialed, without a secret.
    pub insecure: bool,
    /// How patient it is.
    pub times: PeerTimes,
    /// The time in microseconds since 1970 UTC.
    pub clock: fn() -> i64,
}

impl PeersConfig {
    /// Of a node with one worker (a witness says the same); the rest can be set behind it.
    pub fn new(zone: &ZoneConfig, node: &str, incarnation: u128) -> Self {
        PeersConfig {
            zone: zone.zone.clone(),
            node: node.to_owned(),
            incarnation,
            member: None,
            workers: 1,
            role: match zone.role {
                ZoneRole::Data => Role::Data,
                ZoneRole::Witness => Role::Witness,
            },
            address: zone.advertise.clone().unwrap_or_default(),
            secret: zone.secret.clone(),
            insecure: zone.insecure,
            times: PeerTimes::default(),
            clock: os::now_micros,
        }
    }

    /// Whether nodes of other machines may be peers.
    pub(super) fn goes_out(&self) -> bool {
        self.insecure || self.secret.is_some()
    }
}

/// How patient a node is with its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTimes {
    /// For a connection to be made: 2 s.
    pub connect: Duration,
    /// From a connection to a link: 5 s. Whoever is slower is told so, and may come again.
    pub handshake: Duration,
    /// How long a write may take no byte: 10 s. Whatever is sent waits meanwhile.
    pub stalled: Duration,
    /// After which time without anything to say a sign of life is sent: 5 s.
    pub quiet: Duration,
    /// How long nothing may come, not even a sign of life: 20 s, four of those.
    pub silent: Duration,
    /// Between two dials, at first: 20 ms; twice as long each time.
    pub redial: Duration,
    /// And at last: 500 ms.
    pub redial_most: Duration,
    /// How long it is looked whether the process at the other end of a link that was closed is gone: 200 ms.
    pub probe: Duration,
}

impl Default for PeerTimes {
    fn default() -> Self {
        PeerTimes {
            connect: Duration::from_secs(2),
            handshake: Duration::from_secs(5),
            stalled: Duration::from_secs(10),
            quiet: Duration::from_secs(5),
            silent: Duration::from_secs(20),
            redial: Duration::from_millis(20),
            redial_most: Duration::from_millis(500),
            probe: Duration::from_millis(200),
        }
    }
}
