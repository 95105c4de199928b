//! Flows as the zone decides them: compiled where one is proposed, run where all have compiled it.
//!
//! On a thread of its own: a change of a flow waits for what is under way, which may wait for the zone's thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_cluster::Wish;
use anabranch_lang::evolution::evolution;
use anabranch_model::message::FlowId;
use crossbeam_channel::{Receiver, Sender};

use super::ZoneDoor;
use crate::flow::Flow;
use crate::log;
use crate::node::Core;

/// Something to do with a flow.
#[derive(Debug)]
pub(crate) enum Job {
    /// Says whether a revision may run here.
    Compile { flow: String, number: u64, text: String },
    /// Runs it.
    Run { id: FlowId, flow: String, number: u64, text: String },
    /// Ends it.
    End { flow: String },
}

/// The way to the thread.
pub(crate) type Jobs = Sender<Job>;

/// Does what comes until nobody can send any more.
pub(super) fn run(jobs: &Receiver<Job>, core: &Core, door: &ZoneDoor) {
    for job in jobs {
        match job {
            Job::Compile { flow, number, text } => {
                let refused = compile(&flow, &text, core).err();
                if let Some(why) = &refused {
                    note(&door.seen.refused, &flow, Some(why.clone()));
                }
                let _ = door.wish(Wish::Compiled { flow, revision: number, refused });
            }
            Job::Run { id, flow, number, text } => {
                let parsed = Flow::parse(&file(&flow), &text);
                match parsed.and_then(|parsed| core.follow(id, parsed)) {
                    Ok(classes) => {
                        note(&door.seen.refused, &flow, None);
                        note(&door.seen.flows, &flow, Some(number));
                        let _ = door.wish(Wish::Classes(classes));
                    }
                    Err(error) => log::zone_flow(&flow, &error),
                }
            }
            Job::End { flow } => {
                if let Err(error) = core.end_flow(&flow) {
                    log::zone_flow(&flow, &error);
                }
                note(&door.seen.flows, &flow, None);
            }
        }
    }
}

fn note<T: Clone>(map: &arc_swap::ArcSwap<BTreeMap<String, T>>, flow: &str, of: Option<T>) {
    let mut next = BTreeMap::clone(&map.load());
    match of {
        Some(of) => drop(next.insert(flow.to_owned(), of)),
        None => drop(next.remove(flow)),
    }
    map.store(Arc::new(next));
}

/// What a flow's text is called in messages.
fn file(flow: &str) -> String {
    format!("{flow}.flow")
}

/// Why a revision may not run here.
fn compile(flow: &str, text: &str, core: &Core) -> Result<(), String> {
    let parsed = Flow::parse(&file(flow), text).map_err(|error| error.to_string())?;
    if parsed.name() != flow {
        return Err(format!("the text is of flow `{}`, not of `{flow}`", parsed.name()));
    }
    let catalog = core.catalog();
    let Some((_, old)) = catalog.named(flow) else { return Ok(()) };
    let evolution = evolution(old.plan(), parsed.plan());
    if evolution.allowed() { Ok(()) } else { Err(evolution.to_string()) }
}
