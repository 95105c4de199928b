//! What a node knows of its zone.

use serde::{Deserialize, Serialize};

/// A zone, as one of its nodes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ZoneStatus {
    /// Its name.
    pub zone: String,
    /// The node that tells.
    pub node: String,
    /// Why that node serves nothing now, if it does not: what it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// Whether decisions can be made.
    pub quorum: QuorumState,
    /// Votes that there are.
    pub votes: u32,
    /// Votes of nodes that are there.
    pub votes_up: u32,
    /// The node that leads decisions, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// What should be put right: one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Partitions that got another owner because theirs was lost, since the zone was founded.
    pub takeovers: u64,
    /// Partitions that were handed over, since the zone was founded.
    pub moves: u64,
    /// Partitions that are to be handed over, or are on their way.
    pub moves_pending: u64,
    /// When a partition was last handed over, in microseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_move_us: Option<i64>,
    /// How long its rows could not be changed, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_move_took_us: Option<u64>,
    /// What operators did that cannot be undone, as `force-serve`: the last ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acts: Vec<ZoneAct>,
    /// Its nodes, in the order in which they joined.
    pub nodes: Vec<ZoneNodeStatus>,
    /// Its partitions, by number and copies.
    pub partitions: Vec<ZonePartitionStatus>,
}

/// Whether a zone can decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuorumState {
    /// More than half of the votes are there.
    Active,
    /// There is one vote: nothing can be decided without its node.
    Single,
    /// Half of the votes or more are missing.
    #[default]
    Lost,
}

impl QuorumState {
    /// The word for it in tables and metrics.
    pub fn name(self) -> &'static str {
        match self {
            QuorumState::Active => "active",
            QuorumState::Single => "single",
            QuorumState::Lost => "lost",
        }
    }
}

/// Something that an operator did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ZoneAct {
    /// When, in microseconds since 1970 UTC.
    pub at_us: i64,
    /// The node where it was asked for.
    pub node: String,
    /// What.
    pub what: String,
}

/// A node of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ZoneNodeStatus {
    /// Its name.
    pub node: String,
    /// Its number: another one for each life.
    pub member: u64,
    /// Where other nodes reach it.
    pub address: String,
    /// What it is.
    pub role: ZoneRole,
    /// Whether it is there.
    pub state: NodeState,
    /// Since when, in microseconds since 1970 UTC.
    pub since_us: i64,
    /// Its workers.
    pub workers: u32,
    /// Whether it has a vote.
    pub votes: bool,
    /// Partitions that it owns.
    pub owned: u32,
    /// Partitions that it has a copy of, in sync.
    pub copies: u32,
}

/// What a node is in its zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneRole {
    /// It has rows.
    #[default]
    Data,
    /// It has a vote and no rows.
    Witness,
}

impl ZoneRole {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            ZoneRole::Data => "data",
            ZoneRole::Witness => "witness",
        }
    }
}

/// Whether a node is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It has been let in and has no rows yet.
    #[default]
    Joining,
    /// It is there.
    Up,
    /// It was there.
    Dead,
    /// It said that it leaves.
    Left,
}

impl NodeState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Joining => "joining",
            NodeState::Up => "up",
            NodeState::Dead => "dead",
            NodeState::Left => "left",
        }
    }
}

/// A partition of a zone, for tables with so many copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ZonePartitionStatus {
    /// Its name: `<zone>_VP_<n>`.
    pub partition: String,
    /// Copies that its tables have, the owner's included.
    pub copies: u32,
    /// Whether it is served.
    pub state: PartitionState,
    /// The node that serves it, or would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_node: Option<String>,
    /// The other nodes that have, or get, a copy, in the order in which they would take over.
    pub replicas: Vec<ReplicaStatus>,
    /// Grows with every change of owner or copies.
    pub term: u64,
    /// When that was, in microseconds since 1970 UTC.
    pub changed_us: i64,
}

impl ZonePartitionStatus {
    /// The name of a partition.
    pub fn name_of(zone: &str, number: u16) -> String {
        format!("{zone}_VP_{number}")
    }
}

/// Whether a partition is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionState {
    /// It is.
    Active,
    /// It is being handed over.
    Moving,
    /// No node that has all of it is there.
    #[default]
    Unavailable,
}

impl PartitionState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            PartitionState::Active => "active",
            PartitionState::Moving => "moving",
            PartitionState::Unavailable => "unavailable",
        }
    }
}

/// A copy of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ReplicaStatus {
    /// Its node.
    pub node: String,
    /// What it is to the owner.
    pub mode: ReplicaMode,
    /// Records that it does not have yet, where the owner tells; only the node that serves a partition knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_records: Option<u64>,
    /// How old the oldest of them is, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_us: Option<u64>,
}

/// What a copy is to the owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaMode {
    /// Nothing is acknowledged before it has it: it is in sync.
    Synchronous,
    /// It is being filled, or follows without being waited for.
    #[default]
    CatchingUp,
    /// Its node is not there.
    Lost,
}

impl ReplicaMode {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            ReplicaMode::Synchronous => "synchronous",
            ReplicaMode::CatchingUp => "catching_up",
            ReplicaMode::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever reads it from outside rests on the words.
    #[test]
    fn words_in_tables_are_those_in_json() {
        let word = |value: serde_json::Value| value.as_str().map(str::to_owned);
        let json = |value| word(value).expect("a word");
        for state in [QuorumState::Active, QuorumState::Single, QuorumState::Lost] {
            assert_eq!(json(serde_json::json!(state)), state.name());
        }
        for state in [NodeState::Joining, NodeState::Up, NodeState::Dead, NodeState::Left] {
            assert_eq!(json(serde_json::json!(state)), state.name());
        }
        for state in [PartitionState::Active, PartitionState::Moving, PartitionState::Unavailable] {
            assert_eq!(json(serde_json::json!(state)), state.name());
        }
        for mode in [ReplicaMode::Synchronous, ReplicaMode::CatchingUp, ReplicaMode::Lost] {
            assert_eq!(json(serde_json::json!(mode)), mode.name());
        }
        for role in [ZoneRole::Data, ZoneRole::Witness] {
            assert_eq!(json(serde_json::json!(role)), role.name());
        }
    }
}
