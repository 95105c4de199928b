//! What the servers of a node count: connections, sessions, requests by route and status.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connection::Speaks;
use super::exposition::Distribution;
use crate::status::TIMES_US;

/// The route of requests that mean none: what clients make up takes no memory here.
pub(crate) const OTHER: &str = "other";

/// Counts of the servers of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    grpc: Arc<Protocol>,
    http: Arc<Protocol>,
    sessions: Gauge,
}

/// Counts of one protocol.
#[derive(Debug, Default)]
pub(crate) struct Protocol {
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Count,
    requests: Mutex<Requests>,
}

/// How many there have been.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    /// Counts one more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there have been.
    pub(crate) fn ever(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are, and how many there have been.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// One of those that a gauge counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Gauge {
    /// Counts one more.
    pub(crate) fn enter(&self) -> Counted {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// How many there are.
    pub(crate) fn now(&self) -> u64 {
        // In this order, so that one that comes and goes in between is not counted as minus one.
        let ended = self.0.ended.load(Ordering::Acquire);
        self.0.begun.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// How many there have been.
    pub(crate) fn ever(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::Release);
    }
}

/// Requests by route.
pub(crate) type Requests = BTreeMap<String, Route>;

/// The requests of a route.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route {
    /// By method and status.
    pub(crate) answers: BTreeMap<(&'static str, u16), u64>,
    /// Answers by each of [`TIMES_US`], and beyond them.
    buckets: [u64; TIMES_US.len() + 1],
    took: Duration,
}

impl Route {
    /// The times until the answers began.
    pub(crate) fn seconds(&self) -> Distribution {
        let mut count = 0;
        let at_most = self.buckets[..TIMES_US.len()].iter().map(|more| {
            count += more;
            count
        });
        let at_most = times(&at_most.collect::<Vec<_>>());
        Distribution { at_most, sum: self.took.as_secs_f64(), count: self.buckets.iter().sum() }
    }
}

/// Counts by [`TIMES_US`], with these bounds in seconds.
pub(crate) fn times(at_most: &[u64]) -> Vec<(f64, u64)> {
    TIMES_US.iter().zip(at_most).map(|(micros, count)| (*micros as f64 / 1e6, *count)).collect()
}

impl Traffic {
    /// The counts of a protocol.
    pub(crate) fn of(&self, speaks: Speaks) -> &Protocol {
        match speaks {
            Speaks::Grpc => &self.grpc,
            Speaks::Http => &self.http,
        }
    }

    /// Sessions of Rust clients.
    pub(crate) fn sessions(&self) -> &Gauge {
        &self.sessions
    }
}

impl Protocol {
    /// A request to a route was answered.
    pub(crate) fn answered(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let of = match requests.get_mut(route) {
            Some(known) => known,
            None => requests.entry(route.to_owned()).or_default(),
        };
        *of.answers.entry((method, status)).or_default() += 1;
        of.buckets[TIMES_US.partition_point(|bound| u128::from(*bound) < took.as_micros())] += 1;
        of.took += took;
    }

    /// Whether a request to this route was answered before.
    pub(crate) fn knows(&self, route: &str) -> bool {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).contains_key(route)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Requests {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The methods of HTTP; a word that a client made up is none of them.
pub(crate) fn method(method: &http::Method) -> &'static str {
    const METHODS: [&str; 9] =
        ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_counts_in_every_bucket_from_its_bound_on() {
        let protocol = Protocol::default();
        protocol.answered("/a", "GET", 200, Duration::from_micros(50));
        protocol.answered("/a", "GET", 404, Duration::from_millis(3));
        protocol.answered("/a", "GET", 200, Duration::from_secs(20));
        let requests = protocol.requests();
        let seconds = requests["/a"].seconds();
        let at =
            |bound: f64| seconds.at_most.iter().find(|(other, _)| *other == bound).map(|(_, count)| *count);
        assert_eq!([at(5e-5), at(2.5e-3), at(5e-3), at(10.0)], [Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!((seconds.count, seconds.sum), (3, 20.00305));
        assert_eq!(requests["/a"].answers[&("GET", 200)], 2);
    }

    #[test]
    fn a_gauge_counts_what_is_there_and_what_has_been() {
        let gauge = Gauge::default();
        let (first, second) = (gauge.enter(), gauge.enter());
        drop(first);
        assert_eq!((gauge.now(), gauge.ever()), (1, 2));
        drop(second);
        assert_eq!((gauge.now(), gauge.ever()), (0, 2));
    }

    #[test]
    fn made_up_methods_are_one() {
        let made_up = http::Method::from_bytes(b"MADEUP").expect("it is a word");
        assert_eq!((method(&http::Method::PUT), method(&made_up)), ("PUT", OTHER));
    }
}
