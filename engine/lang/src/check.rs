//! The checker: what a flow file means. It resolves names, checks types, nulls and routes, and lowers what is right to
//! the [`Plan`], in one pass: an expression that has a type *is* its lowered form.
//!
//! Everything wrong in a file is found at once. What is broken yields `None` and its users keep silent: one mistake,
//! one diagnostic.
//!
//! The parts: [`declarations`] (what there is), [`items`] with [`shapes`] (schemas, enums, policies, streams, tables),
//! [`rule`] (the actions of a rule), [`rows`] with [`spread`] (written rows), [`find`] (`where` over a table), [`expr`]
//! with [`names`], [`literal`], [`wanted`], [`operators`], [`calls`] and [`conversions`] (expressions), [`scope`] (names
//! and what is known not to be null), [`step`] with [`route`] (who owns a step) and [`undo`] (whether it can fail
//! half-way), [`unused`] (warnings), [`mod@print`] and [`walk`] (over typed expressions), [`question`] (questions over a table).

mod calls;
mod conversions;
mod declarations;
mod expr;
mod find;
mod items;
mod literal;
mod names;
mod operators;
pub(crate) mod print;
pub(crate) mod question;
mod route;
mod rows;
mod rule;
mod scope;
mod shapes;
mod spread;
mod step;
mod undo;
mod unused;
pub(crate) mod walk;
mod wanted;

use std::collections::HashSet;

use anabranch_model::Place;
use anabranch_model::plan::{PLAN_FORMAT, Plan, Stream, Table};

use crate::ast;
use crate::diagnostic::{Diagnostic, Severity};
use crate::lines::Lines;
use crate::sink::{self, Sink};
use crate::span::Span;
use crate::suggest;

use declarations::{Declarations, Declared, Kind};

/// Checks and lowers a parsed file. The plan is there when nothing is an error; `parsed` are the parser's diagnostics.
pub(crate) fn check(
    file: &str,
    text: &str,
    tree: &ast::File,
    parsed: Vec<Diagnostic>,
) -> (Option<Plan>, Vec<Diagnostic>) {
    let mut checker = Checker::new(text, tree, parsed);
    checker.items();
    let steps = checker.steps();
    if checker.broken() {
        // What seems unused or always true may only follow from an error.
        checker.diagnostics.retain(|one| one.severity == Severity::Error);
    } else {
        checker.unused();
    }
    let plan = (!checker.broken()).then(|| checker.plan(file, steps)).flatten();
    let mut all = Sink::new();
    for diagnostic in checker.diagnostics {
        all.push(diagnostic);
    }
    (plan, all.into_sorted())
}

/// The state of a check.
pub(crate) struct Checker<'a> {
    tree: &'a ast::File,
    text: &'a str,
    lines: Lines<'a>,
    diagnostics: Vec<Diagnostic>,
    declared: Declarations,
    /// The words of the pieces that the parser could not read: they may be declarations.
    unread: HashSet<&'a str>,
    /// Where the parser's errors are.
    misread: Vec<Span>,
}

impl<'a> Checker<'a> {
    fn new(text: &'a str, tree: &'a ast::File, parsed: Vec<Diagnostic>) -> Self {
        let errors = parsed.iter().filter(|one| one.severity == Severity::Error);
        let misread: Vec<_> = errors.filter_map(|one| one.labels.first()).map(|label| label.span).collect();
        let lines = Lines::new(text);
        let mut unread = HashSet::new();
        if !misread.is_empty() {
            let line = |span: &Span| lines.line(lines.place(span.start as usize).line);
            let pieces = gaps(text, tree).into_iter().chain(misread.iter().map(line));
            unread.extend(pieces.flat_map(words));
        }
        Checker { tree, text, lines, diagnostics: parsed, declared: Declarations::default(), unread, misread }
    }

    fn broken(&self) -> bool {
        self.diagnostics.iter().any(|one| one.severity == Severity::Error)
    }

