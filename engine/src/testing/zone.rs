//! A node of a zone in one thread, driven by hand: what its links bring goes in, what they are to carry comes out.
//!
//! The same workers and the same deputy as in a running node; only sockets, threads and clocks are somebody else's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_cluster::{Cluster, Me, Role, Standing, View, Wish};
use anabranch_model::message::{Answer, Body, Once, Origin, Request, WorkerId};
use anabranch_operators::{Worker, WorkerConfig};
use anabranch_wire::peer::{Found, Kind, PeerError, find};
use crossbeam_channel::{Receiver, unbounded};
use serde::Serialize;

use super::{OneWorker, Stage};
use crate::client::Client;
use crate::deploy::Flows;
use crate::driver::{Command, Driver};
use crate::egress::{Answered, Outlet};
use crate::error::Error;
use crate::flow::Flow;
use crate::input_batch::{InputBatch, Packed};
use crate::journal::JournalDoor;
use crate::link::Here;
use crate::load::NodeLoad;
use crate::rows::Row;
use crate::safe::Safe;
use crate::zone::{Act, Frames, Heard, Identity, Link, Links, Says, Steward, Told, control};
use crate::zone_status::ZoneRole;

/// What a node of a zone begins a life with.
#[derive(Clone, Debug)]
pub struct ZoneStart {
    /// Its zone.
    pub zone: String,
    /// Its name.
    pub name: String,
    /// Another number for each of its lives.
    pub incarnation: u64,
    /// Where others reach it.
    pub address: String,
    /// What it is.
    pub role: ZoneRole,
    /// Where others are; it founds the zone where there are none.
    pub join: Vec<String>,
    /// What it offers to the zone.
    pub flows: Vec<Flow>,
    /// Where its chance comes from.
    pub seed: u64,
}

/// Who a node is to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneHello {
    /// Its name.
    pub name: String,
    /// Which of its lives this is.
    pub incarnation: u64,
    /// Where others reach it.
    pub address: String,
}

/// What a node wants done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneOut {
    /// A link to whoever is at an address, and a new one whenever it is lost.
    Dial(String),
    /// Frames are to go out over a link.
    Send(u64, Vec<u8>),
    /// A link is to end.
    End(u64),
}

type Carried = Arc<Mutex<Vec<(u64, Vec<u8>)>>>;

/// A link that gathers what is sent over it.
struct Carries(u64, Carried);

impl Frames for Carries {
    fn send(&self, frames: Vec<u8>) {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).push((self.0, frames));
    }
}

/// A node of a zone, with one worker.
pub struct ZoneNode {
    me: Me,
    stage: OneWorker,
    flows: Flows,
    offered: Vec<Flow>,
    steward: Steward,
    says: Receiver<Says>,
    links: Links<u64>,
    /// Frames of links of which it is not known yet which member is there.
    early: BTreeMap<u64, Vec<(Kind, Vec<u8>)>>,
    hellos: BTreeMap<u64, Identity>,
    members: BTreeMap<u64, anabranch_model::zone::MemberId>,
    carried: Carried,
    answers: Arc<Mutex<Vec<(u64, Answered)>>>,
    /// Clients that have asked.
    asking: BTreeSet<u64>,
    lease: u64,
    clients: u64,
    load: NodeLoad,
    out: Vec<ZoneOut>,
}

