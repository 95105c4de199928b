//! Who has a vote: the largest odd number of members, at most five. Who is dead keeps its vote while nobody can have it
//! instead, so that a death never makes a majority smaller.

use std::collections::BTreeSet;

use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2};

use anabranch_model::zone::MemberId;

use crate::consensus::Consensus;
use crate::member::{Member, Role, Standing};
use crate::state::State;

/// Members with a vote.
const VOTES_MAX: usize = 5;

/// Changes votes where they are not as they should be, and takes members into the consensus and out of it.
pub(crate) fn look_after(consensus: &mut Consensus) {
    if !consensus.can_change_votes() || consensus.is_waiting() {
        return;
    }
    let shelf = consensus.shelf();
    let me = shelf.me;
    let voters: BTreeSet<MemberId> = shelf.conf().voters.iter().copied().map(MemberId).collect();
    let learners: BTreeSet<MemberId> = shelf.conf().learners.iter().copied().map(MemberId).collect();
    let wanted = wanted(&shelf.state, &voters, |id| consensus.is_close(id));
    let leaves = shelf.state.members.get(&me).is_none_or(|member| member.standing == Standing::Leaving);
    if leaves && let Some(heir) = wanted.iter().copied().find(|id| *id != me && voters.contains(id)) {
        return consensus.hand_leadership(heir);
    }
    let known = |id: &MemberId| shelf.state.members.get(id).is_some_and(|m| m.standing != Standing::Left);
    let mut changes = Vec::new();
    let mut change = |kind, id: MemberId| {
        let mut one = ConfChangeSingle::default();
        one.set_change_type(kind);
        one.node_id = id.0;
        changes.push(one);
    };
    for id in wanted.difference(&voters) {
        change(ConfChangeType::AddNode, *id);
    }
    for id in voters.difference(&wanted).filter(|id| known(id)) {
        change(ConfChangeType::AddLearnerNode, *id);
    }
    for id in shelf.state.members.keys().filter(|id| known(id)) {
        if !voters.contains(id) && !learners.contains(id) && !wanted.contains(id) {
            change(ConfChangeType::AddLearnerNode, *id);
        }
    }
    for id in voters.union(&learners).filter(|id| !known(id) && !wanted.contains(id)) {
        change(ConfChangeType::RemoveNode, *id);
    }
    if !changes.is_empty() {
        let mut all = ConfChangeV2::default();
        all.set_changes(changes.into());
        consensus.propose_change(all);
    }
}

/// Who should have a vote; `close` says who knows nearly everything.
fn wanted(
    state: &State,
    voters: &BTreeSet<MemberId>,
    close: impl Fn(MemberId) -> bool,
) -> BTreeSet<MemberId> {
    let stays = |member: &&Member| !matches!(member.standing, Standing::Left | Standing::Leaving);
    let staying: Vec<&Member> = state.members.values().filter(stays).collect();
    let target = odd(staying.len().min(VOTES_MAX));
    let votes = |member: &&&Member| voters.contains(&member.id);
    let up = |member: &&&Member| member.standing == Standing::Up;
    let mut chosen: Vec<MemberId> = staying.iter().filter(up).filter(votes).map(|member| member.id).collect();
    let mut others: Vec<&&Member> =
        staying.iter().filter(up).filter(|member| !votes(member) && close(member.id)).collect();
    others.sort_by_key(|member| (member.role == Role::Data, !member.durable, member.id));
    chosen.extend(others.iter().map(|member| member.id));
    chosen.extend(staying.iter().filter(votes).filter(|member| !up(member)).map(|member| member.id));
    chosen.truncate(target);
    chosen.truncate(odd(chosen.len()));
    let awaited = staying.iter().any(|member| member.standing == Standing::Joining);
    if chosen.is_empty() || (chosen.len() < voters.len() && awaited) {
        return voters.clone();
    }
    chosen.into_iter().collect()
}

/// The largest odd number that is not larger.
fn odd(number: usize) -> usize {
    number.saturating_sub(1 - number % 2)
}
