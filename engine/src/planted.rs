//! Bugs to plant in a node, so that the crash suites can show that they would find them. Nothing but tests asks for one.

use anabranch_model::message::{Answer, Delivery};
use anabranch_model::record::{Change, Identity, Record, RecordWriter};
use anabranch_model::snapshot::{Item, Standing};
use crossbeam_channel::bounded;

use crate::journal::{Entry, FlowChange};

/// A bug in the way a node keeps what it does, or none.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    None,
    /// What a request did is acknowledged before it is safe.
    AnswersEarly,
    /// Rows are read before they are safe.
    ReadsEarly,
    /// That there is no row is told before its deletion is safe.
    NothingFoundEarly,
    /// Refusals are told before what they rest on is safe.
    RefusalsEarly,
    /// Rows go to subscribers before what they rest on is safe.
    EmittedEarly,
    /// A change of a flow is acknowledged before it is safe.
    FlowsEarly,
    /// Of the records of a turn only the first is kept.
    FirstRecordOnly,
    /// Deletions are not done again.
    DeletesSkipped,
    /// Records are done again twice.
    ReplayedTwice,
    /// What a request was answered is not remembered when it is done again.
    AnswersForgotten,
    /// What partitions of a snapshot remember is not taken.
    SnapshotAnswersForgotten,
    /// Where partitions of a snapshot stand is not taken.
    SnapshotHeadsSkipped,
    /// What a revision of a flow was replaced by is not done again.
    RevisionsSkipped,
}

impl Planted {
    /// Whether a delivery goes out at once.
    pub(crate) fn lets_out(self, delivery: &Delivery) -> bool {
        let answer = match delivery {
            Delivery::Part { part, .. } => Some(&part.answer),
            _ => None,
        };
        match self {
            Planted::AnswersEarly => matches!(answer, Some(Answer::Rows(_))),
            Planted::ReadsEarly => matches!(answer, Some(Answer::Row(Some(_)) | Answer::Page(_))),
            Planted::NothingFoundEarly => matches!(answer, Some(Answer::Row(None))),
            Planted::RefusalsEarly => {
                matches!(answer, Some(Answer::Rows(rows)) if rows.accepted == 0)
            }
            Planted::EmittedEarly => answer.is_none(),
            _ => false,
        }
    }

    /// What the journal takes for an entry.
    pub(crate) fn taken(self, entry: Entry) -> Entry {
        match entry {
            Entry::Flow(id, change, told) if self == Planted::FlowsEarly => {
                // Who waited may be gone.
                let _ = told.send(Ok(()));
                Entry::Flow(id, change, bounded(1).0)
            }
            entry => entry,
        }
    }

    /// Records of a turn that are kept, at most.
    pub(crate) fn records_kept(self) -> usize {
        if self == Planted::FirstRecordOnly { 1 } else { usize::MAX }
    }

    /// What is taken for an item of a snapshot.
    pub(crate) fn loaded(self, item: Item<'_>) -> Option<Item<'_>> {
        match (self, item) {
            (Planted::SnapshotHeadsSkipped, Item::Partition(_)) => None,
            (Planted::SnapshotAnswersForgotten, Item::Partition(standing)) => {
                Some(Item::Partition(Standing { remembered: &[], ..standing }))
            }
            (_, item) => Some(item),
        }
    }

    /// Whether a change of a flow is done again.
    pub(crate) fn restores(self, change: &FlowChange) -> bool {
        self != Planted::RevisionsSkipped || !matches!(change, FlowChange::Replaced(_))
    }

    /// The bodies that are done again for the body of a record.
    pub(crate) fn replayed(self, body: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Planted::DeletesSkipped => {
                vec![rewritten(body, |change| matches!(change, Change::Put(..)), |of| of)]
            }
            Planted::AnswersForgotten => vec![rewritten(body, |_| true, |of| Identity { once: None, ..of })],
            Planted::ReplayedTwice => vec![body.to_vec(), body.to_vec()],
            _ => vec![body.to_vec()],
        }
    }
}

/// A record with some of its changes, of somebody else.
fn rewritten(body: &[u8], keeps: impl Fn(&Change<'_>) -> bool, of: impl Fn(Identity) -> Identity) -> Vec<u8> {
    let Ok(record) = Record::parse(body) else { return body.to_vec() };
    let mut writer = RecordWriter::default();
    for change in record.changes().filter_map(Result::ok).filter(keeps) {
        match change {
            Change::Put(table, row) => writer.put(table, row),
            Change::Delete(table, key) => writer.delete(table, key),
        }
    }
    let mut out = Vec::new();
    let answer = writer.finish(of(record.of), &mut out);
    out.truncate(answer);
    out.extend_from_slice(record.answer_bytes());
    out
}
