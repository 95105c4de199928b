//! The thread that deals with a node's zone: links, decisions, and what workers and flows are told of them.
//!
//! No row passes here. What other nodes send for workers goes from the thread that reads a link to the worker ([`Sink`]);
//! only what comes before it is known which member is at the other end waits for this thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anabranch_cluster::{Contact, View, Wish};
use anabranch_model::zone::MemberId;
use anabranch_operators::Clock;
use anabranch_wire::peer::hello::{Reason, Refused};
use anabranch_wire::peer::{Kind, PeerError, destination};
use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, select, tick, unbounded};

use super::peer::{LinkId, LinkSender, MakeSink, Peer, PeerEvent, PeerSink, Peers};
use crate::doors::Doors;
use crate::driver::Command;
use crate::error::Error;
use crate::log;
use crate::node::Core;
use crate::os::{self, Aside};
use crate::zone::{Act, Frames, Heard, Identity, Link, Links, Says, Steward, Told, control};

mod flows;
mod part;
mod status;

pub(crate) use flows::{Job, Jobs};
pub(crate) use part::ZonePart;

/// What the thread is told from inside the node.
pub(crate) enum Order {
    /// Something is to be decided.
    Wish(Wish),
    /// It is to end.
    Stop,
}

/// The way to a node's zone.
#[derive(Clone)]
pub(crate) struct ZoneDoor {
    pub(crate) orders: Sender<Order>,
    pub(crate) seen: Arc<ZoneSeen>,
}

/// What the node knows of its zone now.
#[derive(Debug, Default)]
pub(crate) struct ZoneSeen {
    pub(crate) view: ArcSwap<View>,
    /// Why the node is none of the zone, if it is not.
    pub(crate) over: OnceLock<String>,
    /// Flows that run, by name, with the numbers of their revisions.
    pub(crate) flows: ArcSwap<BTreeMap<String, u64>>,
    /// Whether the flows that the node brings are not decided on yet.
    pub(crate) offers: AtomicBool,
    /// Why a flow was not taken, by name.
    pub(crate) refused: ArcSwap<BTreeMap<String, String>>,
}

impl ZoneDoor {
    /// Something is to be decided.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) fn wish(&self, wish: Wish) -> Result<(), Error> {
        self.orders.send(Order::Wish(wish)).map_err(|_| Error::Stopped)
    }
}

impl Frames for LinkSender {
    fn send(&self, frames: Vec<u8>) {
        // Whoever sent it hears of the end of the link.
        let _ = LinkSender::send(self, frames);
    }
}

/// What a link's reader and the thread share.
#[derive(Default)]
pub(crate) struct Ends {
    member: OnceLock<MemberId>,
    /// What came before it was known who is there.
    early: Mutex<Vec<(Kind, Vec<u8>)>>,
}

/// The links that have come up, by number.
pub(crate) type AllEnds = Arc<Mutex<HashMap<LinkId, Arc<Ends>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands what comes over a link to workers.
struct Sink {
    ends: Arc<Ends>,
    core: Arc<OnceLock<std::sync::Weak<Core>>>,
}

impl PeerSink for Sink {
    fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), PeerError> {
        let Some(core) = self.core.get().and_then(std::sync::Weak::upgrade) else { return Ok(()) };
        if self.ends.member.get().is_none() {
            let mut early = lock(&self.ends.early);
            if self.ends.member.get().is_none() {
                early.push((kind, body.to_vec()));
                return Ok(());
            }
        }
        match self.ends.member.get() {
            Some(member) => hand(core.zone_doors(), *member, kind, body.to_vec()),
            None => Ok(()),
        }
    }
}

/// Hands a frame to its worker.
fn hand(doors: &Doors, from: MemberId, kind: Kind, body: Vec<u8>) -> Result<(), PeerError> {
    let Some(worker) = destination(kind, &body)? else { return Ok(()) };
    let at = worker.0 as usize % doors.0.len();
    doors.0[at].send(Command::Zone(Told::Frame(from, kind, body)));
    Ok(())
}

/// Makes sinks; `core` is set when the node has started.
pub(crate) fn sinks(all: AllEnds, core: Arc<OnceLock<std::sync::Weak<Core>>>) -> MakeSink {
    Arc::new(move |_: &Arc<Peer>, link: &LinkSender| {
        let ends = Arc::new(Ends::default());
        lock(&all).insert(link.id(), ends.clone());
        Box::new(Sink { ends, core: core.clone() })
    })
}

