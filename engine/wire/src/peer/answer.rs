//! What an owner says to requests that another node passed on to it.
//!
//! A frame is items behind each other:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | the number of the request, as its sender gave it |
//! | 4, 4 | the worker that answers, the one that asked |
//! | 1, 8 | whether another revision answers than was asked, and which |
//! | 8 | partitions of the zone that it tells of, as bits |
//! | 1 | 0 rows, 1 a row, 2 no row, 3 a page, 4 a problem, 5 not held here, 6 lost |
//! | | rows: 4 accepted, 4 refusals, 4 replies, 4 repeated replies, 4 rows that are not held here; then those |
//! | | a refusal: 4 row, 1 code, 4 line and 4 column (0 and 0: none), 4 length, text |
//! | | a reply: 4 row, 2 output, the packed row; a row that is not held here: 4 row |
//! | | a row: 4 length, the packed row |
//! | | a page: 1 whether there may be more, 4 rows; each 4 length, key, 4 length, packed row |
//! | | a problem: 1 which; lost: 4 length, why |

use anabranch_model::batch::MAX_BATCH_BYTES;
use anabranch_model::expr::Place;
use anabranch_model::key::MAX_KEY_BYTES;
use anabranch_model::message::{Page, Problem, Refusal, Replies, RowsAnswer, WorkerId};
use anabranch_model::plan::{OutputId, RefusalCode};
use anabranch_model::rest::{Rest, Unread};
use anabranch_model::row::{MAX_ROW_BYTES, ROW_HEADER_BYTES};
use anabranch_model::zone::Parts;

use super::{FrameWriter, Full, Kind, PeerError, flag, long, next_item};

/// Bytes of the reason why a request was lost, at most.
pub const LOST_BYTES_MAX: usize = 4 << 10;

/// Refusals in an answer, at most: as many as the largest batch has rows.
pub const REFUSALS_MAX: u32 = (MAX_BATCH_BYTES / ROW_HEADER_BYTES) as u32;

const ROWS: u8 = 0;
const ROW: u8 = 1;
const NO_ROW: u8 = 2;
const PAGE: u8 = 3;
const PROBLEM: u8 = 4;
const ELSEWHERE: u8 = 5;
const LOST: u8 = 6;

/// In the order of their numbers.
const PROBLEMS: [Problem; 3] = [Problem::Gone, Problem::Changed, Problem::Unkept];

/// An answer that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer<'a> {
    /// The number of the request.
    pub id: u64,
    /// The worker that answers.
    pub from: WorkerId,
    /// The worker that asked.
    pub to: WorkerId,
    /// The revision that answers, where it is another one than the request's.
    pub revised: Option<i64>,
    /// The partitions of the zone that it tells of: of a page, those whose rows it has; else those that were touched.
    pub parts: Parts,
    /// What is said.
    pub body: AnswerBody<'a>,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnswerBody<'a> {
    /// What became of rows, and of which nothing did because they are not held here.
    Rows(&'a RowsAnswer, &'a [u32]),
    /// The row of a key.
    Row(Option<&'a [u8]>),
    /// Rows in key order.
    Page(&'a Page),
    /// Nothing of the request was done.
    Problem(Problem),
    /// Nothing of it was done: it is not held here.
    Elsewhere,
    /// Nobody knows what was done; why.
    Lost(&'a str),
}

/// A frame of answers in the making.
#[derive(Debug)]
pub struct AnswersWriter<'o>(FrameWriter<'o>);

impl<'o> AnswersWriter<'o> {
    /// Begins a frame at the end of a buffer.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        AnswersWriter(FrameWriter::begin(out, Kind::Answers))
    }

    /// Appends one; of the reason why a request was lost as much as may be.
    ///
    /// # Errors
    /// It does not fit; nothing of it was written.
    pub fn push(&mut self, answer: &Answer<'_>) -> Result<(), Full> {
        self.0.item(|out| answer.write(out))
    }

    /// Bytes of its items so far.
    pub fn bytes(&self) -> usize {
        self.0.body_bytes()
    }

    /// Ends the frame.
    pub fn finish(self) {
        self.0.finish();
    }
}

impl Answer<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.from.0.to_le_bytes());
        out.extend_from_slice(&self.to.0.to_le_bytes());
        out.push(u8::from(self.revised.is_some()));
        out.extend_from_slice(&self.revised.unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&self.parts.0.to_le_bytes());
        self.body.write(out);
    }
}

impl AnswerBody<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            AnswerBody::Rows(answer, elsewhere) => {
                out.push(ROWS);
                write_rows(answer, elsewhere, out);
            }
            AnswerBody::Row(Some(row)) => {
                out.push(ROW);
                long(out, row);
            }
            AnswerBody::Row(None) => out.push(NO_ROW),
            AnswerBody::Page(page) => {
                out.push(PAGE);
                out.push(u8::from(page.more));
                count(out, page.rows.len());
                for (key, row) in &page.rows {
                    long(out, key);
                    long(out, row);
                }
            }
            AnswerBody::Problem(problem) => {
                let number = PROBLEMS.iter().position(|other| other == problem);
                out.extend_from_slice(&[PROBLEM, number.expect("all problems have a number") as u8]);
            }
            AnswerBody::Elsewhere => out.push(ELSEWHERE),
            AnswerBody::Lost(why) => {
                out.push(LOST);
                long(out, &why.as_bytes()[..why.floor_char_boundary(LOST_BYTES_MAX)]);
            }
        }
    }
}

