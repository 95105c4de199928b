//! Rules: the header, and blocks of actions.

use super::{Parsed, Parser, Reported};
use crate::ast::{Block, Expr, Name, Route, RouteKind, Rule};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;

/// Events that are planned, with what to do today.
const PLANNED_EVENTS: [&str; 4] = ["change", "insert", "update", "delete"];

/// What stands between `on` and the block.
struct Header {
    event: Name,
    alias: Name,
    route: Option<Route>,
    filter: Option<Expr>,
}

impl Parser<'_> {
    pub(super) fn rule(&mut self, start: Span) -> Parsed<Rule> {
        let header = self.header_of_rule();
        if header.is_err() {
            self.skip_until(|parser, _| parser.is(Kind::OpenBrace) || parser.at_item());
            if !self.is(Kind::OpenBrace) {
                return Err(Reported);
            }
        }
        // The block is read even when the header is lost: its mistakes are told at the same time.
        let block = self.block()?;
        let Header { event, alias, route, filter } = header?;
        Ok(Rule { event, alias, route, filter, block, span: self.since(start) })
    }

    fn header_of_rule(&mut self) -> Parsed<Header> {
        let planned = self.planned_event();
        let event = match planned {
            Some(_) if !matches!(self.kind(), Kind::Word | Kind::Quoted) => {
                self.bump();
                Err(Reported)
            }
            _ => self.name("an input's name"),
        }
        .and_then(|event| self.one_event(event));
        let event = match event {
            Err(Reported) if planned.is_none() => return Err(Reported),
            event => event,
        };
        let alias = self.alias("row", &["as", "route", "where"]);
        let route = self.route()?;
        let filter = match self.eat_word("where") {
            Some(_) => Some(self.expr()?),
            None => None,
        };
        if !self.is(Kind::OpenBrace) {
            let missing: &[&str] = match (&route, &filter) {
                (None, None) => &["route", "where"],
                (_, None) => &["where"],
                _ => &[],
            };
            let what = if filter.is_some() { "`{`" } else { "`where` or `{`" };
            return Err(self.expected(what, missing));
        }
        match planned {
            Some(Reported) => Err(Reported),
            None => Ok(Header { event: event?, alias: alias?, route, filter }),
        }
    }

    /// `on change T`, `on every 5s`: said, and the word taken.
    fn planned_event(&mut self) -> Option<Reported> {
        let span = self.token().span;
        if self.is_word("every") && matches!(self.ahead(1).kind, Kind::Duration | Kind::Int | Kind::BadNumber)
        {
            self.bump();
            return Some(self.planned(
                span,
                "on every",
                "until then, a client sends a row to an `input` at that time",
            ));
        }
        let word = PLANNED_EVENTS.iter().find(|word| self.is_word(word))?;
        if !matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted) || self.ahead_is_word(1, "as") {
            return None;
        }
        self.bump();
        let help = "until then, do it in the rules that write the table";
        Some(self.planned(span, &format!("on {word}"), help))
    }

    fn one_event(&mut self, event: Name) -> Parsed<Name> {
        if self.is(Kind::Comma) {
            let diagnostic = Diagnostic::error("F001", self.token().span, "a rule is on one input");
            return Err(self.report(diagnostic.here("expected `as`").help("write a rule for each input")));
        }
        Ok(event)
    }

    /// `as NAME`; SQL leaves the `as` out.
    pub(super) fn alias(&mut self, what: &str, words: &[&'static str]) -> Parsed<Name> {
        if self.eat_word("as").is_some() {
            return self.name(&format!("a name for the {what}"));
        }
        let near = self.is(Kind::Word)
            && words.iter().any(|word| crate::suggest::closest(self.here(), [*word]).is_some());
        let next = self.ahead(1);
        let follows = matches!(next.kind, Kind::OpenBrace | Kind::Word | Kind::Quoted);
        let is_name = matches!(self.kind(), Kind::Word | Kind::Quoted)
            && !words.iter().any(|word| self.is_word(word))
            && !self.at_action()
            && !super::habits::is_reserved(self.here());
        if near && matches!(next.kind, Kind::Word | Kind::Quoted) {
            self.expect_word("as")?;
            return self.name(&format!("a name for the {what}"));
        }
        if self.after_junk() {
            return Err(Reported);
        }
        if is_name && follows {
            let message = format!("`as` is missing before `{}`", self.here());
            let diagnostic = Diagnostic::error("F027", self.token().span, message);
            self.report(diagnostic.help(format!("write `as {}`", self.here())));
            return self.name(&format!("a name for the {what}"));
        }
        let message = format!("the {what} has no name");
        let diagnostic = Diagnostic::error("F027", self.gap(), message).here("expected `as` and a name");
        Err(self.report(diagnostic.help("write `as x`, and then `x.column` for its columns")))
    }

    fn route(&mut self) -> Parsed<Option<Route>> {
        let start = self.token().span;
        let mistyped = self.is(Kind::Word)
            && !self.is_word("route")
            && crate::suggest::closest(self.here(), ["route"]).is_some()
            && (self.ahead_is_word(1, "by") || self.ahead_is_word(1, "to"));
        if mistyped {
            self.expected("`route`, `where` or `{`", &["route"]);
            self.bump();
        } else if self.is_word("partition") && self.ahead_is_word(1, "by") {
            let message = "a rule is routed, a table is partitioned";
            self.report(Diagnostic::error("F020", start, message).help("write `route by`"));
            self.bump();
        } else if self.eat_word("route").is_none() {
            return Ok(None);
        }
        let kind = match self.one_of(&["by", "to"], "`by` or `to`")? {
            "by" => RouteKind::By(self.exprs()?),
            _ if self.is_word("site") && !matches!(self.ahead(1).kind, Kind::Dot | Kind::OpenParen) => {
                let span = start.to(self.token().span);
                return Err(self.planned(
                    span,
                    "route to site",
                    "leave it out, or write `route to` and a node's name",
                ));
            }
            _ => RouteKind::To(self.expr()?),
        };
        Ok(Some(Route { kind, span: self.since(start) }))
    }

    /// `{ actions }`. Broken actions are left out.
    pub(super) fn block(&mut self) -> Parsed<Block> {
        let open = self.expect(Kind::OpenBrace, "`{`")?;
        let result = self.nested(|parser| {
            let mut actions = Vec::new();
            while parser.eat(Kind::CloseBrace).is_none() {
                if parser.at_item_for_sure() {
                    return Err(parser.unclosed(open));
                }
                let start = parser.at;
                match parser.action() {
                    Ok(Some(action)) => actions.push(action),
                    Ok(None) => {}
                    Err(Reported) => parser.skip_to_action(start),
                }
                parser.no_comma("actions");
            }
            Ok(actions)
        });
        match result {
            Ok(actions) => Ok(Block { actions, span: self.since(open.span) }),
            Err(Reported) => {
                if !self.at_item_for_sure() {
                    self.skip_until(|parser, depth| depth == 0 && parser.is(Kind::CloseBrace));
                    self.eat(Kind::CloseBrace);
                }
                Err(Reported)
            }
        }
    }
}
