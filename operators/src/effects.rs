//! What the rows of a request cause beside writes: replies, emitted rows, refusals.

use std::collections::BTreeMap;

use anabranch_model::batch::{Batch, BatchMark, SchemaId};
use anabranch_model::message::{Refusal, Replies, RowsAnswer};
use anabranch_model::plan::OutputId;
use anabranch_model::record::REPLY_BYTES;

use crate::refusal::Reason;

/// The effects of the rows of one request on one worker, in the making.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) accepted: u32,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) replies: Replies,
    pub(crate) emitted: BTreeMap<OutputId, Batch>,
    /// Where the emitted rows of the present step begin, for the outputs that it emitted to.
    emitted_marks: Vec<(OutputId, BatchMark)>,
    replies_mark: (usize, usize),
    /// Replies of the parts of the request that were done before.
    repeated: Replies,
    /// Rows that are not done here.
    pub(crate) elsewhere: Vec<u32>,
}

impl Effects {
    /// Begins the step of a row.
    pub(crate) fn begin(&mut self) {
        self.replies_mark = self.replies.mark();
        self.emitted_marks.clear();
    }

    /// Ends the step of row `row`: its effects stand, or are taken back and its refusal is returned.
    pub(crate) fn end(&mut self, row: u32, result: Result<(), Reason>) -> Option<Refusal> {
        let Err(reason) = result else {
            self.accepted += 1;
            return None;
        };
        self.replies.truncate(self.replies_mark);
        for (output, mark) in self.emitted_marks.drain(..) {
            if let Some(batch) = self.emitted.get_mut(&output) {
                batch.truncate(mark);
            }
        }
        let place = Some(reason.place).filter(|place| place.line > 0);
        let refusal = Refusal { row, code: reason.code, text: reason.text, place };
        self.refusals.push(refusal.clone());
        Some(refusal)
    }

    /// The replies of the present step.
    pub(crate) fn replied(&self) -> impl Iterator<Item = (u32, OutputId, &[u8])> {
        self.replies.since(self.replies_mark)
    }

    /// Bytes of the replies of the present step in a record.
    pub(crate) fn replied_bytes(&self) -> usize {
        let (replies, bytes) = self.replies.mark();
        (replies - self.replies_mark.0) * REPLY_BYTES + bytes - self.replies_mark.1
    }

    /// A part of the request was done before, with this answer.
    pub(crate) fn repeat(&mut self, answer: RowsAnswer) {
        self.accepted += answer.accepted;
        self.refusals.extend(answer.refusals);
        // Parts come partition by partition.
        self.refusals.sort_by_key(|refusal| refusal.row);
        answer.replies.iter().for_each(|(row, output, bytes)| self.repeated.push(row, output, bytes));
    }

    /// Bytes of the rows that the request has replied and emitted so far.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.replies.row_bytes() + self.emitted.values().map(|batch| batch.bytes().len()).sum::<usize>()
    }

    /// Appends a packed row to what is emitted to an output.
    pub(crate) fn emit(&mut self, output: OutputId, row: &[u8]) {
        let batch = self.emitted.entry(output).or_insert_with(|| Batch::new(SchemaId(u32::from(output.0))));
        if !self.emitted_marks.iter().any(|(marked, _)| *marked == output) {
            self.emitted_marks.push((output, batch.mark()));
        }
        batch.push(row);
    }

    /// The answer to the request.
    pub(crate) fn answer(&mut self) -> RowsAnswer {
        RowsAnswer {
            accepted: std::mem::take(&mut self.accepted),
            refusals: std::mem::take(&mut self.refusals),
            replies: std::mem::take(&mut self.replies),
            repeated: std::mem::take(&mut self.repeated),
            elsewhere: std::mem::take(&mut self.elsewhere),
        }
    }
}
