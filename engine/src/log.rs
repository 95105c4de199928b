//! What a node says of itself while it runs, through `tracing`: who embeds it, or the program, decides where that goes.
//!
//! All of it has the target `anabranch`. Nothing of what is in rows is ever in it.

#[cfg(feature = "net")]
use std::fmt::Display;
use std::sync::Arc;

use anabranch_lang::evolution::Evolution;
use crossbeam_channel::Receiver;

use crate::deploy::SharedCatalog;
use crate::error::Error;
use crate::flow::Flow;
use crate::measures::SlowRequest;
use crate::recovery::RecoveryProgress;
use crate::snapshot::SnapshotTaken;
use crate::status::named;

const TARGET: &str = "anabranch";

/// A node has started.
pub(crate) fn started(node: &str, workers: u32) {
    tracing::info!(target: TARGET, node, workers, "the node has started");
}

/// A node has stopped.
pub(crate) fn stopped(node: &str) {
    tracing::info!(target: TARGET, node, "the node has stopped");
}

/// The node starts from its journal: how far it is.
pub(crate) fn recovering(progress: &RecoveryProgress) {
    let RecoveryProgress { checking, rows, records, bytes, bytes_in_all } = *progress;
    tracing::debug!(target: TARGET, checking, rows, records, bytes, bytes_in_all, "the node recovers");
}

/// The node has started from its journal.
pub(crate) fn recovered(rows: u64, records: u64, millis: u128) {
    tracing::info!(target: TARGET, rows, records, millis, "the node has recovered");
}

/// A snapshot is damaged: the one before it is taken, with more of the journal.
pub(crate) fn snapshot_damaged(file: &str, offset: u64, what: &str) {
    tracing::warn!(target: TARGET, file, offset, what, "a damaged snapshot is passed over");
}

/// An old revision in a snapshot does not compile.
pub(crate) fn revision_passed_over(why: &Error) {
    tracing::warn!(
        target: TARGET,
        %why,
        "an old revision of a flow is passed over; late requests that were made for it are not understood"
    );
}

/// A snapshot is there.
pub(crate) fn snapshot_taken(taken: &SnapshotTaken) {
    let SnapshotTaken { begin, end, bytes, rows, longest_stop } = *taken;
    let stop_micros = longest_stop.as_micros();
    tracing::info!(target: TARGET, begin, end, bytes, rows, stop_micros, "a snapshot was taken");
}

/// A snapshot begins anew, because the flows changed.
pub(crate) fn snapshot_again() {
    tracing::debug!(target: TARGET, "the snapshot begins again: flows have changed");
}

/// No snapshot was made; the journal goes on and is kept.
pub(crate) fn snapshot_failed(why: &str) {
    tracing::warn!(target: TARGET, why, "no snapshot was made; it is tried again later");
}

/// What is not needed any more could not be removed.
pub(crate) fn not_removed(why: &str) {
    tracing::warn!(target: TARGET, why, "old snapshots or segments could not be removed");
}

/// A crash has left half a record at the end of the journal; it was never said to be safe.
pub(crate) fn journal_torn(file: &str, offset: u64, bytes: u64) {
    tracing::warn!(target: TARGET, file, offset, bytes, "what a crash left at the end of the journal is cut off");
}

/// The journal waits for the disk.
pub(crate) fn journal_halted(why: &str) {
    tracing::error!(target: TARGET, why, "the disk refuses what the journal needs: rows that would change something are turned down");
}

/// The journal goes on after it has waited for the disk.
pub(crate) fn disk_goes_on() {
    tracing::info!(target: TARGET, "the disk takes what the journal needs again");
}

/// A sync of the journal took long.
pub(crate) fn slow_sync(millis: u128) {
    tracing::warn!(
        target: TARGET,
        millis,
        "a sync of the journal took long: everybody who waits for the disk waited with it; this is told once a minute at most"
    );
}

/// The next segment of the journal could not be made ahead.
pub(crate) fn no_spare(error: &anabranch_log::Error) {
    tracing::warn!(target: TARGET, %error, "the next segment of the journal is not made yet");
}

/// The journal takes nothing any more.
pub(crate) fn journal_failed(why: &str) {
    tracing::error!(target: TARGET, why, "the journal has failed: nothing is written any more");
}

/// A node was started with a revision of a flow that is older than the one that its journal has.
pub(crate) fn passed_over(flow: &Flow, running: i64) {
    let (file, flow, revision) = (flow.plan().file.as_str(), flow.name(), flow.revision());
    tracing::warn!(
        target: TARGET,
        flow,
        revision,
        file,
        running,
        "the file is passed over: the data directory has a newer revision of the flow, which runs on"
    );
}

/// A flow was installed, or put in the place of an older revision.
pub(crate) fn deployed(flow: &str, revision: i64) {
    tracing::info!(target: TARGET, flow, revision, "the flow was deployed");
}

/// A deploy was turned down.
pub(crate) fn turned_down(flow: &str, revision: i64, evolution: &Evolution) {
    tracing::warn!(target: TARGET, flow, revision, why = %evolution, "the flow was not deployed");
}

/// A flow was dropped.
pub(crate) fn dropped(flow: &str) {
    tracing::info!(target: TARGET, flow, "the flow was dropped");
}

/// A server listens.
#[cfg(feature = "net")]
pub(crate) fn listens(protocol: &str, address: impl Display, tls: bool) {
    tracing::info!(target: TARGET, protocol, %address, tls, "the node listens");
}