fn write_rows(answer: &RowsAnswer, elsewhere: &[u32], out: &mut Vec<u8>) {
    out.extend_from_slice(&answer.accepted.to_le_bytes());
    count(out, answer.refusals.len());
    count(out, answer.replies.len());
    count(out, answer.repeated.len());
    count(out, elsewhere.len());
    for refusal in &answer.refusals {
        let place = refusal.place.unwrap_or(Place { line: 0, column: 0 });
        out.extend_from_slice(&refusal.row.to_le_bytes());
        out.push(refusal.code as u8);
        out.extend_from_slice(&place.line.to_le_bytes());
        out.extend_from_slice(&place.column.to_le_bytes());
        long(out, refusal.text.as_bytes());
    }
    for (row, output, bytes) in answer.replies.iter().chain(answer.repeated.iter()) {
        out.extend_from_slice(&row.to_le_bytes());
        out.extend_from_slice(&output.0.to_le_bytes());
        out.extend_from_slice(bytes);
    }
    elsewhere.iter().for_each(|row| out.extend_from_slice(&row.to_le_bytes()));
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

/// An answer that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answered<'b> {
    /// The number of the request.
    pub id: u64,
    /// The worker that answers.
    pub from: WorkerId,
    /// The worker that asked.
    pub to: WorkerId,
    /// The revision that answers, where it is another one than the request's.
    pub revised: Option<i64>,
    /// The partitions of the zone that it tells of.
    pub parts: Parts,
    /// What is said.
    pub body: AnsweredBody<'b>,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnsweredBody<'b> {
    /// What became of rows.
    Rows(AnsweredRows<'b>),
    /// The row of a key, packed: for [`anabranch_model::row::Row::check`].
    Row(Option<&'b [u8]>),
    /// Rows in key order.
    Page(AnsweredPage<'b>),
    /// Nothing of the request was done.
    Problem(Problem),
    /// Nothing of it was done: it is not held there.
    Elsewhere,
    /// Nobody knows what was done; why.
    Lost(&'b str),
}

/// The answers of a frame, in their order; ends behind the first that is none.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'b>(Rest<'b>);

impl<'b> Answers<'b> {
    /// Of the body of a frame.
    pub fn read(body: &'b [u8]) -> Self {
        Answers(Rest(body))
    }
}

impl<'b> Iterator for Answers<'b> {
    type Item = Result<Answered<'b>, PeerError>;

    fn next(&mut self) -> Option<Self::Item> {
        next_item(&mut self.0, Answered::read)
    }
}

impl<'b> Answered<'b> {
    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let (id, from, to) = (rest.u64()?, WorkerId(rest.u32()?), WorkerId(rest.u32()?));
        let (is_revised, revision) = (flag(rest)?, rest.u64()? as i64);
        let parts = Parts(rest.u64()?);
        let body = AnsweredBody::read(rest)?;
        Ok(Answered { id, from, to, revised: is_revised.then_some(revision), parts, body })
    }
}

impl<'b> AnsweredBody<'b> {
    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        Ok(match rest.byte()? {
            ROWS => AnsweredBody::Rows(AnsweredRows::read(rest)?),
            ROW => AnsweredBody::Row(Some(read_row(rest)?)),
            NO_ROW => AnsweredBody::Row(None),
            PAGE => AnsweredBody::Page(AnsweredPage::read(rest)?),
            PROBLEM => {
                let problem = PROBLEMS.get(usize::from(rest.byte()?)).copied();
                AnsweredBody::Problem(problem.ok_or(Unread::Meaning("a problem"))?)
            }
            ELSEWHERE => AnsweredBody::Elsewhere,
            LOST => match rest.text()? {
                why if why.len() > LOST_BYTES_MAX => {
                    return Err(Unread::Meaning("a reason that is too long"));
                }
                why => AnsweredBody::Lost(why),
            },
            _ => return Err(Unread::Meaning("a kind of answer")),
        })
    }
}

/// What became of rows. All of it was checked when it was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnsweredRows<'b> {
    /// Rows that took effect.
    pub accepted: u32,
    refusals: (u32, &'b [u8]),
    replies: (u32, &'b [u8]),
    repeated: (u32, &'b [u8]),
    elsewhere: &'b [u8],
}

impl<'b> AnsweredRows<'b> {
    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let accepted = rest.u32()?;
        let [refusals, replies, repeated, elsewhere] = [rest.u32()?, rest.u32()?, rest.u32()?, rest.u32()?];
        if refusals > REFUSALS_MAX {
            return Err(Unread::Meaning("a number of refusals"));
        }
        Ok(AnsweredRows {
            accepted,
            refusals: (refusals, run(rest, refusals, |rest| read_refusal(rest).map(drop))?),
            replies: (replies, run(rest, replies, |rest| read_reply(rest).map(drop))?),
            repeated: (repeated, run(rest, repeated, |rest| read_reply(rest).map(drop))?),
            elsewhere: run(rest, elsewhere, |rest| rest.u32().map(drop))?,
        })
    }

    /// The rows that were refused.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal> + use<'b> {
        let mut rest = Rest(self.refusals.1);
        std::iter::from_fn(move || read_refusal(&mut rest).ok())
    }

    /// The replies: the row of the request that each answers, its stream, the packed row.
    pub fn replies(&self) -> impl Iterator<Item = (u32, OutputId, &'b [u8])> + use<'b> {
        let mut rest = Rest(self.replies.1);
        std::iter::from_fn(move || read_reply(&mut rest).ok())
    }

    /// Replies that were made when the request was done before.
    pub fn repeated(&self) -> impl Iterator<Item = (u32, OutputId, &'b [u8])> + use<'b> {
        let mut rest = Rest(self.repeated.1);
        std::iter::from_fn(move || read_reply(&mut rest).ok())
    }

    /// Rows of the request of which nothing was done, because they are not held there.
    pub fn elsewhere(&self) -> impl Iterator<Item = u32> + use<'b> {
        let mut rest = Rest(self.elsewhere);
        std::iter::from_fn(move || rest.u32().ok())
    }

    /// A copy of all but the rows that are not held there.
    pub fn answer(&self) -> RowsAnswer {
        let gathered = |replies: &mut dyn Iterator<Item = (u32, OutputId, &'b [u8])>| {
            let mut gathered = Replies::default();
            replies.for_each(|(row, output, bytes)| gathered.push(row, output, bytes));
            gathered
        };
        let mut answer = RowsAnswer { accepted: self.accepted, ..RowsAnswer::default() };
        answer.refusals = self.refusals().collect();
        answer.replies = gathered(&mut self.replies());
        answer.repeated = gathered(&mut self.repeated());
        answer
    }
}

/// Rows in key order. All of it was checked when it was read, but for the rows themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnsweredPage<'b> {
    /// Whether there may be rows behind the last one.
    pub more: bool,
    rows: &'b [u8],
}

impl<'b> AnsweredPage<'b> {
    fn read(rest: &mut Rest<'b>) -> Result<Self, Unread> {
        let (more, rows) = (flag(rest)?, rest.u32()?);
        let mut last: Option<&[u8]> = None;
        let rows = run(rest, rows, |rest| {
            let (key, _) = read_entry(rest)?;
            match last.replace(key).is_none_or(|last| last < key) {
                true => Ok(()),
                false => Err(Unread::Meaning("the order of keys")),
            }
        })?;
        Ok(AnsweredPage { more, rows })
    }

    /// Keys with their packed rows.
    pub fn rows(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        let mut rest = Rest(self.rows);
        std::iter::from_fn(move || read_entry(&mut rest).ok())
    }

    /// A copy.
    pub fn page(&self) -> Page {
        let rows = self.rows().map(|(key, row)| (key.to_vec(), row.to_vec())).collect();
        Page { rows, more: self.more }
    }
}

/// The bytes of so many items, each of which `read` reads.
fn run<'b>(
    rest: &mut Rest<'b>,
    count: u32,
    mut read: impl FnMut(&mut Rest<'b>) -> Result<(), Unread>,
) -> Result<&'b [u8], Unread> {
    let all = rest.0;
    (0..count).try_for_each(|_| read(rest))?;
    Ok(&all[..all.len() - rest.0.len()])
}

fn read_refusal(rest: &mut Rest<'_>) -> Result<Refusal, Unread> {
    let (row, code) = (rest.u32()?, rest.byte()?);
    let code = RefusalCode::ALL.get(usize::from(code)).copied();
    let (line, column, text) = (rest.u32()?, rest.u32()?, rest.text()?);
    Ok(Refusal {
        row,
        code: code.ok_or(Unread::Meaning("a code of a refusal"))?,
        text: text.to_owned(),
        place: (line > 0).then_some(Place { line, column }),
    })
}

fn read_reply<'b>(rest: &mut Rest<'b>) -> Result<(u32, OutputId, &'b [u8]), Unread> {
    Ok((rest.u32()?, OutputId(rest.u16()?), rest.row()?))
}

fn read_entry<'b>(rest: &mut Rest<'b>) -> Result<(&'b [u8], &'b [u8]), Unread> {
    match rest.long()? {
        key if key.len() > MAX_KEY_BYTES => Err(Unread::Meaning("a key that is too long")),
        key => Ok((key, read_row(rest)?)),
    }
}

fn read_row<'b>(rest: &mut Rest<'b>) -> Result<&'b [u8], Unread> {
    match rest.long()? {
        row if (ROW_HEADER_BYTES..=MAX_ROW_BYTES).contains(&row.len()) => Ok(row),
        _ => Err(Unread::Meaning("the length of a row")),
    }
}
