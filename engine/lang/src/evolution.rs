//! From one revision of a flow to the next: what changes, and whether a flow that runs may become the new one.
//!
//! Tables keep their rows, and clients that know the old revision keep working. So everything may be added that an
//! old row or an old client can do without; nothing may change that stored rows or their place rest on.
//!
//! ```
//! use anabranch_lang::{compile, evolution};
//!
//! let old = compile("a.flow", "flow a revision 1  input I: { x: text }").plan.expect("compiles");
//! let new = compile("a.flow", "flow a revision 2  input I: { x: text, y: int? }").plan.expect("compiles");
//! let evolution = evolution(&old, &new);
//! assert!(evolution.allowed());
//! assert_eq!(evolution.changes[0].what, "new column `y`: int?");
//! ```

use std::collections::BTreeSet;
use std::fmt;

use anabranch_model::plan::{Plan, Policy, Stream, Table};
use anabranch_model::types::{Column, Shape};
use anabranch_model::{EnumType, Type};
use serde::{Deserialize, Serialize};

use crate::check::print::type_name;
use crate::describe::{ack_text, column_names, column_type, describe_step};

/// The changes from one plan to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evolution {
    /// The flow's name.
    pub flow: String,
    /// The revision that runs.
    pub from: i64,
    /// The new revision.
    pub to: i64,
    /// Every change, in the order of enums, inputs, outputs, tables and rules.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What becomes of it.
    pub verdict: Verdict,
    /// The item: `table Orders`.
    pub item: String,
    /// What changes, in one line.
    pub what: String,
    /// Why it is refused, or what it does to what is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It happens when the revision becomes active.
    Allowed,
    /// The new revision cannot follow the old one.
    Refused,
}

impl Evolution {
    /// Whether the new revision may follow the old one.
    pub fn allowed(&self) -> bool {
        self.changes.iter().all(|change| change.verdict == Verdict::Allowed)
    }
}

/// What changes from `old` to `new`. Places and the order of items are no change.
pub fn evolution(old: &Plan, new: &Plan) -> Evolution {
    let mut changes = Changes::default();
    if old.name != new.name {
        let item = format!("flow {}", old.name);
        let why = "tables and streams are known by their flow's name; start it as a flow of its own";
        changes.refuse(&item, format!("is called `{}`", new.name), why);
    }
    changes.enums(old, new);
    changes.streams("input", &old.inputs, &new.inputs);
    changes.streams("output", &old.outputs, &new.outputs);
    changes.tables(old, new);
    changes.rules(old, new);
    changes.revision(old, new);
    Evolution { flow: new.name.clone(), from: old.revision, to: new.revision, changes: changes.found }
}

#[derive(Default)]
struct Changes {
    found: Vec<Change>,
}

/// Which way the rows of a shape go: who depends on its columns.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Input,
    Output,
    Table,
}

impl Changes {
    fn allow(&mut self, item: &str, what: impl Into<String>) {
        self.push(Verdict::Allowed, item, what.into(), None);
    }

    fn note(&mut self, item: &str, what: impl Into<String>, why: &str) {
        self.push(Verdict::Allowed, item, what.into(), Some(why.to_owned()));
    }

    fn refuse(&mut self, item: &str, what: impl Into<String>, why: &str) {
        self.push(Verdict::Refused, item, what.into(), Some(why.to_owned()));
    }

    fn push(&mut self, verdict: Verdict, item: &str, what: String, why: Option<String>) {
        self.found.push(Change { verdict, item: item.to_owned(), what, why });
    }

    fn enums(&mut self, old: &Plan, new: &Plan) {
        for of in &old.enums {
            let item = format!("enum {}", of.name);
            match new.enums.iter().find(|other| other.name == of.name) {
                Some(other) => self.values(&item, of, other),
                None => self.allow(&item, "removed"),
            }
        }
        for of in new.enums.iter().filter(|of| old.enums.iter().all(|other| other.name != of.name)) {
            self.allow(&format!("enum {}", of.name), "new");
        }
    }

    fn values(&mut self, item: &str, old: &EnumType, new: &EnumType) {
        if !new.values.starts_with(&old.values) {
            let why = "stored rows hold the place of a value in the list: new values go to its end";
            let at = old.values.iter().zip(&new.values).take_while(|(a, b)| a == b).count();
            let first = old.values.get(at).map_or("", String::as_str);
            self.refuse(item, format!("the value '{first}' is no longer number {}", at + 1), why);
            return;
        }
        for value in &new.values[old.values.len()..] {
            self.allow(item, format!("new value '{value}'"));
        }
    }

