//! What must hold, whatever goes wrong: one invariant a file.
//!
//! While a run goes on it is looked at who serves what and which configurations there are; when it has ended, at what
//! clients were answered and at what nodes hold.

pub(crate) mod acknowledged;
pub(crate) mod answered;
pub(crate) mod copies;
pub(crate) mod linear;
pub(crate) mod order;
pub(crate) mod owner;
pub(crate) mod seen;
pub(crate) mod source;
pub(crate) mod terms;

use std::collections::BTreeMap;

use crate::clock::Now;
use crate::node::{Configured, Host, Node};

/// What nodes said of themselves so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    terms: terms::Terms,
    /// Of which life and version a host's configurations were looked at last.
    versions: BTreeMap<Host, (u32, u64)>,
}

impl Watch {
    pub(crate) fn look<'n>(
        &mut self,
        nodes: impl Iterator<Item = (Host, u32, Now, &'n dyn Node)>,
    ) -> Result<(), String> {
        let mut serves = Vec::new();
        for (host, life, now, node) in nodes {
            serves.extend(node.serves(now).into_iter().map(|(group, term)| (group, host, term)));
            let version = (life, node.version());
            if self.versions.insert(host, version) != Some(version) {
                self.terms.look(host, life, node.configurations())?;
            }
        }
        owner::check(&mut serves)
    }

    /// The newest configuration of each group.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Configured> {
        self.terms.newest()
    }

    /// Whether everything that was acknowledged is on another host than this one.
    pub(crate) fn can_lose(&self, host: Host) -> bool {
        self.terms.can_lose(host)
    }

    /// A host has lost everything.
    pub(crate) fn wiped(&mut self, host: Host) {
        self.terms.wiped(host);
    }
}
