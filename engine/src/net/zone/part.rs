//! A node's part in a zone, as the rest of the node sees it: begun when it starts, entered when it can be reached.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use anabranch_cluster::{Cluster, Me, Role, View, Wish};
use anabranch_lang::evolution::evolution;
use anabranch_model::message::FlowId;
use anabranch_wire::peer::hello;
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::{AllEnds, Order, Ways, ZoneDoor, ZoneSeen, lock, sinks, start, wait_until};
use crate::deploy::{Before, Deployed, Flows};
use crate::error::Error;
use crate::flow::Flow;
use crate::log;
use crate::net::peer::{PeerEvent, Peers, PeersConfig};
use crate::node::Core;
use crate::os::{self, Aside};
use crate::zone::{Says, Steward};
use crate::zone_config::ZoneConfig;
use crate::zone_status::{ZoneRole, ZoneStatus};

/// How long a deploy waits for the zone.
const DECIDED_WITHIN: Duration = Duration::from_secs(30);

/// A node's part in its zone.
pub(crate) struct ZonePart {
    config: ZoneConfig,
    node: String,
    workers: u32,
    incarnation: u64,
    door: ZoneDoor,
    /// What is needed to enter it.
    begun: Mutex<Option<Begun>>,
    core: Arc<OnceLock<Weak<Core>>>,
    asides: Mutex<Vec<Aside>>,
}

struct Begun {
    says: Receiver<Says>,
    orders: Receiver<Order>,
    events: Receiver<PeerEvent>,
    peers: Arc<Peers>,
    ends: AllEnds,
    flows: Vec<Flow>,
}

impl ZonePart {
    /// The part of a node, and what its workers need: where they say something, and what makes this life of it differ.
    pub(crate) fn new(config: ZoneConfig, node: &str, workers: u32) -> (ZonePart, (Sender<Says>, u64)) {
        let incarnation = os::seed();
        let (to, says) = unbounded();
        let (orders, ordered) = unbounded();
        let (events_to, events) = unbounded();
        let core = Arc::new(OnceLock::new());
        let ends = AllEnds::default();
        let mut of_peers = PeersConfig::new(&config, node, u128::from(incarnation));
        of_peers.workers = workers;
        of_peers.role =
            if config.role == ZoneRole::Witness { hello::Role::Witness } else { hello::Role::Data };
        let peers = Arc::new(Peers::start(of_peers, events_to, sinks(ends.clone(), core.clone())));
        let begun = Begun { says, orders: ordered, events, peers, ends, flows: Vec::new() };
        let part = ZonePart {
            config,
            node: node.to_owned(),
            workers,
            incarnation,
            door: ZoneDoor { orders, seen: Arc::new(ZoneSeen::default()) },
            begun: Mutex::new(Some(begun)),
            core,
            asides: Mutex::new(Vec::new()),
        };
        (part, (to, incarnation))
    }

    fn is_witness(&self) -> bool {
        self.config.role == ZoneRole::Witness
    }

    /// The zone as this node sees it.
    pub(crate) fn view(&self) -> Arc<View> {
        self.door.seen.view.load_full()
    }

    /// Why the node is none of the zone, if it is not.
    pub(crate) fn over(&self) -> Option<&String> {
        self.door.seen.over.get()
    }

    /// Something is to be decided.
    pub(crate) fn wish(&self, wish: Wish) -> Result<(), Error> {
        self.door.wish(wish)
    }

    /// Whether the node is of the zone, all of the zone's flows run here, and somebody owns each partition.
    pub(crate) fn is_ready(&self) -> bool {
        let (view, running) = (self.view(), self.door.seen.flows.load());
        let runs = |(name, flow): (&String, &anabranch_cluster::Flow)| {
            flow.active.as_ref().is_some_and(|active| running.get(name) == Some(&active.number))
        };
        if self.door.seen.offers.load(Ordering::Acquire) {
            return false;
        }
        let up = view.me.and_then(|me| view.member(me)).is_some_and(|member| member.standing.is_here());
        let owned = view.groups.values().all(|of| of.owner.is_some());
        up && owned
            && (self.is_witness() || view.flows.iter().all(runs))
            && (view.flows.is_empty() || self.is_witness() || !view.groups.is_empty())
    }

    /// Waits until the node serves; whether it does.
    pub(crate) fn wait_until_ready(&self, within: Duration) -> Result<bool, Error> {
        let ready = wait_until(within, || self.is_ready() || self.over().is_some());
        match self.over() {
            Some(why) => {
                Err(Error::Start(format!("the zone `{}` does not want the node: {why}", self.config.zone)))
            }
            None => Ok(ready),
        }
    }