    fn streams(&mut self, word: &str, old: &[Stream], new: &[Stream]) {
        let role = if word == "input" { Role::Input } else { Role::Output };
        for stream in old {
            let item = format!("{word} {}", stream.name);
            match new.iter().find(|other| other.name == stream.name) {
                Some(other) => self.shape(&item, role, &stream.shape, &other.shape),
                None => {
                    let why = match role {
                        Role::Input => {
                            "clients may still send to it; keep it, and refuse its rows with `require`"
                        }
                        _ => "clients may still subscribe to it; keep it without a rule that fills it",
                    };
                    self.refuse(&item, "removed", why);
                }
            }
        }
        for stream in new.iter().filter(|of| old.iter().all(|other| other.name != of.name)) {
            self.allow(&format!("{word} {}", stream.name), "new");
        }
    }

    fn tables(&mut self, old: &Plan, new: &Plan) {
        for table in &old.tables {
            let item = format!("table {}", table.name);
            match new.tables.iter().find(|other| other.name == table.name) {
                Some(other) => self.table(&item, table, other),
                None => self.refuse(&item, "removed", "its rows would be lost"),
            }
        }
        for table in new.tables.iter().filter(|of| old.tables.iter().all(|other| other.name != of.name)) {
            self.allow(&format!("table {}", table.name), "new, empty");
        }
    }

    fn table(&mut self, item: &str, old: &Table, new: &Table) {
        let names = |table: &Table, of: &[anabranch_model::ColumnId]| column_names(&table.shape, of);
        let (old_key, new_key) = (names(old, &old.key), names(new, &new.key));
        if old_key != new_key {
            let why = "the key names the stored rows; copy them into a new table";
            self.refuse(item, format!("key {old_key} -> {new_key}"), why);
        }
        let (old_by, new_by) = (names(old, &old.partition_by), names(new, &new.partition_by));
        if old_by != new_by {
            let why = "every stored row would have to move; copy them into a new table";
            self.refuse(item, format!("partition by {old_by} -> {new_by}"), why);
        }
        self.shape(item, Role::Table, &old.shape, &new.shape);
        self.policy(item, &old.policy, &new.policy);
    }

    fn shape(&mut self, item: &str, role: Role, old: &Shape, new: &Shape) {
        for column in old.columns() {
            match new.position(&column.name) {
                Some(id) => self.column(item, role, column, new.column(id)),
                None => self.removed_column(item, role, column),
            }
        }
        for column in new.columns().iter().filter(|of| old.position(&of.name).is_none()) {
            self.new_column(item, role, column);
        }
        let kept = |shape: &Shape, other: &Shape| -> Vec<String> {
            let names = shape.columns().iter().map(|column| column.name.clone());
            names.filter(|name| other.position(name).is_some()).collect()
        };
        if kept(old, new) != kept(new, old) {
            self.note(item, "columns in another order", "columns are known by their names");
        }
    }

    fn column(&mut self, item: &str, role: Role, old: &Column, new: &Column) {
        let name = &new.name;
        if !same_type(&old.ty, &new.ty) || old.nullable != new.nullable {
            let ty = |column: &Column| {
                format!("{}{}", type_name(&column.ty), if column.nullable { "?" } else { "" })
            };
            let why = match role {
                Role::Table => "stored rows have the old type; add a column instead",
                Role::Input => "clients send the old type; add a column instead",
                Role::Output => "clients expect the old type; add a column instead",
            };
            self.refuse(item, format!("column `{name}`: {} -> {}", ty(old), ty(new)), why);
        } else if old.default != new.default {
            let what = format!("column `{name}`: {} -> {}", column_type(old), column_type(new));
            match role {
                Role::Input if new.default.is_none() && !new.nullable => {
                    self.refuse(item, what, "clients that leave it out would be refused");
                }
                _ => self.note(item, what, "for rows written from then on"),
            }
        }
    }

    fn removed_column(&mut self, item: &str, role: Role, column: &Column) {
        let what = format!("removed column `{}`: {}", column.name, column_type(column));
        match role {
            Role::Table => self.note(item, what, "no rule uses it; its values are dropped"),
            Role::Input => self.refuse(item, what, "clients may still send it; keep it and leave it unused"),
            Role::Output => self.refuse(item, what, "clients may still read it"),
        }
    }

