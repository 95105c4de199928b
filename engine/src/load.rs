//! How much is under way: the bytes of requests without an answer, of one client and of all clients of a node.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch_model::plan::Plan;

/// The bytes of the unanswered requests of all clients of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeLoad(Arc<AtomicUsize>);

impl NodeLoad {
    /// Bytes now. Clients add and take away at the same time, so it is a little off at any moment.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts so many bytes until what is returned is dropped; `None` where the node would hold over `most`.
    #[cfg(feature = "net")]
    pub(crate) fn hold(&self, bytes: usize, most: usize) -> Option<Held> {
        let mut held = Held { node: self.clone(), bytes: 0 };
        held.grow(bytes, most).then_some(held)
    }
}

/// Bytes that count as under way until it is dropped.
#[cfg(feature = "net")]
#[derive(Debug)]
pub(crate) struct Held {
    node: NodeLoad,
    bytes: usize,
}

#[cfg(feature = "net")]
impl Held {
    /// Counts so many more; false, and none of them counts, where the node would hold over `most`.
    pub(crate) fn grow(&mut self, bytes: usize, most: usize) -> bool {
        let before = self.node.0.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= most;
        match fits {
            true => self.bytes += bytes,
            false => drop(self.node.0.fetch_sub(bytes, Ordering::Relaxed)),
        }
        fits
    }
}

#[cfg(feature = "net")]
impl Drop for Held {
    fn drop(&mut self) {
        self.node.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The unanswered requests of a client. What is left of them when it is dropped no longer counts for the node.
#[derive(Debug)]
pub struct Unanswered {
    /// Each with the plan by which its answer will be read here, if it will.
    requests: HashMap<u64, (Option<Arc<Plan>>, usize)>,
    bytes: usize,
    node: NodeLoad,
}

impl Unanswered {
    pub(crate) fn new(node: NodeLoad) -> Self {
        Unanswered { requests: HashMap::new(), bytes: 0, node }
    }

    /// Requests.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Bytes of this client's requests.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the requests of all clients.
    pub(crate) fn node_bytes(&self) -> usize {
        self.node.bytes()
    }

    pub(crate) fn contains(&self, request: u64) -> bool {
        self.requests.contains_key(&request)
    }

    /// A request was sent.
    pub(crate) fn add(&mut self, request: u64, plan: Option<Arc<Plan>>, bytes: usize) {
        self.requests.insert(request, (plan, bytes));
        self.bytes += bytes;
        self.node.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A request was answered: the plan it was sent with, if it was under way.
    pub(crate) fn remove(&mut self, request: u64) -> Option<Option<Arc<Plan>>> {
        let (plan, bytes) = self.requests.remove(&request)?;
        self.bytes -= bytes;
        self.node.0.fetch_sub(bytes, Ordering::Relaxed);
        Some(plan)
    }

    /// Takes the requests over, leaving none.
    pub(crate) fn take(&mut self) -> Unanswered {
        let bytes = std::mem::take(&mut self.bytes);
        Unanswered { requests: std::mem::take(&mut self.requests), bytes, node: self.node.clone() }
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.node.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_counts_what_clients_have_under_way_until_it_is_answered_or_dropped() {
        let node = NodeLoad::default();
        let (mut first, mut second) = (Unanswered::new(node.clone()), Unanswered::new(node.clone()));
        first.add(1, None, 100);
        second.add(1, None, 10);
        second.add(2, None, 1);
        assert_eq!((node.bytes(), first.bytes(), second.bytes()), (111, 100, 11));
        assert_eq!((second.remove(1), second.remove(1)), (Some(None), None));
        let left = first.take();
        drop(first);
        assert_eq!(node.bytes(), 101, "what was taken over still counts");
        drop(left);
        drop(second);
        assert_eq!(node.bytes(), 0);
    }

    #[cfg(feature = "net")]
    #[test]
    fn what_is_held_counts_up_to_the_most_and_until_it_is_dropped() {
        let node = NodeLoad::default();
        let mut held = node.hold(60, 100).expect("there is room");
        assert!(node.hold(41, 100).is_none());
        assert!(held.grow(40, 100) && !held.grow(1, 100));
        assert_eq!(node.bytes(), 100);
        drop(held);
        assert_eq!(node.bytes(), 0);
    }
}
