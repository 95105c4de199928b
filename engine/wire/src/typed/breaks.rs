//! What a new revision of a flow breaks for clients that were built from the `.proto` of the older one.
//!
//! Numbers of fields are places in the flow file, so a revision that only appends (columns, streams, tables, values of
//! enums) breaks nothing. The language allows more: columns and streams are known by their names there and may change
//! places, and a column may get a default. Such a client would then read one column as another without noticing, which
//! is why whoever deploys asks here first.

use anabranch_model::plan::{Plan, Stream};
use anabranch_model::types::{Column, Shape, Type};

use super::row::is_optional;
use super::{FlowApi, Method};

impl FlowApi {
    /// What clients of `older`, an earlier revision of this flow that may evolve to it, would get wrong: a line each,
    /// with what to do. Empty where they go on as they are.
    pub fn breaks(&self, older: &FlowApi) -> Vec<String> {
        let mut broken = Vec::new();
        let (old, new) = (older.plan.as_ref(), self.plan.as_ref());
        streams("input", &old.inputs, &new.inputs, &mut broken);
        streams("output", &old.outputs, &new.outputs, &mut broken);
        for table in &old.tables {
            if let Some(now) = new.tables.iter().find(|other| other.name == table.name) {
                shapes(&format!("table `{}`", table.name), &table.shape, &now.shape, &mut broken);
            }
        }
        for (path, method) in older.methods() {
            let was = called(old, method);
            if self.method(path).is_none_or(|now| called(new, now) != was) {
                broken.push(format!(
                    "{path} no longer means {was}: another name leads to the same path; change it"
                ));
            }
        }
        broken
    }
}

/// Whether a client whose `.proto` has the columns of `known` reads a row with the columns of `row`, of another revision,
/// as what it is: columns behind those that it knows are passed over, and those that the row does not have may be missing.
pub fn readable(known: &Shape, row: &Shape) -> bool {
    let same = |(known, column): (&Column, &Column)| {
        let types = match (&known.ty, &column.ty) {
            (Type::Enum(known), Type::Enum(of)) => known.name == of.name,
            (known, of) => known == of,
        };
        types && known.name == column.name && is_optional(known) == is_optional(column)
    };
    let (columns, beyond) = (row.columns(), known.columns().iter().skip(row.columns().len()));
    known.columns().iter().zip(columns).all(same) && beyond.into_iter().all(is_optional)
}

fn streams(kind: &str, old: &[Stream], new: &[Stream], broken: &mut Vec<String>) {
    for (at, stream) in old.iter().enumerate() {
        let Some(now) = new.iter().position(|other| other.name == stream.name) else { continue };
        let item = format!("{kind} `{}`", stream.name);
        if now != at {
            let (was, is) = (at + 1, now + 1);
            broken.push(format!(
                "{item} was number {was} and is number {is}: put new {kind}s behind the others"
            ));
        }
        shapes(&item, &stream.shape, &new[now].shape, broken);
    }
}

fn shapes(item: &str, old: &Shape, new: &Shape, broken: &mut Vec<String>) {
    for (number, (was, is)) in (1..).zip(old.columns().iter().zip(new.columns())) {
        if was.name != is.name {
            let (was, is) = (&was.name, &is.name);
            broken.push(format!(
                "{item}: field {number} was `{was}` and is `{is}`: keep columns in their places and put new ones behind \
                 them"
            ));
        } else if is_optional(was) != is_optional(is) {
            broken.push(format!(
                "{item}: `{}` gets or loses its default: clients of the older `.proto` do not send its zero value, which \
                 then means something else",
                was.name
            ));
        }
    }
    for (number, was) in (1..).zip(old.columns()).skip(new.columns().len()) {
        broken.push(format!(
            "{item}: field {number} was `{}` and is gone: a later column would take its number; keep it and leave it \
             unused",
            was.name
        ));
    }
}

/// What a method is of, by name.
fn called(plan: &Plan, method: Method) -> String {
    match method {
        Method::Ask(id) => format!("a row for `{}`", plan.inputs[usize::from(id.0)].name),
        Method::SendMany(id) => format!("rows for `{}`", plan.inputs[usize::from(id.0)].name),
        Method::Watch(id) => format!("a watch of `{}`", plan.outputs[usize::from(id.0)].name),
        Method::WatchErrors => "a watch of the errors".to_owned(),
        Method::Get(id) => format!("a row of `{}`", plan.tables[usize::from(id.0)].name),
        Method::Scan(id) => format!("rows of `{}`", plan.tables[usize::from(id.0)].name),
    }
}