    fn new_column(&mut self, item: &str, role: Role, column: &Column) {
        let what = format!("new column `{}`: {}", column.name, column_type(column));
        let optional = column.nullable || column.default.is_some();
        match role {
            Role::Output => self.allow(item, what),
            _ if optional => self.allow(item, what),
            Role::Table => {
                self.refuse(item, what, "stored rows lack it; make it nullable or give it a default")
            }
            Role::Input => {
                self.refuse(item, what, "old clients do not send it; make it nullable or give it a default")
            }
        }
    }

    fn policy(&mut self, item: &str, old: &Policy, new: &Policy) {
        if old.partitions != new.partitions {
            let what = format!("partitions {} -> {}", old.partitions, new.partitions);
            self.refuse(item, what, "the number of partitions is fixed when a table is created");
        }
        let copies = format!("copies {} -> {}", old.copies, new.copies);
        if new.copies > old.copies {
            self.note(item, copies, "the new copies are filled while the table serves");
        } else if new.copies < old.copies {
            self.refuse(
                item,
                copies,
                "rows would be less safe than was promised; a node file may override it",
            );
        }
        if old.ack != new.ack {
            let what = format!("ack {} -> {}", ack_text(old.ack), ack_text(new.ack));
            self.note(item, what, "for writes from then on");
        }
        if old.sync != new.sync {
            let what = format!("sync {:?} -> {:?}", old.sync, new.sync).to_lowercase();
            self.note(item, what, "for writes from then on");
        }
    }

    fn rules(&mut self, old: &Plan, new: &Plan) {
        for (input, step) in new.inputs.iter().zip(&new.steps) {
            let Some(at) = old.inputs.iter().position(|other| other.name == input.name) else { continue };
            let Some(before) = old.steps.get(at) else { continue };
            let before = describe_step(old, &input.name, before);
            let after = describe_step(new, &input.name, step);
            if before != after {
                self.allow(&format!("on {}", input.name), rules_text(&before, &after));
            }
        }
    }

    /// The revision grows with every change.
    fn revision(&mut self, old: &Plan, new: &Plan) {
        let item = format!("flow {}", new.name);
        let what = format!("revision {} -> {}", old.revision, new.revision);
        if new.revision < old.revision {
            self.refuse(
                &item,
                what,
                "a revision that ran before does not come back; give it a higher number",
            );
        } else if new.revision == old.revision && !self.found.is_empty() {
            let why = format!("two files of one revision differ; write `revision {}`", old.revision + 1);
            self.refuse(&item, what, &why);
        }
    }
}

/// How many lines of the rules are new and gone.
fn rules_text(before: &str, after: &str) -> String {
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
        (before.lines().collect(), after.lines().collect());
    let (new, gone) = (after.difference(&before).count(), before.difference(&after).count());
    match (new, gone) {
        (0, 0) => "rules in another order".to_owned(),
        _ => format!("changed rules, in lines of the plan: {new} new, {gone} gone"),
    }
}

/// Whether stored values keep their meaning. Changes of an enum's values are reported at the enum.
fn same_type(old: &Type, new: &Type) -> bool {
    match (old, new) {
        (Type::Enum(old), Type::Enum(new)) => old.name == new.name,
        _ => old == new,
    }
}

impl fmt::Display for Evolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self.changes.iter().filter(|change| change.verdict == Verdict::Refused).count();
        let count = self.changes.len();
        write!(f, "flow {} revision {} -> {}: ", self.flow, self.from, self.to)?;
        match (count, refused) {
            (0, _) => return writeln!(f, "nothing changes"),
            (1, 0) => writeln!(f, "1 change, allowed")?,
            (_, 0) => writeln!(f, "{count} changes, all allowed")?,
            _ => writeln!(f, "{count} changes, {refused} refused")?,
        }
        let width = |text: fn(&Change) -> &str| {
            self.changes.iter().map(|change| text(change).chars().count()).max().unwrap_or_default()
        };
        let (items, whats) = (width(|change| &change.item), width(|change| &change.what));
        for change in &self.changes {
            let verdict = match change.verdict {
                Verdict::Allowed => "allowed",
                Verdict::Refused => "refused",
            };
            let Change { item, what, why, .. } = change;
            match why {
                Some(why) => writeln!(f, "  {verdict}  {item:<items$}  {what:<whats$}  {why}")?,
                None => writeln!(f, "  {verdict}  {item:<items$}  {what}")?,
            }
        }
        Ok(())
    }
}
