//! What can go wrong for a host application: what was tried, what is wrong, what to do.

use std::fmt;

use anabranch_lang::diagnostic::Diagnostic;
use anabranch_lang::evolution::{Evolution, Verdict};
use anabranch_model::batch::BatchError;

use crate::answer::Refused;
use crate::client::Ticket;
use crate::deploy::FLOWS_MAX;
use crate::query::QueryError;
use crate::rows::RowProblem;
use crate::storage_error::StorageError;

/// An error of the embedding interface. Unless it says otherwise nothing was sent and nothing has changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The flow file does not compile.
    Flow(FlowError),
    /// A file could not be read.
    File {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// There is no such flow, stream or table.
    Unknown {
        /// What was looked for: `input`, `output`, `table`, `flow`.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A name that several flows have, given without its flow.
    Ambiguous {
        /// The name.
        name: String,
        /// The full names.
        candidates: Vec<String>,
    },
    /// A row that does not fit its stream.
    Row(RowProblem),
    /// A key that does not fit its table.
    Key {
        /// The table.
        table: String,
        /// What is wrong.
        problem: String,
    },
    /// The one row of an `ask` was refused; nothing of its step is written.
    Refused(Refused),
    /// Too many answers lie uncollected; collect some and repeat.
    Uncollected {
        /// How many.
        answers: usize,
    },
    /// The node holds as many unanswered bytes as it may; repeat when answers have come.
    Full,
    /// A batch above the limit.
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The flow was dropped.
    Gone {
        /// The flow.
        flow: String,
        /// The request that this is the answer to; none where it was not sent.
        ticket: Option<Ticket>,
    },
    /// The flow has a newer revision, which the request does not fit. Nothing of the request was done.
    Changed {
        /// The flow.
        flow: String,
        /// The request that this is the answer to; none where it was not sent.
        ticket: Option<Ticket>,
    },
    /// A revision that may not follow the one that runs, with all that changes; the node runs on as it was.
    Evolution(Evolution),
    /// A flow whose gRPC service and OpenAPI names would be those of another flow of the node; the node runs on as it was.
    SameService {
        /// The flow.
        flow: String,
        /// The one that runs.
        other: String,
    },
    /// The node has as many flows as it may.
    TooManyFlows,
    /// A batch that a client of another node made.
    OtherNode,
    /// A batch filled by hand whose bytes are no rows of its stream.
    Packed(BatchError),
    /// The answer to this ticket was collected already, or it belongs to another client.
    NoSuchTicket,
    /// The node has stopped. Requests without an answer may or may not have taken effect.
    Stopped,
    /// The node cannot keep what it does because of its disk.
    Storage(StorageError),
    /// No snapshot was taken; what the node has acknowledged is kept as before.
    Snapshot(String),
    /// The node could not start.
    Start(String),
    /// The node cannot listen at an address.
    Listen {
        /// Which.
        address: String,
        /// Why.
        why: String,
    },
    /// Other machines can reach an address at which a node was to listen without what keeps it safe.
    Exposed {
        /// Which.
        address: String,
        /// `TLS`, `tokens`, `TLS and tokens`.
        missing: &'static str,
    },
    /// A token was to be sent to another machine without TLS; nothing was sent.
    Unprotected {
        /// Where to.
        address: String,
    },
    /// A host or a site that a node was to let in is not written as one.
    Unfit {
        /// What it was to be.
        what: &'static str,
        /// What was given.
        given: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A node cannot be reached.
    Connect {
        /// Its address.
        address: String,
        /// Why.
        why: String,
    },
    /// The connection to the node was lost. Requests without an answer may or may not have taken effect.
    Disconnected {
        /// The node's address.
        address: String,
        /// Why.
        why: String,
    },
    /// A key by which a request is to take effect once, that is none.
    IdempotencyKey {
        /// The key.
        given: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file of certificates, keys or tokens that cannot be used.
    Secret {
        /// Which.
        path: String,
        /// All that is wrong with it.
        problems: Vec<String>,
    },
    /// The token does not allow this; or there is none.
    Denied(String),
    /// The node did not carry a request out; nothing of it took effect.
    Problem {
        /// What a program may act on.
        code: String,
        /// What is wrong.
        text: String,
    },
    /// A question that is wrong, or that could not be answered to its end.
    Query(QueryError),
}

/// A flow file that does not compile: all that is wrong with it.
#[derive(Clone, Debug)]
pub struct FlowError {
    /// The file's name as it was given.
    pub file: String,
    /// The file's text.
    pub text: String,
    /// What is wrong, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&anabranch_lang::render(&self.file, &self.text, &self.diagnostics, false))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Flow(error) => error.fmt(f),
            Error::File { path, error } => write!(f, "cannot read `{path}`: {error}"),
            Error::Unknown { what, name, known } if known.is_empty() => {
                write!(f, "there is no {what} `{name}`: the node has none")
            }
            Error::Unknown { what, name, known } => {
                write!(f, "there is no {what} `{name}`; there is `{}`", known.join("`, `"))
            }
            Error::Ambiguous { name, candidates } => {
                write!(f, "`{name}` is in several flows; write `{}`", candidates.join("` or `"))
            }
            Error::Row(problem) => problem.fmt(f),
            Error::Key { table, problem } => write!(f, "the key does not fit table `{table}`: {problem}"),
            Error::Refused(refused) => refused.fmt(f),
            Error::IdempotencyKey { given, problem } => write!(
                f,
                "`{given}` is no idempotency key: {problem}; take a UUID of version 7, or the milliseconds since 1970 \
                 UTC, `-` and a text of your own, and keep it for every repeat of the request"
            ),
            Error::Uncollected { answers } => {
                write!(
                    f,
                    "{answers} answers lie uncollected; collect them with `wait` or `next` before sending more"
                )
            }
            Error::Full => {
                f.write_str("the node holds as many unanswered rows as it may; repeat in a moment")
            }
            Error::TooLarge { bytes } => {
                let limit = anabranch_model::batch::MAX_BATCH_BYTES;
                write!(f, "the batch has {bytes} bytes, the limit is {limit}; send it in pieces")
            }
            Error::Gone { flow, .. } => write!(f, "the flow `{flow}` is not on the node any more; deploy it again"),
            Error::Changed { flow, .. } => write!(
                f,
                "the flow `{flow}` has a newer revision, which the request does not fit; nothing of it was done: make it \
                 again"
            ),
            Error::Evolution(evolution) => refusals(evolution, f),
            Error::SameService { flow, other } => write!(
                f,
                "the flow `{flow}` cannot run beside the flow `{other}`: names in `.proto` files have letters, digits and \
                 `_` only, so that both would be the same service; give it another name, or drop `{other}`"
            ),
            Error::TooManyFlows => {
                write!(f, "the node has {FLOWS_MAX} flows, which is the limit; drop one that is not needed")
            }
            Error::OtherNode => {
                f.write_str("the batch was made by a client of another node; make it with this client's `batch`")
            }
            Error::Packed(error) => {
                write!(f, "{error}; fill it with `push`, or with rows of the stream's `shape`")
            }
            Error::NoSuchTicket => f.write_str(
                "this client has no answer for the ticket: it was collected before, or another client sent it",
            ),
            Error::Stopped => f.write_str("the node has stopped"),
            Error::Storage(error) => error.fmt(f),
            Error::Snapshot(why) => write!(f, "no snapshot was taken: {why}"),
            Error::Listen { address, why } => write!(f, "cannot listen at {address}: {why}"),
            Error::Exposed { address, missing } => write!(
                f,
                "cannot listen at {address}: other machines can reach it, and it has no {missing}; give both, listen at \
                 127.0.0.1, or say that it is meant with `insecure`"
            ),
            Error::Unprotected { address } => write!(
                f,
                "the token is not sent to {address} without TLS, where everybody on the way can read it; go over TLS, or \
                 say that it is meant with `insecure`"
            ),
            Error::Unfit { what, given, problem } => {
                let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
                write!(f, "{} cannot be {article} {what}: {problem}", anabranch_model::convert::shown(given))
            }
            Error::Connect { address, why } => write!(f, "cannot connect to {address}: {why}"),
            Error::Disconnected { address, why } => write!(
                f,
                "the connection to {address} was lost ({why}); a request without an answer may or may not have taken \
                 effect"
            ),
            Error::Problem { code, text } => write!(f, "{code}: {text}"),
            Error::Query(error) => error.fmt(f),
            Error::Secret { path, problems } => write!(f, "cannot use `{path}`: {}", problems.join("; ")),
            Error::Denied(why) => f.write_str(why),
            Error::Start(why) => write!(f, "the node could not start: {why}"),
        }
    }
}

/// Why a revision may not follow another: all that is refused.
fn refusals(evolution: &Evolution, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Evolution { flow, from, to, changes } = evolution;
    write!(f, "revision {to} of the flow `{flow}` may not follow revision {from}, which runs on")?;
    for change in changes.iter().filter(|change| change.verdict == Verdict::Refused) {
        write!(f, "\n  {}: {}", change.item, change.what)?;
        if let Some(why) = &change.why {
            write!(f, ": {why}")?;
        }
    }
    Ok(())
}

impl std::error::Error for Error {}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Error::Query(error)
    }
}

impl From<RowProblem> for Error {
    fn from(problem: RowProblem) -> Self {
        Error::Row(problem)
    }
}
