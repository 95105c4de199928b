//! The items of a file but its rules: enums and schemas, policies, streams and tables.

use std::collections::HashMap;
use std::sync::Arc;

use anabranch_model::plan::{Ack, Policy, Split, Sync};
use anabranch_model::{ColumnId, EnumType, Shape, Type};

use crate::ast::{self, ClauseKind, Item, SettingKind};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::suggest;

use super::Checker;
use super::declarations::{self, Declared, Kind, TableContent};

/// What subscribers call the refused rows of a flow.
const ERROR_STREAM: &str = "errors";

/// Streams or tables of one flow: their numbers have 16 bits.
const MAX_ITEMS: usize = 65_535;
/// Values of an enum: their numbers have 16 bits.
const MAX_ENUM_VALUES: usize = 65_535;
/// Partitions of a policy: each costs every node some state, and 4,096 spread well over a thousand nodes.
const MAX_PARTITIONS: i64 = anabranch_model::partition::MAX_PARTITIONS as i64;
/// Copies of a row: more than any zone has nodes.
const MAX_COPIES: i64 = 1_024;

impl<'a> Checker<'a> {
    /// Declares everything but the rules. Enums come first, then schemas and policies, as a file may use what it
    /// declares later.
    pub(super) fn items(&mut self) {
        let tree = self.tree;
        tree.flow.iter().for_each(|name| self.undotted(name, "flow"));
        for item in &tree.items {
            if let Item::Enum(of) = item {
                self.enumeration(of);
            }
        }
        for item in &tree.items {
            match item {
                Item::Schema(of) => self.schema(of),
                Item::Policy(of) => self.policy(of),
                _ => {}
            }
        }
        for item in &tree.items {
            match item {
                Item::Stream(of) => self.stream(of),
                Item::Table(of) => self.table(of),
                _ => {}
            }
        }
    }

    /// Takes a name in the flow's namespace; false when it is taken.
    fn declare(&mut self, name: &ast::Name, kind: Kind) -> bool {
        if let Some(first) = self.declared.names.get_mut(&name.text) {
            first.twice = true;
            let first = *first;
            // Kinds are declared one after the other: what stands later in the file is the second.
            let (second, first_span) =
                if first.span < name.span { (name.span, first.span) } else { (first.span, name.span) };
            let message = format!("the name `{}` is taken twice", name.text);
            self.report(
                Diagnostic::error("F032", second, message)
                    .here("the second")
                    .and(first_span, format!("first declared here, as {}", self.noun_at(first_span, first, kind)))
                    .help("schemas, enums, policies, streams and tables of a flow share one namespace: rename one"),
            );
            return false;
        }
        self.declared.names.insert(name.text.clone(), Declared { kind, span: name.span, twice: false });
        match kind {
            Kind::Input(_) => self.undotted(name, "input"),
            Kind::Output(_) => self.undotted(name, "output"),
            Kind::Table(_) => self.undotted(name, "table"),
            Kind::Schema(_) | Kind::Enum(_) | Kind::Policy(_) => {}
        }
        true
    }

    /// Whoever uses a flow writes `flow.stream`, which has to mean one thing.
    fn undotted(&mut self, name: &ast::Name, of: &str) {
        if name.text.contains('.') {
            self.report(
                Diagnostic::error("F053", name.span, format!("the name of this {of} has a dot"))
                    .here("a dot stands between a flow and what is in it")
                    .help(format!("write another sign, such as `{}`", name.text.replace('.', "_"))),
            );
        }
    }