/// What the thread starts with.
pub(crate) struct Ways {
    pub(crate) core: Arc<Core>,
    pub(crate) steward: Steward,
    pub(crate) peers: Arc<Peers>,
    pub(crate) ends: AllEnds,
    pub(crate) events: Receiver<PeerEvent>,
    pub(crate) says: Receiver<Says>,
    pub(crate) orders: Receiver<Order>,
    pub(crate) door: ZoneDoor,
    pub(crate) clock: Clock,
    /// Where others may be, to be joined.
    pub(crate) join: Vec<String>,
}

/// Starts the thread; it ends when it is told to.
///
/// # Errors
/// The operating system refuses it.
pub(crate) fn start(ways: Ways) -> std::io::Result<[Aside; 2]> {
    let (jobs, work) = unbounded();
    let core = ways.core.clone();
    let door = ways.door.clone();
    let flows = os::spawn_vital("anabranch-flows", move || flows::run(&work, &core, &door))?;
    let zone = os::spawn_vital("anabranch-zone", move || {
        let (joins, unwanted) = (Vec::new(), BTreeMap::new());
        Zone { links: Links::default(), senders: BTreeMap::new(), joins, unwanted, jobs, ways }.run();
    })?;
    Ok([zone, flows])
}

struct Zone {
    links: Links<LinkId>,
    /// What the reader of each link shares, and how it is ended.
    senders: BTreeMap<LinkId, (Arc<Ends>, LinkSender)>,
    /// Where it joins, and who does not want it.
    joins: Vec<String>,
    unwanted: BTreeMap<String, String>,
    jobs: Jobs,
    ways: Ways,
}

impl Zone {
    fn now(&self) -> u64 {
        self.ways.clock.now().as_micros() as u64
    }

    fn run(mut self) {
        self.joins = std::mem::take(&mut self.ways.join);
        self.joins.iter().for_each(|address| self.dial(address));
        loop {
            let due = self.ways.steward.due().saturating_sub(self.now());
            let (events, says, orders) =
                (self.ways.events.clone(), self.ways.says.clone(), self.ways.orders.clone());
            select! {
                recv(events) -> event => match event {
                    Ok(event) => self.event(event),
                    Err(_) => return,
                },
                recv(says) -> says => if let Ok(says) = says {
                    self.hear(Heard::Says(says));
                },
                recv(orders) -> order => match order {
                    Ok(Order::Wish(wish)) => self.hear(Heard::Wish(wish)),
                    Ok(Order::Stop) | Err(_) => return,
                },
                default(Duration::from_micros(due)) => {}
            }
            let acts = {
                let now = self.now();
                self.ways.steward.turn(now)
            };
            acts.into_iter().for_each(|act| self.act(act));
        }
    }

    fn hear(&mut self, heard: Heard) {
        let now = self.now();
        if let Err(error) = self.ways.steward.hear(now, heard) {
            log::zone_message(&error);
        }
    }

    fn dial(&self, address: &str) {
        if let Err(error) = self.ways.peers.dial(address) {
            log::zone_dial(address, &error);
        }
    }

    fn event(&mut self, event: PeerEvent) {
        match event {
            PeerEvent::Up(peer, sender) => {
                let ends = lock(&self.ways.ends).entry(peer.link).or_default().clone();
                self.links.up(peer.link, identity(&peer), Link::to(sender.clone()));
                self.senders.insert(peer.link, (ends, sender));
                self.bind();
            }
            PeerEvent::Lost { peer, refused } => {
                lock(&self.ways.ends).remove(&peer.link);
                self.senders.remove(&peer.link);
                let Some((member, last)) = self.links.lost(peer.link) else { return };
                if last {
                    self.tell(|| Told::Unlinked(member));
                }
                self.hear(Heard::Unlinked(member, refused));
            }
            PeerEvent::Control(peer, bytes) => {
                let from = self.links.contact(peer.link, &identity(&peer), self.ways.steward.view());
                self.hear(Heard::Message(from, bytes));
            }
            PeerEvent::Refused { address, refused } => self.refused(&address, &refused),
        }
    }

