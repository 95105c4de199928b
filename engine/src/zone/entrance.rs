//! Requests that entered at one worker of a node in a zone, as far as they are not done here at once: what goes to other
//! nodes, what comes back from them, what goes its ways again.

use std::collections::HashMap;

use anabranch_model::batch::Batch;
use anabranch_model::message::{Answer, Body, FlowId, Forward, Origin, Part, Recorded, Request, WorkerId};
use anabranch_model::plan::Sync;
use anabranch_model::share::Work;
use anabranch_model::zone::{Owners, Terms};

use crate::zone::forwards::{Forwards, Whose};

/// The number of the client whose requests are parts of others that go their ways again.
pub(crate) const PIECE: u64 = u64::MAX;

/// From here on clients are other nodes.
pub(crate) const GUEST: u64 = 1 << 62;

/// Whether a request entered at another node.
pub(crate) fn is_guest(client: u64) -> bool {
    (GUEST..PIECE).contains(&client)
}

/// A part of a request that goes its ways again, as a request of its own.
#[derive(Debug)]
pub(crate) struct Piece {
    /// In whose order it is.
    pub(crate) whose: Whose,
    /// Whose part it is.
    pub(crate) origin: Origin,
    pub(crate) parts: u32,
    pub(crate) entered: u64,
}

/// What is under way.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    pub(crate) forwards: Forwards,
    pieces: HashMap<u64, Piece>,
    last: u64,
}

impl Entrance {
    /// In whose order something is.
    pub(crate) fn whose(&self, origin: &Origin) -> Whose {
        match origin.client {
            PIECE => self.pieces.get(&origin.request).map_or((PIECE, origin.request), |piece| piece.whose),
            client => (client, origin.request),
        }
    }

    /// A part is to go its ways again: the request for it.
    pub(crate) fn again(&mut self, worker: WorkerId, whose: Whose, forward: Forward) -> (FlowId, Request) {
        self.last += 1;
        let piece = Piece { whose, origin: forward.origin, parts: forward.parts, entered: forward.entered };
        self.pieces.insert(self.last, piece);
        let flow = forward.flow;
        let mut request = forward.again();
        request.origin = Origin { worker, client: PIECE, request: self.last, ..request.origin };
        (flow, request)
    }

    /// A part that went its ways again is answered.
    pub(crate) fn came_back(&mut self, piece: u64) -> Option<Piece> {
        self.pieces.remove(&piece)
    }
}

/// What was to be done for a part, or only these rows of it, as something that may go its ways again.
pub(crate) fn undone(
    flow: FlowId,
    part: &Part,
    given: Work,
    only: Option<&[u32]>,
    owners: &Owners,
) -> Forward {
    let Part { origin, parts, entered, touched, .. } = part;
    let Request { body, partial, .. } = given.again(*origin, origin.revision, only);
    let (rows, revision) = partial.map_or((Vec::new(), origin.revision), |of| (of.rows, of.revision));
    let (parts, entered, terms) = (*parts, *entered, Terms::of(*touched, owners));
    Forward {
        origin: *origin,
        to: None,
        flow,
        body,
        revision,
        rows,
        places: Vec::new(),
        terms,
        parts,
        entered,
    }
}

/// The rows of a part that another node has turned away.
pub(crate) fn only(forward: &Forward, turned_away: &[u32]) -> Forward {
    let (rows, places) = (Vec::new(), Vec::new());
    let mut rest = Forward { to: None, rows, places, body: forward.body.clone(), ..forward.clone() };
    if let (Body::Rows { batch, .. }, Body::Rows { batch: into, .. }) = (&forward.body, &mut rest.body) {
        *into = Batch::new(batch.schema());
        for (place, row) in forward.rows.iter().zip(batch.rows()) {
            if turned_away.binary_search(place).is_ok() {
                into.push(row);
                rest.rows.push(*place);
            }
        }
    }
    rest
}

/// A part that another node has answered, or nobody had to.
pub(crate) fn answered(forward: &Forward, by: WorkerId, answer: Answer) -> Part {
    let rests_on = Recorded { by, count: 0 };
    Part {
        origin: forward.origin,
        parts: forward.parts,
        asked: Some(forward.body.asked()),
        entered: forward.entered,
        rests_on,
        sync: Sync::Memory,
        touched: forward.terms.touched,
        answer,
    }
}
