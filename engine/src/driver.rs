//! A worker with its ways in and out: what a thread of `os` drives in production, and a test or the simulator by hand.

use std::time::Duration;

use anabranch_model::message::{Body, Delivery, FlowId, Once, Origin, Request};
#[cfg(feature = "net")]
use anabranch_model::plan::TableId;
use anabranch_operators::Worker;
use crossbeam_channel::Sender;

use crate::change::{Change, Changes};
use crate::egress::{Egress, Outlet, Reply, SINGLE};
use crate::journal::JournalDoor;
use crate::load::Unanswered;
use crate::measures::TellSlow;
use crate::recovery::{Restore, Unrestored};
use crate::safe::{Condition, Safe};
use crate::snapshot::{PIECE_BYTES, Part as SnapshotPart, Run};
use crate::status::Part;
use crate::subscription::Publisher;
use crate::tally::{COUNTED_EVERY, Tally};
use crate::trace::Trace;
#[cfg(feature = "net")]
use crate::zone::{Says, Told, ZoneWorker};

/// What a worker is told.
pub enum Command {
    /// A flow comes, changes or goes.
    Change(Change),
    /// A client that will ask here.
    Connect(u64, Outlet),
    /// A client that is gone, with what it leaves unanswered.
    Disconnect(u64, Unanswered),
    /// The next request of a client, of this number, belongs to a trace.
    Trace(u64, u64, Trace),
    /// A request of a connected client.
    Request(FlowId, Request),
    /// Requests of a connected client, to be done in this order.
    Requests(Vec<(FlowId, Request)>),
    /// A request by itself.
    Single(Box<Single>),
    /// Records of a journal, to be done again.
    Restore(Restore),
    /// Asks whether all records so far could be done again.
    Restored(Sender<Result<(), Unrestored>>),
    /// Asks for the next piece of a snapshot.
    Snapshot(Run),
    /// A subscription; every worker gets it and says that it has it.
    Subscribe(Publisher, Sender<()>),
    /// Asks for counts and sizes.
    Status(FlowId, Sender<Option<Part>>),
    /// Something of the zone.
    #[cfg(feature = "net")]
    Zone(Told),
    /// Takes no further requests, and asks to be told when all that entered here are answered.
    Drain(Sender<()>),
    /// Ends the worker.
    Stop,
}

/// A request by itself.
pub struct Single {
    pub(crate) flow: FlowId,
    /// The revision of the flow that it is made for.
    pub(crate) revision: i64,
    pub(crate) once: Option<Once>,
    pub(crate) body: Body,
    /// Who takes its answer; dropped where the node stops before.
    pub(crate) reply: Reply,
    pub(crate) trace: Option<Trace>,
}

/// Whether a driver goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flowing {
    On,
    Ended,
}

/// A worker with its egress.
pub(crate) struct Driver {
    worker: Worker,
    egress: Egress,
    changes: Changes,
    /// The node is about to stop: what comes now is not taken, or clients that go on asking would keep it running.
    draining: bool,
    drained: Vec<Sender<()>>,
    journal: JournalDoor,
    /// Why a record could not be done again.
    unrestored: Option<Unrestored>,
    snapshot: Option<SnapshotPart>,
    /// Bytes of a piece of a snapshot.
    piece_bytes: usize,
    /// What the journal was told of counts, and when it is told next.
    counted: Tally,
    count_at: i64,
    /// The time of the last turn, in microseconds since 1970 UTC.
    now: i64,
    /// The worker's part in its zone, where the node is in one.
    #[cfg(feature = "net")]
    zone: Option<ZoneWorker>,
    /// The time of a clock that only goes forward, in microseconds, where it is not the worker's.
    micros: Option<u64>,
}

impl Driver {
    /// A driver of a worker; who wants to hear of slow requests says when they are.
    pub(crate) fn new(worker: Worker, slow: Option<TellSlow>, safe: Safe, journal: JournalDoor) -> Self {
        let (egress, changes) = (Egress::new(slow, safe), Changes::default());
        Driver {
            worker,
            egress,
            changes,
            draining: false,
            drained: Vec::new(),
            journal,
            unrestored: None,
            snapshot: None,
            piece_bytes: PIECE_BYTES,
            counted: Tally::default(),
            count_at: 0,
            now: 0,
            #[cfg(feature = "net")]
            zone: None,
            micros: None,
        }
    }

