//! A client: sends rows, asks, reads tables; in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::message::{self, Body, FlowId, Origin, Problem, Reads, Request, WorkerId};
use anabranch_model::plan::Plan;
use anabranch_model::value::Value;
use serde::Serialize;

use crate::answer::{Answer, Reply};
use crate::catalog::Catalog;
use crate::deploy::{Deployed, SharedCatalog};
use crate::driver::Command;
use crate::egress::Answered;
use crate::error::Error;
use crate::flow::Flow;
use crate::idempotency_key::IdempotencyKey;
use crate::input_batch::{InputBatch, Packed};
use crate::key::Key;
use crate::link::{Connection, Link};
use crate::load::{NodeLoad, Unanswered};
use crate::query;
use crate::rows::Row;
use crate::scan::Scan;
use crate::status::NodeStatus;
use crate::trace::Trace;
use crate::watch::Watch;
use crate::zone_status::ZoneStatus;

/// Requests of a client without an answer, at most; the next one waits for an answer.
pub const WINDOW_REQUESTS: usize = 256;

/// Bytes of batches of a client without an answer, at most (one larger batch alone is let through).
pub const WINDOW_BYTES: usize = 8 << 20;

/// Answers that lie uncollected at a client, at most.
pub const UNCOLLECTED_MAX: usize = 65_536;

/// Bytes of batches of all clients of a node without an answer, at most.
pub const NODE_BYTES: usize = 256 << 20;

/// What a request in flight holds, beside its batch: so that a request without rows counts, too.
const REQUEST_BYTES: usize = 256;

/// A connection to a node. Not shared: a thread that wants to ask has a client of its own.
#[derive(Debug)]
pub struct Client<L: Link = Connection> {
    link: L,
    catalog: SharedCatalog,
    id: u64,
    worker: WorkerId,
    last_request: u64,
    trace: Option<Trace>,
    reads: Reads,
    in_flight: Unanswered,
    /// Each with the plan that its numbers and shapes go by.
    uncollected: BTreeMap<u64, (Arc<Plan>, Result<message::Answer, Error>)>,
}

/// A request that was sent, to collect its answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    client: u64,
    request: u64,
}

#[cfg(feature = "net")]
impl Client {
    /// A client of a node at another place: `host:port` of its gRPC address.
    ///
    /// Requests gather while others are under way, and leave at the latest when the client waits for an answer. TLS and
    /// tokens go by [`ConnectOptions`](crate::ConnectOptions).
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub fn connect(address: &str) -> Result<Client, Error> {
        crate::net::ConnectOptions::new(address).connect()
    }

    /// A client of a node at another place, with TLS or a token.
    pub(crate) fn connect_with(options: &crate::net::ConnectOptions) -> Result<Client, Error> {
        let (remote, catalog) = crate::net::Remote::connect(options)?;
        Ok(Client::new(Connection::Remote(Box::new(remote)), catalog, 1, WorkerId(0), NodeLoad::default()))
    }
}

impl Client {
    /// Counts and sizes, as the node knows them now.
    ///
    /// # Errors
    /// Over the network [`Error::Connect`], [`Error::Disconnected`], or [`Error::Problem`] with why the node does not say.
    pub fn status(&mut self) -> Result<NodeStatus, Error> {
        self.link.status()
    }

    /// The node's zone, as the node knows it now; `None` where it is in none.
    ///
    /// # Errors
    /// As [`Client::status`].
    pub fn zone(&mut self) -> Result<Option<ZoneStatus>, Error> {
        self.link.zone()
    }

    /// Installs a flow, or puts it in the place of its older revision: [`crate::Node::deploy`].
    ///
    /// # Errors
    /// [`Error::Evolution`]: nothing has changed. Over the network also [`Error::Connect`], [`Error::Disconnected`], or
    /// [`Error::Problem`] with what the node says.
    pub fn deploy(&mut self, flow: Flow) -> Result<Deployed, Error> {
        self.link.deploy(flow)
    }

