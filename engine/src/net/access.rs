//! Who may do what: the one table that HTTP, gRPC and sessions go by.
//!
//! | operation | scope |
//! |---|---|
//! | rows for an input | `write`; `read` where the input's rules write, delete and emit nothing |
//! | rows of a table, questions, subscriptions | `read` |
//! | installing, replacing, dropping a flow | `deploy` |
//! | status and metrics of the node | `admin` or `read`, for all flows |
//! | flows with their text, generated interfaces | any scope for the flow; others are not seen |
//! | whether the node lives and is ready | no token |
//!
//! No scope includes another. A token for certain flows cannot tell whether other flows are there.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use anabranch_model::plan::Step;

use super::shares::Party;
use super::tokens::Grant;
use crate::error::Error;

/// What a token lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read tables, ask inputs that write nothing, subscribe, put questions.
    Read,
    /// Send rows.
    Write,
    /// Install, replace and drop flows.
    Deploy,
    /// See status and metrics of the node.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 4] = [Scope::Read, Scope::Write, Scope::Deploy, Scope::Admin];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Deploy => "deploy",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Scope::ALL.into_iter().find(|scope| scope.name() == text);
        found.ok_or_else(|| format!("a scope is `read`, `write`, `deploy` or `admin`, not {text:?}"))
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    pub(crate) fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }
}

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bit = |scope: &str| scope.parse().map(|scope: Scope| 1 << scope as u8);
        text.split(',').try_fold(0, |all, scope| Ok(all | bit(scope)?)).map(Scopes)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            Scope::ALL.into_iter().filter(|scope| self.has(*scope)).map(Scope::name).collect();
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What can be asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Rows for an input whose rules change something.
    Send,
    /// Rows for an input whose rules only read and reply.
    Ask,
    /// Rows of a table: by key, in order, or as the answer to a question.
    Read,
    /// The rows of an output, or refused rows.
    Subscribe,
    /// Installing or replacing a flow.
    Deploy,
    /// Dropping a flow.
    Drop,
    /// Counts and sizes of the node.
    Status,
}

impl Operation {
    /// Every operation.
    #[cfg(test)]
    pub(crate) const ALL: [Operation; 7] = [
        Operation::Send,
        Operation::Ask,
        Operation::Read,
        Operation::Subscribe,
        Operation::Deploy,
        Operation::Drop,
        Operation::Status,
    ];

    /// Rows for an input with this step.
    pub(crate) fn rows(step: &Step) -> Operation {
        match step.leaves_traces() {
            true => Operation::Send,
            false => Operation::Ask,
        }
    }

    /// The scopes of which one is enough.
    pub(crate) const fn needs(self) -> &'static [Scope] {
        match self {
            Operation::Send => &[Scope::Write],
            Operation::Ask => &[Scope::Read, Scope::Write],
            Operation::Read | Operation::Subscribe => &[Scope::Read],
            Operation::Deploy | Operation::Drop => &[Scope::Deploy],
            Operation::Status => &[Scope::Admin, Scope::Read],
        }
    }

    /// As it stands in messages and audit lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Operation::Send => "send",
            Operation::Ask => "ask",
            Operation::Read => "read",
            Operation::Subscribe => "subscribe",
            Operation::Deploy => "deploy",
            Operation::Drop => "drop",
            Operation::Status => "status",
        }
    }
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    who: Who,
    from: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
enum Who {
    /// Nobody has looked, or no token was given: may do nothing.
    Nobody,
    /// The node asks for no tokens: may do everything.
    Anyone,
    /// The holder of a token.
    Holder(Arc<Grant>),
}

impl Caller {
    /// Who may do nothing.
    pub(crate) const NOBODY: Caller = Caller { who: Who::Nobody, from: None };

    /// A caller of a node that asks for no tokens.
    pub(crate) fn anyone(from: SocketAddr) -> Self {
        Caller { who: Who::Anyone, from: Some(from) }
    }

    /// The holder of a token.
    pub(crate) fn holder(grant: Arc<Grant>, from: SocketAddr) -> Self {
        Caller { who: Who::Holder(grant), from: Some(from) }
    }

    /// The token's name; `-` where there is none.
    pub(crate) fn name(&self) -> &str {
        match &self.who {
            Who::Holder(grant) => &grant.name,
            Who::Nobody | Who::Anyone => "-",
        }
    }

    /// Whose part of what callers share it takes; none where it may have all of it.
    pub(crate) fn party(&self) -> Option<Party> {
        match &self.who {
            Who::Holder(grant) => Some(Party::Holder(grant.name.clone())),
            Who::Nobody | Who::Anyone => {
                let address = self.from?.ip().to_canonical();
                (!address.is_loopback()).then_some(Party::Address(address))
            }
        }
    }

    /// The name of its token; empty where it has none.
    pub(crate) fn token_name(&self) -> &str {
        match &self.who {
            Who::Holder(grant) => &grant.name,
            Who::Nobody | Who::Anyone => "",
        }
    }

    /// Where from.
    pub(crate) fn from(&self) -> Option<SocketAddr> {
        self.from
    }

