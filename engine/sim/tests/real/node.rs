//! The real node under the simulator: its worker, its dataflow, its lanes and its part in the zone, in memory.

use std::collections::BTreeMap;

use anabranch::testing::{ZoneHello, ZoneNode, ZoneOut, ZoneStart};
use anabranch::{Flow, ZoneRole};
use anabranch_model::key;
use anabranch_model::message::Once;
use anabranch_model::partition::{partition_hash, partition_of};
use anabranch_model::value::Value;
use anabranch_model::zone::{Group, Term};
use anabranch_sim::{
    Answer, Ask, Configured, Factory, Held, Host, Input, Member, Node, Now, Operation, Output, Start,
};
use serde_json::json;

const COPIES: u16 = 2;
const PARTITIONS: u32 = 64;

/// Rows that are put, read and deleted, and counters.
pub(crate) const FLOW: &str = "
flow simulated revision 1

schema Item { name: text, value: int }

input  Put: Item
input  Get, Delete: { name: text }
input  Add: { name: text, by: int }
output Told: { value: int? }

policy pair { partitions 64  copies 2  ack all  sync memory }

table Items: Item {
  key       name
  replicate pair
}

on Put as p route by p.name {
  upsert Items { ..p }
}

on Get as g route by g.name {
  read  Items where name = g.name as row or null
  reply Told { value: row.value }
}

on Delete as d route by d.name {
  delete Items where name = d.name
}

on Add as a route by a.name {
  read   Items where name = a.name as row or null
  let sum = coalesce(row.value, 0) + a.by
  upsert Items { name: a.name, value: sum }
  reply  Told { value: sum }
}
";

pub(crate) struct RealNodes;

impl Factory for RealNodes {
    fn start(&mut self, now: Now, start: Start) -> Result<Box<dyn Node>, String> {
        let flow = Flow::parse("simulated.flow", FLOW).map_err(|error| error.to_string())?;
        let address = |host: &Host| host.0.to_string();
        let join = if start.founds { Vec::new() } else { start.others.iter().map(address).collect() };
        let node = ZoneStart {
            zone: "demo".to_owned(),
            name: start.host.name(),
            incarnation: start.seed,
            address: address(&start.host),
            role: if start.witness { ZoneRole::Witness } else { ZoneRole::Data },
            join,
            flows: if start.founds { vec![flow] } else { Vec::new() },
            seed: start.seed,
        };
        let node = ZoneNode::start(node, now.mono, now.wall);
        Ok(Box::new(Real {
            node,
            links: BTreeMap::new(),
            last: 0,
            asked: BTreeMap::new(),
            requests: 0,
            out: Vec::new(),
        }))
    }

    fn keeps(&self) -> bool {
        false
    }
}

struct Real {
    node: ZoneNode,
    links: BTreeMap<Host, u64>,
    last: u64,
    /// By client and the node's number: the client's own.
    asked: BTreeMap<(u64, u64), u64>,
    requests: u64,
    out: Vec<Output>,
}

impl Real {
    fn ask(&mut self, ask: &Ask) {
        let (input, row) = match &ask.what {
            Operation::Put(key, value) => ("Put", json!({ "name": key, "value": value })),
            Operation::Delete(key) => ("Delete", json!({ "name": key })),
            Operation::Get(key) | Operation::Count(key) => ("Get", json!({ "name": key })),
            Operation::Add(key, by) => ("Add", json!({ "name": key, "by": by })),
        };
        let Ask { client, number, answered, repeated, .. } = *ask;
        self.requests += 1;
        match self.node.ask(client, self.requests, Once { client, number, answered, repeated }, input, &row) {
            Ok(()) => drop(self.asked.insert((client, self.requests), number)),
            Err(error) => {
                self.out.push(Output::Say(format!("takes no request: {error}")));
                self.out.push(Output::Answer { client, number, answer: Answer::Again });
            }
        }
    }

    fn answers(&mut self) {
        for (client, request, answer) in self.node.answers() {
            let Some(number) = self.asked.remove(&(client, request)) else { continue };
            let answer = match answer {
                Ok(replies) => Answer::Done(replies.first().and_then(|reply| value(reply, "value"))),
                Err(error) => {
                    self.out.push(Output::Say(format!("does not answer: {error}")));
                    Answer::Again
                }
            };
            self.out.push(Output::Answer { client, number, answer });
        }
    }