    /// What the node tells of its zone.
    pub(crate) fn status(&self) -> ZoneStatus {
        let waits = self.over().cloned().or_else(|| (!self.is_ready()).then(|| self.waits_for()));
        super::status::status(&self.view(), &self.node, waits)
    }

    /// What it waits for before it serves.
    pub(crate) fn waits_for(&self) -> String {
        let view = self.view();
        let Some(me) = view.me else {
            return format!("nobody of zone `{}` has let it in yet", self.config.zone);
        };
        let name = |id| view.member(id).map_or_else(|| format!("member {id}"), |member| member.name.clone());
        if let Some((group, of)) = view.groups.iter().find(|(_, of)| of.owner.is_none()) {
            let gone: Vec<String> = of.in_sync.iter().filter(|id| **id != me).map(|id| name(*id)).collect();
            return format!("partition {} waits for {}", group.number, gone.join(" or "));
        }
        "its flows do not run here yet".to_owned()
    }

    /// Installs a flow on all nodes, or nowhere.
    pub(crate) fn deploy(&self, flow: Flow, flows: &Flows) -> Result<Deployed, Error> {
        let name = flow.name().to_owned();
        let catalog = flows.catalog().load_full();
        let old = catalog.named(&name).map(|(_, old)| old.clone());
        let before = match &old {
            None => Before::Nothing,
            Some(old) => {
                let evolution = evolution(old.plan(), flow.plan());
                if !evolution.allowed() {
                    return Err(Error::Evolution(evolution));
                }
                if old.revision() == flow.revision() {
                    return Ok(Deployed { flow: old.clone(), before: Before::Same, breaks: Vec::new() });
                }
                Before::Older(evolution)
            }
        };
        let seen = &self.door.seen;
        let refused = |view: &View| view.flows.get(&name).and_then(|of| of.refused.clone());
        let refused_before = refused(&self.view()).map(|refused| refused.number);
        self.wish(Wish::Deploy { flow: name.clone(), text: flow.text().to_owned() })?;
        let runs = || {
            flows.catalog().load().named(&name).is_some_and(|(_, runs)| runs.revision() == flow.revision())
        };
        let now_refused =
            || refused(&seen.view.load()).filter(|refused| Some(refused.number) != refused_before);
        if !wait_until(DECIDED_WITHIN, || runs() || now_refused().is_some()) {
            let text = format!(
                "the zone has not decided within {} s whether flow `{name}` may run; look at its nodes with `anabranch zone`, and try again",
                DECIDED_WITHIN.as_secs()
            );
            return Err(Error::Start(text));
        }
        match now_refused().filter(|_| !runs()) {
            Some(refused) => {
                let by =
                    self.view().member(refused.member).map_or_else(String::new, |member| member.name.clone());
                Err(Error::Start(format!(
                    "node {by} of the zone does not take flow `{name}`: {}",
                    refused.reason
                )))
            }
            None => Ok(Deployed { flow, before, breaks: Vec::new() }),
        }
    }

    /// Drops a flow on all nodes.
    pub(crate) fn drop_flow(&self, name: &str, flows: &Flows) -> Result<(), Error> {
        flows.catalog().load().flow(name)?;
        self.wish(Wish::Withdraw { flow: name.to_owned() })?;
        match wait_until(DECIDED_WITHIN, || flows.catalog().load().named(name).is_none()) {
            true => Ok(()),
            false => Err(Error::Start(format!("the zone has not dropped flow `{name}` in time; try again"))),
        }
    }
}

/// A node in a zone.
impl Core {
    /// The node has started; the flows that it brings run when the zone says so. Gives those that run at once.
    pub(crate) fn begin_zone(self: &Arc<Self>, flows: Vec<Flow>) -> Vec<Flow> {
        let Some(part) = self.part() else { return flows };
        let _ = part.core.set(Arc::downgrade(self));
        let core = Arc::downgrade(self);
        self.zone().open(Box::new(move || {
            core.upgrade().and_then(|core| core.part().map(ZonePart::status)).unwrap_or_default()
        }));
        if let Some(begun) = lock(&part.begun).as_mut() {
            self.zone().let_in(&begun.peers);
            part.door.seen.offers.store(!flows.is_empty(), Ordering::Release);
            begun.flows = flows;
        }
        Vec::new()
    }

