//! What a path names: a flow, one of its streams or tables, a key.
//!
//! Paths are taken apart before they are decoded, so that `%2F` is a slash within a name or a key:
//! `/flows/names/tables/QueryTable/a%2Fb` is the key `a/b`, `/.../a/b` the key of the two columns `a` and `b`, and
//! `/flows/names/tables/QueryTable/` the empty text.

use std::sync::Arc;

use anabranch_model::message::FlowId;
use anabranch_model::plan::{InputId, OutputId, TableId};
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::Plan;
use crate::net::gate::Gate;

/// The names in a path.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Target {
    /// The flow; `None` where the path leaves it out.
    pub(super) flow: Option<String>,
    /// The stream or table.
    pub(super) name: String,
    /// The parts of the key.
    pub(super) key: Vec<String>,
}

impl Target {
    fn parse(path: &str) -> Result<Target, Problem> {
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        let mut first = parts.next();
        let mut flow = None;
        if first == Some("flows") {
            flow = parts.next().map(|part| decode(part, false)).transpose()?;
            first = parts.next();
        }
        // What it is (`streams`, `ask`, `tables`) was found by the router.
        let name = match first {
            Some(_) => parts.next().map(|part| decode(part, false)).transpose()?.unwrap_or_default(),
            None => String::new(),
        };
        let key = parts.map(|part| decode(part, false)).collect::<Result<_, _>>()?;
        Ok(Target { flow, name, key })
    }

    /// The flow that is meant: the named one, or the only one.
    pub(super) fn flow(&self, gate: &Gate) -> Result<Installed, Problem> {
        let flows = gate.flows();
        let names: Vec<&str> = flows.iter().map(|(_, plan)| plan.name.as_str()).collect();
        let found = match &self.flow {
            Some(name) => flows.iter().find(|(_, plan)| plan.name == *name),
            None if flows.len() == 1 => flows.first(),
            None => return Err(which(&names)),
        };
        match (found, &self.flow) {
            (Some((id, plan)), _) => Ok(Installed { id: *id, plan: plan.clone() }),
            (None, name) => Err(Problem::unknown("flow", name.as_deref().unwrap_or_default(), &names)),
        }
    }
}

/// The answer to a path without its flow where several run, or none.
fn which(names: &[&str]) -> Problem {
    match names.first() {
        None => Problem::new(
            StatusCode::NOT_FOUND,
            "unknown",
            "no flow is installed",
            "install one: `PUT /flows/NAME` with its flow file",
        ),
        Some(first) => Problem::new(
            StatusCode::NOT_FOUND,
            "ambiguous",
            "the path names no flow, and the node runs several",
            format!("begin it with `/flows/{first}`; there is `{}`", names.join("`, `")),
        ),
    }
}

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Target::parse(parts.uri.path())
    }
}

/// A flow that runs.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) id: FlowId,
    pub(super) plan: Arc<Plan>,
}

impl Installed {
    pub(super) fn input(&self, name: &str) -> Result<InputId, Problem> {
        if let Some(found) = self.plan.input(name) {
            return Ok(found);
        }
        if self.plan.output(name).is_some() {
            let text = format!("`{name}` is an output stream, which cannot be sent to");
            return Err(Problem::method(text, "GET, HEAD"));
        }
        self.asked(name)
    }

    /// An input that is asked; at its path there is nothing to do with an output.
    pub(super) fn asked(&self, name: &str) -> Result<InputId, Problem> {
        let known = || names(self.plan.inputs.iter().map(|stream| &stream.name));
        self.plan.input(name).ok_or_else(|| Problem::unknown("input", name, &known()))
    }

    pub(super) fn output(&self, name: &str) -> Result<OutputId, Problem> {
        if let Some(found) = self.plan.output(name) {
            return Ok(found);
        }
        if self.plan.input(name).is_some() {
            let text = format!("`{name}` is an input stream, which cannot be subscribed to");
            return Err(Problem::method(text, "POST"));
        }
        let mut known = names(self.plan.outputs.iter().map(|stream| &stream.name));
        known.push("errors");
        Err(Problem::unknown("output", name, &known))
    }

    pub(super) fn table(&self, name: &str) -> Result<TableId, Problem> {
        let known = || names(self.plan.tables.iter().map(|table| &table.name));
        self.plan.table(name).ok_or_else(|| Problem::unknown("table", name, &known()))
    }
}

fn names<'p>(names: impl Iterator<Item = &'p String>) -> Vec<&'p str> {
    names.map(String::as_str).collect()
}

/// A part of a path or a query with its `%XX` resolved; in a query a plus is a space.
pub(super) fn decode(part: &str, plus_is_space: bool) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = behind;
            }
            (b'%', _) => {
                return Err(Problem::invalid(
                    "the address has a `%` without two hexadecimal digits behind it",
                    "write a percent sign as %25",
                ));
            }
            (b'+', _) if plus_is_space => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes)
        .map_err(|_| Problem::invalid("the address is not UTF-8", "encode it as UTF-8, then as %XX"))
}

fn digit(hexadecimal: u8) -> u8 {
    (hexadecimal as char).to_digit(16).map_or(0, |digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(flow: Option<&str>, name: &str, key: &[&str]) -> Target {
        let key = key.iter().map(|&part| part.to_owned()).collect();
        Target { flow: flow.map(str::to_owned), name: name.to_owned(), key }
    }

    #[test]
    fn a_path_is_taken_apart_before_it_is_decoded() {
        for (path, wanted) in [
            ("/flows/a/streams/In", target(Some("a"), "In", &[])),
            ("/streams/In", target(None, "In", &[])),
            ("/flows/a%20b/tables/T/x%2Fy/%C3%A9+", target(Some("a b"), "T", &["x/y", "é+"])),
            ("/tables/T/", target(None, "T", &[""])),
            ("/tables/T//x", target(None, "T", &["", "x"])),
            ("/flows/a", target(Some("a"), "", &[])),
        ] {
            assert_eq!(Target::parse(path).expect(path), wanted);
        }
    }

    #[test]
    fn what_is_no_percent_encoding_of_utf_8_is_refused() {
        for path in ["/tables/T/%", "/tables/T/%4", "/tables/T/%zz", "/tables/T/%ff", "/tables/%e2%28%a1"] {
            assert!(Target::parse(path).is_err(), "{path}");
        }
        assert_eq!(decode("a+b%2B", true).expect("it is right"), "a b+");
    }
}
