//! What a node knows of its zone as aligned tables: its nodes, its partitions, and how it is as a whole.

use anabranch::{ReplicaMode, ReplicaStatus, ZoneNodeStatus, ZonePartitionStatus, ZoneStatus};
use anabranch_model::time::{format_time, truncate};

use crate::text_table::{Align, TextTable, grouped};

/// A line for each node.
pub(crate) fn nodes(status: &ZoneStatus) -> TextTable {
    let words = ["node", "role", "state", "vote"].map(|title| (title, Align::Left));
    let numbers = ["owned", "copies", "workers"].map(|title| (title, Align::Right));
    let last = ["address", "since"].map(|title| (title, Align::Left));
    let mut table = TextTable::new(words.into_iter().chain(numbers).chain(last));
    for node in &status.nodes {
        table.row(node_line(status, node));
    }
    table
}

fn node_line(status: &ZoneStatus, node: &ZoneNodeStatus) -> [String; 9] {
    let vote = match (node.votes, status.leader.as_ref() == Some(&node.node)) {
        (true, true) => "leads",
        (true, false) => "yes",
        (false, _) => "no",
    };
    let numbers = [node.owned, node.copies, node.workers].map(|number| grouped(number.into()));
    let [owned, copies, workers] = numbers;
    [
        node.node.clone(),
        node.role.name().to_owned(),
        node.state.name().to_owned(),
        vote.to_owned(),
        owned,
        copies,
        workers,
        node.address.clone(),
        moment(node.since_us),
    ]
}

/// A line for each of these partitions.
pub(crate) fn partitions<'s>(partitions: impl IntoIterator<Item = &'s ZonePartitionStatus>) -> TextTable {
    let words = ["partition", "state", "active node", "replicas"].map(|title| (title, Align::Left));
    let numbers = ["in sync", "term"].map(|title| (title, Align::Right));
    let last = [("last change", Align::Left)];
    let mut table = TextTable::new(words.into_iter().chain(numbers).chain(last));
    for partition in partitions {
        table.row(partition_line(partition));
    }
    table
}

fn partition_line(partition: &ZonePartitionStatus) -> [String; 7] {
    let replicas: Vec<String> = partition.replicas.iter().map(replica).collect();
    let synchronous = |replica: &&ReplicaStatus| replica.mode == ReplicaMode::Synchronous;
    // The owner has all there is.
    let in_sync =
        usize::from(partition.active_node.is_some()) + partition.replicas.iter().filter(synchronous).count();
    [
        partition.partition.clone(),
        partition.state.name().to_owned(),
        partition.active_node.clone().unwrap_or_else(|| "-".to_owned()),
        if replicas.is_empty() { "-".to_owned() } else { replicas.join(",") },
        format!("{in_sync}/{}", partition.copies),
        grouped(partition.term),
        moment(partition.changed_us),
    ]
}

/// `B:synchronous`, with how far it is behind where that is known and not nothing.
fn replica(replica: &ReplicaStatus) -> String {
    let behind = replica.lag_records.filter(|lag| *lag > 0);
    let behind = behind.map(|lag| format!("-{}", grouped(lag))).unwrap_or_default();
    format!("{}:{}{behind}", replica.node, replica.mode.name())
}

/// The zone as a whole: a name and what is said of it a line.
pub(crate) fn whole(status: &ZoneStatus) -> Vec<(&'static str, String)> {
    let up = status.nodes.iter().filter(|node| node.state == anabranch::NodeState::Up);
    let nodes: Vec<&str> = up.map(|node| node.node.as_str()).collect();
    let served = status.partitions.iter().filter(|of| of.state != anabranch::PartitionState::Unavailable);
    let mut lines = vec![
        ("zone", status.zone.clone()),
        ("told by", status.node.clone()),
        ("nodes", format!("{} up: {}", nodes.len(), nodes.join(", "))),
        ("quorum", format!("{}, {} of {} votes", status.quorum.name(), status.votes_up, status.votes)),
        ("leader", status.leader.clone().unwrap_or_else(|| "none".to_owned())),
        ("partitions", format!("{} of {} served", served.count(), status.partitions.len())),
        ("takeovers", grouped(status.takeovers)),
        ("moves", format!("{}, {} to come", grouped(status.moves), grouped(status.moves_pending))),
    ];
    if let Some(at) = status.last_move_us {
        let took = status.last_move_took_us.map(|micros| format!(", its rows stood still for {micros} us"));
        lines.push(("last move", format!("{}{}", moment(at), took.unwrap_or_default())));
    }
    if let Some(waits) = &status.waits {
        lines.push(("waits for", waits.clone()));
    }
    lines.extend(
        status.acts.iter().map(|act| ("act", format!("{} {} at {}", moment(act.at_us), act.what, act.node))),
    );
    lines
}