    /// A node that is dialed wants no link. Who is in no zone yet, and is refused wherever it wants to join for what it is,
    /// gives up.
    fn refused(&mut self, address: &str, refused: &Refused) {
        log::zone_refused(address, &refused.text);
        let final_one = matches!(
            refused.reason,
            Reason::Version | Reason::Zone | Reason::Secret | Reason::Open | Reason::Clock | Reason::Odd
        );
        self.unwanted.retain(|other, _| other != address);
        if final_one {
            self.unwanted.insert(address.to_owned(), refused.text.clone());
        }
        let joins = self.ways.steward.view().me.is_none() && !self.joins.is_empty();
        if joins && self.joins.iter().all(|address| self.unwanted.contains_key(address)) {
            let _ = self.ways.door.seen.over.set(refused.text.clone());
        }
    }

    /// Links whose other ends are known by now are told to workers.
    fn bind(&mut self) {
        for (key, member, link) in self.links.bind(self.ways.steward.view()) {
            let Some((ends, sender)) = self.senders.get(&key).cloned() else { continue };
            self.tell(|| Told::Linked(member, link.clone()));
            let mut early = lock(&ends.early);
            for (kind, body) in early.drain(..) {
                if hand(self.ways.core.zone_doors(), member, kind, body).is_err() {
                    sender.end();
                }
            }
            // From here on the reader hands on by itself.
            let _ = ends.member.set(member);
            drop(early);
            self.hear(Heard::Linked(member));
        }
    }

    fn tell(&self, told: impl Fn() -> Told) {
        self.ways.core.zone_doors().tell(|| Command::Zone(told()));
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Send(to, bytes) => self.send(&to, &bytes),
            Act::Keep { .. } => unreachable!("a node that keeps its part of a zone says so when it starts"),
            Act::Lease(until) => self.tell(|| Told::Lease(until)),
            Act::View(view, for_workers) => {
                self.tell(|| Told::View(for_workers.clone()));
                self.reach(&view);
                self.ways.door.seen.view.store(view);
                self.bind();
            }
            Act::Fill(group, member, number) => self.tell(|| Told::Fill(group, member, number)),
            Act::Drain(group, term) => self.tell(|| Told::Drain(group, term)),
            Act::Compile { flow, number, text } => self.job(Job::Compile { flow, number, text }),
            Act::Run { id, flow, number, text } => self.job(Job::Run { id, flow, number, text }),
            Act::End(flow) => self.job(Job::End { flow }),
            Act::Unlink(member) => {
                let of_it = self.links.of(member).filter_map(|key| self.senders.get(&key));
                of_it.for_each(|(_, sender)| sender.end());
            }
            Act::Over(reason) => {
                log::zone_over(&reason.to_string());
                let _ = self.ways.door.seen.over.set(reason.to_string());
            }
        }
    }

    fn job(&self, job: Job) {
        // The thread of flows lives as long as this one.
        let _ = self.jobs.send(job);
    }

    fn send(&self, to: &Contact, bytes: &[u8]) {
        match self.links.to(to) {
            Some(link) => link.send(control(bytes)),
            None => self.dial(&to.address),
        }
    }

    /// Keeps up links to all who are there.
    fn reach(&self, view: &View) {
        let others = view.members.iter().map(|seen| &seen.member).filter(|member| Some(member.id) != view.me);
        for member in others {
            match member.standing {
                anabranch_cluster::Standing::Left => self.ways.peers.forget(&member.address),
                _ => {
                    if let Err(error) = self.ways.peers.connect(&member.name, &member.address) {
                        log::zone_dial(&member.address, &error);
                    }
                }
            }
        }
        if let Some(me) = view.me {
            self.ways.peers.set_member(me);
        }
    }
}

fn identity(peer: &Peer) -> Identity {
    let hello = &peer.hello;
    let incarnation = hello.incarnation as u64;
    Identity { name: hello.node.clone(), incarnation, address: hello.address.clone() }
}

/// Waits until something is so, and looks as often as views come.
pub(crate) fn wait_until(within: Duration, mut is: impl FnMut() -> bool) -> bool {
    let (began, looks) = (os::now(), tick(Duration::from_millis(2)));
    loop {
        if is() {
            return true;
        }
        if os::now().duration_since(began) > within || looks.recv().is_err() {
            return false;
        }
    }
}
