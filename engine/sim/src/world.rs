//! Nodes, links and clients, and the time in which they do what they do.

use std::collections::BTreeMap;

use crate::chance::Chance;
use crate::client::{Clients, PATIENCE, Sending};
use crate::clock::{Clock, Now};
use crate::disk::{Lost, SimDisk};
use crate::event::{Event, Events};
use crate::fault::{self, Fault, Remains};
use crate::invariant::Watch;
use crate::network::{Network, Runs};
use crate::node::{Ask, Host, Input, Node, Output, Start};
use crate::scenario::Scenario;
use crate::trace::Trace;

const SECOND: u64 = 1_000_000;

/// When faults end, and everything has to come right.
const HEALS_AT: u64 = 240 * SECOND;

/// When clients begin nothing new.
const QUIET_AT: u64 = 275 * SECOND;

/// When all keys are read once more.
const READS_AT: u64 = 285 * SECOND;

/// When a run ends.
pub(crate) const ENDS_AT: u64 = 300 * SECOND;

/// Faults begin when the zone has had time to begin.
const FAULTS_FROM: u64 = 10 * SECOND;

/// Between two looks at what nodes say of themselves: often enough to meet two owners.
const LOOKS_EVERY: u64 = 250_000;

/// After a node lost everything until another one may: copies have to be made of what is left.
const WIPES_EVERY: u64 = 30 * SECOND;

/// Makes nodes.
pub trait Factory {
    /// A node begins a life.
    ///
    /// # Errors
    /// Why it cannot, which it must be able to.
    fn start(&mut self, now: Now, start: Start) -> Result<Box<dyn Node>, String>;

    /// Whether nodes keep what they have on their disks; where they do not, each death loses everything, and one at a time
    /// is all that can be.
    fn keeps(&self) -> bool {
        true
    }
}

/// A machine.
struct Machine {
    node: Option<Box<dyn Node>>,
    lives: u32,
    clock: Clock,
    disk: SimDisk,
    /// What came while it stood still.
    inbox: Vec<Input>,
    /// The turn that it is to have next.
    wakes_at: Option<u64>,
}

pub(crate) struct World<'f> {
    now: u64,
    events: Events,
    scenario: Scenario,
    factory: &'f mut dyn Factory,
    machines: Vec<Machine>,
    network: Network,
    pub(crate) clients: Clients,
    pub(crate) watch: Watch,
    pub(crate) trace: Trace,
    chance: Chance,
    faults: BTreeMap<u64, Fault>,
    last_fault: u64,
    last_wipe: u64,
    healed: bool,
    out: Vec<Output>,
}

impl<'f> World<'f> {
    pub(crate) fn new(seed: u64, scenario: Scenario, traced: bool, factory: &'f mut dyn Factory) -> Self {
        let mut chance = Chance::new(seed);
        let hosts = usize::from(scenario.hosts());
        let machine = |number: usize, chance: &mut Chance| Machine {
            node: None,
            lives: 0,
            clock: if number == 0 { Clock::right() } else { Clock::skewed(chance) },
            disk: SimDisk::new(chance.number()),
            inbox: Vec::new(),
            wakes_at: None,
        };
        let machines = (0..hosts).map(|number| machine(number, &mut chance)).collect();
        World {
            now: 0,
            events: Events::default(),
            network: Network::new(chance.number(), hosts, scenario.delay),
            clients: Clients::new(chance.number(), scenario.nodes),
            watch: Watch::default(),
            trace: Trace::new(traced),
            machines,
            scenario,
            factory,
            chance,
            faults: BTreeMap::new(),
            last_fault: 0,
            last_wipe: 0,
            healed: false,
            out: Vec::new(),
        }
    }

