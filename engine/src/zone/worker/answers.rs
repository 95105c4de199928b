//! Answers of other nodes, and of parts that went their ways again, on their way to who asked.

use anabranch_model::message::{Answer, Body, Forward, Page, Part, Recorded};
use anabranch_model::plan::Sync;
use anabranch_model::zone::{Holder, MemberId, Parts, Terms, Touched};
use anabranch_operators::Worker;
use anabranch_wire::peer::answer::{Answered as Said, AnsweredBody};

use super::ZoneWorker;
use crate::egress::{Egress, Left};
use crate::error::Error;
use crate::storage_error::StorageError;
use crate::zone::entrance::{self, PIECE};

impl ZoneWorker {
    /// Another node has answered a part.
    pub(super) fn answered(
        &mut self,
        from: MemberId,
        said: &Said<'_>,
        worker: &Worker,
        egress: &mut Egress,
        now: u64,
    ) {
        let Some((whose, forward)) = self.entrance.forwards.answered(from, said.id) else { return };
        let revised = match said.revised {
            None => None,
            Some(revision) => match worker.plan(forward.flow).filter(|plan| plan.revision == revision) {
                Some(plan) => Some(plan),
                None => {
                    return self.lose(
                        forward,
                        egress,
                        "it was answered by a revision that this node does not run",
                        now,
                    );
                }
            },
        };
        let answer = match &said.body {
            AnsweredBody::Rows(rows) => {
                let turned_away: Vec<u32> = rows.elsewhere().collect();
                if !turned_away.is_empty() {
                    let rest = entrance::only(&forward, &turned_away);
                    if rest.rows.len() == forward.rows.len() {
                        return self.entrance.forwards.wait(whose, rest, self.view.version);
                    }
                    egress.one_more((forward.origin.client, forward.origin.request), forward.parts);
                    self.entrance.forwards.wait(whose, rest, self.view.version);
                }
                Answer::Rows(rows.answer())
            }
            AnsweredBody::Row(row) => Answer::Row(row.map(<[u8]>::to_vec)),
            AnsweredBody::Page(page) => Answer::Page(page.page()),
            AnsweredBody::Problem(problem) => Answer::Problem(*problem),
            AnsweredBody::Elsewhere => return self.entrance.forwards.wait(whose, forward, self.view.version),
            AnsweredBody::Lost(why) => return self.lose(forward, egress, why, now),
        };
        let mut part = entrance::answered(&forward, self.me, answer);
        part.touched.parts = said.parts;
        egress.answered(forward.flow, part, revised, None, now);
    }

    /// A page lacks what another node was asked for: it tells of no group, so the whole is asked for again.
    pub(super) fn nobody_has(&self, page: Forward, egress: &mut Egress, now: u64) {
        let mut part = entrance::answered(&page, self.me, Answer::Page(Page::default()));
        part.touched.parts = Parts::NONE;
        egress.answered(page.flow, part, None, None, now);
    }

    /// Nobody knows what became of a part.
    fn lose(&mut self, forward: Forward, egress: &mut Egress, why: &str, now: u64) {
        let part = entrance::answered(&forward, self.me, Answer::Elsewhere);
        egress.answered(forward.flow, part, None, Some(why.to_owned()), now);
    }

    /// A part that went its ways again is answered, or the pages of a scan have come together.
    pub(crate) fn left(&mut self, left: Left, worker: &Worker, egress: &mut Egress, now: u64) {
        let Left { flow, origin, answer, revised, touched, body, entered, asked } = left;
        if let (Ok(Answer::Page(_)), Some(Body::Page { table, .. })) = (&answer, &body) {
            let whole = worker.groups(flow, *table).unwrap_or_default();
            let missing = whole.parts.without(touched.parts);
            if !missing.is_empty() && touched.copies == whole.copies {
                // Somebody did not own what it was asked for any more, or not yet.
                let touched = Touched { parts: missing, ..whole };
                let whose = self.entrance.whose(&origin);
                let terms = Terms::of(touched, &self.view.owners);
                let body = body.expect("it was looked at");
                let forward = Forward {
                    origin,
                    to: None,
                    flow,
                    body,
                    revision: origin.revision,
                    rows: Vec::new(),
                    places: Vec::new(),
                    terms,
                    // What came before is forgotten: the answer is one that is whole.
                    parts: 1,
                    entered,
                };
                let behind = if self.is_served(touched) { self.view.version } else { 0 };
                return self.entrance.forwards.wait(whose, forward, behind);
            }
        }
        if origin.client != PIECE {
            return egress.leave(&origin, answer, revised, touched);
        }
        let Some(piece) = self.entrance.came_back(origin.request) else { return };
        let rests_on = Recorded { by: self.me, count: 0 };
        let (answer, lost) = match answer {
            Ok(answer) => (answer, None),
            Err(Error::Storage(StorageError::Lost(why) | StorageError::Unsafe(why))) => {
                (Answer::Elsewhere, Some(why))
            }
            Err(error) => (Answer::Elsewhere, Some(error.to_string())),
        };
        let part = Part {
            origin: piece.origin,
            parts: piece.parts,
            asked,
            entered: piece.entered,
            rests_on,
            sync: Sync::Memory,
            touched,
            answer,
        };
        egress.answered(flow, part, revised, lost, now);
    }

    fn is_served(&self, touched: Touched) -> bool {
        touched.groups().all(|group| self.given.standing(group).holder != Holder::Nobody)
    }
}
