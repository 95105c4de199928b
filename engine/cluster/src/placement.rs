//! Who is to hold what: copies and owners spread evenly, with as few changes as that takes.
//!
//! A rendezvous hash says which node a partition likes best; loads are bounded: of one class of copies each node holds
//! `total / nodes` partitions or one more, and owns `64 / nodes` or one more. What is held stays where a bound does not
//! forbid it. Where a node has too much, a partition goes to a node that has too little, over other nodes where there is
//! no direct way, so no more goes than a node has too much. (Rendezvous: Thaler and Ravishankar 1998; bounded loads:
//! Mirrokni, Thorup and Zadimoghaddam 2018.)

#[cfg(test)]
mod laws;

use std::collections::VecDeque;

use anabranch_model::zone::{MemberId, ZONE_PARTITIONS};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::configuration::Configuration;

/// A node that can hold partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: MemberId,
    /// Of its name, so that a node likes the same partitions in its next life.
    likes: u64,
}

impl Node {
    pub(crate) fn new(id: MemberId, name: &str) -> Node {
        Node { id, likes: xxh3_64_with_seed(name.as_bytes(), 0) }
    }

    fn score(&self, copies: u16, number: usize) -> u64 {
        xxh3_64_with_seed(&[copies as u64, number as u64].map(u64::to_le_bytes).concat(), self.likes)
    }
}

/// How a partition stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) owner: Option<MemberId>,
    pub(crate) in_sync: Vec<MemberId>,
    pub(crate) replicas: Vec<MemberId>,
}

impl Present {
    pub(crate) fn of(configuration: &Configuration) -> Present {
        Present {
            owner: configuration.owner,
            in_sync: configuration.in_sync.clone(),
            replicas: configuration.replicas.clone(),
        }
    }
}

/// For each partition who is to hold it, the preferred owner first: `copies` nodes, or all where there are fewer. Where
/// there is no node everything stays as it is.
pub(crate) fn place(copies: u16, nodes: &[Node], present: &[Present]) -> Vec<Vec<MemberId>> {
    let nothing = Present::default();
    let present: Vec<&Present> =
        (0..ZONE_PARTITIONS as usize).map(|number| present.get(number).unwrap_or(&nothing)).collect();
    if nodes.is_empty() {
        return present.iter().map(|present| present.replicas.clone()).collect();
    }
    let mut plan = Plan::new(copies, nodes, present);
    plan.fill();
    plan.even_out_copies();
    plan.prefer();
    plan.even_out_owners();
    plan.done()
}

/// A placement in the making; nodes by their place in `nodes`.
struct Plan<'a> {
    copies: u16,
    nodes: &'a [Node],
    present: Vec<&'a Present>,
    /// Who holds each partition.
    held: Vec<Vec<usize>>,
    /// Who owns each partition.
    owner: Vec<usize>,
    /// How many partitions each node may hold.
    bound: Vec<usize>,
}