impl ZoneNode {
    /// Begins a life at `now`, in microseconds of a clock that only goes forward, where it is `wall` microseconds since 1970
    /// UTC.
    pub fn start(start: ZoneStart, now: u64, wall: i64) -> Self {
        let config = WorkerConfig {
            node: start.name.as_str().into(),
            seed: start.seed,
            clock: None,
            profile: false,
            records: true,
        };
        let (says_to, says) = unbounded();
        let safe = Safe::always(1);
        let driver = Driver::new(Worker::alone(&config), None, safe, JournalDoor::default());
        let mut driver = driver.in_zone(says_to, start.incarnation);
        driver.set_micros(now);
        let stage = Stage { driver, now: wall, journal: None, idle: 0 };
        let me = Me {
            zone: start.zone,
            name: start.name,
            incarnation: start.incarnation,
            address: start.address,
            role: if start.role == ZoneRole::Witness { Role::Witness } else { Role::Data },
            workers: 1,
            durable: false,
            epoch_at: (wall.max(0) as u64).saturating_sub(now),
        };
        let out = start.join.iter().cloned().map(ZoneOut::Dial).collect();
        let cluster = match start.join.is_empty() {
            true => Cluster::found(me.clone(), now),
            false => Cluster::join(me.clone(), start.join, now),
        };
        ZoneNode {
            steward: Steward::new(cluster, &me),
            me,
            stage: OneWorker(std::rc::Rc::new(std::cell::RefCell::new(stage))),
            flows: Flows::none(JournalDoor::default()),
            offered: start.flows,
            says,
            links: Links::default(),
            early: BTreeMap::new(),
            hellos: BTreeMap::new(),
            members: BTreeMap::new(),
            carried: Carried::default(),
            answers: Arc::default(),
            asking: BTreeSet::new(),
            lease: 0,
            clients: 0,
            load: NodeLoad::default(),
            out,
        }
    }

    /// Who it is to others.
    pub fn hello(&self) -> ZoneHello {
        let Me { name, incarnation, address, .. } = &self.me;
        ZoneHello { name: name.clone(), incarnation: *incarnation, address: address.clone() }
    }

    /// There is a link, by a number that is never given again.
    pub fn linked(&mut self, link: u64, with: ZoneHello) {
        let ZoneHello { name, incarnation, address } = with;
        let who = Identity { name, incarnation, address };
        self.hellos.insert(link, who.clone());
        self.links.up(link, who, Link::to(Carries(link, self.carried.clone())));
    }

    /// A link is lost; whether the process at its other end is gone.
    pub fn unlinked(&mut self, now: u64, link: u64, refused: bool) {
        self.hellos.remove(&link);
        self.early.remove(&link);
        self.members.remove(&link);
        if let Some((member, last)) = self.links.lost(link) {
            if last {
                self.tell(Told::Unlinked(member));
            }
            self.hear(now, Heard::Unlinked(member, refused));
        }
    }