    /// The driver of a node in a zone: it says what the zone has to know. `salt` differs from life to life of the node.
    #[cfg(feature = "net")]
    pub(crate) fn in_zone(mut self, says: Sender<Says>, salt: u64) -> Self {
        self.egress.enter_zone(salt ^ u64::from(self.worker.id().0) << 48);
        self.zone = Some(ZoneWorker::new(&mut self.worker, says));
        self
    }

    /// The time of a clock that only goes forward, in microseconds, from now on.
    #[cfg(feature = "net")]
    pub(crate) fn set_micros(&mut self, micros: u64) {
        self.micros = Some(micros);
    }

    fn micros(&self) -> u64 {
        self.micros.unwrap_or_else(|| self.worker.micros())
    }

    /// A driver that makes snapshots in pieces of so many bytes.
    pub(crate) fn piece_bytes(self, bytes: usize) -> Self {
        Driver { piece_bytes: bytes, ..self }
    }

    /// Carries out a command. Requests move at the next turn.
    pub(crate) fn handle(&mut self, command: Command) -> Flowing {
        self.worker.set_keeps(self.keeps());
        match command {
            Command::Change(change) => self.changes.begin(change, &mut self.worker, &mut self.egress),
            Command::Connect(client, answers) => self.egress.connect(client, answers),
            Command::Disconnect(client, unanswered) => self.egress.disconnect(client, unanswered),
            // Its client is told when the worker has ended.
            Command::Request(..) | Command::Requests(_) | Command::Single(..) if self.draining => {}
            Command::Request(flow, request) => self.enter(flow, request),
            Command::Requests(requests) => {
                requests.into_iter().for_each(|(flow, request)| self.enter(flow, request));
            }
            Command::Trace(client, request, trace) => self.egress.measures.traced(client, request, trace),
            Command::Single(single) => self.enter_singly(*single),
            Command::Restore(restore) => {
                if self.unrestored.is_none() {
                    self.unrestored = restore.run(&mut self.worker).err();
                }
                restore.give_back();
            }
            Command::Restored(answer) => {
                self.worker.restored();
                let _ = answer.send(self.unrestored.clone().map_or(Ok(()), Err));
            }
            Command::Snapshot(run) => SnapshotPart::asked(&mut self.snapshot, run, &self.worker),
            Command::Subscribe(publisher, taken) => {
                self.egress.subscribe(publisher);
                let _ = taken.send(());
            }
            Command::Status(flow, answer) => {
                // Who asked may have stopped waiting; the answer is nobody's then.
                let _ = answer.send(self.status(flow));
            }
            #[cfg(feature = "net")]
            Command::Zone(told) => self.hear(told),
            Command::Drain(answer) => {
                self.draining = true;
                self.drained.push(answer);
            }
            Command::Stop => {
                self.count();
                return Flowing::Ended;
            }
        }
        Flowing::On
    }

    /// Tells the journal what was counted, where that is more than it was told.
    fn count(&mut self) {
        let mut tally = Tally::default();
        for flow in self.worker.flows() {
            if let Some(status) = self.worker.status(flow) {
                tally.count(flow, &status);
            }
        }
        if tally != self.counted {
            self.counted = tally.clone();
            self.journal.counted(self.worker.id(), tally);
        }
    }

    fn enter_singly(&mut self, single: Single) {
        let Single { flow, revision, once, body, reply, trace } = single;
        let request = self.egress.entered_singly(reply);
        if let Some(trace) = trace {
            self.egress.measures.traced(SINGLE, request, trace);
        }
        let mut origin = Origin { worker: self.worker.id(), client: SINGLE, request, revision, once };
        self.egress.number(&mut origin, self.now);
        self.worker.submit(flow, Request { origin, body, partial: None });
    }

    fn enter(&mut self, flow: FlowId, mut request: Request) {
        self.egress.entered();
        self.egress.number(&mut request.origin, self.now);
        self.worker.submit(flow, request);
    }

    /// Whether what requests change can be kept now.
    fn keeps(&self) -> bool {
        matches!(**self.egress.safe().condition(), Condition::Sound)
    }

    /// Hears something of the zone; what was recorded before is sent by what was known before.
    #[cfg(feature = "net")]
    fn hear(&mut self, told: Told) {
        self.keep_records();
        let now = self.micros();
        let Some(mut zone) = self.zone.take() else { return };
        zone.hear(told, &mut self.worker, &mut self.egress, now);
        self.zone = Some(zone);
    }

