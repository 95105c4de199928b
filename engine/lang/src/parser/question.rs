//! Questions: `select ... from T where ... group by ... having ... order by ... limit ... offset ...`.
//!
//! Every clause is read on its own: one that is broken is told, skipped up to the next and left out.

use std::collections::BTreeSet;

use anabranch_model::question::AggregateKind;

use super::{Parsed, Parser, Reported, habits};
use crate::ast::question::{Item, Question, Sort, TableName};
use crate::ast::{Expr, ExprKind, Literal};
use crate::diagnostic::Diagnostic;
use crate::lexer::{self, Kind, Token};
use crate::span::Span;
use crate::suggest::closest;

/// Bytes of a question: a thousand lines that a person would write.
pub const QUESTION_BYTES_MAX: usize = 64 << 10;

/// The clauses behind the list of `select`, in their order.
const CLAUSES: [&str; 7] = ["from", "where", "group", "having", "order", "limit", "offset"];

/// What joins a second table to a first.
const JOINS: [&str; 7] = ["join", "inner", "left", "right", "full", "cross", "natural"];

/// What joins a second question to a first.
const UNIONS: [&str; 3] = ["union", "intersect", "except"];

/// Reads a question. The tree holds everything that could be read; what could not is in the diagnostics. `enums` are
/// the names of enums that casts may name.
pub fn question<'a>(text: &'a str, enums: BTreeSet<&'a str>) -> (Question, Vec<Diagnostic>) {
    if text.len() > QUESTION_BYTES_MAX {
        let message = format!("the question has {} bytes, more than {QUESTION_BYTES_MAX}", text.len());
        let too_large = Diagnostic::error("F024", Span::new(0, 0), message).help("ask in several questions");
        return (Question::default(), vec![too_large]);
    }
    let lexer::Lexed { tokens, diagnostics, .. } = lexer::lex(without_semicolon(text));
    let mut parser = Parser::new(text, tokens, diagnostics, enums);
    parser.question = true;
    let question = parser.whole_question();
    (question, parser.diagnostics.into_sorted())
}

/// The text up to a `;` that ends it: consoles and other databases want one.
fn without_semicolon(text: &str) -> &str {
    let trimmed = text.trim_end();
    trimmed.strip_suffix(';').unwrap_or(text)
}

/// The aggregate of this name, in lower case.
pub(super) fn aggregate_kind(name: &str) -> Option<AggregateKind> {
    AggregateKind::ALL.into_iter().find(|kind| kind.name() == name)
}

