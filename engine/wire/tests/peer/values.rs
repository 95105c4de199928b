//! Values to be sent, drawn at random.

use std::collections::BTreeMap;

use anabranch_model::expr::Place;
use anabranch_model::message::{FlowId, Once, Page, Problem, Reads, Refusal, Replies, RowsAnswer, WorkerId};
use anabranch_model::partition::PartitionId;
use anabranch_model::plan::{InputId, OutputId, RefusalCode, TableId};
use anabranch_model::row::ROW_HEADER_BYTES;
use anabranch_model::zone::{Group, MemberId, Parts, Term};
use anabranch_wire::peer::answer::{Answer, AnswerBody, Answered, AnsweredBody};
use anabranch_wire::peer::forward::{Forward, ForwardBody, Places, Terms};
use anabranch_wire::peer::hello::{Hello, Role};
use anabranch_wire::peer::lane::{Item, TablePart};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

/// A row of a header and `bytes`.
pub(crate) fn row(bytes: &[u8]) -> Vec<u8> {
    let mut row = vec![0; ROW_HEADER_BYTES];
    row.extend_from_slice(bytes);
    let length = row.len() as u32;
    row[..4].copy_from_slice(&length.to_le_bytes());
    row
}

fn rows() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20).prop_map(|bytes| row(&bytes))
}

pub(crate) fn plain_hello() -> Hello {
    Hello {
        versions: (1, 1),
        zone: "demo".into(),
        node: "A".into(),
        incarnation: 7,
        member: Some(MemberId(3)),
        workers: 2,
        role: Role::Data,
        clock: 1_000_000,
        address: "127.0.0.1:7401".into(),
        nonce: [9; 32],
    }
}

pub(crate) fn hello() -> impl Strategy<Value = Hello> {
    let texts = (".{0,60}", ".{0,60}", ".{0,60}");
    let numbers = (any::<u128>(), any::<Option<u64>>(), any::<u32>(), any::<bool>(), any::<i64>());
    (0..=1_u16, 1..9_u16, texts, numbers, any::<[u8; 32]>()).prop_map(|(from, to, texts, numbers, nonce)| {
        let ((zone, node, address), (incarnation, member, workers, witness, clock)) = (texts, numbers);
        let role = if witness { Role::Witness } else { Role::Data };
        let member = member.map(MemberId);
        Hello { versions: (from, to), zone, node, incarnation, member, workers, role, clock, address, nonce }
    })
}

/// A request, with its content.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    id: u64,
    workers: (u32, u32),
    flow: u32,
    revisions: (i64, i64),
    once: Once,
    copies: u16,
    pub(crate) terms: BTreeMap<u16, Term>,
    kind: u8,
    numbers: (u16, u32, bool),
    content: Option<Vec<u8>>,
}

impl Asked {
    pub(crate) fn forward<'b>(&'b self, (terms, places): &'b mut (Vec<u8>, Vec<u8>)) -> Forward<'b> {
        let (one, other, stale) = self.numbers;
        let (table, reads) = (TableId(one), if stale { Reads::Stale } else { Reads::Safe });
        let content = self.content.as_deref();
        let body = match self.kind {
            0 => {
                let places = Places::of(&[other, 7], places);
                ForwardBody::Rows { input: InputId(one), places, batch: content.unwrap_or_default() }
            }
            1 => {
                let (partition, key) = (PartitionId(other), content.unwrap_or_default());
                ForwardBody::Get { table, partition, reads, key }
            }
            _ => ForwardBody::Page { table, after: content, limit: other, reads },
        };
        Forward {
            id: self.id,
            from: WorkerId(self.workers.0),
            to: WorkerId(self.workers.1),
            flow: FlowId(self.flow),
            revision: self.revisions.0,
            asker: self.revisions.1,
            once: self.once,
            terms: Terms::of(self.copies, self.terms.clone(), terms),
            body,
        }
    }
}

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let head = (any::<u64>(), any::<(u32, u32)>(), any::<u32>(), any::<(i64, i64)>());
    let once = (1..u64::MAX, any::<u64>(), any::<u64>(), any::<bool>())
        .prop_map(|(client, number, answered, repeated)| Once { client, number, answered, repeated });
    let terms = btree_map(0..64_u16, any::<u64>().prop_map(Term), 0..65);
    let content = prop::option::of(vec(any::<u8>(), 0..40));
    (head, once, any::<u16>(), terms, 0..3_u8, any::<(u16, u32, bool)>(), content).prop_map(
        |((id, workers, flow, revisions), once, copies, terms, kind, numbers, content)| Asked {
            id,
            workers,
            flow,
            revisions,
            once,
            copies,
            terms,
            kind,
            numbers,
            content,
        },
    )
}

/// An answer, with its content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Said {
    head: (u64, u32, u32, Option<i64>, u64),
    body: SaidBody,
}

#[derive(Clone, Debug, PartialEq)]
enum SaidBody {
    Rows(RowsAnswer, Vec<u32>),
    Row(Option<Vec<u8>>),
    Page(Page),
    Problem(Problem),
    Elsewhere,
    Lost(String),
}

