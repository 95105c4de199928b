//! The layout of a file and its items.

use super::doc::{Doc, WIDTH, flat_width};
use super::tokens::{Docs, Tokens, pad};
use crate::ast::{Clause, ClauseKind, Enum, Field, Fields, Item, Policy, Schema, Shape, Stream, Table};
use crate::parser::Source;

/// The columns of `partition by`, the longest clause.
const PARTITION_BY: usize = 12;

/// Lays out a file.
pub(super) fn file<'a>(text: &'a str, source: &'a Source) -> Docs<'a> {
    let mut tokens = Tokens::new(text, &source.tokens, &source.comments);
    let mut out = Vec::new();
    tokens.start(&mut out);
    tokens.keywords(1, &mut out);
    tokens.take(&mut out);
    out.push(Doc::Spaces(1));
    tokens.keywords(1, &mut out);
    tokens.take(&mut out);
    let mut before = None;
    let mut laid_out = Vec::new();
    for item in &source.file.items {
        let kind = std::mem::discriminant(item);
        let apart = before.replace(kind) != Some(kind) || matches!(item, Item::Table(_) | Item::Rule(_));
        let apart = apart || tokens.blank_ahead();
        let mut docs = vec![if apart { Doc::Blank } else { Doc::Hard }];
        tokens.start(&mut docs);
        laid_out.push(Laid { apart, item: tokens.item(item, &mut docs), docs });
    }
    align(&mut laid_out);
    out.extend(laid_out.into_iter().flat_map(|laid| laid.docs));
    out.push(Doc::Hard);
    tokens.comments(&mut out);
    out
}

/// An item laid out, before its neighbours are aligned.
struct Laid<'a> {
    docs: Docs<'a>,
    /// Whether a blank line stands before it.
    apart: bool,
    item: Option<Padded>,
}

/// The place in an item's pieces where spaces bring it to its neighbours' column.
struct Padded {
    /// The piece to widen.
    at: usize,
    /// The columns of what stands before it and is aligned.
    width: usize,
}

/// Aligns the items of each run without a blank line.
fn align(items: &mut [Laid<'_>]) {
    let mut start = 0;
    while start < items.len() {
        let end = start + 1 + items[start + 1..].iter().take_while(|laid| !laid.apart).count();
        let run = &mut items[start..end];
        let widest =
            run.iter().filter_map(|laid| laid.item.as_ref()).map(|padded| padded.width).max().unwrap_or(0);
        for laid in run {
            if let Some(Padded { at, width }) = laid.item {
                laid.docs[at] = Doc::Spaces(pad(width, widest));
            }
        }
        start = end;
    }
}

impl<'a> Tokens<'a> {
    /// Lays out an item; says where it can be aligned with its neighbours.
    fn item(&mut self, item: &Item, out: &mut Docs<'a>) -> Option<Padded> {
        match item {
            Item::Schema(schema) => return self.schema(schema, out),
            Item::Enum(of) => self.enumeration(of, out),
            Item::Policy(policy) => self.policy(policy, out),
            Item::Stream(stream) => return self.stream(stream, out),
            Item::Table(table) => self.table(table, out),
            Item::Rule(rule) => self.rule(rule, out),
        }
        None
    }

    /// A schema on one line is aligned with its neighbours, one over several lines is not.
    fn schema(&mut self, schema: &Schema, out: &mut Docs<'a>) -> Option<Padded> {
        let start = out.len();
        self.keywords(1, out);
        let width = self.next_width();
        self.take(out);
        let at = out.len();
        out.push(Doc::Spaces(1));
        self.fields(&schema.fields, out);
        let on_one_line = flat_width(&out[start..]).is_some_and(|width| width <= WIDTH);
        on_one_line.then_some(Padded { at, width })
    }

    fn stream(&mut self, stream: &Stream, out: &mut Docs<'a>) -> Option<Padded> {
        let width = self.next_width();
        self.keyword(out);
        let at = out.len();
        out.push(Doc::Spaces(1));
        self.names(stream.names.len(), out);
        self.shape(&stream.shape, out);
        Some(Padded { at, width })
    }

    fn shape(&mut self, shape: &Shape, out: &mut Docs<'a>) {
        self.take(out);
        out.push(Doc::Spaces(1));
        match shape {
            Shape::Named(_) => self.take(out),
            Shape::Fields(fields) => self.fields(fields, out),
        }
    }

    fn fields(&mut self, fields: &Fields, out: &mut Docs<'a>) {
        self.list(&fields.fields, 1, out, Self::field);
    }

    fn field(&mut self, field: &Field, out: &mut Docs<'a>) {
        self.take(out);
        self.take(out);
        out.push(Doc::Spaces(1));
        self.type_name(&field.ty, out);
        if let Some(default) = &field.default {
            out.push(Doc::Spaces(1));
            self.keywords(1, out);
            self.expr(default, out);
        }
    }

    fn enumeration(&mut self, of: &Enum, out: &mut Docs<'a>) {
        self.keywords(1, out);
        self.take(out);
        out.push(Doc::Spaces(1));
        self.list(&of.values, 0, out, |tokens, _, out| tokens.take(out));
    }

    /// Settings stand on one line with two spaces between them, or one a line, aligned.
    fn policy(&mut self, policy: &Policy, out: &mut Docs<'a>) {
        const WIDEST: usize = "partitions".len();
        self.keywords(1, out);
        self.take(out);
        out.push(Doc::Spaces(1));
        let mut group = Vec::new();
        self.take(&mut group);
        let mut inside = Vec::new();
        for (at, _) in policy.settings.iter().enumerate() {
            inside.push(Doc::Line(if at == 0 { 1 } else { 2 }));
            self.comments(&mut inside);
            let width = self.next_width();
            self.keyword(&mut inside);
            inside.extend([Doc::Spaces(1), Doc::BrokenSpaces(pad(width, WIDEST))]);
            self.keyword(&mut inside);
        }
        self.comments(&mut inside);
        group.push(Doc::Indent(inside));
        if !policy.settings.is_empty() {
            group.push(Doc::Line(1));
        }
        self.take(&mut group);
        out.push(Doc::Group(group));
    }

    fn table(&mut self, table: &Table, out: &mut Docs<'a>) {
        self.keywords(1, out);
        self.names(table.names.len(), out);
        self.shape(&table.shape, out);
        out.push(Doc::Spaces(1));
        self.take(out);
        let widest = table.clauses.iter().map(clause_width).max().unwrap_or(0);
        let mut inside = Vec::new();
        for clause in &table.clauses {
            inside.push(Doc::Hard);
            self.start(&mut inside);
            self.clause(clause, widest, &mut inside);
        }
        self.comments(&mut inside);
        out.push(Doc::Indent(inside));
        if !table.clauses.is_empty() {
            out.push(Doc::Hard);
        }
        self.take(out);
    }

    fn clause(&mut self, clause: &Clause, widest: usize, out: &mut Docs<'a>) {
        self.keyword(out);
        if matches!(clause.kind, ClauseKind::PartitionBy(_)) {
            out.push(Doc::Spaces(1));
            self.keyword(out);
        }
        out.push(Doc::Spaces(pad(clause_width(clause), widest)));
        match &clause.kind {
            ClauseKind::Key(names) | ClauseKind::PartitionBy(names) => self.names(names.len(), out),
            ClauseKind::Replicate(_) => self.take(out),
        }
    }
}

fn clause_width(clause: &Clause) -> usize {
    match clause.kind {
        ClauseKind::Key(_) => "key".len(),
        ClauseKind::PartitionBy(_) => PARTITION_BY,
        ClauseKind::Replicate(_) => "replicate".len(),
    }
}
