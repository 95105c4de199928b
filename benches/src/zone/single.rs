//! One request in flight, beside the sum of the bare hops and syncs that it needs.
//!
//! A write of a name that the entry node owns needs a message there and back between client and node, one between the node and
//! the copy, and with `sync disk` a sync (both nodes sync at the same time); that of a name of the other node needs one message
//! there and back more.

use crate::members::READY_WITHIN;
use crate::process::Failure;
use crate::zone::ledger::{names_of, write};
use crate::zone::{Figure, Kept, Part, Tell, Trial, bare, failed};

/// Writes of a round.
const WRITES: usize = 3000;

pub(super) fn measure(trial: &Trial, tell: Tell<'_>) -> Result<(), Failure> {
    for kept in Kept::ALL {
        let members = trial.zone("single", 2, kept)?;
        let mut client = members.client(0, READY_WITHIN).map_err(failed)?;
        let names = [names_of(&members, "A")?, names_of(&members, "B")?];
        let (mut hops, mut syncs, mut ours) = (Vec::new(), vec![], [Vec::new(), Vec::new()]);
        for _ in 0..trial.rounds {
            hops.push(bare::hop_us()?);
            syncs.push(if kept == Kept::Disk { bare::sync_us(&trial.directory)? } else { 0.0 });
            for (names, ours) in names.iter().zip(&mut ours) {
                let mut took = Vec::with_capacity(WRITES);
                for name in names.iter().cycle().take(WRITES) {
                    took.push(write(&mut client, name).map_err(failed)?.took().as_secs_f64() * 1e6);
                }
                ours.push(crate::median(took));
            }
        }
        let (hop, sync) = (crate::median(hops), crate::median(syncs));
        let name = kept.name();
        tell(Figure::new(Part::Single, format!("{name}: a bare message there and back"), hop, "us"));
        if kept == Kept::Disk {
            tell(Figure::new(Part::Single, format!("{name}: a bare sync, two at once"), sync, "us"));
        }
        let [here, there] = ours.map(crate::median);
        let figure = Figure::new(Part::Single, format!("{name}, owned by the entry node: p50"), here, "us");
        tell(figure.beside("2 bare hops and its sync", 2.0 * hop + sync).ratio(None, Some(1.3)));
        let figure = Figure::new(Part::Single, format!("{name}, owned by the other node: p50"), there, "us");
        tell(figure.beside("3 bare hops and its sync", 3.0 * hop + sync).ratio(None, Some(1.3)));
    }
    Ok(())
}
