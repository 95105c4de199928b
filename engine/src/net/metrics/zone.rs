//! The metrics of a node's zone; a node without a zone has none of these samples.

use super::{counter, gauge};
use crate::net::exposition::{Exposition, Metric};
use crate::zone_status::{NodeState, PartitionState, QuorumState, ReplicaMode, ZoneStatus};

pub(super) const SERVES: Metric =
    gauge("anabranch_zone_serves", &[], "1 where the node serves its part of the zone, else 0.");
pub(super) const QUORUM: Metric = gauge(
    "anabranch_zone_quorum",
    &["state"],
    "1 for what can be decided, else 0: `active`; `single` where all hangs on one vote; `lost` while too few votes are there.",
);
pub(super) const NODES_UP: Metric =
    gauge("anabranch_zone_nodes_up", &[], "Nodes of the zone that are there.");
pub(super) const OWNED: Metric = gauge(
    "anabranch_zone_partitions_owned",
    &["node"],
    "Partitions of the zone that a node owns, of each number of copies.",
);
pub(super) const UNAVAILABLE: Metric =
    gauge("anabranch_zone_partitions_unavailable", &[], "Partitions of the zone that nobody serves.");
pub(super) const LACKING: Metric = gauge(
    "anabranch_zone_partitions_degraded",
    &[],
    "Partitions of the zone with fewer copies in sync than their tables want.",
);
pub(super) const TAKEOVERS: Metric = counter(
    "anabranch_zone_takeovers_total",
    &[],
    "Partitions that got another owner because theirs was lost, since the zone was founded.",
);
pub(super) const MOVES: Metric = counter(
    "anabranch_zone_moves_total",
    &[],
    "Partitions that were handed over, since the zone was founded.",
);

pub(super) fn zone(out: &mut Exposition, zone: Option<&ZoneStatus>) {
    let mut number = |metric: &Metric, of: fn(&ZoneStatus) -> u64| {
        out.family(metric, |samples| {
            if let Some(zone) = zone {
                samples.count(&[], of(zone));
            }
        });
    };
    number(&SERVES, |zone| u64::from(zone.waits.is_none()));
    number(&NODES_UP, |zone| zone.nodes.iter().filter(|node| node.state == NodeState::Up).count() as u64);
    number(&UNAVAILABLE, |zone| {
        zone.partitions.iter().filter(|of| of.state == PartitionState::Unavailable).count() as u64
    });
    number(&LACKING, |zone| {
        let in_sync = |of: &crate::ZonePartitionStatus| {
            1 + of.replicas.iter().filter(|of| of.mode == ReplicaMode::Synchronous).count()
        };
        zone.partitions.iter().filter(|of| in_sync(of) < of.copies as usize).count() as u64
    });
    number(&TAKEOVERS, |zone| zone.takeovers);
    number(&MOVES, |zone| zone.moves);
    out.family(&QUORUM, |states| {
        if let Some(zone) = zone {
            for state in [QuorumState::Active, QuorumState::Single, QuorumState::Lost] {
                states.count(&[state.name()], u64::from(state == zone.quorum));
            }
        }
    });
    out.family(&OWNED, |owned| {
        for node in zone.iter().flat_map(|zone| &zone.nodes).filter(|node| node.state == NodeState::Up) {
            owned.count(&[&node.node], u64::from(node.owned));
        }
    });
}
