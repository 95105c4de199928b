//! What travels through the dataflow: requests with their origin, and the parts of their answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::expr::Place;
use crate::partition::PartitionId;
use crate::plan::{InputId, OutputId, Plan, RefusalCode, Sync, TableId};
use crate::row::row_length;
use crate::share::Work;
use crate::zone::{MemberId, Owners, Parts, Terms, Touched};

/// Bytes after which a worker ends a page of rows.
pub const PAGE_BYTES: usize = 1 << 20;

/// Bytes of the rows that one worker replies and emits for one request, at most; a step that would send more is refused.
pub const MAX_SENT_BYTES: usize = 64 << 20;

/// Number of a flow on its node. It stays when a newer revision takes the flow's place, and is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FlowId(pub u32);

/// Number of a worker of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

/// Where a request entered, so that its answer finds the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The worker that took it in; all requests of a client enter at one worker, in their order.
    pub worker: WorkerId,
    /// The client.
    pub client: u64,
    /// The client's number for the request; grows by one.
    pub request: u64,
    /// The revision of the flow whose numbers and shapes the request uses.
    pub revision: i64,
    /// By what a repeat of the request is recognised; `None` where it is never repeated.
    pub once: Option<Once>,
}

/// A request that has its effects once, however often it is sent: by this a partition knows that it has done it.
///
/// The number lets a partition that has forgotten old requests tell a late repeat of one from a new request, for which it
/// must be about the time at which the request was first made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Once {
    /// Who asks, by a number that nobody else has; not 0.
    pub client: u64,
    /// The request: grows from request to request of the client, and is about the microseconds since 1970 UTC at which it
    /// was made.
    pub number: u64,
    /// All of the client's requests up to this number are answered, and it will repeat none of them.
    pub answered: u64,
    /// Whether it may have been sent before.
    pub repeated: bool,
}

/// One request to one flow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Whose it is.
    pub origin: Origin,
    /// What is asked.
    pub body: Body,
    /// Set where it is a part of a request that was divided before.
    pub partial: Option<Box<Partial>>,
}

/// A part of a request that was divided before: by another node of the zone, or here, where it goes its ways again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partial {
    /// Which rows of the request the body has, growing; empty where it has none.
    ///
    /// INVARIANT: a row has the number that it had in the request as its client sent it, wherever it is done, because an
    /// answer that is remembered tells rows by their numbers. The rows of a partition stay together, because a partition
    /// does a request once.
    pub rows: Vec<u32>,
    /// The revision of the flow whose numbers and shapes the body uses; that of the origin is the asker's, which the
    /// answer is told in.
    pub revision: i64,
    /// Set where another node has sent it; it is not sent on.
    pub forwarded: Option<Forwarded>,
}

/// How another node has sent a part of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarded {
    /// The name of the node where the request entered: `source()`.
    pub source: Arc<str>,
    /// Since which terms it believes the groups to be served here. What is served since another one is not done.
    pub terms: Terms,
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Rows for an input stream.
    Rows {
        /// The stream.
        input: InputId,
        /// The rows, checked against the stream's shape.
        batch: Batch,
    },
    /// The row of one key.
    Get {
        /// The table.
        table: TableId,
        /// Its partition.
        partition: PartitionId,
        /// The key bytes.
        key: Vec<u8>,
        /// Whether the answer waits.
        reads: Reads,
    },
    /// Rows of all partitions in key order.
    Page {
        /// The table.
        table: TableId,
        /// Only keys greater than this.
        after: Option<Vec<u8>>,
        /// Rows at most; fewer where they come to [`PAGE_BYTES`].
        limit: u32,
        /// Whether the answer waits.
        reads: Reads,
    },
}

impl Body {
    /// What is asked.
    pub fn asked(&self) -> Asked {
        match self {
            Body::Rows { input, .. } => Asked::Rows(*input),
            Body::Get { table, .. } => Asked::Get(*table),
            Body::Page { table, .. } => Asked::Page(*table),
        }
    }
}

/// What a reader is content with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Reads {
    /// What is safe: the answer waits until the rows that it shows are.
    #[default]
    Safe,
    /// What is there: the answer does not wait, and a crash may take back what it shows.
    Stale,
}

/// What one worker has to say to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Whose request it was.
    pub origin: Origin,
    /// How many parts the answer has.
    pub parts: u32,
    /// What was asked, in the numbers of the revision that answers; `None` where nothing was done.
    pub asked: Option<Asked>,
    /// When the request entered, in microseconds of the clock of the worker where it did.
    pub entered: u64,
    /// What it rests on.
    pub rests_on: Recorded,
    /// How safe that has to be before it is seen.
    pub sync: Sync,
    /// The groups that it rests on, of a node in a zone. Of a page: those whose rows on this worker it has seen, even where
    /// there were none.
    pub touched: Touched,
    /// This one.
    pub answer: Answer,
}

/// So many records a worker had made; what rests on them must not be seen before they are safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The worker.
    pub by: WorkerId,
    /// Its records since the node started.
    pub count: u64,
}

