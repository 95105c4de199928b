//! A small node: the first one owns everything, the others hand requests on and hold copies. It has no disk and knows no
//! takeover, so its process must not die.

use std::collections::BTreeMap;

use anabranch_model::zone::{Group, Term};
use anabranch_sim::{
    Answer, Ask, Configured, Factory, Held, Host, Input, Member, Node, Now, Operation, Output, Start,
};

const OWNER: Host = Host(0);
const GROUP: Group = Group { copies: 3, number: 0 };

/// What it does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    None,
    /// Copies answer reads.
    StaleReads,
    /// A request that is sent again is done again.
    Twice,
    /// What is handed on again is handed on backwards.
    Reorders,
    /// A change is not sent to a copy.
    LosesACopy,
    /// Some requests are never done.
    NeverAnswers,
    /// All nodes answer.
    AnswersAnybody,
    /// A copy believes that it owns, too.
    TwoOwners,
    /// A node knows another configuration.
    TwoConfigurations,
}

pub(crate) struct Toys {
    pub(crate) bug: Bug,
}

impl Factory for Toys {
    fn start(&mut self, _: Now, start: Start) -> Result<Box<dyn Node>, String> {
        if start.life > 0 {
            return Err("a toy lives once".to_owned());
        }
        let out = start.others.iter().copied().map(Output::Connect).collect();
        Ok(Box::new(Toy {
            bug: self.bug,
            host: start.host,
            others: start.others,
            waiting: Vec::new(),
            done: BTreeMap::new(),
            rows: BTreeMap::new(),
            seq: 0,
            out,
        }))
    }
}

struct Toy {
    bug: Bug,
    host: Host,
    others: Vec<Host>,
    /// Requests that clients asked here, and that are not answered.
    waiting: Vec<Ask>,
    done: BTreeMap<(u64, u64), Option<i64>>,
    rows: BTreeMap<String, i64>,
    seq: u64,
    out: Vec<Output>,
}

impl Toy {
    fn send(&mut self, to: Host, what: String) {
        self.out.push(Output::Send(to, what.into_bytes()));
    }

    fn asked(&mut self, ask: Ask) {
        if self.bug == Bug::NeverAnswers && ask.number % 97 == 5 {
            return;
        }
        if self.host == OWNER {
            let told = self.perform(&ask);
            self.answer(ask.client, ask.number, told);
        } else if self.bug == Bug::StaleReads && matches!(ask.what, Operation::Get(_)) {
            let told = self.rows.get(ask.what.key()).copied();
            self.answer(ask.client, ask.number, told);
        } else {
            self.send(OWNER, write(&ask));
            self.waiting.push(ask);
        }
    }

    fn answer(&mut self, client: u64, number: u64, told: Option<i64>) {
        self.out.push(Output::Answer { client, number, answer: Answer::Done(told) });
    }

    fn perform(&mut self, ask: &Ask) -> Option<i64> {
        let id = (ask.client, ask.number);
        if let Some(told) = self.done.get(&id).filter(|_| self.bug != Bug::Twice) {
            return *told;
        }
        let before = self.rows.get(ask.what.key()).copied();
        let (after, told) = match &ask.what {
            Operation::Put(_, value) => (Some(*value), None),
            Operation::Delete(_) => (None, None),
            Operation::Get(_) | Operation::Count(_) => (before, before),
            Operation::Add(_, by) => (Some(before.unwrap_or(0) + by), Some(before.unwrap_or(0) + by)),
        };
        if !ask.what.only_reads() {
            self.seq += 1;
            self.set(ask.what.key(), after);
            for other in self.others.clone() {
                if self.bug != Bug::LosesACopy || other != Host(1) || self.seq % 7 != 3 {
                    let value = after.map_or_else(|| "-".to_owned(), |value| value.to_string());
                    self.send(other, format!("row {} {} {value}", self.seq, ask.what.key()));
                }
            }
        }
        self.done.insert(id, told);
        told
    }

    fn set(&mut self, key: &str, value: Option<i64>) {
        match value {
            Some(value) => drop(self.rows.insert(key.to_owned(), value)),
            None => drop(self.rows.remove(key)),
        }
    }

