//! What a node tells of its zone.

use anabranch_cluster::{Cause, Configuration, Deed, Member, Role, Standing, View};
use anabranch_model::zone::{Group, MemberId};

use crate::zone_status::{
    NodeState, PartitionState, QuorumState, ReplicaMode, ReplicaStatus, ZoneAct, ZoneNodeStatus,
    ZonePartitionStatus, ZoneRole, ZoneStatus,
};

/// A zone as a node sees it; `waits` is what the node waits for before it serves.
pub(super) fn status(view: &View, node: &str, waits: Option<String>) -> ZoneStatus {
    let up = |member: &Member| member.standing.is_here();
    let votes_up = view.members.iter().filter(|seen| seen.votes && up(&seen.member)).count();
    let quorum = match view.votes() {
        1 => QuorumState::Single,
        votes if votes_up * 2 > votes => QuorumState::Active,
        _ => QuorumState::Lost,
    };
    let mut partitions: Vec<_> = view.groups.iter().collect();
    partitions.sort_by_key(|(group, _)| (group.number, group.copies));
    ZoneStatus {
        zone: view.zone.clone(),
        node: node.to_owned(),
        waits,
        quorum,
        votes: view.votes() as u32,
        votes_up: votes_up as u32,
        leader: view.leader.map(|leader| name(view, leader)),
        warnings: warnings(view),
        takeovers: view.groups.values().map(|of| of.takeovers).sum(),
        moves: view.groups.values().map(|of| of.moves).sum(),
        moves_pending: view.groups.values().filter(|of| of.moving.is_some()).count() as u64,
        last_move_us: None,
        last_move_took_us: None,
        acts: view.acts.iter().map(|act| act_status(view, act)).collect(),
        nodes: view.members.iter().map(|seen| node_status(view, &seen.member, seen.votes)).collect(),
        partitions: partitions.into_iter().map(|(group, of)| partition(view, *group, of)).collect(),
    }
}

fn name(view: &View, id: MemberId) -> String {
    view.member(id).map_or_else(|| format!("member {id}"), |member| member.name.clone())
}

fn warnings(view: &View) -> Vec<String> {
    let mut warnings = Vec::new();
    if view.hangs_on_one_vote() {
        let voter = view.members.iter().find(|seen| seen.votes).map(|seen| seen.member.name.as_str());
        warnings.push(format!(
            "only node {} has a vote: when it is gone nobody can take over; add a witness or a third node",
            voter.unwrap_or("?")
        ));
    }
    let lacking =
        view.groups.iter().filter(|(group, of)| of.in_sync.len() < usize::from(group.copies)).count();
    if lacking > 0 {
        warnings
            .push(format!("degraded: {lacking} partitions have fewer copies in sync than their tables want"));
    }
    warnings
}

fn act_status(view: &View, act: &anabranch_cluster::Act) -> ZoneAct {
    let what = match &act.what {
        Deed::ForcedToServe { groups, alone: false } => format!("force-serve: {groups} partitions"),
        Deed::ForcedToServe { groups, alone: true } => {
            format!(
                "force-serve without a majority: {groups} partitions, and the votes of the others are gone"
            )
        }
        Deed::Rebalanced => "rebalance".to_owned(),
        Deed::Died(member, Cause::Refused) => {
            format!("{} was lost: its process is gone", name(view, *member))
        }
        Deed::Died(member, Cause::Silent) => format!("{} was lost: it was silent", name(view, *member)),
        Deed::AskedToLeave(member) => format!("{} was asked to leave", name(view, *member)),
    };
    ZoneAct { at_us: act.at as i64, node: act.by.clone(), what }
}

fn node_status(view: &View, member: &Member, votes: bool) -> ZoneNodeStatus {
    let id = member.id;
    ZoneNodeStatus {
        node: member.name.clone(),
        member: id.0,
        address: member.address.clone(),
        role: if member.role == Role::Witness { ZoneRole::Witness } else { ZoneRole::Data },
        state: match member.standing {
            Standing::Joining => NodeState::Joining,
            Standing::Up | Standing::Leaving => NodeState::Up,
            Standing::Dead => NodeState::Dead,
            Standing::Left => NodeState::Left,
        },
        since_us: member.changed_at as i64,
        workers: member.workers,
        votes,
        owned: view.groups.values().filter(|of| of.owner == Some(id)).count() as u32,
        copies: view.groups.values().filter(|of| of.owner != Some(id) && of.in_sync.contains(&id)).count()
            as u32,
    }
}

fn partition(view: &View, group: Group, of: &Configuration) -> ZonePartitionStatus {
    let mut others: Vec<MemberId> = of.replicas.iter().chain(&of.in_sync).copied().collect();
    others.retain(|id| Some(*id) != of.owner);
    let mut seen = Vec::new();
    others.retain(|id| {
        !seen.contains(id) && {
            seen.push(*id);
            true
        }
    });
    let mode = |id: MemberId| match view.member(id).is_some_and(|member| member.standing.is_here()) {
        false => ReplicaMode::Lost,
        true if of.in_sync.contains(&id) => ReplicaMode::Synchronous,
        true => ReplicaMode::CatchingUp,
    };
    let replica =
        |id: MemberId| ReplicaStatus { node: name(view, id), mode: mode(id), ..ReplicaStatus::default() };
    ZonePartitionStatus {
        partition: ZonePartitionStatus::name_of(&view.zone, group.number),
        copies: group.copies.into(),
        state: match (of.owner, of.moving) {
            (None, _) => PartitionState::Unavailable,
            (Some(_), Some(_)) => PartitionState::Moving,
            (Some(_), None) => PartitionState::Active,
        },
        active_node: of.owner.map(|owner| name(view, owner)),
        replicas: others.into_iter().map(replica).collect(),
        term: of.term.0,
        changed_us: of.changed_at as i64,
    }
}