    /// Adds a diagnostic. Beyond a limit they are dropped: nobody reads them, and a hostile file must not fill the
    /// memory.
    fn report(&mut self, diagnostic: Diagnostic) {
        if !self.full() {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether there are so many diagnostics that no more are taken.
    fn full(&self) -> bool {
        self.diagnostics.len() > sink::MOST
    }

    /// Whether `name` stands in a piece that the parser could not read, so that it may be declared there.
    fn may_be_unread(&self, name: &str) -> bool {
        let mut words = words(name).peekable();
        words.peek().is_some() && words.all(|word| self.unread.contains(word))
    }

    /// Whether the parser could not read a part of `span`: what seems missing there may stand in that part.
    fn misread(&self, span: Span) -> bool {
        self.misread.iter().any(|part| part.start <= span.end && span.start <= part.end)
    }

    fn place(&self, span: Span) -> Place {
        self.lines.place(span.start as usize)
    }

    /// The source text of `span` on one line, for messages.
    fn source(&self, span: Span) -> String {
        let text = self.text.get(span.range()).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Looks up a declared name, wanting `what` ("a table"). A name that may be declared where the parser could not
    /// read is not reported.
    fn declared(&mut self, name: &ast::Name, what: &str, fits: fn(Kind) -> bool) -> Option<Declared> {
        if let Some(&found) = self.declared.names.get(&name.text) {
            if fits(found.kind) {
                return Some(found);
            }
            self.wrong_kind(name, what, found);
            return None;
        }
        if self.full() || self.may_be_unread(&name.text) {
            return None;
        }
        let all = self.declared.names.iter().filter(|(_, of)| fits(of.kind)).map(|(name, _)| name.as_str());
        let mut candidates: Vec<&str> = all.collect();
        candidates.sort_unstable();
        let noun = what.trim_start_matches("an ").trim_start_matches("a ");
        let help = match suggest::closest(&name.text, candidates.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None if candidates.is_empty() => format!("the flow declares no {noun}; declare `{}`", name.text),
            None => format!("declared: {}", quoted(&candidates)),
        };
        self.report(
            Diagnostic::error("F030", name.span, format!("there is no {noun} `{}`", name.text))
                .here("not declared in this flow")
                .help(help),
        );
        None
    }

    fn wrong_kind(&mut self, name: &ast::Name, what: &str, found: Declared) {
        if found.twice {
            return;
        }
        let noun = found.kind.noun();
        let help = match (what, found.kind) {
            ("a table", Kind::Output(_)) => "an output takes rows with `reply` or `emit`",
            ("an output", Kind::Table(_)) => "a table takes rows with `upsert`, `insert` or `update`",
            ("an input", Kind::Table(_)) => {
                "a rule begins at an input; rules on changes of a table come later"
            }
            ("an input", Kind::Output(_)) => "a rule begins at an input: rows only leave through an output",
            ("a shape", _) => "write a schema's name, or the columns in braces: `{ name: text }`",
            _ => "write the name of what is needed here",
        };
        self.report(
            Diagnostic::error("F034", name.span, format!("`{}` is {noun}, not {what}", name.text))
                .here(format!("{what} is needed here"))
                .and(found.span, "declared here")
                .help(help),
        );
    }

    fn plan(&self, file: &str, steps: Vec<anabranch_model::plan::Step>) -> Option<Plan> {
        let declared = &self.declared;
        let stream = |of: &declarations::Stream| {
            let shape = of.shape.clone()?;
            Some(Stream { name: of.name.clone(), shape, place: self.place(of.span) })
        };
        let table = |of: &declarations::Table| {
            let content = of.content.clone()?;
            Some(Table {
                name: of.name.clone(),
                shape: content.shape,
                key: content.key,
                partition_by: content.partition_by,
                policy: content.policy,
                place: self.place(of.span),
            })
        };
        Some(Plan {
            format: PLAN_FORMAT,
            file: file.to_owned(),
            text: self.text.into(),
            name: self.tree.flow.as_ref()?.text.clone(),
            revision: self.tree.revision?.0,
            enums: declared.enums.iter().map(|of| of.ty.clone()).collect::<Option<_>>()?,
            inputs: declared.inputs.iter().map(stream).collect::<Option<_>>()?,
            outputs: declared.outputs.iter().map(stream).collect::<Option<_>>()?,
            tables: declared.tables.iter().map(table).collect::<Option<_>>()?,
            steps,
        })
    }
}

/// Names in backticks with commas.
pub(crate) fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    const SHOWN: usize = 12;
    let mut all: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > SHOWN {
        all.push(format!("and {} more", names.len() - SHOWN));
    }
    all.join(", ")
}

/// The words of `text`: runs of letters, digits and `_`.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// The pieces of `text` that no item of `tree` covers.
fn gaps<'a>(text: &'a str, tree: &ast::File) -> Vec<&'a str> {
    let mut pieces = Vec::new();
    let mut from = 0;
    for item in &tree.items {
        let span = item_span(item).range();
        pieces.extend(text.get(from..span.start.max(from)));
        from = span.end.max(from);
    }
    pieces.extend(text.get(from..));
    pieces
}

fn item_span(item: &ast::Item) -> Span {
    match item {
        ast::Item::Schema(of) => of.span,
        ast::Item::Enum(of) => of.span,
        ast::Item::Policy(of) => of.span,
        ast::Item::Stream(of) => of.span,
        ast::Item::Table(of) => of.span,
        ast::Item::Rule(of) => of.span,
    }
}
