//! The links of a node, and which member is at the other end of each, once that is known.

use std::collections::BTreeMap;

use anabranch_cluster::{Contact, Member, View};
use anabranch_model::zone::MemberId;

use crate::zone::link::Link;

/// Who is at the other end of a link, as it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) incarnation: u64,
    pub(crate) address: String,
}

#[derive(Debug)]
struct Linked {
    who: Identity,
    link: Link,
    member: Option<MemberId>,
}

/// The links that are up, each by a key that is never given again.
#[derive(Debug)]
pub(crate) struct Links<K>(BTreeMap<K, Linked>);

impl<K> Default for Links<K> {
    fn default() -> Self {
        Links(BTreeMap::new())
    }
}

impl<K: Copy + Ord> Links<K> {
    /// A link is up.
    pub(crate) fn up(&mut self, key: K, who: Identity, link: Link) {
        self.0.insert(key, Linked { who, link, member: None });
    }

    /// A link is not up any more: the member that was there, if that was known, and whether there is no other link to it.
    pub(crate) fn lost(&mut self, key: K) -> Option<(MemberId, bool)> {
        let member = self.0.remove(&key)?.member?;
        Some((member, !self.0.values().any(|other| other.member == Some(member))))
    }

    /// Links of which it is known only now which member is there.
    pub(crate) fn bind(&mut self, view: &View) -> Vec<(K, MemberId, Link)> {
        let mut bound = Vec::new();
        for (key, linked) in self.0.iter_mut().filter(|(_, linked)| linked.member.is_none()) {
            linked.member = member(view, &linked.who);
            bound.extend(linked.member.map(|member| (*key, member, linked.link.clone())));
        }
        bound
    }

    /// Of whom something comes over a link.
    pub(crate) fn contact(&self, key: K, who: &Identity, view: &View) -> Contact {
        let bound = self.0.get(&key).and_then(|linked| linked.member);
        Contact { address: who.address.clone(), member: bound.or_else(|| member(view, who)) }
    }

    /// The way to somebody.
    pub(crate) fn to(&self, contact: &Contact) -> Option<&Link> {
        let by_member = |linked: &&Linked| contact.member.is_some() && linked.member == contact.member;
        let by_address = |linked: &&Linked| {
            linked.who.address == contact.address && (contact.member.is_none() || linked.member.is_none())
        };
        let found = self.0.values().find(by_member).or_else(|| self.0.values().find(by_address));
        found.map(|linked| &linked.link)
    }

    /// The links to a member.
    pub(crate) fn of(&self, member: MemberId) -> impl Iterator<Item = K> {
        self.0.iter().filter(move |(_, linked)| linked.member == Some(member)).map(|(key, _)| *key)
    }
}

fn member(view: &View, who: &Identity) -> Option<MemberId> {
    let is_it = |member: &&Member| member.name == who.name && member.incarnation == who.incarnation;
    view.members.iter().map(|seen| &seen.member).find(is_it).map(|member| member.id)
}
