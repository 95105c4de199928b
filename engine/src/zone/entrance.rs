//! Requests that entered at one worker of a node in a zone, as far as they are not done here at once: what goes to other
//! nodes, what comes back from them, what goes its ways again.

use std::collections::HashMap;

use anabranch_model::batch::Batch;
use anabranch_model::message::{
    Answer, Body, FlowId, Forward, Origin, Page, Part, Recorded, Replies, Request, RowsAnswer, WorkerId,
};
use anabranch_model::plan::{Plan, Route, Sync};
use anabranch_model::share::{Routed, Work};
use anabranch_model::zone::{Group, Owners, Parts, Terms};

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

/// Groups that a part rests on are lost: what it tells of them is not to be told, and comes back as rows (or as a whole) that
/// were not done. What it tells of others stays, as a row that is only read would see what was done since.
pub(crate) fn lose(part: &mut Part, given: &Work, lost: &[Group], plan: Option<&Plan>) {
    lost.iter().for_each(|group| part.touched.parts = part.touched.parts.without(Parts::one(group.number)));
    match (&mut part.answer, given, plan) {
        (Answer::Rows(rows), Work::Rows { input, share }, Some(plan)) => {
            let of = match plan.steps.get(usize::from(input.0)).map(|step| &step.route) {
                Some(Route::Hash { partitions, .. }) => *partitions,
                _ => return,
            };
            let is_lost = |routed: &&Routed| {
                routed.partition.is_some_and(|partition| lost.contains(&plan.group(partition.0, of)))
            };
            let gone = share.routed.iter().flatten().filter(is_lost).map(|routed| routed.row).collect();
            take_back(rows, gone);
        }
        (Answer::Page(page), ..) => {
            *page = Page::default();
            part.touched.parts = Parts::NONE;
        }
        (Answer::Problem(_), ..) => {}
        (answer, ..) => *answer = Answer::Elsewhere,
    }
}

/// These rows (growing) were not done after all.
fn take_back(answer: &mut RowsAnswer, gone: Vec<u32>) {
    let is_gone = |row: u32| gone.binary_search(&row).is_ok();
    let refused = answer.refusals.extract_if(.., |refusal| is_gone(refusal.row)).count();
    let known = answer.elsewhere.extract_if(.., |row| is_gone(*row)).count();
    answer.accepted = answer.accepted.saturating_sub((gone.len() - refused - known) as u32);
    for replies in [&mut answer.replies, &mut answer.repeated] {
        let mut kept = Replies::default();
        for (row, output, bytes) in replies.iter().filter(|(row, ..)| !is_gone(*row)) {
            kept.push(row, output, bytes);
        }
        *replies = kept;
    }
    answer.elsewhere.extend(gone);
    answer.elsewhere.sort_unstable();
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

#[cfg(test)]
mod tests {
    use anabranch_model::message::Refusal;
    use anabranch_model::plan::{OutputId, RefusalCode};

    use super::*;

    #[test]
    fn rows_of_lost_groups_are_taken_back_with_all_that_was_said_of_them() {
        let refusal = |row| Refusal { row, code: RefusalCode::Conflict, text: String::new(), place: None };
        let mut answer =
            RowsAnswer { accepted: 4, refusals: vec![refusal(1), refusal(4)], ..RowsAnswer::default() };
        answer.elsewhere = vec![6, 7];
        let row = [16_u32.to_le_bytes().as_slice(), &[0; 12]].concat();
        (0..4).for_each(|number| answer.replies.push(number, OutputId(0), &row));
        take_back(&mut answer, vec![0, 1, 6]);
        assert_eq!((answer.accepted, answer.elsewhere), (3, vec![0, 1, 6, 7]));
        assert_eq!(answer.refusals, [refusal(4)]);
        assert_eq!(answer.replies.iter().map(|(row, ..)| row).collect::<Vec<_>>(), [2, 3]);
    }
}