    fn noun_at(&self, span: Span, first: Declared, kind: Kind) -> &'static str {
        if first.span == span { first.kind.noun() } else { kind.noun() }
    }

    fn enumeration(&mut self, of: &ast::Enum) {
        let mut good = true;
        if of.values.is_empty() {
            self.report(
                Diagnostic::error("F037", of.name.span, format!("the enum `{}` has no values", of.name.text))
                    .help("name at least one: `enum Status ('new', 'paid')`"),
            );
            good = false;
        }
        if of.values.len() > MAX_ENUM_VALUES {
            let count = of.values.len();
            self.report(
                Diagnostic::error(
                    "F037",
                    of.name.span,
                    format!("the enum `{}` has {count} values; at most {MAX_ENUM_VALUES} fit", of.name.text),
                )
                .help("use text for the column, and a table for what it may hold"),
            );
            good = false;
        }
        good &= self.distinct(&of.values, |name| format!("the value '{name}' is listed twice"));
        if self.declare(&of.name, Kind::Enum(self.declared.enums.len())) {
            let values = of.values.iter().map(|value| value.text.clone()).collect();
            let ty = good.then(|| Arc::new(EnumType { name: of.name.text.clone(), values }));
            let (name, span) = (of.name.text.clone(), of.name.span);
            self.declared.enums.push(declarations::Enum { name, span, ty, used: false });
        }
    }

    /// Reports names that come twice; true when none does.
    pub(super) fn distinct(&mut self, names: &[ast::Name], message: impl Fn(&str) -> String) -> bool {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let mut good = true;
        for name in names {
            if let Some(&first) = seen.get(name.text.as_str()) {
                self.report(
                    Diagnostic::error("F033", name.span, message(&name.text))
                        .here("the second")
                        .and(first, "the first")
                        .help("remove or rename one"),
                );
                good = false;
            } else {
                seen.insert(&name.text, name.span);
            }
        }
        good
    }

    fn schema(&mut self, of: &ast::Schema) {
        let shape = self.fields(&of.fields).map(Arc::new);
        if self.declare(&of.name, Kind::Schema(self.declared.schemas.len())) {
            let (name, span) = (of.name.text.clone(), of.name.span);
            self.declared.schemas.push(declarations::Schema { name, span, shape, used: false });
        }
    }

    /// The shape that a stream or table names or writes out.
    fn shape(&mut self, of: &ast::Shape) -> Option<Arc<Shape>> {
        match of {
            ast::Shape::Fields(fields) => self.fields(fields).map(Arc::new),
            ast::Shape::Named(name) => {
                let found = match self.declared.names.get(&name.text) {
                    Some(found) if !matches!(found.kind, Kind::Schema(_)) => {
                        let found = *found;
                        self.wrong_kind(name, "a shape", found);
                        return None;
                    }
                    _ => self.declared(name, "a schema", |kind| matches!(kind, Kind::Schema(_)))?,
                };
                let Kind::Schema(at) = found.kind else { return None };
                let schema = self.declared.schemas.get_mut(at)?;
                schema.used = true;
                schema.shape.clone()
            }
        }
    }

    fn stream(&mut self, of: &ast::Stream) {
        let shape = self.shape(&of.shape);
        for name in &of.names {
            let list = match of.direction {
                ast::Direction::Input => &self.declared.inputs,
                ast::Direction::Output => &self.declared.outputs,
            };
            let at = list.len();
            if self.too_many(at, name) {
                return;
            }
            let kind = match of.direction {
                ast::Direction::Input => Kind::Input(at),
                ast::Direction::Output => Kind::Output(at),
            };
            if !self.declare(name, kind) {
                continue;
            }
            if matches!(kind, Kind::Output(_)) && name.text == ERROR_STREAM {
                self.report(
                    Diagnostic::error(
                        "F079",
                        name.span,
                        "every flow has an output `errors`: its refused rows",
                    )
                    .here("nobody could subscribe to this one by its name")
                    .help("give it another name, such as `Errors` or `failures`"),
                );
            }
            let stream = declarations::Stream {
                name: name.text.clone(),
                span: name.span,
                shape: shape.clone(),
                used: false,
            };
            match of.direction {
                ast::Direction::Input => self.declared.inputs.push(stream),
                ast::Direction::Output => self.declared.outputs.push(stream),
            }
        }
    }

    fn too_many(&mut self, count: usize, name: &ast::Name) -> bool {
        if count < MAX_ITEMS {
            return false;
        }
        self.report(
            Diagnostic::error("F037", name.span, format!("a flow has at most {MAX_ITEMS} of these"))
                .help("divide the flow into several files"),
        );
        true
    }

    fn table(&mut self, of: &ast::Table) {
        let shape = self.shape(&of.shape);
        let content = self.table_content(of, shape);
        for name in &of.names {
            let at = self.declared.tables.len();
            if self.too_many(at, name) {
                return;
            }
            if self.declare(name, Kind::Table(at)) {
                let (name, span) = (name.text.clone(), name.span);
                let content = content.clone();
                self.declared.tables.push(declarations::Table { name, span, content, used: false });
            }
        }
    }

    fn table_content(&mut self, of: &ast::Table, shape: Option<Arc<Shape>>) -> Option<TableContent> {
        let name = of.names.first()?;
        if self.misread(of.span) {
            return None;
        }
        let clauses = self.clauses(of);
        let policy = match clauses.replicate {
            None => Some((Policy::default(), name.span)),
            Some((policy, clause)) => self.replicated(policy).map(|policy| (policy, clause)),
        };
        let Some((key, key_clause)) = clauses.key else {
            self.report(
                Diagnostic::error("F040", name.span, format!("the table `{}` has no key", name.text))
                    .here("which columns name a row?")
                    .help("write `key` and the columns that name a row, in the braces of the table"),
            );
            return None;
        };
        let shape = shape?;
        let key_ids = self.key(key, key_clause, &shape);
        let (partition_by, partition_span) = match clauses.partition {
            None => (key_ids.clone(), names_span(key, key_clause)),
            Some((names, clause)) => {
                (self.partition(names, key, key_ids.is_some(), &shape), names_span(names, clause))
            }
        };
        let (policy, policy_span) = policy?;
        let key_span = names_span(key, key_clause);
        Some(TableContent {
            shape,
            key: key_ids?,
            key_span,
            partition_by: partition_by?,
            partition_span,
            policy,
            policy_span,
        })
    }

    fn clauses<'t>(&mut self, of: &'t ast::Table) -> Clauses<'t> {
        let mut clauses = Clauses { key: None, partition: None, replicate: None };
        for clause in &of.clauses {
            let (word, before) = match &clause.kind {
                ClauseKind::Key(names) => ("key", clauses.key.replace((names, clause.span)).map(|it| it.1)),
                ClauseKind::PartitionBy(names) => {
                    ("partition by", clauses.partition.replace((names, clause.span)).map(|it| it.1))
                }
                ClauseKind::Replicate(name) => {
                    ("replicate", clauses.replicate.replace((name, clause.span)).map(|it| it.1))
                }
            };
            if let Some(first) = before {
                self.report(
                    Diagnostic::error("F040", clause.span, format!("`{word}` stands twice in one table"))
                        .here("the second")
                        .and(first, "the first")
                        .help("keep one; several columns are written with commas"),
                );
            }
        }
        clauses
    }

    fn replicated(&mut self, name: &ast::Name) -> Option<Policy> {
        let found = self.declared(name, "a policy", |kind| matches!(kind, Kind::Policy(_)))?;
        let Kind::Policy(at) = found.kind else { return None };
        let policy = self.declared.policies.get_mut(at)?;
        policy.used = true;
        policy.policy.clone()
    }

    fn key(&mut self, names: &[ast::Name], clause: Span, shape: &Shape) -> Option<Vec<ColumnId>> {
        if names.is_empty() {
            self.report(
                Diagnostic::error("F040", clause, "`key` names no column")
                    .help("write the columns that name a row after `key`"),
            );
            return None;
        }
        let mut good = self.distinct(names, |name| format!("`{name}` stands twice in the key"));
        let mut ids = Vec::new();
        for name in names {
            let Some(id) = self.column(name, shape, "the table") else {
                good = false;
                continue;
            };
            let column = shape.column(id);
            let trouble = match (&column.ty, column.nullable) {
                (Type::Json, _) => Some(("is json", "take a column of another type into the key")),
                (_, true) => Some(("may be null", "remove the `?` from its type, or take another column")),
                _ => None,
            };
            if let Some((trouble, help)) = trouble {
                let message = format!("the key column `{}` {trouble}", name.text);
                self.report(
                    Diagnostic::error("F041", name.span, message)
                        .here("a key column is neither nullable nor json")
                        .help(help),
                );
                good = false;
            }
            ids.push(id);
        }
        good.then_some(ids)
    }

    fn partition(
        &mut self,
        names: &[ast::Name],
        key: &[ast::Name],
        key_good: bool,
        shape: &Shape,
    ) -> Option<Vec<ColumnId>> {
        let mut good = self.distinct(names, |name| format!("`{name}` stands twice in `partition by`"));
        let mut ids = Vec::new();
        for name in names {
            let Some(id) = self.column(name, shape, "the table") else {
                good = false;
                continue;
            };
            if key_good && !key.iter().any(|part| part.text == name.text) {
                let key_span = key.iter().map(|part| part.span).reduce(Span::to).unwrap_or(name.span);
                let message = format!("`{}` is in `partition by` but not in the key", name.text);
                self.report(
                    Diagnostic::error("F043", name.span, message)
                        .here("a row with the same key could lie in two partitions")
                        .and(key_span, "the key")
                        .help(format!("add `{}` to the key, or partition by key columns only", name.text)),
                );
                good = false;
            }
            ids.push(id);
        }
        (good && !ids.is_empty()).then_some(ids)
    }

    /// The column `name` of `shape`, whose owner is called `owner` in messages.
    pub(super) fn column(&mut self, name: &ast::Name, shape: &Shape, owner: &str) -> Option<ColumnId> {
        if let Some(id) = shape.position(&name.text) {
            return Some(id);
        }
        if self.full() {
            return None;
        }
        let names: Vec<_> = shape.columns().iter().map(|column| column.name.as_str()).collect();
        let help = match suggest::closest(&name.text, names.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("its columns: {}", super::quoted(&names)),
        };
        self.report(
            Diagnostic::error("F042", name.span, format!("{owner} has no column `{}`", name.text))
                .here("no such column")
                .help(help),
        );
        None
    }

    fn policy(&mut self, of: &ast::Policy) {
        let policy = self.settings(of);
        if self.declare(&of.name, Kind::Policy(self.declared.policies.len())) {
            let (name, span) = (of.name.text.clone(), of.name.span);
            self.declared.policies.push(declarations::Policy { name, span, policy, used: false });
        }
    }

    fn settings(&mut self, of: &ast::Policy) -> Option<Policy> {
        let mut policy = Policy::default();
        let mut seen: HashMap<&str, Span> = HashMap::new();
        let mut good = true;
        for setting in &of.settings {
            let word = setting_word(setting.kind.clone());
            if let Some(first) = seen.insert(word, setting.span) {
                self.report(
                    Diagnostic::error("F039", setting.span, format!("`{word}` is set twice"))
                        .here("the second")
                        .and(first, "the first")
                        .help("keep one"),
                );
                good = false;
            }
            good &= self.setting(setting, &mut policy);
        }
        let (Ack::Count(ack), true) = (policy.ack, good) else { return good.then_some(policy) };
        if ack > policy.copies {
            let ack_span = seen.get("ack").copied().unwrap_or(of.span);
            let copies_span = seen.get("copies").copied().unwrap_or(of.name.span);
            let copies = policy.copies;
            self.report(
                Diagnostic::error(
                    "F039",
                    ack_span,
                    format!("`ack {ack}` can never be met with {copies} copies"),
                )
                .here("more than there are")
                .and(copies_span, format!("`copies` is {copies}"))
                .help(format!("write `ack all`, or `copies {ack}`")),
            );
            return None;
        }
        Some(policy)
    }

    fn setting(&mut self, setting: &ast::Setting, policy: &mut Policy) -> bool {
        let mut number = |value: i64, word: &str, most: i64| {
            if (1..=most).contains(&value) {
                return Some(value as u32);
            }
            self.report(
                Diagnostic::error("F039", setting.span, format!("`{word} {value}` is out of range"))
                    .here(format!("from 1 to {most}"))
                    .help(format!("write a number from 1 to {most}")),
            );
            None
        };
        match setting.kind {
            SettingKind::Partitions(value) => {
                let Some(value) = number(value, "partitions", MAX_PARTITIONS) else { return false };
                policy.partitions = value;
            }
            SettingKind::Copies(value) => {
                let Some(value) = number(value, "copies", MAX_COPIES) else { return false };
                policy.copies = value;
            }
            SettingKind::AckCount(value) => {
                let Some(value) = number(value, "ack", MAX_COPIES) else { return false };
                policy.ack = Ack::Count(value);
            }
            SettingKind::AckAll => policy.ack = Ack::All,
            SettingKind::SyncDisk => policy.sync = Sync::Disk,
            SettingKind::SyncMemory => policy.sync = Sync::Memory,
            SettingKind::SplitConsistent => policy.split = Split::Consistent,
            SettingKind::SitesNone => policy.sites = anabranch_model::plan::Sites::None,
        }
        true
    }
}

/// The clauses of a table, with their spans.
struct Clauses<'t> {
    key: Option<(&'t Vec<ast::Name>, Span)>,
    partition: Option<(&'t Vec<ast::Name>, Span)>,
    replicate: Option<(&'t ast::Name, Span)>,
}

fn names_span(names: &[ast::Name], clause: Span) -> Span {
    names.iter().map(|name| name.span).reduce(Span::to).unwrap_or(clause)
}

fn setting_word(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Partitions(_) => "partitions",
        SettingKind::Copies(_) => "copies",
        SettingKind::AckAll | SettingKind::AckCount(_) => "ack",
        SettingKind::SyncDisk | SettingKind::SyncMemory => "sync",
        SettingKind::SplitConsistent => "split",
        SettingKind::SitesNone => "sites",
    }
}