    /// Lets everything happen.
    ///
    /// # Errors
    /// What must not be.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for host in 0..self.scenario.hosts() {
            self.start(Host(host))?;
        }
        for client in 0..crate::client::CLIENTS {
            self.events.put(2 * SECOND + client as u64, Event::Client(client));
        }
        let first = FAULTS_FROM + self.chance.below(self.scenario.every);
        self.events.put(first, Event::Fault);
        for (at, event) in [
            (HEALS_AT, Event::Heal),
            (QUIET_AT, Event::Quiet),
            (READS_AT, Event::LastReads),
            (0, Event::Look),
        ] {
            self.events.put(at, event);
        }
        while let Some((at, event)) = self.events.next(ENDS_AT) {
            self.now = at;
            self.happens(event)?;
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Result<(), String> {
        let now = self.now;
        match event {
            Event::Wake(host, life) => return self.wake(host, life),
            Event::Up { at, peer, link, hello } => {
                if let Some(before) = self.network.up(at, peer, link) {
                    let up = Input::Up { peer, hello };
                    return before.into_iter().chain([up]).try_for_each(|input| self.tell(at, input));
                }
            }
            Event::Lost { at, peer, link } => {
                if self.network.lost(at, peer, link) {
                    return self.tell(at, Input::Lost { peer, refused: false });
                }
            }
            Event::Arrive { from, to, link, bytes } => {
                if let Some(input) = self.network.arrive(from, to, link, bytes) {
                    return self.tell(to, input);
                }
            }
            Event::Flush { from, to, link } => {
                let held = self.network.flush(from, to, link);
                return held.into_iter().try_for_each(|input| self.tell(to, input));
            }
            Event::Dial(from, to) => self.dial(from, to),
            Event::Closed { at, peer, link } => {
                if let Some(input) = self.network.closed(now, at, peer, link, &mut self.events) {
                    return self.tell(at, input);
                }
            }
            Event::Asked(host, life, ask) => return self.asked(host, life, ask),
            Event::Client(client) => self.client(client),
            Event::Late(client, attempt) => {
                if self.clients.attempt(client) == attempt && self.clients.is_late(now, client) {
                    return self.moves(client);
                }
            }
            Event::Moves(client, attempt) => {
                if self.clients.attempt(client) == attempt {
                    return self.moves(client);
                }
            }
            Event::Answered { client, number, answer } => {
                if self.clients.answered(now, client, number, &answer) {
                    let pause = 20_000 + self.chance.below(200_000);
                    self.events.put(now + pause, Event::Moves(client, self.clients.attempt(client)));
                }
            }
            Event::Fault => return self.fault(),
            Event::Ends(number) => return self.end_fault(number),
            Event::Look => return self.look(),
            Event::Heal => return self.heal(),
            Event::Quiet => self.clients.quiet = true,
            Event::LastReads => {
                for (client, sending) in self.clients.read_all(now) {
                    self.send(client, sending);
                }
            }
        }
        Ok(())
    }

    fn machine(&mut self, host: Host) -> &mut Machine {
        &mut self.machines[usize::from(host.0)]
    }

    fn start(&mut self, host: Host) -> Result<(), String> {
        let (now, hosts) = (self.now, self.scenario.hosts());
        let seed = self.chance.number();
        let witness = host.0 >= self.scenario.nodes;
        let machine = &mut self.machines[usize::from(host.0)];
        let life = machine.lives;
        machine.lives += 1;
        let others = (0..hosts).map(Host).filter(|other| *other != host).collect();
        let founds = host == Host(0) && life == 0;
        let start = Start { host, life, seed, disk: machine.disk.clone(), founds, witness, others };
        let node = self.factory.start(machine.clock.at(now), start);
        let node = node.map_err(|why| format!("node {} does not start: {why}", host.name()))?;
        machine.node = Some(node);
        machine.inbox.clear();
        machine.wakes_at = None;
        self.network.hosts[usize::from(host.0)] = Runs::Process(life);
        self.trace.say(now, Some(host), || format!("begins life {life}"));
        self.turn(host)
    }

    fn wake(&mut self, host: Host, life: u32) -> Result<(), String> {
        let now = self.now;
        let machine = self.machine(host);
        if machine.wakes_at != Some(now) || machine.lives != life + 1 {
            return Ok(());
        }
        machine.wakes_at = None;
        match self.network.hosts[usize::from(host.0)] {
            Runs::Process(_) => self.turn(host),
            _ => Ok(()),
        }
    }

    /// Tells a node something, now or when it goes on.
    fn tell(&mut self, host: Host, input: Input) -> Result<(), String> {
        let now = self.now;
        match self.network.hosts[usize::from(host.0)] {
            Runs::Process(_) => {
                self.trace.say(now, Some(host), || format!("< {}", brief(&input)));
                let machine = self.machine(host);
                let at = machine.clock.at(now);
                if let Some(node) = &mut machine.node {
                    node.handle(at, input);
                }
                self.turn(host)
            }
            Runs::Paused(_) => {
                self.machine(host).inbox.push(input);
                Ok(())
            }
            Runs::Nothing | Runs::Off => Ok(()),
        }
    }

    fn turn(&mut self, host: Host) -> Result<(), String> {
        let now = self.now;
        let mut out = std::mem::take(&mut self.out);
        let machine = self.machine(host);
        let (clock, life) = (machine.clock, machine.lives - 1);
        let Some(node) = &mut machine.node else { return Ok(()) };
        node.turn(clock.at(now), &mut out);
        if let Some(due) = node.due() {
            // A node that is due all the time does not stop the world's.
            let at = clock.time_of(due).max(now + 1);
            if machine.wakes_at.is_none_or(|before| at < before) {
                machine.wakes_at = Some(at);
                self.events.put(at, Event::Wake(host, life));
            }
        }
        let done = out.drain(..).try_for_each(|output| self.output(host, life, output));
        self.out = out;
        done
    }

    fn output(&mut self, host: Host, life: u32, output: Output) -> Result<(), String> {
        let now = self.now;
        match output {
            Output::Connect(to) => self.network.connect(now, host, to, &mut self.events),
            Output::Send(to, bytes) => {
                self.trace.say(now, Some(host), || format!("> {} {} bytes", to.name(), bytes.len()));
                self.network.send(now, host, to, bytes, &mut self.events);
            }
            Output::Close(peer) => self.network.reset(now, host, peer, &mut self.events),
            Output::Say(what) => self.trace.say(now, Some(host), || what),
            Output::Answer { client, number, answer } => {
                self.trace.say(now, Some(host), || format!("answers {client} {number} {answer:?}"));
                let place = self.clients.place(client, number);
                let request = place.map(|place| &self.clients.history.requests[place]);
                crate::invariant::source::check(host, life, client, number, request)?;
                let takes = self.clients.answer_takes();
                let client = client as usize - 1;
                if self.clients.host(client) == host {
                    self.events.put(now + takes, Event::Answered { client, number, answer });
                }
            }
        }
        Ok(())
    }

    fn dial(&mut self, from: Host, to: Host) {
        let Some((link, ends)) = self.network.dial(self.now, from, to, &mut self.events) else { return };
        for (at, peer, when) in [(from, to, ends[0]), (to, from, ends[1])] {
            let hello = self.machine(peer).node.as_ref().map(|node| node.hello()).unwrap_or_default();
            self.events.put(when, Event::Up { at, peer, link, hello });
        }
    }

    fn client(&mut self, client: usize) {
        let (sending, pause) = self.clients.thinks(self.now, client);
        if !self.clients.quiet {
            self.events.put(self.now + pause, Event::Client(client));
        }
        if let Some(sending) = sending {
            self.send(client, sending);
        }
    }

    fn send(&mut self, client: usize, sending: Sending) {
        let attempt = self.clients.attempt(client);
        let life = self.network.hosts[usize::from(sending.to.0)].life();
        let life = self.clients.connect(client, life);
        self.events.put(sending.at, Event::Asked(sending.to, life, sending.ask));
        self.events.put(self.now + PATIENCE, Event::Late(client, attempt));
    }

    fn asked(&mut self, host: Host, connected: Option<u32>, ask: Ask) -> Result<(), String> {
        let client = ask.client as usize - 1;
        let runs = self.network.hosts[usize::from(host.0)].life();
        let Some(life) = runs.filter(|_| runs == connected) else {
            // There is no process, or another one, which knows nothing of the connection.
            if self.clients.host(client) == host {
                let attempt = self.clients.attempt(client);
                self.events.put(self.now + 20_000, Event::Moves(client, attempt));
            }
            return Ok(());
        };
        if let Some(place) = self.clients.place(ask.client, ask.number) {
            self.clients.history.requests[place].sent_to.push((host, life));
        }
        self.tell(host, Input::Ask(ask))
    }

    fn moves(&mut self, client: usize) -> Result<(), String> {
        let from = self.clients.host(client);
        self.tell(from, Input::Gone(Clients::id(client)))?;
        for sending in self.clients.moves(self.now, client) {
            self.send(client, sending);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), String> {
        let now = self.now;
        let machines = (0..).map(Host).zip(&self.machines);
        let nodes = machines.filter_map(|(host, machine)| {
            let runs = matches!(self.network.hosts[usize::from(host.0)], Runs::Process(_));
            let node = machine.node.as_deref().filter(|_| runs)?;
            Some((host, machine.lives - 1, machine.clock.at(now), node))
        });
        self.watch.look(nodes)?;
        self.events.put(now + LOOKS_EVERY, Event::Look);
        Ok(())
    }

    /// What all nodes hold and know; at the end.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (Host, &dyn Node)> {
        (0..)
            .map(Host)
            .zip(&self.machines)
            .filter_map(|(host, machine)| Some((host, machine.node.as_deref()?)))
    }

    fn fault(&mut self) -> Result<(), String> {
        let Scenario { faults, nodes, every, lasts, .. } = self.scenario;
        let hosts = self.scenario.hosts();
        let fault = fault::draw(&faults, hosts, nodes, &mut self.chance);
        let next = 1 + self.chance.below(2 * every);
        let lasts = 1 + self.chance.below(lasts);
        if self.healed {
            return Ok(());
        }
        self.events.put(self.now + next, Event::Fault);
        let Some(fault) = fault.filter(|fault| self.is_possible(fault)) else { return Ok(()) };
        self.last_fault += 1;
        self.events.put(self.now + lasts, Event::Ends(self.last_fault));
        self.begin_fault(&fault);
        self.faults.insert(self.last_fault, fault);
        Ok(())
    }

    fn is_possible(&self, fault: &Fault) -> bool {
        let runs = |host: &Host| matches!(self.network.hosts[usize::from(host.0)], Runs::Process(_));
        match fault {
            Fault::Cut(ways) => {
                let cut = |fault: &Fault| matches!(fault, Fault::Cut(cut) if cut.iter().any(|way| ways.contains(way)));
                !self.faults.values().any(cut)
            }
            Fault::Reset(..) => true,
            Fault::Pause(host) => runs(host),
            Fault::Down(hosts, remains) if *remains == Remains::Nothing || !self.factory.keeps() => {
                let one = hosts.len() == 1;
                let all_run = (0..self.scenario.hosts()).all(|host| runs(&Host(host)));
                let rested = self.last_wipe == 0 || self.now >= self.last_wipe + WIPES_EVERY;
                one && all_run && rested && hosts.iter().all(|host| self.watch.can_lose(*host))
            }
            Fault::Down(hosts, _) => hosts.iter().all(runs),
        }
    }

    fn begin_fault(&mut self, fault: &Fault) {
        let now = self.now;
        self.trace.say(now, None, || format!("begins {fault:?}"));
        match fault {
            Fault::Cut(ways) => {
                ways.iter().for_each(|(from, to)| self.network.cut(now, *from, *to, true, &mut self.events));
            }
            Fault::Reset(one, other) => self.network.reset(now, *one, *other, &mut self.events),
            Fault::Pause(host) => {
                let runs = &mut self.network.hosts[usize::from(host.0)];
                if let Runs::Process(life) = *runs {
                    *runs = Runs::Paused(life);
                }
            }
            Fault::Down(hosts, remains) => hosts.iter().for_each(|host| self.kill(*host, *remains)),
        }
    }

    fn kill(&mut self, host: Host, remains: Remains) {
        let now = self.now;
        let seed = self.chance.number();
        let machine = self.machine(host);
        machine.node = None;
        match remains {
            Remains::Written => machine.disk.restart(Lost::Nothing),
            Remains::Synced => machine.disk.restart(Lost::AtRandom),
            Remains::Nothing => machine.disk = SimDisk::new(seed),
        }
        let off = remains == Remains::Synced;
        self.network.hosts[usize::from(host.0)] = if off { Runs::Off } else { Runs::Nothing };
        self.network.died(now, host, &mut self.events);
        if remains == Remains::Nothing || !self.factory.keeps() {
            self.last_wipe = now;
            self.watch.wiped(host);
        }
        for client in 0..crate::client::CLIENTS {
            if self.clients.host(client) == host && !off {
                self.events.put(now + 1_000, Event::Moves(client, self.clients.attempt(client)));
            }
        }
    }

    fn end_fault(&mut self, number: u64) -> Result<(), String> {
        let Some(fault) = self.faults.remove(&number) else { return Ok(()) };
        let now = self.now;
        self.trace.say(now, None, || format!("ends {fault:?}"));
        match fault {
            Fault::Cut(ways) => {
                ways.iter().for_each(|(from, to)| self.network.cut(now, *from, *to, false, &mut self.events));
            }
            Fault::Reset(..) => {}
            Fault::Pause(host) => return self.go_on(host),
            Fault::Down(hosts, _) => {
                let mut hosts = hosts;
                while !hosts.is_empty() {
                    let at = self.chance.below(hosts.len() as u64) as usize;
                    self.start(hosts.swap_remove(at))?;
                }
            }
        }
        Ok(())
    }

    /// A process that stood still goes on: what came meanwhile is there all at once.
    fn go_on(&mut self, host: Host) -> Result<(), String> {
        let runs = &mut self.network.hosts[usize::from(host.0)];
        let Runs::Paused(life) = *runs else { return Ok(()) };
        *runs = Runs::Process(life);
        let machine = self.machine(host);
        machine.wakes_at = None;
        let inbox = std::mem::take(&mut machine.inbox);
        self.turn(host)?;
        inbox.into_iter().try_for_each(|input| self.tell(host, input))
    }

    fn heal(&mut self) -> Result<(), String> {
        self.healed = true;
        let faults: Vec<u64> = self.faults.keys().copied().collect();
        faults.into_iter().try_for_each(|number| self.end_fault(number))
    }
}

/// What happens to a node, in a few words.
fn brief(input: &Input) -> String {
    match input {
        Input::Up { peer, .. } => format!("up {}", peer.name()),
        Input::Lost { peer, refused } => {
            format!("lost {}{}", peer.name(), if *refused { " refused" } else { "" })
        }
        Input::Frame { peer, bytes } => format!("{} {} bytes", peer.name(), bytes.len()),
        Input::Ask(ask) => format!("asked by {} {} {:?}", ask.client, ask.number, ask.what),
        Input::Gone(client) => format!("client {client} is gone"),
    }
}