    /// Frames have come over a link, whole ones behind each other.
    ///
    /// # Errors
    /// They are none: the link is to be ended.
    pub fn frames(&mut self, now: u64, link: u64, mut bytes: &[u8]) -> Result<(), PeerError> {
        while !bytes.is_empty() {
            let Found::Frame { kind, body, length } = find(bytes)? else { return Err(PeerError::Short) };
            match (kind, self.members.get(&link).copied()) {
                (Kind::Idle, _) => {}
                (Kind::Control, _) => {
                    let Some(who) = self.hellos.get(&link) else { return Ok(()) };
                    let from = self.links.contact(link, who, self.steward.view());
                    self.hear(now, Heard::Message(from, body.to_vec()));
                }
                (kind, Some(member)) => self.tell(Told::Frame(member, kind, body.to_vec())),
                (kind, None) => self.early.entry(link).or_default().push((kind, body.to_vec())),
            }
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Does what there is to do at `now`; what is to be done outside.
    pub fn turn(&mut self, now: u64, wall: i64) -> Vec<ZoneOut> {
        {
            let mut stage = self.stage.0.borrow_mut();
            stage.now = wall;
            stage.driver.set_micros(now);
        }
        loop {
            let mut busy = self.turn_worker();
            let says: Vec<Says> = self.says.try_iter().collect();
            busy |= !says.is_empty();
            says.into_iter().for_each(|says| self.hear(now, Heard::Says(says)));
            let acts = self.steward.turn(now);
            busy |= !acts.is_empty();
            acts.into_iter().for_each(|act| self.act(now, act));
            self.bind(now);
            self.offer(now);
            if !busy {
                break;
            }
        }
        let carried = std::mem::take(&mut *self.carried.lock().unwrap_or_else(PoisonError::into_inner));
        self.out.extend(carried.into_iter().map(|(link, frames)| ZoneOut::Send(link, frames)));
        std::mem::take(&mut self.out)
    }

    fn turn_worker(&mut self) -> bool {
        let mut stage = self.stage.0.borrow_mut();
        let (mut any, mut turns) = (false, 0);
        while turns < super::TURNS_ALONE {
            stage.turn();
            match stage.idle {
                0 => (any, turns) = (true, 0),
                _ => turns += 1,
            }
        }
        any
    }

    /// When it wants its next turn where nothing comes before.
    pub fn due(&self) -> u64 {
        self.steward.due()
    }

    /// A client that asks here.
    pub fn client(&mut self) -> Client<Here> {
        self.clients += 1;
        let id = self.clients;
        let (sender, answers) = unbounded();
        self.stage.0.borrow_mut().handle(Command::Connect(id, Outlet::Channel(sender)));
        let link = Here { stage: self.stage.0.clone(), answers };
        Client::new(link, self.flows.catalog().clone(), id, WorkerId(0), self.load.clone())
    }

    /// A client, by a number of the caller's own (below 2^62), asks with one row, once.
    ///
    /// # Errors
    /// There is no such input here (yet), or the row does not fit it.
    pub fn ask(
        &mut self,
        client: u64,
        request: u64,
        once: Once,
        input: &str,
        row: &impl Serialize,
    ) -> Result<(), Error> {
        let named = self.flows.catalog().load().input(input)?;
        let (flow, revision) = (named.flow, named.plan.revision);
        let mut batch = InputBatch::new(named.flow, named.plan, named.id);
        batch.push(row)?;
        let Packed { input, rows, .. } = batch.finish()?;
        let once = Some(once);
        let origin = Origin { worker: WorkerId(0), client, request, revision, once };
        let request = Request { origin, body: Body::Rows { input, batch: rows }, partial: None };
        let mut stage = self.stage.0.borrow_mut();
        if self.asking.insert(client) {
            let (answers, answered) = (self.answers.clone(), client);
            let call = move |all: Vec<Answered>| {
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.extend(all.into_iter().map(|of| (answered, of)));
            };
            stage.handle(Command::Connect(client, Outlet::calling(call)));
        }
        stage.handle(Command::Request(flow, request));
        Ok(())
    }

    /// The answers that have come: the client, its request, and the rows that rules replied, as JSON, or why there is none.
    pub fn answers(&mut self) -> Vec<(u64, u64, Result<Vec<String>, Error>)> {
        let all = std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner));
        all.into_iter().map(|(client, of)| (client, of.request, self.told(of))).collect()
    }

    fn told(&self, of: Answered) -> Result<Vec<String>, Error> {
        let catalog = self.flows.catalog().load();
        let answer = match of.answer? {
            Answer::Rows(rows) => rows,
            other => return Err(Error::Start(format!("nothing was done: {other:?}"))),
        };
        if let Some(refusal) = answer.refusals.first() {
            return Err(Error::Start(refusal.text.clone()));
        }
        let plan = of.revised.or_else(|| catalog.plans().next().map(|(_, plan)| plan.clone()));
        let Some(plan) = plan else { return Ok(Vec::new()) };
        let told = crate::answer::Answer::of(answer, &plan);
        Ok(told.replies.iter().map(|reply| reply.row.to_string()).collect())
    }

    /// All rows that this node has of a table, its own and those of which it has copies, as JSON in no order.
    pub fn rows(&self, table: &str) -> Vec<String> {
        let Ok(named) = self.flows.catalog().load().table(table) else { return Vec::new() };
        let shape = named.table().shape.clone();
        let rows = self.stage.0.borrow().driver.rows(named.flow, named.id);
        rows.into_iter().map(|row| Row::new(shape.clone(), row.into()).to_string()).collect()
    }