impl Said {
    pub(crate) fn answer(&self) -> Answer<'_> {
        let (id, from, to, revised, parts) = self.head;
        let body = match &self.body {
            SaidBody::Rows(answer, elsewhere) => AnswerBody::Rows(answer, elsewhere),
            SaidBody::Row(row) => AnswerBody::Row(row.as_deref()),
            SaidBody::Page(page) => AnswerBody::Page(page),
            SaidBody::Problem(problem) => AnswerBody::Problem(*problem),
            SaidBody::Elsewhere => AnswerBody::Elsewhere,
            SaidBody::Lost(why) => AnswerBody::Lost(why),
        };
        Answer { id, from: WorkerId(from), to: WorkerId(to), revised, parts: Parts(parts), body }
    }

    pub(crate) fn of(answered: &Answered<'_>) -> Said {
        let body = match answered.body {
            AnsweredBody::Rows(rows) => SaidBody::Rows(rows.answer(), rows.elsewhere().collect()),
            AnsweredBody::Row(row) => SaidBody::Row(row.map(<[u8]>::to_vec)),
            AnsweredBody::Page(page) => SaidBody::Page(page.page()),
            AnsweredBody::Problem(problem) => SaidBody::Problem(problem),
            AnsweredBody::Elsewhere => SaidBody::Elsewhere,
            AnsweredBody::Lost(why) => SaidBody::Lost(why.to_owned()),
        };
        let Answered { id, from, to, revised, parts, .. } = *answered;
        Said { head: (id, from.0, to.0, revised, parts.0), body }
    }
}

pub(crate) fn answers() -> impl Strategy<Value = Said> {
    let head = (any::<u64>(), any::<u32>(), any::<u32>(), any::<Option<i64>>(), any::<u64>());
    let problem = prop::sample::select(vec![Problem::Gone, Problem::Changed, Problem::Unkept]);
    let body = prop_oneof![
        (rows_answer(), vec(any::<u32>(), 0..4)).prop_map(|(answer, rows)| SaidBody::Rows(answer, rows)),
        prop::option::of(rows()).prop_map(SaidBody::Row),
        page().prop_map(SaidBody::Page),
        problem.prop_map(SaidBody::Problem),
        Just(SaidBody::Elsewhere),
        ".{0,40}".prop_map(SaidBody::Lost),
    ];
    (head, body).prop_map(|(head, body)| Said { head, body })
}

fn rows_answer() -> impl Strategy<Value = RowsAnswer> {
    let replies = || {
        vec((any::<u32>(), any::<u16>(), rows()), 0..4).prop_map(|all| {
            let mut replies = Replies::default();
            all.iter().for_each(|(row, output, bytes)| replies.push(*row, OutputId(*output), bytes));
            replies
        })
    };
    (any::<u32>(), vec(refusal(), 0..4), replies(), replies()).prop_map(
        |(accepted, refusals, replies, repeated)| {
            let mut answer = RowsAnswer { accepted, ..RowsAnswer::default() };
            (answer.refusals, answer.replies, answer.repeated) = (refusals, replies, repeated);
            answer
        },
    )
}

fn refusal() -> impl Strategy<Value = Refusal> {
    let code = prop::sample::select(RefusalCode::ALL.to_vec());
    let place =
        prop::option::of((1..u32::MAX, any::<u32>()).prop_map(|(line, column)| Place { line, column }));
    (any::<u32>(), code, ".{0,30}", place).prop_map(|(row, code, text, place)| Refusal {
        row,
        code,
        text,
        place,
    })
}

fn page() -> impl Strategy<Value = Page> {
    (btree_set(vec(any::<u8>(), 0..6), 0..5), rows(), any::<bool>()).prop_map(|(keys, row, more)| Page {
        rows: keys.into_iter().map(|key| (key, row.clone())).collect(),
        more,
    })
}

/// An item of a lane, with its content.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    kind: u8,
    part: TablePart,
    term: Term,
    seq: u64,
    body: Vec<u8>,
}

impl Kept {
    pub(crate) fn item(&self) -> Item<'_> {
        let Kept { kind, part, term, seq, body } = self;
        match kind {
            0 => Item::Record { part: *part, term: *term, seq: *seq, body },
            1 => Item::Reset { part: *part, term: *term },
            _ => {
                let group = Group { copies: part.copies, number: (*seq % 64) as u16 };
                Item::State { group, term: *term, piece: body }
            }
        }
    }
}

pub(crate) fn item() -> impl Strategy<Value = Kept> {
    let part =
        (any::<u32>(), 0..4096_u32, 1..4097_u32, any::<u16>()).prop_map(|(flow, number, more, copies)| {
            TablePart { flow: FlowId(flow), number, of: number + more, copies }
        });
    (0..3_u8, part, any::<u64>().prop_map(Term), any::<u64>(), vec(any::<u8>(), 0..40))
        .prop_map(|(kind, part, term, seq, body)| Kept { kind, part, term, seq, body })
}