/// A time to the second.
fn moment(micros: i64) -> String {
    format_time(truncate("second", micros).unwrap_or(micros)).to_string()
}

#[cfg(test)]
mod tests {
    use anabranch::{NodeState, PartitionState, QuorumState, ZoneRole};

    use super::*;

    fn status() -> ZoneStatus {
        let node = |name: &str, role, state, votes| ZoneNodeStatus {
            node: name.into(),
            role,
            state,
            votes,
            address: "127.0.0.1:7401".into(),
            owned: 32,
            copies: 1_000,
            workers: 1,
            since_us: 1_500_000,
            ..ZoneNodeStatus::default()
        };
        let copy =
            |node: &str, mode, lag| ReplicaStatus { node: node.into(), mode, lag_records: lag, lag_us: None };
        let served = ZonePartitionStatus {
            partition: ZonePartitionStatus::name_of("demo", 7),
            copies: 3,
            state: PartitionState::Active,
            active_node: Some("A".into()),
            replicas: vec![
                copy("B", ReplicaMode::Synchronous, Some(0)),
                copy("C", ReplicaMode::CatchingUp, Some(1_200)),
            ],
            term: 4,
            changed_us: 61_000_000,
        };
        let lost = ZonePartitionStatus {
            partition: "demo_VP_8".into(),
            copies: 2,
            ..ZonePartitionStatus::default()
        };
        ZoneStatus {
            zone: "demo".into(),
            node: "A".into(),
            quorum: QuorumState::Active,
            votes: 3,
            votes_up: 2,
            leader: Some("A".into()),
            takeovers: 1,
            nodes: vec![
                node("A", ZoneRole::Data, NodeState::Up, true),
                node("B", ZoneRole::Data, NodeState::Dead, false),
                node("W", ZoneRole::Witness, NodeState::Up, true),
            ],
            partitions: vec![served, lost],
            ..ZoneStatus::default()
        }
    }

    #[test]
    fn nodes_have_their_role_state_and_vote() {
        let wanted = "\
node  role     state  vote   owned  copies  workers  address         since
A     data     up     leads     32   1,000        1  127.0.0.1:7401  1970-01-01T00:00:01Z
B     data     dead   no        32   1,000        1  127.0.0.1:7401  1970-01-01T00:00:01Z
W     witness  up     yes       32   1,000        1  127.0.0.1:7401  1970-01-01T00:00:01Z
";
        assert_eq!(nodes(&status()).render(), wanted);
    }

    #[test]
    fn partitions_have_their_owner_and_copies() {
        let wanted = "\
partition  state        active node  replicas                          in sync  term  last change
demo_VP_7  active       A            B:synchronous,C:catching_up-1,200      2/3     4  1970-01-01T00:01:01Z
demo_VP_8  unavailable  -            -                                     0/2     0  1970-01-01T00:00:00Z
";
        let rendered = partitions(&status().partitions).render();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&rendered), words(wanted), "{rendered}");
    }

    #[test]
    fn a_zone_tells_its_quorum_and_what_it_has_done() {
        let status = ZoneStatus {
            waits: Some("A".into()),
            last_move_us: Some(2_000_000),
            last_move_took_us: Some(900),
            acts: vec![anabranch::ZoneAct { at_us: 0, node: "B".into(), what: "force-serve".into() }],
            ..status()
        };
        let lines = whole(&status);
        let said = |name: &str| {
            lines.iter().find(|(of, _)| *of == name).map(|(_, text)| text.as_str()).unwrap_or_default()
        };
        assert_eq!(said("quorum"), "active, 2 of 3 votes");
        assert_eq!((said("nodes"), said("leader")), ("2 up: A, W", "A"));
        assert_eq!((said("partitions"), said("waits for")), ("1 of 2 served", "A"));
        assert_eq!(said("last move"), "1970-01-01T00:00:02Z, its rows stood still for 900 us");
        assert_eq!(said("act"), "1970-01-01T00:00:00Z force-serve at B");
    }
}