    /// The last record of each partition that has one: of how many, which, its term and number.
    pub fn positions(&self) -> Vec<(u32, u32, u64, u64)> {
        self.stage.0.borrow().driver.positions()
    }

    /// The zone as it is known here.
    pub fn view(&self) -> &Arc<View> {
        self.steward.view()
    }

    /// Until when it may answer.
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// The flows that run here.
    pub fn flows(&self) -> usize {
        self.flows.catalog().load().flows().count()
    }

    fn hear(&mut self, now: u64, heard: Heard) {
        // What is turned down has changed nothing.
        let _ = self.steward.hear(now, heard);
    }

    fn tell(&self, told: Told) {
        self.stage.0.borrow_mut().handle(Command::Zone(told));
    }

    fn bind(&mut self, now: u64) {
        for (link, member, to) in self.links.bind(self.steward.view()) {
            self.tell(Told::Linked(member, to));
            self.members.insert(link, member);
            for (kind, body) in self.early.remove(&link).unwrap_or_default() {
                self.tell(Told::Frame(member, kind, body));
            }
            self.hear(now, Heard::Linked(member));
        }
    }

    /// Offers its flows once it is in the zone, those that are not there yet.
    fn offer(&mut self, now: u64) {
        let view = self.steward.view().clone();
        if view.me.is_none() {
            return;
        }
        for flow in std::mem::take(&mut self.offered) {
            if !view.flows.contains_key(flow.name()) {
                let (name, text) = (flow.name().to_owned(), flow.text().to_owned());
                self.hear(now, Heard::Wish(Wish::Deploy { flow: name, text }));
            }
        }
    }

    fn act(&mut self, now: u64, act: Act) {
        match act {
            Act::Send(to, bytes) => match self.links.to(&to) {
                Some(link) => link.send(control(&bytes)),
                None => self.out.push(ZoneOut::Dial(to.address)),
            },
            Act::Keep { serial, .. } => self.hear(now, Heard::Kept(serial)),
            Act::Lease(until) => {
                self.lease = until;
                self.tell(Told::Lease(until));
            }
            Act::View(view, for_workers) => {
                self.tell(Told::View(for_workers));
                let others = view.members.iter().map(|seen| &seen.member);
                let there = others.filter(|of| Some(of.id) != view.me && of.standing != Standing::Left);
                self.out.extend(there.map(|member| ZoneOut::Dial(member.address.clone())));
            }
            Act::Fill(group, member, number) => self.tell(Told::Fill(group, member, number)),
            Act::Drain(group, term) => self.tell(Told::Drain(group, term)),
            Act::Compile { flow, number, text } => {
                let refused = Flow::parse(&flow, &text).err().map(|error| error.to_string());
                self.hear(now, Heard::Wish(Wish::Compiled { flow, revision: number, refused }));
            }
            Act::Run { id, flow, text, .. } => {
                let classes = Flow::parse(&flow, &text).and_then(|flow| self.run(id, flow));
                if let Ok(classes) = classes {
                    self.hear(now, Heard::Wish(Wish::Classes(classes)));
                }
            }
            Act::End(flow) => drop(self.flows.drop_flow(&flow, &self.stage)),
            Act::Unlink(member) => self.out.extend(self.links.of(member).map(ZoneOut::End)),
            Act::Over(_) => {}
        }
    }

    fn run(&self, id: anabranch_model::message::FlowId, flow: Flow) -> Result<Vec<u16>, Error> {
        let classes = flow.plan().classes();
        self.flows.follow(id, flow, &self.stage)?;
        Ok(classes)
    }
}

impl std::fmt::Debug for ZoneNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZoneNode").field("name", &self.me.name).finish_non_exhaustive()
    }
}