    /// Drops a flow with its rows: [`crate::Node::drop_flow`].
    ///
    /// # Errors
    /// There is no such flow; over the network as [`Client::deploy`].
    pub fn drop_flow(&mut self, name: &str) -> Result<(), Error> {
        self.link.drop_flow(name)
    }

    /// The flows that the node runs now, in the order in which they were installed.
    ///
    /// # Errors
    /// Over the network as [`Client::deploy`].
    pub fn flows(&mut self) -> Result<Vec<Flow>, Error> {
        self.link.refresh()?;
        Ok(self.catalog.load().flows().map(|(_, flow)| flow.clone()).collect())
    }

    /// The rows of an output stream (`OutputStream` or `names.OutputStream`), or a flow's refused rows (`errors` or
    /// `names.errors`), from now on.
    ///
    /// # Errors
    /// There is no such output; over the network as [`Client::deploy`].
    pub fn subscribe(&mut self, output: &str) -> Result<Watch, Error> {
        self.link.subscribe(output)
    }
}

impl<L: Link> Client<L> {
    pub(crate) fn new(link: L, catalog: SharedCatalog, id: u64, worker: WorkerId, load: NodeLoad) -> Self {
        Client {
            link,
            catalog,
            id,
            worker,
            last_request: 0,
            trace: None,
            reads: Reads::Safe,
            in_flight: Unanswered::new(load),
            uncollected: BTreeMap::new(),
        }
    }

    /// Sends rows to an input stream and waits for what became of them. A refused row is in the answer, not an error.
    ///
    /// ```
    /// # let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
    /// # let node = anabranch::Node::builder("A").flow(flow).start()?;
    /// #[derive(serde::Serialize)]
    /// struct NameValue { name: String, value: String }
    ///
    /// let mut client = node.client();
    /// let rows: Vec<_> = (0..10).map(|n| NameValue { name: format!("n{n}"), value: "x".into() }).collect();
    /// assert_eq!(client.send("UpdateStream", &rows)?.accepted, 10);
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    ///
    /// # Errors
    /// An unknown stream, a row that does not fit it (nothing was sent), or a node that has stopped.
    pub fn send(&mut self, input: &str, rows: &[impl Serialize]) -> Result<Answer, Error> {
        let mut batch = self.batch(input)?;
        rows.iter().try_for_each(|row| batch.push(row))?;
        let ticket = self.submit(batch)?;
        self.wait(ticket)
    }

    /// Sends one row and gives what rules replied to it.
    ///
    /// # Errors
    /// As [`Client::send`], and [`Error::Refused`].
    pub fn ask(&mut self, input: &str, row: &impl Serialize) -> Result<Vec<Reply>, Error> {
        let mut answer = self.send(input, std::slice::from_ref(row))?;
        match answer.refused.pop() {
            Some(refused) => Err(Error::Refused(refused)),
            None => Ok(answer.replies),
        }
    }

    /// Requests from now on belong to the trace of this `traceparent` (W3C trace context); it stands in the node's log of
    /// slow requests. One that is not valid, like an empty text, is none.
    ///
    /// ```
    /// # let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
    /// # let node = anabranch::Node::builder("A").flow(flow).start()?;
    /// # let mut client = node.client();
    /// client.trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    /// client.ask("UpdateStream", &serde_json::json!({ "name": "a", "value": "1" }))?;
    /// client.trace("");
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    pub fn trace(&mut self, traceparent: &str) {
        self.trace = Trace::parse(traceparent);
    }

    /// Reads of tables from now on ([`Client::get`], [`Client::scan`], [`Client::query`]) are content with this.
    ///
    /// A read waits until the rows that it shows are safe, which on a node with a data directory is as long as a sync of the
    /// disk takes, and for ever where the disk has failed. A stale read does not wait: what it shows may be undone by a crash.
    ///
    /// ```
    /// # let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
    /// # let node = anabranch::Node::builder("A").flow(flow).start()?;
    /// # let mut client = node.client();
    /// use anabranch::Reads;
    ///
    /// client.ask("UpdateStream", &serde_json::json!({ "name": "a", "value": "1" }))?;
    /// client.reads(Reads::Stale);
    /// assert!(client.get("QueryTable", ["a"])?.is_some());
    /// client.reads(Reads::Safe);
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    pub fn reads(&mut self, reads: Reads) {
        self.reads = reads;
    }

