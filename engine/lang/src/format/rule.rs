//! The layout of rules: a block always takes lines of its own.

use super::doc::Doc;
use super::tokens::{Docs, Tokens, pad};
use crate::ast::{Action, ActionKind, Block, Expr, Part, PartKind, RouteKind, RowExpr, Rule};

impl<'a> Tokens<'a> {
    pub(super) fn rule(&mut self, rule: &Rule, out: &mut Docs<'a>) {
        let mut group = Vec::new();
        self.keywords(1, &mut group);
        self.take(&mut group);
        group.push(Doc::Spaces(1));
        self.keywords(1, &mut group);
        self.take(&mut group);
        let mut inside = Vec::new();
        if let Some(route) = &rule.route {
            inside.push(Doc::Line(1));
            self.keywords(2, &mut inside);
            match &route.kind {
                RouteKind::By(values) => self.values(values, &mut inside),
                RouteKind::To(node) => self.expr(node, &mut inside),
            }
        }
        if let Some(filter) = &rule.filter {
            inside.push(Doc::Line(1));
            self.keywords(1, &mut inside);
            self.expr(filter, &mut inside);
        }
        group.push(Doc::Indent(inside));
        out.extend([Doc::Group(group), Doc::Spaces(1)]);
        self.block(&rule.block, out);
    }

    fn values(&mut self, values: &[Expr], out: &mut Docs<'a>) {
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.drop_comma();
                out.extend([Doc::Text(",".into()), Doc::Spaces(1)]);
            }
            self.expr(value, out);
        }
    }

    /// `{ actions }`; neighbours that name a table or an output are aligned.
    fn block(&mut self, block: &Block, out: &mut Docs<'a>) {
        self.take(out);
        let mut inside = Vec::new();
        let mut run: Vec<(usize, usize)> = Vec::new();
        for action in &block.actions {
            inside.push(Doc::Hard);
            let verb = verb_width(&action.kind);
            if verb.is_none() || self.blank_ahead() {
                align(&mut inside, &mut run);
            }
            self.start(&mut inside);
            let at = self.action(action, &mut inside);
            run.extend(verb.zip(at).map(|(width, at)| (at, width)));
        }
        align(&mut inside, &mut run);
        self.comments(&mut inside);
        out.push(Doc::Indent(inside));
        if !block.actions.is_empty() {
            out.push(Doc::Hard);
        }
        self.take(out);
    }

    /// Lays out an action; says where the spaces after its verb are.
    fn action(&mut self, action: &Action, out: &mut Docs<'a>) -> Option<usize> {
        match &action.kind {
            ActionKind::Upsert(_, row)
            | ActionKind::Insert(_, row)
            | ActionKind::Update(_, row)
            | ActionKind::Emit(_, row)
            | ActionKind::Reply(_, row) => {
                let at = self.verb(out);
                self.row(row, out);
                return Some(at);
            }
            ActionKind::InsertOrIgnore(_, row) => {
                self.keywords(2, out);
                self.verb(out);
                self.row(row, out);
            }
            ActionKind::Delete(_, filter) => {
                let at = self.verb(out);
                self.keywords(1, out);
                self.expr(filter, out);
                return Some(at);
            }
            ActionKind::Read { filter, .. } => return Some(self.read(filter, out)),
            ActionKind::Let(_, value) => {
                self.keywords(1, out);
                self.take(out);
                out.push(Doc::Spaces(1));
                self.keywords(1, out);
                self.expr(value, out);
            }
            ActionKind::If { arms, otherwise } => self.choice(arms, otherwise.as_ref(), out),
            ActionKind::Require { condition, text, .. } => self.require(condition, text, out),
        }
        None
    }

    /// A verb with the name after it, and a space after both; says where the spaces between them are.
    fn verb(&mut self, out: &mut Docs<'a>) -> usize {
        self.keyword(out);
        let at = out.len();
        out.push(Doc::Spaces(1));
        self.take(out);
        out.push(Doc::Spaces(1));
        at
    }

    /// `read T where expr as NAME or null`. The verb stays outside the group, so that it can be aligned.
    fn read(&mut self, filter: &Expr, out: &mut Docs<'a>) -> usize {
        self.keyword(out);
        let at = out.len();
        out.push(Doc::Spaces(1));
        let mut group = Vec::new();
        self.take(&mut group);
        let mut inside = vec![Doc::Line(1)];
        self.keywords(1, &mut inside);
        self.expr(filter, &mut inside);
        inside.push(Doc::Line(1));
        self.keywords(1, &mut inside);
        self.take(&mut inside);
        inside.push(Doc::Spaces(1));
        self.keywords(1, &mut inside);
        self.keyword(&mut inside);
        group.push(Doc::Indent(inside));
        out.push(Doc::Group(group));
        at
    }

    fn choice(&mut self, arms: &[(Expr, Block)], otherwise: Option<&Block>, out: &mut Docs<'a>) {
        for (at, (condition, block)) in arms.iter().enumerate() {
            if at > 0 {
                out.push(Doc::Spaces(1));
                self.keywords(1, out);
            }
            self.keywords(1, out);
            self.expr(condition, out);
            out.push(Doc::Spaces(1));
            self.block(block, out);
        }
        if let Some(block) = otherwise {
            out.push(Doc::Spaces(1));
            self.keywords(1, out);
            self.block(block, out);
        }
    }

    fn require(&mut self, condition: &Expr, text: &Expr, out: &mut Docs<'a>) {
        let mut group = Vec::new();
        self.keywords(1, &mut group);
        self.expr(condition, &mut group);
        let mut inside = vec![Doc::Line(1)];
        self.keywords(1, &mut inside);
        self.take(&mut inside);
        inside.push(Doc::Spaces(1));
        self.expr(text, &mut inside);
        group.push(Doc::Indent(inside));
        out.push(Doc::Group(group));
    }

    fn row(&mut self, row: &RowExpr, out: &mut Docs<'a>) {
        if row.bare {
            return self.take(out);
        }
        self.list(&row.parts, 1, out, Self::part);
    }

    fn part(&mut self, part: &Part, out: &mut Docs<'a>) {
        match &part.kind {
            PartKind::Spread(_) => {
                self.take(out);
                self.take(out);
            }
            PartKind::Set(_, value) => {
                self.take(out);
                self.take(out);
                out.push(Doc::Spaces(1));
                self.expr(value, out);
            }
            PartKind::Add(_, value) | PartKind::Subtract(_, value) => {
                self.take(out);
                out.push(Doc::Spaces(1));
                self.take(out);
                out.push(Doc::Spaces(1));
                self.expr(value, out);
            }
        }
    }
}

/// Brings the names of a run of actions to one column, and ends the run.
fn align(docs: &mut Docs<'_>, run: &mut Vec<(usize, usize)>) {
    let widest = run.iter().map(|(_, width)| *width).max().unwrap_or(0);
    for (at, width) in run.drain(..) {
        docs[at] = Doc::Spaces(pad(width, widest));
    }
}

/// The columns of a verb that a name follows; nothing for actions that are not aligned.
fn verb_width(action: &ActionKind) -> Option<usize> {
    match action {
        ActionKind::Upsert(..) | ActionKind::Insert(..) | ActionKind::Update(..) | ActionKind::Delete(..) => {
            Some(6)
        }
        ActionKind::Reply(..) => Some(5),
        ActionKind::Read { .. } | ActionKind::Emit(..) => Some(4),
        ActionKind::InsertOrIgnore(..)
        | ActionKind::Let(..)
        | ActionKind::If { .. }
        | ActionKind::Require { .. } => None,
    }
}