/// Connections cannot be accepted for now.
#[cfg(feature = "net")]
pub(crate) fn cannot_accept(error: &std::io::Error) {
    tracing::warn!(target: TARGET, %error, "a connection could not be accepted");
}

/// A connection was refused: its address has so many already. Whoever floods a node must not flood its log, too, so this
/// is for those who look closely; the metrics count them.
#[cfg(feature = "net")]
pub(crate) fn connection_refused(address: impl Display, open: usize) {
    tracing::debug!(target: TARGET, %address, open, "a connection was refused");
}

/// A client's connection ended in another way than by its end.
#[cfg(feature = "net")]
pub(crate) fn connection_lost(address: impl Display, error: &hyper::Error) {
    tracing::debug!(target: TARGET, %address, %error, "a connection was lost");
}

/// There is a link with another node of the zone.
#[cfg(feature = "net")]
pub(crate) fn peer_up(peer: &str, dialed: bool) {
    tracing::info!(target: TARGET, peer, dialed, "the link with another node is up");
}

/// There is no link with it any more.
#[cfg(feature = "net")]
pub(crate) fn peer_lost(peer: &str, why: impl Display) {
    tracing::warn!(target: TARGET, peer, %why, "the link with another node was lost");
}

/// What was to be sent to it could not be written.
#[cfg(feature = "net")]
pub(crate) fn peer_unwritable(link: impl Display, error: &std::io::Error) {
    tracing::debug!(target: TARGET, %link, %error, "a link with another node takes nothing any more");
}

/// A node that dialed this one is not wanted.
#[cfg(feature = "net")]
pub(crate) fn peer_turned_down(from: impl Display, why: &str) {
    tracing::warn!(target: TARGET, %from, why, "a node that dialed this one was turned down; this is told once");
}

/// A node that dialed this one came not to the end of what both have to say.
#[cfg(feature = "net")]
pub(crate) fn peer_gave_up(from: impl Display, why: &str) {
    tracing::debug!(target: TARGET, %from, why, "no link came of a connection from another node");
}

/// This node and one that it dials do not want each other.
#[cfg(feature = "net")]
pub(crate) fn peer_refused(address: &str, why: &str) {
    tracing::warn!(target: TARGET, address, why, "no link with the node there; it is tried again, and this is told once");
}

/// A node that is dialed is not there.
#[cfg(feature = "net")]
pub(crate) fn peer_unreachable(address: &str, why: &str) {
    tracing::warn!(target: TARGET, address, why, "there is no node there yet; it is tried again, and this is told once");
}

/// A client has lost its session with a node.
#[cfg(feature = "net")]
pub(crate) fn session_lost(address: &str, why: &str) {
    tracing::warn!(target: TARGET, address, why, "the session with the node was lost");
}

/// Logs slow requests until the workers have ended.
pub(crate) fn slow_requests(told: &Receiver<SlowRequest>, catalog: &SharedCatalog) {
    told.iter().for_each(|slow| slow_request(&slow, catalog));
}

fn slow_request(slow: &SlowRequest, catalog: &SharedCatalog) {
    let catalog = catalog.load();
    // The flow may be gone by now.
    let plan = catalog.plans().find(|(id, _)| *id == slow.flow).map(|(_, plan)| Arc::clone(plan));
    let (request, of) = plan.as_ref().map_or(("", ""), |plan| named(plan, slow.asked));
    tracing::warn!(
        target: TARGET,
        request,
        flow = plan.as_ref().map_or("", |plan| plan.name.as_str()),
        of,
        rows = slow.rows,
        refused = slow.refused,
        took_us = slow.micros,
        trace_id = slow.trace.map(|trace| trace.id()),
        span_id = slow.trace.map(|trace| trace.span()),
        "slow request"
    );
}

/// A copy of another node has to be filled anew.
#[cfg(feature = "net")]
pub(crate) fn copy_lost(member: u64, why: &anabranch_replica::Lost) {
    tracing::warn!(target: TARGET, member, "{why}");
}

/// What another node sent could not be taken.
#[cfg(feature = "net")]
pub(crate) fn lane_broken(member: u64, why: &crate::zone::Untaken) {
    tracing::warn!(target: TARGET, member, "records of another node were not taken: {why}");
}

/// A message of another node about the zone was turned down.
#[cfg(feature = "net")]
pub(crate) fn zone_message(why: &anabranch_cluster::Error) {
    tracing::warn!(target: TARGET, "a message about the zone was not taken: {why}");
}

/// Another node cannot be dialed.
#[cfg(feature = "net")]
pub(crate) fn zone_dial(address: &str, why: &Error) {
    tracing::warn!(target: TARGET, address, "another node cannot be dialed: {why}");
}

/// Another node wants no link.
#[cfg(feature = "net")]
pub(crate) fn zone_refused(address: &str, why: &str) {
    tracing::warn!(target: TARGET, address, "another node wants no link: {why}");
}

/// The node is none of its zone.
#[cfg(feature = "net")]
pub(crate) fn zone_over(why: &str) {
    tracing::error!(target: TARGET, "the node is none of its zone, and serves nothing: {why}");
}

/// A flow that the zone runs does not run here.
#[cfg(feature = "net")]
pub(crate) fn zone_flow(flow: &str, why: &Error) {
    tracing::error!(target: TARGET, flow, "a flow of the zone does not run here: {why}");
}

/// A copy has not acknowledged anything for too long.
#[cfg(feature = "net")]
pub(crate) fn copy_slow(member: u64) {
    tracing::warn!(target: TARGET, member, "a copy is too slow: nothing waits for it until it has caught up");
}
