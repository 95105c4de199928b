//! Tables and their clauses.

use super::{Parsed, Parser, Reported, habits};
use crate::ast::{Clause, ClauseKind, Name, Shape, Table};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;
use crate::suggest::closest;

/// Tokens of a table's columns that are looked over for the block after them: no work that grows with the file.
const MAX_BLOCK_TOKENS: usize = 1_000;

impl Parser<'_> {
    pub(super) fn table(&mut self, start: Span) -> Parsed<Table> {
        let names = self.names("a name for the table")?;
        if self.is(Kind::OpenBrace) && !self.two_blocks() {
            return Err(self.no_shape());
        }
        if self.is(Kind::OpenParen) {
            let help = "a table is `table NAME: { name: type } { key name }`";
            let diagnostic =
                Diagnostic::error("F001", self.token().span, "expected `:` and a shape, found `(`");
            return Err(self.report(diagnostic.help(help)));
        }
        let shape = self.shape()?;
        let clauses = self.table_clauses(&names, &shape)?;
        Ok(Table { names, shape, clauses, span: self.since(start) })
    }

    /// Whether the `{ }` here is followed by another: then only the `:` before it is missing.
    fn two_blocks(&self) -> bool {
        let mut depth = 0usize;
        for (at, token) in self.tokens[self.at..].iter().take(MAX_BLOCK_TOKENS).enumerate() {
            match token.kind {
                Kind::OpenBrace => depth += 1,
                Kind::CloseBrace if depth <= 1 => return self.ahead(at + 1).kind == Kind::OpenBrace,
                Kind::CloseBrace => depth -= 1,
                _ => {}
            }
        }
        false
    }

    /// Reports a table without a shape, and skips its block.
    fn no_shape(&mut self) -> Reported {
        let diagnostic = Diagnostic::error("F001", self.gap(), "expected `:` and a shape, found `{`");
        let help =
            "columns stand before the clauses: `table NAME: { id: int } { key id }`, or a schema's name";
        let reported = self.report(diagnostic.here("expected `:` and a shape").help(help));
        self.bump();
        self.skip_until(|parser, depth| depth == 0 && parser.is(Kind::CloseBrace));
        self.eat(Kind::CloseBrace);
        reported
    }

    fn clause_word(&self, ahead: usize) -> bool {
        let named = matches!(self.ahead(ahead + 1).kind, Kind::Word | Kind::Quoted);
        named && habits::CLAUSES.iter().any(|word| self.ahead_is_word(ahead, word))
    }

    fn table_clauses(&mut self, names: &[Name], shape: &Shape) -> Parsed<Vec<Clause>> {
        if self.is(Kind::OpenBrace) {
            return self.clauses();
        }
        if self.after_junk() {
            return Err(Reported);
        }
        let name = names.first().map_or("T", |name| name.text.as_str());
        let shape = match shape {
            Shape::Named(name) => name.text.as_str(),
            Shape::Fields(_) => "{ ... }",
        };
        let help = format!("a table says its key: `table {name}: {shape} {{ key ... }}`");
        let message = format!("expected `{{`, found {}", self.found());
        Err(self.report(Diagnostic::error("F001", self.gap(), message).here("expected `{`").help(help)))
    }

    fn clauses(&mut self) -> Parsed<Vec<Clause>> {
        let open = self.expect(Kind::OpenBrace, "`{`")?;
        let mut clauses = Vec::new();
        while self.eat(Kind::CloseBrace).is_none() {
            if self.at_item_for_sure() {
                return Err(self.unclosed(open));
            }
            let start = self.at;
            match self.clause() {
                Ok(Some(clause)) => clauses.push(clause),
                Ok(None) => {}
                Err(Reported) => self.skip_to_clause(start),
            }
            self.no_comma("clauses");
        }
        Ok(clauses)
    }

    fn skip_to_clause(&mut self, start: usize) {
        if self.at == start && !self.is(Kind::CloseBrace) {
            self.bump();
        }
        self.skip_until(|parser, depth| {
            depth == 0 && (parser.is(Kind::CloseBrace) || (parser.first_on_line() && parser.clause_word(0)))
        });
    }

    /// One clause; nothing when it is planned (a diagnostic says so).
    fn clause(&mut self) -> Parsed<Option<Clause>> {
        let start = self.token().span;
        let kind = match self.clause_name()? {
            "key" => ClauseKind::Key(self.key_names()?),
            "partition" => {
                self.expect_word("by")?;
                if self.is_word("none") {
                    self.bump();
                    let help = "leave it out: rows are then spread over the nodes by their key";
                    return self.planned_clause(start, "partition by none", help);
                }
                ClauseKind::PartitionBy(self.key_names()?)
            }
            "replicate" => {
                let policy = self.name("a policy's name")?;
                if let Some(word) = self.eat_word("where") {
                    self.planned(word.span, "replicate ... where", "leave the `where` out");
                    self.expr()?;
                }
                ClauseKind::Replicate(policy)
            }
            "index" => {
                self.exprs()?;
                self.eat_word("ordered");
                return self.planned_clause(start, "index", "leave it out; rows are found by their key");
            }
            "keep" => {
                self.expr()?;
                self.expect_word("by")?;
                self.name("a column's name")?;
                return self.planned_clause(start, "keep", "leave it out, and delete old rows by a rule");
            }
            _ => {
                self.name("a column's name")?;
                self.expect(Kind::Colon, "`:`")?;
                self.name("how to merge")?;
                return self.planned_clause(start, "merge", "leave it out");
            }
        };
        let span = self.since(start);
        if let Some(word) = self.eat_word("ordered") {
            self.planned(word.span, "ordered", "leave it out");
        }
        Ok(Some(Clause { kind, span }))
    }

    fn planned_clause(&mut self, start: Span, what: &str, help: &str) -> Parsed<Option<Clause>> {
        let span = self.since(start);
        self.planned(span, what, help);
        Ok(None)
    }

    /// Names up to the next clause; a comma before that is one too many.
    fn clause_names(&mut self) -> Parsed<Vec<Name>> {
        let mut names = vec![self.name("a column's name")?];
        while self.is(Kind::Comma) && self.ahead(1).kind != Kind::CloseBrace && !self.clause_after_comma() {
            self.bump();
            names.push(self.name("a column's name")?);
        }
        Ok(names)
    }

    /// Whether a clause follows the comma here. A column may be called `key`, but then a comma, a clause or the end
    /// comes after it.
    fn clause_after_comma(&self) -> bool {
        let after_name =
            habits::CLAUSES.into_iter().chain(["ordered"]).any(|word| self.ahead_is_word(2, word));
        self.clause_word(1) && !after_name
    }

    /// Names, which SQL puts in parentheses.
    fn key_names(&mut self) -> Parsed<Vec<Name>> {
        let Some(open) = self.eat(Kind::OpenParen) else {
            return self.clause_names();
        };
        let names = self.names("a column's name")?;
        self.expect(Kind::CloseParen, "`)`")?;
        let span = self.since(open.span);
        let list = names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join(", ");
        let message = "columns stand here without parentheses";
        self.report(Diagnostic::error("F020", span, message).help(format!("write `{list}`")));
        Ok(names)
    }

    /// The word that begins a clause, as it was meant.
    fn clause_name(&mut self) -> Parsed<&'static str> {
        if let Some(word) = habits::CLAUSES.iter().find(|word| self.is_word(word)) {
            self.bump();
            return Ok(word);
        }
        if !self.is(Kind::Word) {
            return Err(self.expected("`key`, `partition by`, `replicate` or `}`", &[]));
        }
        let word = self.here().to_ascii_lowercase();
        let span = self.token().span;
        if word == "primary" && self.ahead_is_word(1, "key") {
            self.bump();
            let both = span.to(self.bump().span);
            self.report(Diagnostic::error("F020", both, "`primary key` is SQL").help("write `key`"));
            return Ok("key");
        }
        let meant = match word.as_str() {
            "partitioned" | "shard" | "distribute" | "distributed" => Some("partition"),
            "replicated" | "policy" => Some("replicate"),
            "unique" => Some("key"),
            _ => closest(&word, habits::CLAUSES),
        };
        let help = match meant {
            Some("partition") => "did you mean `partition by`?".to_owned(),
            Some(meant) => format!("did you mean `{meant}`?"),
            None if habits::SETTINGS.contains(&word.as_str()) => {
                "that is a setting of a policy: `policy p { ... }`, and here `replicate p`".to_owned()
            }
            None if self.ahead(1).kind == Kind::Colon => {
                "a table's columns stand before its clauses: `table T: { id: int } { key id }`".to_owned()
            }
            None => "the clauses are `key`, `partition by` and `replicate`".to_owned(),
        };
        let message = format!("`{}` is not a clause of a table", self.here());
        let reported = self.report(Diagnostic::error("F016", span, message).help(help));
        self.bump();
        meant.ok_or(reported)
    }
}