    /// Gives what was recorded to the journal and to copies.
    fn keep_records(&mut self) {
        #[cfg(feature = "net")]
        let in_zone = self.zone.is_some();
        #[cfg(not(feature = "net"))]
        let in_zone = false;
        if !self.journal.keeps() && !in_zone {
            return;
        }
        let records = self.worker.records();
        if records.is_empty() {
            return;
        }
        #[cfg(feature = "net")]
        {
            let now = self.micros();
            if let Some(zone) = &mut self.zone {
                zone.records(&records, &self.worker, self.egress.safe(), now);
            }
        }
        if self.journal.keeps() {
            self.journal.steps(records, self.worker.recorded());
        }
    }

    /// Moves everything on by one turn at time `now`. Whether something came out.
    pub(crate) fn turn(&mut self, now: i64) -> bool {
        self.now = now;
        // A flow that was paused takes what was held back.
        self.worker.set_keeps(self.keeps());
        self.worker.turn(now);
        self.keep_records();
        if self.journal.keeps() && now >= self.count_at {
            self.count_at = now.saturating_add(COUNTED_EVERY);
            self.count();
        }
        let deliveries = self.worker.deliveries();
        let clock = self.micros();
        let mut busy = self.egress.release(clock) || !deliveries.is_empty();
        for delivery in deliveries {
            self.deliver(delivery, clock);
        }
        busy |= self.end_turn(clock);
        self.egress.end_turn();
        if let Some(part) = &mut self.snapshot {
            busy |= part.go_on(busy, &self.worker, &self.journal, self.piece_bytes);
        }
        busy |= self.changes.end(&self.worker, &self.egress);
        if self.egress.unanswered() == 0 {
            for waiting in self.drained.drain(..) {
                let _ = waiting.send(());
            }
        }
        busy
    }

    #[cfg(not(feature = "net"))]
    fn deliver(&mut self, delivery: Delivery, clock: u64) {
        self.egress.deliver(delivery, self.worker.recorded(), clock);
    }

    #[cfg(feature = "net")]
    fn deliver(&mut self, delivery: Delivery, clock: u64) {
        let recorded = self.worker.recorded();
        let delivery = match &mut self.zone {
            Some(zone) => zone.deliver(delivery, &mut self.worker, &mut self.egress, clock),
            None => Some(delivery),
        };
        if let Some(delivery) = delivery {
            self.egress.deliver(delivery, recorded, clock);
        }
    }

    #[cfg(not(feature = "net"))]
    fn end_turn(&mut self, _: u64) -> bool {
        false
    }

    /// What concerns other nodes goes out. Whether there was something.
    #[cfg(feature = "net")]
    fn end_turn(&mut self, clock: u64) -> bool {
        let Some(mut zone) = self.zone.take() else { return false };
        let mut left = self.egress.take_left();
        while !left.is_empty() {
            left.into_iter().for_each(|left| zone.left(left, &self.worker, &mut self.egress, clock));
            left = self.egress.take_left();
        }
        let busy = zone.end_turn(&mut self.worker, &mut self.egress, clock);
        self.zone = Some(zone);
        busy
    }

    /// All rows of a table that are here, for tests.
    #[cfg(feature = "net")]
    pub(crate) fn rows(&self, flow: FlowId, table: TableId) -> Vec<Vec<u8>> {
        self.worker.all_rows(flow, table)
    }

    /// The last record of each partition that has one, for tests: of how many, which, its term and number.
    #[cfg(feature = "net")]
    pub(crate) fn positions(&self) -> Vec<(u32, u32, u64, u64)> {
        self.worker.positions()
    }

    /// What is known of a flow here.
    fn status(&self, flow: FlowId) -> Option<Part> {
        Some(Part {
            worker: self.worker.id(),
            of: self.worker.status(flow)?,
            took: self.egress.measures.took(flow),
            missed: self.egress.measures.missed_of(flow),
            subscriptions: self.egress.subscriptions(flow),
        })
    }

    /// Whether something waits here for the journal.
    pub(crate) fn waits(&self) -> bool {
        self.egress.holds_any()
    }

    /// Parks the thread while there is nothing to do.
    pub(crate) fn park(&mut self, at_most: Duration) {
        self.worker.park(at_most);
    }
}