    fn host(&self, link: u64) -> Option<Host> {
        self.links.iter().find(|(_, number)| **number == link).map(|(host, _)| *host)
    }
}

fn value(row: &str, column: &str) -> Option<i64> {
    serde_json::from_str::<serde_json::Value>(row).ok()?.get(column)?.as_i64()
}

fn group_of(name: &str) -> u16 {
    let mut bytes = Vec::new();
    key::encode(&Value::Text(name.into()), false, true, &mut bytes);
    partition_of(partition_hash(&bytes), PARTITIONS).0 as u16
}

fn hello_of(bytes: &[u8]) -> ZoneHello {
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split(' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    ZoneHello { name: word(), incarnation: word().parse().unwrap_or(0), address: word() }
}

impl Node for Real {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Up { peer, hello } => {
                self.last += 1;
                self.links.insert(peer, self.last);
                self.node.linked(self.last, hello_of(&hello));
            }
            Input::Lost { peer, refused } => {
                if let Some(link) = self.links.remove(&peer) {
                    self.node.unlinked(now.mono, link, refused);
                }
            }
            Input::Frame { peer, bytes } => {
                if let Some(link) = self.links.get(&peer) {
                    self.node.frames(now.mono, *link, &bytes).expect("a node wrote them");
                }
            }
            Input::Ask(ask) => self.ask(&ask),
            Input::Gone(client) => self.asked.retain(|(of, _), _| *of != client),
        }
    }

    fn turn(&mut self, now: Now, out: &mut Vec<Output>) {
        for effect in self.node.turn(now.mono, now.wall) {
            match effect {
                ZoneOut::Dial(address) => {
                    out.extend(address.parse().ok().map(|host| Output::Connect(Host(host))))
                }
                ZoneOut::Send(link, bytes) => {
                    out.extend(self.host(link).map(|host| Output::Send(host, bytes)))
                }
                ZoneOut::End(link) => out.extend(self.host(link).map(Output::Close)),
            }
        }
        self.answers();
        out.append(&mut self.out);
    }

    fn due(&self) -> Option<u64> {
        Some(self.node.due())
    }

    fn hello(&self) -> Vec<u8> {
        let ZoneHello { name, incarnation, address } = self.node.hello();
        format!("{name} {incarnation} {address}").into_bytes()
    }

    fn serves(&self, now: Now) -> Vec<(Group, Term)> {
        let view = self.node.view();
        if now.mono >= self.node.lease() || view.me.is_none() {
            return Vec::new();
        }
        // What is to go to another owner takes no requests.
        let mine = view.groups.iter().filter(|(_, of)| of.owner == view.me && of.moving.is_none());
        mine.map(|(group, of)| (*group, of.tenure)).collect()
    }

    fn version(&self) -> u64 {
        self.node.view().version
    }

    fn configurations(&self) -> Vec<Configured> {
        let view = self.node.view();
        let member = |id: &anabranch_model::zone::MemberId| {
            let host =
                view.member(*id).and_then(|member| member.address.parse().ok()).map_or(Host(u16::MAX), Host);
            Member { id: id.0, host }
        };
        let groups = view.groups.iter().filter(|(group, _)| group.copies == COPIES);
        let of = groups.map(|(group, of)| Configured {
            group: *group,
            term: of.term,
            owner: of.owner.as_ref().map(member),
            in_sync: of.in_sync.iter().map(member).collect(),
        });
        of.collect()
    }

    fn holds(&self) -> Vec<Held> {
        let mut held: Vec<Held> = (0..PARTITIONS as u16)
            .map(|number| Held {
                group: Group { copies: COPIES, number },
                positions: Vec::new(),
                rows: Vec::new(),
            })
            .collect();
        for (of, number, term, seq) in self.node.positions() {
            let group = Group::of(u32::from(COPIES), number, of);
            held[usize::from(group.number)].positions.push((number, Term(term), seq));
        }
        for row in self.node.rows("Items") {
            let parsed: serde_json::Value = serde_json::from_str(&row).expect("rows are JSON");
            let name = parsed["name"].as_str().unwrap_or_default().to_owned();
            held[usize::from(group_of(&name))].rows.push((name, parsed["value"].as_i64().unwrap_or(0)));
        }
        for held in &mut held {
            held.positions.sort_unstable();
            held.rows.sort_unstable();
        }
        held
    }
}
