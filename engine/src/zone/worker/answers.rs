//! Answers of other nodes, and of parts that went their ways again, on their way to who asked.

use anabranch_model::message::{Answer, Body, Forward, Page, Part, Recorded};
use anabranch_model::plan::{Plan, Sync};
use anabranch_model::zone::{MemberId, Parts, Terms, Touched};
use anabranch_operators::Worker;
use anabranch_wire::peer::answer::{Answered as Said, AnsweredBody};

use super::ZoneWorker;
use crate::egress::{Egress, Left};
use crate::error::Error;
use crate::storage_error::StorageError;
use crate::zone::entrance::{self, PIECE};
use crate::zone::says::Says;

/// After which time a scan is asked for again that met a change of owners, in microseconds.
const PAGE_AGAIN_MICROS: u64 = 2_000;

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
        // Who turned it away knows of a newer owner; this node does by now, or will.
        let newer = |(group, tenure)| self.view.owners.standing(group).tenure > tenure;
        let behind = if forward.terms.iter().any(newer) { 0 } else { self.view.version };
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
        if !fits(&forward, said, revised.as_deref().or(worker.plan(forward.flow).as_deref())) {
            self.say(Says::Odd { member: from });
            return self.lose(forward, egress, "another node answered something else than it was asked", now);
        }
        let answer = match &said.body {
            AnsweredBody::Rows(rows) => {
                let turned_away: Vec<u32> = rows.elsewhere().collect();
                if !turned_away.is_empty() {
                    let rest = entrance::only(&forward, &turned_away);
                    if rest.rows.len() == forward.rows.len() {
                        return self.entrance.forwards.wait(whose, rest, behind);
                    }
                    egress.one_more((forward.origin.client, forward.origin.request), forward.parts);
                    self.entrance.forwards.wait(whose, rest, behind);
                }
                Answer::Rows(rows.answer())
            }
            AnsweredBody::Row(row) => Answer::Row(row.map(<[u8]>::to_vec)),
            AnsweredBody::Page(page) => Answer::Page(page.page()),
            AnsweredBody::Problem(problem) => Answer::Problem(*problem),
            AnsweredBody::Elsewhere => return self.entrance.forwards.wait(whose, forward, behind),
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
        if let (Ok(Answer::Page(page)), Some(Body::Page { table, .. })) = (&answer, &body) {
            let whole = worker.groups(flow, *table).unwrap_or_default();
            let missing = whole.parts.without(touched.parts);
            let twice = page.rows.windows(2).any(|two| two[0].0 == two[1].0);
            if twice || !missing.is_empty() {
                // Owners have changed between one part and the other.
                let terms = Terms::of(Touched { parts: missing, ..whole }, &self.view.owners);
                let whose = self.entrance.whose(&origin);
                let forward = Forward {
                    origin,
                    to: None,
                    flow,
                    body: body.expect("it was looked at"),
                    revision: origin.revision,
                    rows: Vec::new(),
                    places: Vec::new(),
                    terms,
                    // What came before is forgotten: the answer is one that is whole.
                    parts: 1,
                    entered,
                };
                return self.entrance.forwards.wait_until(whose, forward, now + PAGE_AGAIN_MICROS);
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
}

/// Whether something is an answer to what was asked.
fn fits(forward: &Forward, said: &Said<'_>, plan: Option<&Plan>) -> bool {
    let outputs = plan.map_or(0, |plan| plan.outputs.len());
    match (&forward.body, &said.body) {
        (Body::Rows { .. }, AnsweredBody::Rows(rows)) => {
            rows.replies().chain(rows.repeated()).all(|(_, output, _)| usize::from(output.0) < outputs)
        }
        (Body::Get { .. }, AnsweredBody::Row(_)) | (Body::Page { .. }, AnsweredBody::Page(_)) => true,
        (_, AnsweredBody::Rows(_) | AnsweredBody::Row(_) | AnsweredBody::Page(_)) => false,
        (_, AnsweredBody::Problem(_) | AnsweredBody::Elsewhere | AnsweredBody::Lost(_)) => true,
    }
}