/// What a request asks, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Asked {
    /// Rows for an input stream.
    Rows(InputId),
    /// The row of a key of a table.
    Get(TableId),
    /// Rows of a table in key order.
    Page(TableId),
}

/// The answer of one worker to its part of a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// What became of rows.
    Rows(RowsAnswer),
    /// The row of a key, packed.
    Row(Option<Vec<u8>>),
    /// Rows in key order.
    Page(Page),
    /// Nothing of the request was done.
    Problem(Problem),
    /// The row of the key is not served here, or not in the term that the asker believes: nothing was read.
    Elsewhere,
}

/// Why nothing of a request was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Problem {
    /// The flow was dropped.
    Gone,
    /// The flow has a newer revision, which the request does not fit.
    Changed,
    /// It may change something, and the node cannot keep what it does.
    Unkept,
}

/// Rows of a table in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Keys with their packed rows.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether there may be rows behind the last one.
    pub more: bool,
}

impl Page {
    /// One page of the pages of several workers over the same keys. It ends where the first of those ends that has more
    /// behind it: whatever comes later may have a row of that worker before it.
    pub fn merge(pages: impl IntoIterator<Item = Page>) -> Page {
        let (mut rows, mut end): (Vec<_>, Option<Vec<u8>>) = (Vec::new(), None);
        for page in pages {
            if let Some((last, _)) = page.rows.last().filter(|_| page.more) {
                end = Some(end.map_or_else(|| last.clone(), |end| end.min(last.clone())));
            }
            rows.extend(page.rows);
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(end) = &end {
            rows.truncate(rows.partition_point(|(key, _)| key <= end));
        }
        Page { rows, more: end.is_some() }
    }
}

/// What became of the rows of a request (or of those that one worker got).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RowsAnswer {
    /// Rows that took effect.
    pub accepted: u32,
    /// Rows that did not, in the order of the batch.
    pub refusals: Vec<Refusal>,
    /// Rows that rules sent back.
    pub replies: Replies,
    /// Rows that rules sent back when the request was done before, and that are told to its asker only.
    pub repeated: Replies,
    /// Rows of which nothing was done, because their groups are not served here, or are since the request was divided;
    /// growing.
    pub elsewhere: Vec<u32>,
}

impl RowsAnswer {
    /// The answer to these rows only (growing), of those that it answers: each row that took effect or was refused is
    /// told of, so that an answer can be divided by rows.
    pub fn only(&self, rows: &[u32]) -> RowsAnswer {
        let wanted = |row: &u32| rows.binary_search(row).is_ok();
        let refusals: Vec<_> = self.refusals.iter().filter(|refusal| wanted(&refusal.row)).cloned().collect();
        let elsewhere: Vec<u32> = self.elsewhere.iter().copied().filter(wanted).collect();
        let told = |all: &Replies| {
            let mut told = Replies::default();
            all.iter().filter(|(row, ..)| wanted(row)).for_each(|(row, of, bytes)| told.push(row, of, bytes));
            told
        };
        let others = refusals.len() + elsewhere.len();
        RowsAnswer {
            accepted: rows.len().saturating_sub(others) as u32,
            refusals,
            replies: told(&self.replies),
            repeated: told(&self.repeated),
            elsewhere,
        }
    }
}

impl RowsAnswer {
    /// Whether it tells of no row.
    pub fn is_empty(&self) -> bool {
        let told = self.accepted as usize + self.refusals.len() + self.elsewhere.len();
        told + self.replies.len() + self.repeated.len() == 0
    }
}

/// A row that was refused: nothing of its step is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which row of the request, from 0.
    pub row: u32,
    /// What the asker may do about it.
    pub code: RefusalCode,
    /// Why, for a person.
    pub text: String,
    /// Where in the flow file, when a rule refused it.
    pub place: Option<Place>,
}

/// Reply rows, in the order in which the rules made them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replies {
    heads: Vec<(u32, OutputId)>,
    rows: Vec<u8>,
}

impl Replies {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Each reply: the row of the request that it answers, its stream, the packed row.
    pub fn iter(&self) -> impl Iterator<Item = (u32, OutputId, &[u8])> {
        self.since((0, 0))
    }

    /// The replies made since `mark`.
    pub fn since(&self, mark: (usize, usize)) -> impl Iterator<Item = (u32, OutputId, &[u8])> {
        let mut rest = &self.rows[mark.1..];
        self.heads[mark.0..].iter().map(move |&(row, output)| {
            let length = row_length(rest).expect("as many rows as heads");
            let (bytes, behind) = rest.split_at(length);
            rest = behind;
            (row, output, bytes)
        })
    }

    /// Appends a packed reply.
    pub fn push(&mut self, row: u32, output: OutputId, bytes: &[u8]) {
        self.heads.push((row, output));
        self.rows.extend_from_slice(bytes);
    }