    /// What reads of tables are content with.
    pub(crate) fn reading(&self) -> Reads {
        self.reads
    }

    /// An empty batch for an input stream.
    ///
    /// # Errors
    /// There is no such stream.
    pub fn batch(&mut self, input: &str) -> Result<InputBatch, Error> {
        let named = self.found(|catalog| catalog.input(input))?;
        Ok(InputBatch::new(named.flow, named.plan, named.id))
    }

    /// Sends a batch without waiting for its answer, so that several are under way at once. Waits while
    /// [`WINDOW_REQUESTS`] or [`WINDOW_BYTES`] of this client are unanswered.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Changed`], [`Error::OtherNode`], [`Error::Packed`], [`Error::TooLarge`],
    /// [`Error::Uncollected`], [`Error::Full`]: nothing was sent. [`Error::Disconnected`]: nothing was sent, and what was
    /// under way is answered with the same; the next request opens another connection. [`Error::Stopped`].
    pub fn submit(&mut self, batch: InputBatch) -> Result<Ticket, Error> {
        self.catalog.load().check(batch.flow, &batch.plan)?;
        let Packed { flow, plan, input, rows, key } = batch.finish()?;
        let bytes = rows.bytes().len();
        self.request_once(flow, &plan, Body::Rows { input, batch: rows }, bytes, key)
    }

    /// The answer to a sent batch; waits for it.
    ///
    /// # Errors
    /// [`Error::Gone`], [`Error::Changed`], [`Error::NoSuchTicket`], [`Error::Stopped`].
    pub fn wait(&mut self, ticket: Ticket) -> Result<Answer, Error> {
        let (plan, answer) = self.collect(ticket)?;
        Ok(rows_answer(&plan, answer))
    }

    /// The oldest answer that lies here, or the next that comes. `None` when nothing is under way.
    ///
    /// # Errors
    /// [`Error::Gone`] and [`Error::Changed`], which name the ticket; [`Error::Stopped`].
    #[expect(clippy::should_implement_trait, reason = "an iterator could not also send")]
    pub fn next(&mut self) -> Result<Option<(Ticket, Answer)>, Error> {
        while self.uncollected.is_empty() && self.in_flight.len() > 0 {
            self.receive()?;
        }
        let Some((request, (plan, answer))) = self.uncollected.pop_first() else { return Ok(None) };
        let ticket = self.ticket(request);
        let (plan, answer) = done(ticket, plan, answer?)?;
        Ok(Some((ticket, rows_answer(&plan, answer))))
    }

    /// The oldest answer that lies here or has just come; `None` when none has.
    ///
    /// # Errors
    /// [`Error::Stopped`], or why a request was not carried out.
    pub fn try_next(&mut self) -> Result<Option<(Ticket, Answer)>, Error> {
        while let Some(answered) = self.link.try_receive()? {
            self.keep(answered);
        }
        if self.uncollected.is_empty() { Ok(None) } else { self.next() }
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The row of a key. Key columns are given in the order of the table's `key`; text stands for any type.
    ///
    /// ```
    /// # let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
    /// # let node = anabranch::Node::builder("A").flow(flow).start()?;
    /// # let mut client = node.client();
    /// client.ask("UpdateStream", &serde_json::json!({ "name": "a", "value": "1" }))?;
    /// let row = client.get("QueryTable", ["a"])?.expect("it was just written");
    /// assert_eq!(row.to_string(), r#"{"name":"a","value":"1","createdon":"A"}"#);
    /// assert!(client.get("QueryTable", ["b"])?.is_none());
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    ///
    /// # Errors
    /// An unknown table, a key that does not fit it, or a node that has stopped.
    pub fn get<'k>(
        &mut self,
        table: &str,
        key: impl IntoIterator<Item = impl Into<Value<'k>>>,
    ) -> Result<Option<Row>, Error> {
        let named = self.found(|catalog| catalog.table(table))?;
        let key = Key::of(named.table(), key.into_iter().map(Into::into))?;
        let body = Body::Get { table: named.id, partition: key.partition, key: key.bytes, reads: self.reads };
        let ticket = self.request(named.flow, &named.plan, body, 0)?;
        match self.collect(ticket)? {
            (plan, message::Answer::Row(row)) => {
                let shape = named.revised(&plan)?.table().shape.clone();
                Ok(row.map(|row| Row::new(shape, row.into())))
            }
            (_, answer) => unreachable!("a point read is answered with a row, not {answer:?}"),
        }
    }