    fn up(&mut self, peer: Host) {
        if self.host == OWNER {
            let all: Vec<_> = self.rows.iter().map(|(key, value)| format!(" {key} {value}")).collect();
            self.send(peer, format!("all {}{}", self.seq, all.concat()));
        } else if peer == OWNER {
            let mut again = self.waiting.clone();
            if self.bug == Bug::Reorders {
                again.reverse();
            }
            again.iter().for_each(|ask| self.send(OWNER, write(ask)));
        }
    }

    fn frame(&mut self, peer: Host, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        match words.as_slice() {
            ["ask", rest @ ..] => {
                let ask = read(rest);
                let told = self.perform(&ask);
                let told = told.map_or_else(|| "-".to_owned(), |told| told.to_string());
                self.send(peer, format!("told {} {} {told}", ask.client, ask.number));
                if self.bug == Bug::AnswersAnybody {
                    self.answer(ask.client, ask.number, None);
                }
            }
            ["told", client, number, told] => {
                let (client, number) = (parse(client), parse(number));
                let is = |ask: &Ask| (ask.client, ask.number) == (client, number);
                if self.waiting.iter().any(is) {
                    self.waiting.retain(|ask| !is(ask));
                    self.answer(client, number, told.parse().ok());
                }
            }
            ["row", seq, key, value] => {
                self.seq = parse(seq);
                self.set(key, value.parse().ok());
            }
            ["all", seq, rows @ ..] if self.bug != Bug::LosesACopy || self.seq == 0 => {
                self.seq = parse(seq);
                self.rows = rows.chunks(2).map(|row| (row[0].to_owned(), parse(row[1]) as i64)).collect();
            }
            _ => {}
        }
    }
}

fn write(ask: &Ask) -> String {
    let (what, value) = match ask.what {
        Operation::Put(_, value) => ("put", value),
        Operation::Delete(_) => ("delete", 0),
        Operation::Get(_) => ("get", 0),
        Operation::Add(_, by) => ("add", by),
        Operation::Count(_) => ("count", 0),
    };
    format!("ask {} {} {what} {} {value}", ask.client, ask.number, ask.what.key())
}

fn read(words: &[&str]) -> Ask {
    let (key, value) = (words[3].to_owned(), parse(words[4]) as i64);
    let what = match words[2] {
        "put" => Operation::Put(key, value),
        "delete" => Operation::Delete(key),
        "get" => Operation::Get(key),
        "add" => Operation::Add(key, value),
        _ => Operation::Count(key),
    };
    Ask { client: parse(words[0]), number: parse(words[1]), answered: 0, repeated: false, what }
}

fn parse(word: &str) -> u64 {
    word.parse().expect("a toy wrote it")
}

impl Node for Toy {
    fn handle(&mut self, _: Now, input: Input) {
        match input {
            Input::Up { peer, .. } => self.up(peer),
            Input::Lost { .. } => {}
            Input::Frame { peer, bytes } => {
                self.frame(peer, &String::from_utf8(bytes).expect("a toy wrote it"))
            }
            Input::Ask(ask) => self.asked(ask),
            Input::Gone(client) => self.waiting.retain(|ask| ask.client != client),
        }
    }

    fn turn(&mut self, _: Now, out: &mut Vec<Output>) {
        out.append(&mut self.out);
    }

    fn due(&self) -> Option<u64> {
        None
    }

    fn hello(&self) -> Vec<u8> {
        self.host.name().into_bytes()
    }

    fn serves(&self, _: Now) -> Vec<(Group, Term)> {
        let serves = self.host == OWNER || (self.bug == Bug::TwoOwners && self.host == Host(1));
        if serves { vec![(GROUP, Term(1))] } else { Vec::new() }
    }

    fn version(&self) -> u64 {
        0
    }

    fn configurations(&self) -> Vec<Configured> {
        let member = |host: Host| Member { id: u64::from(host.0) + 1, host };
        let wrong = self.bug == Bug::TwoConfigurations && self.host == Host(2);
        let owner = Some(member(if wrong { Host(2) } else { OWNER }));
        let in_sync = (0..3).map(|host| member(Host(host))).collect();
        vec![Configured { group: GROUP, term: Term(1), owner, in_sync }]
    }

    fn holds(&self) -> Vec<Held> {
        let rows = self.rows.iter().map(|(key, value)| (key.clone(), *value)).collect();
        vec![Held { group: GROUP, positions: vec![(0, Term(1), self.seq)], rows }]
    }
}