impl Parser<'_> {
    fn whole_question(&mut self) -> Question {
        let mut question = Question::default();
        if self.head(&mut question).is_err() {
            question.broken.push(Span::new(0, self.text.len()));
            return question;
        }
        self.outputs(&mut question);
        self.question_clauses(&mut question);
        if question.table.is_none() && question.broken.is_empty() && self.diagnostics.last_code().is_none() {
            let diagnostic = Diagnostic::error("F081", self.gap(), "the question names no table");
            self.report(diagnostic.here("expected `from`").help("write `select ... from TABLE`"));
        }
        question
    }

    /// `select [distinct]`
    fn head(&mut self, question: &mut Question) -> Parsed<()> {
        let token = self.token();
        if self.eat_word("select").is_none() {
            let word = self.here().to_ascii_lowercase();
            let help = match word.as_str() {
                "insert" | "update" | "delete" | "upsert" | "merge" | "replace" | "create" | "drop"
                | "alter" | "truncate" => "a question only reads; rows are written by the rules of a flow",
                "with" => "write the question as one `select`; names for parts come with views",
                _ => "write `select COLUMNS from TABLE where CONDITION`",
            };
            if self.after_junk() {
                return Err(Reported);
            }
            let mistyped = self.is(Kind::Word) && closest(self.here(), ["select"]).is_some();
            let message = format!("a question begins with `select`, found {}", self.found());
            let diagnostic = Diagnostic::error("F081", token.span, message);
            let help = if mistyped { "did you mean `select`?" } else { help };
            let reported = self.report(diagnostic.help(help));
            if !mistyped {
                return Err(reported);
            }
            self.bump();
        }
        let column = matches!(self.ahead(1).kind, Kind::Comma | Kind::Dot | Kind::End)
            || self.ahead_is_word(1, "from")
            || self.ahead_is_word(1, "as");
        if self.is_word("distinct") && !column {
            question.distinct = Some(self.bump().span);
        }
        Ok(())
    }

    /// The list behind `select`. A broken element is left out.
    fn outputs(&mut self, question: &mut Question) {
        loop {
            let start = self.token().span;
            match self.output() {
                Ok(item) => question.items.push(item),
                Err(Reported) => {
                    self.skip_broken(|parser| parser.is(Kind::Comma));
                    question.broken.push(self.since(start));
                }
            }
            if self.eat(Kind::Comma).is_none() {
                return;
            }
        }
    }

    fn output(&mut self) -> Parsed<Item> {
        if let Some(star) = self.eat(Kind::Star) {
            return Ok(Item::All(star.span));
        }
        if self.is(Kind::End) || self.is_word("from") {
            return Err(self.expected("a column, an expression or `*`", &[]));
        }
        let value = self.expr()?;
        if self.eat_word("as").is_some() {
            return Ok(Item::Value(value, Some(self.name("a column's name")?)));
        }
        let name = matches!(self.kind(), Kind::Quoted)
            || (self.is(Kind::Word) && !habits::is_reserved(self.here()) && !self.at_clause());
        let ends = self.ahead(1).kind == Kind::Comma || self.ahead_is_word(1, "from");
        if name && ends {
            let message = format!("`as` is missing before `{}`", self.here());
            let diagnostic = Diagnostic::error("F027", self.token().span, message);
            self.report(diagnostic.help(format!("write `as {}`", self.here())));
            return Ok(Item::Value(value, Some(self.name("a column's name")?)));
        }
        Ok(Item::Value(value, None))
    }

    /// Skips to the next place where `stop` holds or a clause begins. Behind what is too deep nothing is told apart.
    fn skip_broken(&mut self, stop: impl Fn(&Self) -> bool) {
        if self.too_deep {
            self.skip(self.tokens.len());
        }
        self.skip_until(|parser, depth| depth == 0 && (stop(parser) || parser.at_clause()));
    }

    /// Whether a clause begins here. Their words are free as names, so more than the word must fit.
    fn at_clause(&self) -> bool {
        let next = self.ahead(1);
        self.is(Kind::End)
            || self.is_word("from")
            || self.is_word("where")
            || ((self.is_word("group") || self.is_word("order")) && self.ahead_is_word(1, "by"))
            || ((self.is_word("limit") || self.is_word("offset")) && next.kind == Kind::Int)
            || (self.is_word("having")
                && matches!(next.kind, Kind::Word | Kind::Quoted | Kind::OpenParen | Kind::Int)
                && !self.ahead_is_word(1, "from"))
    }

    fn question_clauses(&mut self, question: &mut Question) {
        let mut last = None;
        while !self.is(Kind::End) {
            let (start, word) = (self.token().span, self.token());
            let read = match self.which_clause() {
                Ok(clause) => {
                    self.in_order(clause, last, word);
                    last = last.max(Some(clause));
                    self.question_clause(clause, question)
                }
                Err(reported) => Err(reported),
            };
            if read.is_err() {
                if self.token().span == start {
                    self.bump();
                }
                self.skip_broken(|_| false);
                question.broken.push(self.since(start));
            }
        }
    }

    /// Which clause begins here; a mistyped word is told and taken for the one that was meant.
    fn which_clause(&mut self) -> Parsed<usize> {
        if let Some(clause) = CLAUSES.iter().position(|word| self.is_word(word)) {
            self.bump();
            return Ok(clause);
        }
        if let Some(reported) = self.second_table().or_else(|| self.other_limit()) {
            return Err(reported);
        }
        if self.is(Kind::Word)
            && let Some(meant) = closest(self.here(), CLAUSES)
        {
            self.expected("a clause of the question", &CLAUSES);
            self.bump();
            return CLAUSES.iter().position(|word| *word == meant).ok_or(Reported);
        }
        Err(self.expected("`,` or a clause of the question", &[]))
    }

    fn in_order(&mut self, clause: usize, last: Option<usize>, token: Token) {
        let Some(last) = last.filter(|last| *last >= clause) else { return };
        let word = CLAUSES[clause];
        let diagnostic = if last == clause {
            Diagnostic::error("F081", token.span, format!("`{word}` is there twice")).help(match word {
                "where" | "having" => "join the conditions with `and`",
                "from" => "a question is over one table",
                "limit" | "offset" => "write one number",
                _ => "write one list, with commas",
            })
        } else {
            Diagnostic::error("F081", token.span, format!("`{word}` stands before `{}`", CLAUSES[last])).help(
                "the order is `select`, `from`, `where`, `group by`, `having`, `order by`, `limit`, `offset`",
            )
        };
        self.report(diagnostic);
    }

    fn question_clause(&mut self, clause: usize, question: &mut Question) -> Parsed<()> {
        match CLAUSES[clause] {
            "from" => question.table = Some(self.table_name()?),
            "where" => question.filter = Some(self.expr()?),
            "group" => {
                self.expect_word("by")?;
                question.group_by = self.exprs()?;
            }
            "having" => question.having = Some(self.expr()?),
            "order" => {
                self.expect_word("by")?;
                question.order_by.push(self.sort()?);
                while self.eat(Kind::Comma).is_some() {
                    question.order_by.push(self.sort()?);
                }
            }
            "limit" => question.limit = Some(self.count("limit")?),
            _ => question.offset = Some(self.count("offset")?),
        }
        Ok(())
    }

    /// `[FLOW.]TABLE [as NAME]`
    fn table_name(&mut self) -> Parsed<TableName> {
        if let Some(open) = self.eat(Kind::OpenParen) {
            if self.is_word("select") {
                return Err(self.select_inside());
            }
            let diagnostic =
                Diagnostic::error("F081", open.span, "a table's name stands without parentheses");
            return Err(self.report(diagnostic.help("write `from TABLE`")));
        }
        let first = self.name("a table's name")?;
        let (flow, table) = match self.eat(Kind::Dot) {
            Some(_) => (Some(first), self.name_after_dot()?),
            None => (None, first),
        };
        let alias = match self.eat_word("as").is_some() || self.alias_without_as() {
            true => Some(self.name("a name for the table's rows")?),
            false => None,
        };
        if self.is(Kind::Comma) {
            return Err(self.one_table(self.token().span));
        }
        Ok(TableName { flow, table, alias })
    }

    /// `from T t`: told, and the name is to be taken.
    fn alias_without_as(&mut self) -> bool {
        let word = self.here();
        let known = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        let other = ["fetch", "top", "window", "for"];
        let name = self.is(Kind::Word)
            && !habits::is_reserved(word)
            && !known(&CLAUSES)
            && !known(&JOINS)
            && !known(&UNIONS)
            && !known(&other)
            && (word.len() < 3 || closest(word, CLAUSES).is_none());
        if name {
            let diagnostic =
                Diagnostic::error("F027", self.token().span, format!("`as` is missing before `{word}`"));
            self.report(diagnostic.help(format!("write `as {word}`")));
        }
        name
    }

    /// `join`, `union` and their like.
    fn second_table(&mut self) -> Option<Reported> {
        let span = self.token().span;
        if JOINS.iter().any(|word| self.is_word(word)) {
            return Some(self.one_table(span));
        }
        UNIONS.iter().any(|word| self.is_word(word)).then(|| {
            // What follows is another question.
            self.skip(self.tokens.len());
            let message = "a question is one `select`";
            self.report(Diagnostic::error("F082", span, message).help("ask twice, and put the rows together"))
        })
    }

    fn one_table(&mut self, span: Span) -> Reported {
        let diagnostic = Diagnostic::error("F082", span, "a question is over one table");
        self.report(diagnostic.here("a second table").help(
            "joins come with views; until then let a rule keep what belongs together in one table, or ask twice",
        ))
    }

    /// `fetch first n rows only`, `top n`.
    fn other_limit(&mut self) -> Option<Reported> {
        let fetch = self.is_word("fetch") || self.is_word("top");
        fetch.then(|| {
            let message = format!("`{}` is not a word of a question", self.here());
            self.report(Diagnostic::error("F081", self.token().span, message).help("write `limit 10`"))
        })
    }

    /// `expr [asc | desc] [nulls (first | last)]`
    fn sort(&mut self) -> Parsed<Sort> {
        let value = self.expr()?;
        let descending = self.eat_word("desc").is_some();
        if !descending {
            self.eat_word("asc");
        }
        let nulls_first = match self.eat_word("nulls") {
            Some(_) => Some(self.one_of(&["first", "last"], "`first` or `last`")? == "first"),
            None => None,
        };
        Ok(Sort { value, descending, nulls_first })
    }

    /// The number of `limit` or `offset`.
    fn count(&mut self, word: &str) -> Parsed<u64> {
        let value = self.expr()?;
        let number = match value.kind {
            ExprKind::Literal(Literal::Int(number)) => u64::try_from(number).ok(),
            _ => None,
        };
        if word == "limit" && self.is(Kind::Comma) {
            let message = "`limit` takes one number";
            let help = "write `limit 10 offset 20` for ten rows after the first twenty";
            return Err(self.report(Diagnostic::error("F087", self.token().span, message).help(help)));
        }
        number.ok_or_else(|| {
            let diagnostic = Diagnostic::error("F087", value.span, format!("`{word}` takes a whole number"));
            self.report(diagnostic.here("not a number from 0").help(format!("write `{word} 10`")))
        })
    }

    /// `count(*)`, `sum(expr)`, `count(distinct expr)`; the name and the `(` were taken.
    pub(super) fn aggregate(&mut self, start: Span, kind: AggregateKind, open: Token) -> Parsed<Expr> {
        let star = self.eat(Kind::Star);
        let free = !matches!(self.ahead(1).kind, Kind::CloseParen | Kind::Comma | Kind::Dot);
        let distinct = star.is_none() && free && self.eat_word("distinct").is_some();
        if self.is(Kind::CloseParen) && (star.is_none() || kind != AggregateKind::Count) {
            return Err(self.no_argument(start, kind));
        }
        let argument = match star {
            Some(_) => None,
            None => Some(Box::new(self.expr()?)),
        };
        if self.is(Kind::Comma) {
            return Err(self.many_arguments(start, kind));
        }
        self.close(open)?;
        self.grow_by_one()?;
        if let Some(word) = ["over", "filter"].into_iter().find(|word| self.is_word(word))
            && self.ahead(1).kind == Kind::OpenParen
        {
            return Err(self.window(word));
        }
        Ok(Expr { kind: ExprKind::Aggregate { kind, distinct, argument }, span: self.since(start) })
    }

    fn no_argument(&mut self, start: Span, kind: AggregateKind) -> Reported {
        self.skip_call();
        let (name, span) = (kind.name(), self.since(start));
        let diagnostic = Diagnostic::error("F086", span, format!("`{name}` of what?"));
        self.report(diagnostic.help(match kind {
            AggregateKind::Count => {
                "write `count(*)` for rows, `count(x)` for values that are not null".into()
            }
            _ => format!("write `{name}(x)`"),
        }))
    }

    fn many_arguments(&mut self, start: Span, kind: AggregateKind) -> Reported {
        self.skip_call();
        let (name, span) = (kind.name(), self.since(start));
        let diagnostic = Diagnostic::error("F086", span, format!("`{name}` takes one value"));
        self.report(diagnostic.help(match kind {
            AggregateKind::Min => "of several values of one row the smallest is `least(a, b)`",
            AggregateKind::Max => "of several values of one row the greatest is `greatest(a, b)`",
            _ => "write one expression",
        }))
    }

    fn window(&mut self, word: &str) -> Reported {
        let help = match word {
            "filter" => "write `sum(case when CONDITION then x end)`: nulls do not count",
            _ => "put rows together with `group by`",
        };
        let diagnostic = Diagnostic::error("F086", self.token().span, format!("there is no `{word}` here"));
        let reported = self.report(diagnostic.help(help));
        self.skip(2);
        self.skip_call();
        reported
    }
}
