//! The file, its header, and which item begins where; streams and enums.

use super::recover::List;
use super::{Parsed, Parser, Reported, habits};
use crate::ast::{Direction, Enum, File, Item, Name, Stream};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;
use crate::suggest::closest;

const VALUES: List = List { close: Kind::CloseParen, element: "value", next: "`,` or `)`", whole: false };

impl Parser<'_> {
    pub(super) fn file(&mut self) -> File {
        let (flow, revision) = self.header();
        let mut items = Vec::new();
        while !self.is(Kind::End) {
            let start = self.at;
            match self.item() {
                Ok(item) => items.push(item),
                Err(Reported) => self.skip_foreign_item(start),
            }
        }
        File { flow, revision, items }
    }

    /// Skips what began no item; of a piece in another language one word is enough to say.
    fn skip_foreign_item(&mut self, start: usize) {
        let foreign = self.diagnostics.last_code() == Some("F014");
        self.skip_to_item(start);
        if foreign {
            let first = self.tokens[start].span.end;
            self.diagnostics.forget(first..self.token().span.start);
        }
    }

    /// `flow NAME revision INT`
    fn header(&mut self) -> (Option<Name>, Option<(i64, Span)>) {
        let mistyped =
            !self.is_word("flow") && self.is(Kind::Word) && closest(self.here(), ["flow"]).is_some();
        if mistyped && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) {
            self.expected("`flow`", &["flow"]);
            self.bump();
        } else if self.eat_word("flow").is_none() {
            let message = "a flow file begins with its name and revision";
            let diagnostic = Diagnostic::error(
                "F002",
                Span::new(self.gap().start as usize, self.gap().start as usize),
                message,
            );
            self.report(diagnostic.help("write `flow NAME revision 1` above everything else"));
            return (None, None);
        }
        let Ok(flow) = self.name("a name for the flow") else {
            self.skip_until(|parser, _| parser.at_item());
            return (None, None);
        };
        let revision = self.revision(&flow);
        if revision.is_none() && !self.at_item() {
            self.skip_until(|parser, _| parser.at_item());
        }
        (Some(flow), revision)
    }

    fn revision(&mut self, flow: &Name) -> Option<(i64, Span)> {
        if self.is_word("revision") || (self.is(Kind::Word) && closest(self.here(), ["revision"]).is_some()) {
            self.expect_word("revision").ok()?;
            return self.int("the number of the revision").ok();
        }
        let message = format!("flow `{}` has no revision", flow.text);
        let diagnostic = Diagnostic::error("F002", self.gap(), message).here("expected `revision`");
        self.report(
            diagnostic.help(format!("write `flow {} revision 1`, and one more with every change", flow.text)),
        );
        None
    }

    fn item(&mut self) -> Parsed<Item> {
        let start = self.token().span;
        Ok(match self.item_word()? {
            "schema" => Item::Schema(self.schema(start)?),
            "enum" => Item::Enum(self.enumeration(start)?),
            "policy" => Item::Policy(self.policy(start)?),
            "input" => Item::Stream(self.stream(start, Direction::Input)?),
            "output" => Item::Stream(self.stream(start, Direction::Output)?),
            "table" => Item::Table(self.table(start)?),
            _ => Item::Rule(self.rule(start)?),
        })
    }

    /// The word that begins an item, taken, as it was meant.
    fn item_word(&mut self) -> Parsed<&'static str> {
        if let Some(word) = habits::ITEM_WORDS.into_iter().find(|word| self.is_word(word)) {
            self.bump();
            return Ok(word);
        }
        let span = self.token().span;
        if let Some(&(word, help)) = habits::PLANNED_ITEMS.iter().find(|(word, _)| self.is_word(word)) {
            return Err(self.planned(span, word, help));
        }
        let named = self.is(Kind::Word) && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted);
        let Some(meant) = closest(self.here(), habits::ITEM_WORDS).filter(|_| named) else {
            return Err(self.no_item());
        };
        let message = format!("`{}` does not begin anything", self.here());
        self.report(Diagnostic::error("F014", span, message).help(format!("did you mean `{meant}`?")));
        self.bump();
        Ok(meant)
    }

    /// F012 or F014: this begins no item.
    fn no_item(&mut self) -> Reported {
        let span = self.token().span;
        if matches!(self.kind(), Kind::CloseBrace | Kind::CloseParen) {
            let message = format!("this `{}` closes nothing", self.here());
            let help = "take it out, or look above for the sign that should open it";
            return self.report(Diagnostic::error("F012", span, message).help(help));
        }
        if self.after_junk() {
            return Reported;
        }
        let word = self.here().to_ascii_lowercase();
        let message = format!("{} does not begin anything", self.found());
        let diagnostic = Diagnostic::error("F014", span, message);
        let help = match habits::foreign_item(&word) {
            Some(help) => help,
            None if self.is_word("flow") => "a file holds one flow; put the other into a file of its own",
            None if self.is_action_word() => "an action stands in a rule: `on INPUT as x { ... }`",
            None => "here begins a `schema`, `enum`, `policy`, `input`, `output`, `table` or a rule, `on`",
        };
        self.report(diagnostic.help(help))
    }

    fn is_action_word(&self) -> bool {
        habits::ACTIONS.iter().any(|word| self.is_word(word))
    }

    /// F018: not there yet.
    pub(super) fn planned(&mut self, span: Span, what: &str, help: &str) -> Reported {
        let message = format!("`{what}` is planned, but not there yet");
        self.report(Diagnostic::error("F018", span, message).help(help))
    }

    fn enumeration(&mut self, start: Span) -> Parsed<Enum> {
        let name = self.name("a name for the enum")?;
        if self.is(Kind::OpenBrace) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "expected `(`, found `{`");
            let reported = self.report(
                diagnostic.help("an enum's values stand in parentheses: `enum Color ('red', 'blue')`"),
            );
            self.bump();
            self.skip_until(|parser, depth| depth == 0 && parser.is(Kind::CloseBrace));
            self.eat(Kind::CloseBrace);
            return Err(reported);
        }
        let open = self.expect(Kind::OpenParen, "`(`")?;
        let values = self.list(open, &VALUES, Self::enum_value)?;
        let span = self.since(start);
        if values.is_empty() && self.ahead_before_is_empty(open.span) {
            let message = format!("enum `{}` has no values", name.text);
            return Err(
                self.report(Diagnostic::error("F021", span, message).help("write at least one: `('new')`"))
            );
        }
        Ok(Enum { name, values, span })
    }

    /// Whether nothing stands between `open` and the token before this one.
    fn ahead_before_is_empty(&self, open: Span) -> bool {
        self.at >= 2 && self.tokens[self.at - 2].span == open
    }

    fn enum_value(&mut self) -> Parsed<Name> {
        let token = self.token();
        match token.kind {
            Kind::Text => {
                self.bump();
                let text = super::literal::unquote(self.text_of(token), '\'');
                Ok(Name { text, span: token.span })
            }
            Kind::Quoted => {
                self.text_in_double_quotes();
                Ok(Name { text: self.name_of(token), span: token.span })
            }
            Kind::Word => {
                self.bump();
                let word = self.text_of(token);
                let diagnostic =
                    Diagnostic::error("F001", token.span, format!("expected a text, found `{word}`"));
                self.report(diagnostic.help(format!("an enum's values are texts: `'{word}'`")));
                Ok(Name { text: word.to_owned(), span: token.span })
            }
            _ => Err(self.expected("a value, like `'new'`", &[])),
        }
    }

    fn stream(&mut self, start: Span, direction: Direction) -> Parsed<Stream> {
        if self.is_word("stream") && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) {
            let word = self.bump();
            let diagnostic =
                Diagnostic::error("F001", word.span, "expected a name for the stream, found `stream`");
            self.report(diagnostic.help("leave `stream` out: `input NAME: SHAPE`"));
        }
        let names = self.names("a name for the stream")?;
        let shape = self.shape()?;
        Ok(Stream { direction, names, shape, span: self.since(start) })
    }
}