    /// Whether it may know that a flow is there.
    pub(crate) fn sees(&self, flow: &str) -> bool {
        match &self.who {
            Who::Nobody => false,
            Who::Anyone => true,
            Who::Holder(grant) => grant.flows.as_ref().is_none_or(|flows| flows.contains(flow)),
        }
    }

    /// Whether it sees all flows, those to come, too.
    pub(crate) fn sees_all(&self) -> bool {
        match &self.who {
            Who::Nobody => false,
            Who::Anyone => true,
            Who::Holder(grant) => grant.flows.is_none(),
        }
    }

    /// Whether it holds a token.
    pub(crate) fn has_token(&self) -> bool {
        matches!(&self.who, Who::Holder(_))
    }

    /// Whether it holds a token with scope `admin`.
    pub(crate) fn administers(&self) -> bool {
        matches!(&self.who, Who::Holder(grant) if grant.scopes.has(Scope::Admin))
    }

    /// Whether it may do something with a flow.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn check(&self, operation: Operation, flow: &str) -> Result<(), Error> {
        match self.sees(flow) && self.has_one(operation.needs()) {
            true => Ok(()),
            false => Err(denied(operation, Some(flow))),
        }
    }

    /// Whether it may do something that concerns the whole node.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn check_node(&self, operation: Operation) -> Result<(), Error> {
        match self.sees_all() && self.has_one(operation.needs()) {
            true => Ok(()),
            false => Err(denied(operation, None)),
        }
    }

    /// Whether it may do something with any flow at all, before it is known with which.
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub(crate) fn check_any(&self, operation: Operation) -> Result<(), Error> {
        match self.has_one(operation.needs()) {
            true => Ok(()),
            false => {
                Err(Error::Denied(format!("{} needs a token with {}", operation.name(), scopes(operation))))
            }
        }
    }

    fn has_one(&self, scopes: &[Scope]) -> bool {
        match &self.who {
            Who::Nobody => false,
            Who::Anyone => true,
            Who::Holder(grant) => scopes.iter().any(|scope| grant.scopes.has(*scope)),
        }
    }
}

fn denied(operation: Operation, flow: Option<&str>) -> Error {
    let (name, scopes) = (operation.name(), scopes(operation));
    Error::Denied(match flow {
        Some(flow) => format!("{name} needs a token with {scopes} for flow `{flow}`"),
        None => format!("{name} needs a token with {scopes} for all flows"),
    })
}

fn scopes(operation: Operation) -> String {
    let scopes: Vec<String> = operation.needs().iter().map(|scope| format!("`{}`", scope.name())).collect();
    format!("scope {}", scopes.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tokens::{NewToken, Tokens};

    fn holder(scopes: &[Scope], flows: &[&str]) -> Caller {
        let token = NewToken::make("t", scopes, flows).unwrap();
        let tokens = Tokens::parse("tokens", token.line()).unwrap();
        let grant = tokens.grant(token.text().as_bytes()).unwrap().clone();
        Caller::holder(grant, ([127, 0, 0, 1], 1).into())
    }

    /// What a token may do with flow `names`.
    fn may(caller: &Caller) -> Vec<&'static str> {
        let may = |operation: &Operation| match operation {
            Operation::Status => caller.check_node(*operation).is_ok(),
            _ => caller.check(*operation, "names").is_ok(),
        };
        Operation::ALL.into_iter().filter(may).map(Operation::name).collect()
    }

    #[test]
    fn every_scope_opens_what_the_table_says_and_no_more() {
        let read = ["ask", "read", "subscribe"];
        assert_eq!(may(&holder(&[Scope::Read], &["names"])), read);
        assert_eq!(may(&holder(&[Scope::Read], &[])), [&read[..], &["status"]].concat());
        assert_eq!(may(&holder(&[Scope::Write], &["names"])), ["send", "ask"]);
        assert_eq!(may(&holder(&[Scope::Deploy], &["names"])), ["deploy", "drop"]);
        assert_eq!(may(&holder(&[Scope::Admin], &[])), ["status"]);
        assert_eq!(may(&holder(&[Scope::Admin, Scope::Read], &["names"])), read);
        assert_eq!(may(&holder(&Scope::ALL, &[])), Operation::ALL.map(Operation::name));
    }

    #[test]
    fn a_token_of_another_flow_opens_nothing() {
        let other = holder(&[Scope::Read, Scope::Write, Scope::Deploy], &["other", "name", "namess"]);
        assert_eq!(may(&other), [""; 0]);
        assert!(!other.sees("names") && other.sees("other"));
        assert_eq!(may(&Caller::NOBODY), [""; 0]);
    }

    #[test]
    fn an_input_that_only_reads_is_asked_with_scope_read() {
        let flow = crate::Flow::parse("names.flow", crate::doc::NAMES).unwrap();
        let plan = flow.plan();
        let operation = |input| Operation::rows(&plan.steps[plan.input(input).unwrap().0 as usize]);
        assert_eq!(operation("ReadStream"), Operation::Ask);
        assert_eq!(operation("UpdateStream"), Operation::Send);
    }
}