    /// Others can reach the node at this address: it founds the zone or joins it.
    ///
    /// # Errors
    /// It has no address that others reach; the operating system refuses a thread.
    pub(crate) fn enter_zone(self: &Arc<Self>, listens: Option<SocketAddr>) -> Result<(), Error> {
        let Some(part) = self.part() else { return Ok(()) };
        let Some(begun) = lock(&part.begun).take() else { return Ok(()) };
        let address = part.address(listens)?;
        begun.peers.set_address(&address);
        let (clock, now) = (self.clock(), self.clock().now().as_micros() as u64);
        let me = Me {
            zone: part.config.zone.clone(),
            name: part.node.clone(),
            incarnation: part.incarnation,
            address,
            role: if part.is_witness() { Role::Witness } else { Role::Data },
            workers: part.workers,
            durable: false,
            epoch_at: (os::now_micros() as u64).saturating_sub(now),
        };
        let join = part.config.join.clone();
        let cluster = match join.is_empty() {
            true => Cluster::found(me.clone(), now),
            false => Cluster::join(me.clone(), join.clone(), now),
        };
        let ways = Ways {
            core: self.clone(),
            steward: Steward::new(cluster, &me),
            peers: begun.peers,
            ends: begun.ends,
            events: begun.events,
            says: begun.says,
            orders: begun.orders,
            door: part.door.clone(),
            clock,
            join,
        };
        let no_thread = |error| Error::Start(format!("no thread for its zone: {error}"));
        let mut asides: Vec<Aside> = start(ways).map_err(no_thread)?.into();
        if !begun.flows.is_empty() {
            let (core, flows) = (self.clone(), begun.flows);
            asides.push(os::spawn_aside("anabranch-offer", move || core.offer(flows)).map_err(no_thread)?);
        }
        lock(&part.asides).extend(asides);
        Ok(())
    }

    /// Offers flows to the zone.
    fn offer(&self, flows: Vec<Flow>) {
        let Some(part) = self.part() else { return };
        let is_in = || {
            part.view().me.is_some() || part.over().is_some() || part.wish(Wish::Classes(Vec::new())).is_err()
        };
        while !wait_until(DECIDED_WITHIN, is_in) {}
        for flow in flows {
            let runs = || {
                let view = part.view();
                let known = view.flows.get(flow.name()).is_some_and(|of| of.active.is_some());
                !known || self.catalog().named(flow.name()).is_some()
            };
            wait_until(DECIDED_WITHIN, runs);
            let running = self.catalog().named(flow.name()).map(|(_, running)| running.revision());
            if let Some(running) = running.filter(|running| *running > flow.revision()) {
                log::passed_over(&flow, running);
            } else if let Err(error) = part.deploy(flow.clone(), self.all_flows()) {
                log::zone_flow(flow.name(), &error);
            }
        }
        part.door.seen.offers.store(false, Ordering::Release);
    }

    /// Runs what the zone has decided; the classes of groups that it needs.
    pub(crate) fn follow(&self, id: FlowId, flow: Flow) -> Result<Vec<u16>, Error> {
        let classes = flow.plan().classes();
        self.all_flows().follow(id, flow, self.zone_doors())?;
        Ok(classes)
    }

    /// Ends what the zone has dropped.
    pub(crate) fn end_flow(&self, name: &str) -> Result<(), Error> {
        self.all_flows().drop_flow(name, self.zone_doors())
    }

    /// The node is about to stop.
    pub(crate) fn leave_zone(&self) {
        let Some(part) = self.part() else { return };
        // What waits for other nodes would keep it running.
        let _ = part.door.orders.send(Order::Stop);
        let asides = std::mem::take(&mut *lock(&part.asides));
        asides.into_iter().for_each(Aside::wait);
        drop(lock(&part.begun).take());
    }
}

impl ZonePart {
    /// Where others reach the node.
    fn address(&self, listens: Option<SocketAddr>) -> Result<String, Error> {
        if let Some(address) = &self.config.advertise {
            return Ok(address.clone());
        }
        match listens {
            Some(address) if !address.ip().is_unspecified() => Ok(address.to_string()),
            Some(_) => {
                let text = "a node of a zone that listens at all addresses says where others reach it: set `advertise`";
                Err(Error::Start(text.to_owned()))
            }
            None => {
                Err(Error::Start("a node of a zone listens for gRPC, where other nodes reach it".to_owned()))
            }
        }
    }
}

impl std::fmt::Debug for ZonePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZonePart").field("zone", &self.config.zone).finish_non_exhaustive()
    }
}