impl<'a> Plan<'a> {
    /// With what is held already, as far as it counts.
    fn new(copies: u16, nodes: &'a [Node], present: Vec<&'a Present>) -> Plan<'a> {
        let slots = usize::from(copies).min(nodes.len());
        let place_of = |id: &MemberId| nodes.iter().position(|node| node.id == *id);
        let mut held = Vec::new();
        for present in &present {
            let mut now: Vec<MemberId> = present.replicas.clone();
            now.sort_by_key(|id| (present.owner != Some(*id), !present.in_sync.contains(id)));
            let extra = present.in_sync.iter().filter(|id| !present.replicas.contains(id));
            let now = now.iter().chain(extra).filter_map(place_of).take(slots);
            held.push(now.collect());
        }
        let mut plan = Plan { copies, nodes, present, held, owner: Vec::new(), bound: Vec::new() };
        plan.bound = plan.bounds(slots);
        plan
    }

    /// Who holds most now may hold one more, where it does not come out even.
    fn bounds(&self, slots: usize) -> Vec<usize> {
        let total = slots * self.held.len();
        let (even, more) = (total / self.nodes.len(), total % self.nodes.len());
        let loads = self.loads();
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_key(|node| (std::cmp::Reverse(loads[*node]), self.nodes[*node].likes));
        let mut bound = vec![even; self.nodes.len()];
        for node in &order[..more] {
            bound[*node] += 1;
        }
        bound
    }

    fn slots(&self) -> usize {
        usize::from(self.copies).min(self.nodes.len())
    }

    fn loads(&self) -> Vec<usize> {
        let mut loads = vec![0; self.nodes.len()];
        self.held.iter().flatten().for_each(|node| loads[*node] += 1);
        loads
    }

    fn score(&self, node: usize, number: usize) -> u64 {
        self.nodes[node].score(self.copies, number)
    }

    /// Gives each partition as many copies as there are to be, to nodes with room where one can.
    fn fill(&mut self) {
        let mut loads = self.loads();
        for number in 0..self.held.len() {
            while self.held[number].len() < self.slots() {
                let free = (0..self.nodes.len()).filter(|node| !self.held[number].contains(node));
                let full = |node: usize| loads[node].saturating_sub(self.bound[node].saturating_sub(1));
                let best =
                    free.min_by_key(|node| (full(*node), std::cmp::Reverse(self.score(*node, number))));
                let best = best.expect("there are no more copies than nodes");
                self.held[number].push(best);
                loads[best] += 1;
            }
        }
    }

    /// Moves copies from nodes with too many to nodes with too few.
    fn even_out_copies(&mut self) {
        loop {
            let loads = self.loads();
            let Some(over) = (0..loads.len()).find(|node| loads[*node] > self.bound[*node]) else { return };
            let under = |node: usize| loads[node] < self.bound[node];
            // What was only planned a moment ago costs nothing.
            let planned = self.path(over, under, |plan, from, to| plan.copy_to_move(from, to, true));
            let any = || self.path(over, under, |plan, from, to| plan.copy_to_move(from, to, false));
            let Some(path) = planned.or_else(any) else { return };
            for (from, to, number) in path {
                let copy = self.held[number].iter_mut().find(|node| **node == from);
                *copy.expect("it was chosen because it is held there") = to;
            }
        }
    }

    /// The partition whose copy goes best from one node to the other, of all or of those that were only planned.
    fn copy_to_move(&self, from: usize, to: usize, planned: bool) -> Option<usize> {
        let id = |node: usize| self.nodes[node].id;
        let has =
            |present: &Present| present.replicas.contains(&id(from)) || present.in_sync.contains(&id(from));
        let can = |number: &usize| {
            let held = &self.held[*number];
            held.contains(&from) && !held.contains(&to) && !(planned && has(self.present[*number]))
        };
        (0..self.held.len()).filter(can).max_by_key(|number| {
            let present = self.present[*number];
            let owns = present.owner == Some(id(from));
            (!owns, present.in_sync.contains(&id(to)), self.score(to, *number))
        })
    }

    /// Owners as they are wanted or are, where they hold a copy; the present one where that is as even.
    fn prefer(&mut self) {
        let place_of = |id: MemberId| self.nodes.iter().position(|node| node.id == id);
        let choose = |number: usize| {
            let present = self.present[number];
            let known = present.replicas.first().copied().into_iter().chain(present.owner);
            let mut known = known.chain(present.in_sync.iter().copied()).filter_map(place_of);
            let held = &self.held[number];
            let liked = held.iter().copied().max_by_key(|node| self.score(*node, number));
            known.find(|node| held.contains(node)).or(liked).expect("each partition has a copy")
        };
        self.owner = (0..self.held.len()).map(choose).collect();
        let (even, more) = (self.held.len() / self.nodes.len(), self.held.len() % self.nodes.len());
        for number in 0..self.held.len() {
            let Some(owner) = self.present[number].owner.and_then(place_of) else { continue };
            let wanted = self.owner[number];
            let owned = self.owned();
            let fits = owned[owner] < even + usize::from(more > 0) && owned[wanted] > even;
            if owner != wanted && fits && self.held[number].contains(&owner) {
                self.owner[number] = owner;
            }
        }
    }

    fn owned(&self) -> Vec<usize> {
        let mut owned = vec![0; self.nodes.len()];
        self.owner.iter().for_each(|node| owned[*node] += 1);
        owned
    }

    /// Moves ownership from nodes that own most to nodes that own at least two fewer.
    fn even_out_owners(&mut self) {
        loop {
            let owned = self.owned();
            let most = owned.iter().copied().max().unwrap_or(0);
            let least = owned.iter().copied().min().unwrap_or(0);
            let fewer = |node: usize| owned[node] + 2 <= most && owned[node] == least;
            let few = |node: usize| owned[node] + 2 <= most;
            let full = (0..owned.len()).filter(|node| owned[*node] == most);
            let choose = |plan: &Plan, from, to| plan.ownership_to_move(from, to);
            let path = full
                .clone()
                .find_map(|from| self.path(from, fewer, choose))
                .or_else(|| full.clone().find_map(|from| self.path(from, few, choose)));
            let Some(path) = path else { return };
            for (_, to, number) in path {
                self.owner[number] = to;
            }
        }
    }

    /// The partition whose ownership goes best from one node to the other.
    fn ownership_to_move(&self, from: usize, to: usize) -> Option<usize> {
        let can = |number: &usize| self.owner[*number] == from && self.held[*number].contains(&to);
        let id = self.nodes[to].id;
        (0..self.held.len()).filter(can).max_by_key(|number| {
            let present = self.present[*number];
            (present.owner == Some(id), present.in_sync.contains(&id), self.score(to, *number))
        })
    }

    /// The shortest way from a node to one that takes something, with the partition for each step of it.
    fn path(
        &self,
        from: usize,
        takes: impl Fn(usize) -> bool,
        step: impl Fn(&Plan, usize, usize) -> Option<usize>,
    ) -> Option<Vec<(usize, usize, usize)>> {
        let mut came: Vec<Option<(usize, usize)>> = vec![None; self.nodes.len()];
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            let next = (0..self.nodes.len()).filter(|next| *next != from);
            // Those that take something first: the shortest way ends there.
            let (mut ends, rest): (Vec<usize>, Vec<usize>) = next.partition(|next| takes(*next));
            ends.extend(rest);
            for next in ends {
                let Some(number) = (came[next].is_none()).then(|| step(self, node, next)).flatten() else {
                    continue;
                };
                came[next] = Some((node, number));
                if takes(next) {
                    return Some(self.walk(&came, from, next));
                }
                queue.push_back(next);
            }
        }
        None
    }

    fn walk(&self, came: &[Option<(usize, usize)>], from: usize, to: usize) -> Vec<(usize, usize, usize)> {
        let mut path = Vec::new();
        let mut at = to;
        while let Some((before, number)) = came[at].filter(|_| at != from) {
            path.push((before, at, number));
            at = before;
        }
        path
    }

    fn done(self) -> Vec<Vec<MemberId>> {
        let order = |number: usize| {
            let mut held = self.held[number].clone();
            held.sort_by_key(|node| {
                (*node != self.owner[number], std::cmp::Reverse(self.score(*node, number)), *node)
            });
            held.into_iter().map(|node| self.nodes[node].id).collect()
        };
        (0..self.held.len()).map(order).collect()
    }
}
