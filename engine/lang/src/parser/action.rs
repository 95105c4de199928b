//! Actions.

use super::{Parsed, Parser, Reported, habits};
use crate::ast::{Action, ActionKind, Block, Expr, Name, RowExpr};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::suggest::closest;

/// The words of [`habits::ACTIONS`] that run today, for "did you mean".
const WORDS: [&str; 10] =
    ["upsert", "insert", "update", "delete", "read", "let", "if", "require", "emit", "reply"];

impl Parser<'_> {
    /// One action; nothing when it says nothing (a diagnostic says so).
    pub(super) fn action(&mut self) -> Parsed<Option<Action>> {
        let start = self.token().span;
        let kind = match self.action_word()? {
            "upsert" => {
                let (table, row) = self.write("upsert")?;
                ActionKind::Upsert(table, row)
            }
            "insert" => self.insert()?,
            "update" => {
                let (table, row) = self.write("update")?;
                ActionKind::Update(table, row)
            }
            "delete" => self.delete()?,
            "read" => self.read()?,
            "let" => self.binding()?,
            "if" => self.choice()?,
            "require" => self.require()?,
            "emit" => ActionKind::Emit(self.name("an output's name")?, self.row()?),
            "reply" => ActionKind::Reply(self.name("an output's name")?, self.row()?),
            _ => {
                let help = "until then, write it as rules, or do it in the host application";
                let reported = self.planned(start, "call", help);
                self.name("a rule body's name")?;
                self.row()?;
                return Err(reported);
            }
        };
        Ok(Some(Action { kind, span: self.since(start) }))
    }

    /// The word that begins an action, taken, as it was meant.
    fn action_word(&mut self) -> Parsed<&'static str> {
        if let Some(word) = habits::ACTIONS.iter().find(|word| self.is_word(word)) {
            self.bump();
            return Ok(word);
        }
        if self.is(Kind::CloseParen) {
            let diagnostic = Diagnostic::error("F012", self.token().span, "this `)` closes nothing");
            return Err(
                self.report(diagnostic.help("take it out, or look before it for the `(` that is missing"))
            );
        }
        if !self.is(Kind::Word) || self.after_junk() {
            return Err(self.expected("an action or `}`", &[]));
        }
        let span = self.token().span;
        let word = self.here().to_ascii_lowercase();
        let message = format!("`{}` does not begin an action", self.here());
        let meant = closest(&word, WORDS).filter(|_| matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted));
        let help = match (meant, habits::foreign_action(&word)) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, Some(help)) => help.to_owned(),
            (None, None) if word == "else" => "an `else` stands right after the `}` of its `if`".to_owned(),
            (None, None) if self.ahead(1).kind == Kind::Equal => {
                format!("a value gets a name with `let {word} = ...`")
            }
            (None, None) => format!("the actions are `{}`", WORDS.join("`, `")),
        };
        let reported = self.report(Diagnostic::error("F015", span, message).help(help));
        self.bump();
        meant.ok_or(reported)
    }

    /// `TABLE row` of a write, and what SQL writes there.
    fn write(&mut self, word: &str) -> Parsed<(Name, RowExpr)> {
        self.no_sql_word("into", word);
        let table = self.name("a table's name")?;
        if self.is_word("set") || self.is_word("values") {
            let span = self.token().span;
            let written = self.here().to_lowercase();
            let help = format!(
                "write `{word} {} {{ column: value, ... }}`, the key's columns among them",
                table.text
            );
            let message = format!("`{written}` is SQL; a row is written in braces");
            return Err(self.report(Diagnostic::error("F020", span, message).help(help)));
        }
        let row = self.row()?;
        if word == "update" && self.is_word("where") {
            let message = "`update` has no `where`: the row is found by the key that it names";
            let help = "name the key's columns in the row; for a condition write `if`";
            return Err(self.report(Diagnostic::error("F020", self.token().span, message).help(help)));
        }
        Ok((table, row))
    }

    /// Takes a word of SQL's that is left out here.
    fn no_sql_word(&mut self, sql: &'static str, after: &str) {
        if self.is_word(sql) && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) {
            let token = self.bump();
            let message = format!("no `{sql}` after `{after}`");
            self.report(Diagnostic::error("F020", token.span, message).help("leave it out"));
        }
    }

    fn insert(&mut self) -> Parsed<ActionKind> {
        if self.eat_word("or").is_none() {
            let (table, row) = self.write("insert")?;
            return Ok(ActionKind::Insert(table, row));
        }
        let start = self.token().span;
        if self.is_word("replace") || self.is_word("update") {
            let message = format!("no `insert or {}`", self.here().to_lowercase());
            let reported = self.report(Diagnostic::error("F020", start, message).help("write `upsert`"));
            self.bump();
            self.write("upsert")?;
            return Err(reported);
        }
        self.expect_word("ignore")?;
        let (table, row) = self.write("insert or ignore")?;
        Ok(ActionKind::InsertOrIgnore(table, row))
    }

    fn delete(&mut self) -> Parsed<ActionKind> {
        self.no_sql_word("from", "delete");
        let table = self.name("a table's name")?;
        if self.is(Kind::OpenBrace) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `where`, found `{`");
            return Err(
                self.report(diagnostic.help(format!("write `delete {} where key = ...`", table.text)))
            );
        }
        self.expect_word("where")?;
        Ok(ActionKind::Delete(table, self.expr()?))
    }

    /// `read T where expr as NAME or null`
    fn read(&mut self) -> Parsed<ActionKind> {
        self.no_sql_word("from", "read");
        let table = self.name("a table's name")?;
        if self.is_word("as") {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `where`, found `as`");
            let help = format!(
                "first which row, then its name: `read {} where key = ... as row or null`",
                table.text
            );
            return Err(self.report(diagnostic.help(help)));
        }
        self.expect_word("where")?;
        let filter = self.expr()?;
        let alias = self.alias("row", &["as"])?;
        if self.is_word("order") || self.is_word("limit") || self.is(Kind::OpenBrace) {
            return Err(self.read_block());
        }
        if self.eat_word("or").is_some() {
            self.expect_word("null")?;
        } else {
            let diagnostic =
                Diagnostic::error("F027", self.gap(), "a `read` says what happens when there is no row");
            let help = format!("write `as {} or null`; test it with `is not null`", alias.text);
            self.report(diagnostic.here("expected `or null`").help(help));
        }
        Ok(ActionKind::Read { table, filter, alias })
    }

    /// `read ... { } else { }`, planned: said, and read for its mistakes.
    fn read_block(&mut self) -> Reported {
        let what = match self.here().to_ascii_lowercase().as_str() {
            "order" => "read ... order by",
            "limit" => "read ... limit",
            _ => "read ... { }",
        };
        let help = "a row with its whole key is read with `as x or null`";
        let reported = self.planned(self.token().span, what, help);
        match self.rest_of_read() {
            Ok(()) | Err(Reported) => reported,
        }
    }

    fn rest_of_read(&mut self) -> Parsed<()> {
        if self.eat_word("order").is_some() {
            self.expect_word("by")?;
            loop {
                self.expr()?;
                let _ = self.eat_word("desc").or_else(|| self.eat_word("asc"));
                if self.eat(Kind::Comma).is_none() {
                    break;
                }
            }
        }
        if self.eat_word("limit").is_some() {
            self.expr()?;
        }
        self.block()?;
        if self.eat_word("else").is_some() {
            self.block()?;
        }
        Ok(())
    }

    /// `let NAME = expr`
    fn binding(&mut self) -> Parsed<ActionKind> {
        if self.is_word("mut") && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) {
            let message = "a `let` never changes";
            self.report(Diagnostic::error("F015", self.token().span, message).help("leave `mut` out"));
            self.bump();
        }
        let name = self.name("a name for the value")?;
        if let Some(colon) = self.eat(Kind::Colon) {
            let ty = self.type_name()?;
            let message = "a `let` has the type of its value";
            let help = format!(
                "leave the type out; to change it write `cast(... as {})`",
                &self.text[ty.span.range()]
            );
            self.report(Diagnostic::error("F015", colon.span.to(ty.span), message).help(help));
        }
        self.expect(Kind::Equal, "`=`")?;
        Ok(ActionKind::Let(name, self.expr()?))
    }

    fn choice(&mut self) -> Parsed<ActionKind> {
        let mut arms = vec![self.arm()?];
        let mut otherwise = None;
        while otherwise.is_none() {
            let foreign = ["elif", "elseif", "elsif"].iter().any(|word| self.is_word(word));
            if foreign {
                let message = format!("`{}` is written in two words", self.here());
                self.report(Diagnostic::error("F015", self.token().span, message).help("write `else if`"));
                self.bump();
                arms.push(self.arm()?);
            } else if self.eat_word("else").is_none() {
                break;
            } else if self.eat_word("if").is_some() {
                arms.push(self.arm()?);
            } else {
                otherwise = Some(self.block()?);
            }
        }
        Ok(ActionKind::If { arms, otherwise })
    }

    fn arm(&mut self) -> Parsed<(Expr, Block)> {
        let condition = self.expr()?;
        if let Some(then) = self.eat_word("then") {
            let message = "no `then` after the condition of an `if`";
            self.report(
                Diagnostic::error("F015", then.span, message)
                    .help("put the actions in braces: `if CONDITION { ... }`"),
            );
        }
        Ok((condition, self.block()?))
    }

    /// `require expr else CODE text`
    fn require(&mut self) -> Parsed<ActionKind> {
        let condition = self.expr()?;
        if self.is(Kind::Comma) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `else`, found `,`");
            return Err(self.report(diagnostic.help("write `require CONDITION else invalid 'why'`")));
        }
        self.expect_word("else")?;
        if matches!(self.kind(), Kind::Text | Kind::Quoted | Kind::OpenBrace) {
            let help = "the codes are `invalid`, `not_found`, `conflict`, `denied` and `unavailable`";
            let message = format!("expected the refusal's code, found {}", self.found());
            return Err(self.report(Diagnostic::error("F001", self.token().span, message).help(help)));
        }
        let code = self.name("a refusal's code")?;
        if self.is(Kind::CloseBrace) || self.at_action() {
            let diagnostic =
                Diagnostic::error("F001", self.gap(), "the refusal has no text").here("expected a text");
            let help = format!("write `else {} 'why'`", code.text);
            return Err(self.report(diagnostic.help(help)));
        }
        Ok(ActionKind::Require { condition, code, text: self.expr()? })
    }
}