    /// Appends a reply that `write` packs at the end of the buffer; when it fails nothing is appended.
    ///
    /// # Errors
    /// What `write` says.
    pub fn push_with<E>(
        &mut self,
        row: u32,
        output: OutputId,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.rows.len();
        match write(&mut self.rows) {
            Ok(()) => self.heads.push((row, output)),
            Err(error) => {
                self.rows.truncate(start);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Bytes of the rows.
    pub fn row_bytes(&self) -> usize {
        self.rows.len()
    }

    /// Where the replies end now, for [`Replies::truncate`].
    pub fn mark(&self) -> (usize, usize) {
        (self.heads.len(), self.rows.len())
    }

    /// Takes back the replies made since `mark`.
    pub fn truncate(&mut self, mark: (usize, usize)) {
        self.heads.truncate(mark.0);
        self.rows.truncate(mark.1);
    }
}

/// What a worker hands out after a turn.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// Part of an answer, at the worker where the request entered.
    Part {
        /// The flow.
        flow: FlowId,
        /// The part.
        part: Part,
        /// The revision that answers, where it is another one than the request's: the answer uses its numbers and
        /// shapes.
        revised: Option<Arc<Plan>>,
        /// In a zone: what was to be done, so that it can go its ways again, all of it or some rows.
        given: Option<Box<Work>>,
    },
    /// A part of a request for another node, or for whoever serves it next, at the worker where the request entered.
    Forward(Box<Forward>),
    /// From here on the worker divides requests as these owners say. What it took in before has come out before, so who
    /// waits for owners, or was sent to one that is none any more, can be sent again in its order.
    Owners(Arc<Owners>),
    /// Rows emitted to an output stream, at the worker where the rule ran, how safe what they rest on has to be, and the
    /// groups of that.
    Emitted(FlowId, OutputId, Batch, Sync, Touched),
    /// A refused row, for the flow's error stream, at the worker where its step ran; likewise.
    Refused(FlowId, RefusedRow, Sync, Touched),
}

/// A part of a request that is not done here.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Whose request it was.
    pub origin: Origin,
    /// Who is to do it; `None` where nobody serves the groups at present.
    pub to: Option<MemberId>,
    /// The flow.
    pub flow: FlowId,
    /// What is to be done.
    pub body: Body,
    /// The revision whose numbers and shapes the body uses, maybe not that of the origin ([`Partial::revision`]).
    pub revision: i64,
    /// Which rows of the request the body has, growing; empty where it has none ([`Partial::rows`]).
    pub rows: Vec<u32>,
    /// The partition of the zone that each of them belongs to; empty of rows for a node by name.
    pub places: Vec<u8>,
    /// The groups that serve it, and since which terms; none of rows for a node by name.
    pub terms: Terms,
    /// How many parts the answer has: one from each worker of this node that has something to do, one for each of these.
    pub parts: u32,
    /// When the request entered, in microseconds of the clock of the worker where it did.
    pub entered: u64,
}

impl Forward {
    /// The request for this part, to go its ways again at the node where it entered.
    pub fn again(self) -> Request {
        let Forward { origin, body, revision, rows, .. } = self;
        let partial = Some(Box::new(Partial { rows, revision, forwarded: None }));
        Request { origin: origin.again(), body, partial }
    }

    /// The request for what belongs to these partitions of the zone, likewise; `None` where nothing does. Rows of others
    /// need not go again: a row that is only read would see what was done since.
    pub fn again_in(&self, lost: Parts) -> Option<Request> {
        let parts = self.terms.touched.parts;
        if parts.and(lost).is_empty() {
            return None;
        }
        let Body::Rows { input, batch } = &self.body else { return Some(self.clone().again()) };
        let mut body = Batch::new(batch.schema());
        let mut rows = Vec::new();
        for ((row, number), place) in batch.rows().zip(&self.rows).zip(&self.places) {
            if lost.contains(u16::from(*place)) {
                body.push(row);
                rows.push(*number);
            }
        }
        let partial = Some(Box::new(Partial { rows, revision: self.revision, forwarded: None }));
        let body = Body::Rows { input: *input, batch: body };
        Some(Request { origin: self.origin.again(), body, partial })
    }
}

impl Origin {
    /// The origin of what goes its ways again: a part of it may have been done.
    pub(crate) fn again(self) -> Origin {
        Origin { once: self.once.map(|once| Once { repeated: true, ..once }), ..self }
    }
}

/// A row that was refused, with what refused it.
#[derive(Clone, Debug)]
pub struct RefusedRow {
    /// The input that it came in on.
    pub input: InputId,
    /// The packed row.
    pub row: Vec<u8>,
    /// Why; `row` there is its place in its request.
    pub refusal: Refusal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[u8], more: bool) -> Page {
        Page { rows: keys.iter().map(|&key| (vec![key], vec![])).collect(), more }
    }

    #[test]
    fn a_merged_page_ends_where_a_worker_may_have_more() {
        assert_eq!(Page::merge([page(&[1, 4, 9], false), page(&[2, 3], true)]), page(&[1, 2, 3], true));
        assert_eq!(Page::merge([page(&[1, 4], true), page(&[2, 3, 7], true)]), page(&[1, 2, 3, 4], true));
        assert_eq!(Page::merge([page(&[1, 4], false), page(&[2], false)]), page(&[1, 2, 4], false));
        assert_eq!(Page::merge([page(&[], false), page(&[], false)]), page(&[], false));
    }
}