    /// All rows of a table in key order, read in pages while the table may change in between.
    ///
    /// # Errors
    /// There is no such table.
    pub fn scan(&mut self, table: &str) -> Result<Scan<'_, L>, Error> {
        let named = self.found(|catalog| catalog.table(table))?;
        Ok(Scan::new(self, named))
    }

    /// Asks a question over one table, in SQL's words; the language page says which. The rows are seen as a scan sees
    /// them: page by page, while the table may change in between.
    ///
    /// ```
    /// # let flow = anabranch::Flow::parse("names.flow", anabranch::doc::NAMES)?;
    /// # let node = anabranch::Node::builder("A").flow(flow).start()?;
    /// # let mut client = node.client();
    /// for (name, value) in [("a", "x"), ("b", "y"), ("c", "x")] {
    ///     client.ask("UpdateStream", &serde_json::json!({ "name": name, "value": value }))?;
    /// }
    /// let mut rows = client.query("select value, count(*) as names from QueryTable group by value")?;
    /// assert_eq!(rows.next().expect("a group")?.to_string(), r#"{"value":"x","names":2}"#);
    /// assert_eq!(rows.next().expect("a group")?.to_string(), r#"{"value":"y","names":1}"#);
    /// assert!(rows.next().is_none());
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Query`] with everything that is wrong with the question; a node that has stopped. What fails on the
    /// way is the last that the rows give.
    pub fn query(&mut self, question: &str) -> Result<query::Rows<'_, L>, Error> {
        let flows: Vec<_> = self.catalog.load().plans().map(|(id, plan)| (id, plan.clone())).collect();
        let prepared = query::Prepared::new(question, &flows)?;
        let now = self.link.now();
        query::Rows::new(self, &prepared, now)
    }

    /// An empty batch for an input stream of a flow that this client knows.
    pub(crate) fn known_batch(&self, input: &str) -> Result<InputBatch, Error> {
        let named = self.catalog.load().input(input)?;
        Ok(InputBatch::new(named.flow, named.plan, named.id))
    }

    /// What a name means; where nothing has it, the node may run other flows meanwhile.
    fn found<T>(&mut self, find: impl Fn(&Catalog) -> Result<T, Error>) -> Result<T, Error> {
        let found = find(&self.catalog.load());
        match found {
            Err(Error::Unknown { .. }) if self.link.refresh()? => find(&self.catalog.load()),
            found => found,
        }
    }

    /// Sends a request that goes by the numbers and shapes of a plan.
    pub(crate) fn request(
        &mut self,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
        bytes: usize,
    ) -> Result<Ticket, Error> {
        self.request_once(flow, plan, body, bytes, None)
    }

    fn request_once(
        &mut self,
        flow: FlowId,
        plan: &Arc<Plan>,
        body: Body,
        bytes: usize,
        key: Option<IdempotencyKey>,
    ) -> Result<Ticket, Error> {
        let bytes = bytes + REQUEST_BYTES;
        self.make_room(bytes)?;
        self.last_request = self.link.number(self.last_request);
        let (request, revision) = (self.last_request, plan.revision);
        let once = match (key, &body) {
            (Some(key), Body::Rows { input, .. }) => Some(self.link.once(key, plan, *input)),
            _ => None,
        };
        let origin = Origin { worker: self.worker, client: self.id, request, revision, once };
        if let Some(trace) = self.trace {
            self.link.send(Command::Trace(self.id, request, trace))?;
        }
        self.link.send(Command::Request(flow, Request { origin, body, partial: None }))?;
        self.in_flight.add(request, Some(plan.clone()), bytes);
        Ok(self.ticket(request))
    }

    fn ticket(&self, request: u64) -> Ticket {
        Ticket { client: self.id, request }
    }

    /// The answer to a request, and the plan that it goes by; waits for it.
    ///
    /// # Errors
    /// As [`Client::wait`].
    pub(crate) fn collect(&mut self, ticket: Ticket) -> Result<(Arc<Plan>, message::Answer), Error> {
        if ticket.client != self.id {
            return Err(Error::NoSuchTicket);
        }
        loop {
            if let Some((plan, answer)) = self.uncollected.remove(&ticket.request) {
                return done(ticket, plan, answer?);
            }
            if !self.in_flight.contains(ticket.request) {
                return Err(Error::NoSuchTicket);
            }
            self.receive()?;
        }
    }

    /// Waits until the windows have room for a request of so many bytes.
    fn make_room(&mut self, bytes: usize) -> Result<(), Error> {
        let mut lost = None;
        while let Some(answered) = self.link.try_receive()? {
            if let Err(Error::Disconnected { address, why }) = &answered.answer {
                lost = Some(Error::Disconnected { address: address.clone(), why: why.clone() });
            }
            self.keep(answered);
        }
        // Who sends without waiting hears of it before anything goes over another connection.
        if let Some(lost) = lost {
            return Err(lost);
        }
        if self.uncollected.len() >= UNCOLLECTED_MAX {
            return Err(Error::Uncollected { answers: self.uncollected.len() });
        }
        while self.in_flight.len() > 0
            && (self.in_flight.len() >= WINDOW_REQUESTS
                || self.in_flight.bytes() + bytes > WINDOW_BYTES
                || self.in_flight.node_bytes() + bytes > NODE_BYTES)
        {
            self.receive()?;
        }
        match self.in_flight.node_bytes() + bytes > NODE_BYTES {
            true => Err(Error::Full),
            false => Ok(()),
        }
    }

    fn receive(&mut self) -> Result<(), Error> {
        let answered = self.link.receive()?;
        self.keep(answered);
        Ok(())
    }

    fn keep(&mut self, answered: Answered) {
        let Some(plan) = self.in_flight.remove(answered.request) else { return };
        let Some(plan) = answered.revised.or(plan) else { return };
        self.uncollected.insert(answered.request, (plan, answered.answer));
    }
}

/// The answer to a request, unless it says that nothing was done.
fn done(
    ticket: Ticket,
    plan: Arc<Plan>,
    answer: message::Answer,
) -> Result<(Arc<Plan>, message::Answer), Error> {
    let (flow, ticket) = (|| plan.name.clone(), Some(ticket));
    match answer {
        message::Answer::Problem(Problem::Gone) => Err(Error::Gone { flow: flow(), ticket }),
        message::Answer::Problem(Problem::Changed) => Err(Error::Changed { flow: flow(), ticket }),
        message::Answer::Problem(Problem::Unkept) => unreachable!("the egress says why"),
        answer => Ok((plan, answer)),
    }
}

fn rows_answer(plan: &Plan, answer: message::Answer) -> Answer {
    match answer {
        message::Answer::Rows(answer) => Answer::of(answer, plan),
        message::Answer::Row(_)
        | message::Answer::Page(_)
        | message::Answer::Problem(_)
        | message::Answer::Elsewhere => Answer::default(),
    }
}

impl<L: Link> Drop for Client<L> {
    fn drop(&mut self) {
        let unanswered = self.in_flight.take();
        // A node that has stopped needs not be told.
        let _ = self.link.send(Command::Disconnect(self.id, unanswered));
    }
}
