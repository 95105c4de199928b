//! After a mistake: where reading goes on, so that the next mistake is found and the first not told twice.

use super::habits::{self, ACTIONS, ITEMS, is_reserved};
use super::{Parsed, Parser, Reported};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Token};
use crate::span::Span;

/// How the elements of a list are told apart.
pub(super) struct List {
    /// The sign that ends it.
    pub(super) close: Kind,
    /// One element, for messages.
    pub(super) element: &'static str,
    /// What separates elements, for messages.
    pub(super) next: &'static str,
    /// Whether a broken element breaks the list; else it is left out.
    pub(super) whole: bool,
}

impl Parser<'_> {
    /// Whether this token is the first of its line.
    pub(super) fn first_on_line(&self) -> bool {
        self.at == 0 || self.text[self.before()..self.token().span.start as usize].contains('\n')
    }

    fn at_margin(&self) -> bool {
        let start = self.token().span.start as usize;
        let before = self.text[..start].chars().next_back();
        matches!(before, None | Some('\n' | '\u{feff}'))
    }

    /// Whether an item begins here: its word first on a line, and a name after it.
    pub(super) fn at_item(&self) -> bool {
        !self.question
            && self.is(Kind::Word)
            && self.first_on_line()
            && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted)
            && ITEMS.iter().any(|word| self.is_word(word))
    }

    /// Whether an item begins here that no open brace can hold: it stands at the margin.
    pub(super) fn at_item_for_sure(&self) -> bool {
        self.is(Kind::End) || (self.at_margin() && self.at_item())
    }

    /// Whether something begins here that is an item in another language.
    fn at_foreign_item(&self) -> bool {
        self.at_margin()
            && matches!(self.ahead(1).kind, Kind::Word | Kind::Quoted)
            && self.is(Kind::Word)
            && habits::foreign_item(&self.here().to_ascii_lowercase()).is_some()
    }

    /// Whether something begins here that is an action in another language, and no further line of one.
    fn at_foreign_action(&self) -> bool {
        let word = if self.first_on_line() && self.is(Kind::Word) {
            self.here().to_ascii_lowercase()
        } else {
            return false;
        };
        let goes_on = ["set", "values", "when", "case"].contains(&word.as_str());
        !goes_on && habits::foreign_action(&word).is_some()
    }

    /// Whether an action begins here.
    pub(super) fn at_action(&self) -> bool {
        if self.question || !self.is(Kind::Word) || !ACTIONS.iter().any(|word| self.is_word(word)) {
            return false;
        }
        let next = self.ahead(1);
        let named = match next.kind {
            Kind::Quoted => true,
            Kind::Word => !is_reserved(self.text_of(next)),
            _ => false,
        };
        named || (self.first_on_line() && (self.is_word("if") || self.is_word("require")))
    }

    /// Skips to the next item. `start` is where the broken one began.
    pub(super) fn skip_to_item(&mut self, start: usize) {
        if self.at == start {
            self.bump();
        }
        self.skip_until(|parser, depth| depth == 0 && (parser.at_item() || parser.at_foreign_item()));
    }

    /// Skips to the next action of this block, or to its end.
    pub(super) fn skip_to_action(&mut self, start: usize) {
        if self.at == start && !self.is(Kind::CloseBrace) {
            self.bump();
        }
        self.skip_until(|parser, depth| {
            depth == 0 && (parser.is(Kind::CloseBrace) || parser.at_action() || parser.at_foreign_action())
        });
    }

    /// Skips until `stop` holds (it is given how many braces and parentheses were opened on the way), or an item
    /// begins for sure.
    pub(super) fn skip_until(&mut self, stop: impl Fn(&Self, usize) -> bool) {
        let mut depth = 0usize;
        while !self.at_item_for_sure() && !stop(self, depth) {
            match self.bump().kind {
                Kind::OpenBrace | Kind::OpenParen => depth += 1,
                Kind::CloseBrace | Kind::CloseParen => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    /// F011: nothing closes `open`.
    pub(super) fn unclosed(&mut self, open: Token) -> Reported {
        let (sign, close) = if open.kind == Kind::OpenParen { ("(", ")") } else { ("{", "}") };
        let diagnostic = Diagnostic::error("F011", open.span, format!("this `{sign}` is not closed"))
            .here("opened here")
            .and(self.gap(), format!("expected `{close}` before this"));
        self.report(diagnostic)
    }

    /// The elements of a list after its opening sign, and the closing one. Broken elements are left out; a missing
    /// comma is reported once for the list. An empty list is fine here.
    pub(super) fn list<T>(
        &mut self,
        open: Token,
        list: &List,
        element: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut found = Vec::new();
        let mut commas_asked = false;
        let mut broken = false;
        while self.eat(list.close).is_none() {
            if self.list_runs_away(list) {
                return Err(self.unclosed(open));
            }
            let start = self.at;
            match element(self) {
                Ok(element) => found.push(element),
                Err(Reported) => {
                    broken = true;
                    self.skip_to_element(start, list);
                }
            }
            if self.eat(Kind::Comma).is_some() || self.is(list.close) || self.list_runs_away(list) {
                continue;
            }
            if self.at_element() {
                let missing = !std::mem::replace(&mut commas_asked, true) && !self.separated_by_junk();
                if missing {
                    self.missing_comma(list);
                }
            } else {
                self.expected(list.next, &[]);
                broken = true;
                self.skip_to_element(self.at, list);
                self.eat(Kind::Comma);
            }
        }
        if broken && list.whole { Err(Reported) } else { Ok(found) }
    }

    /// Whether the list's end was forgotten: an item or an action begins, or the brace around its parenthesis closes.
    fn list_runs_away(&self, list: &List) -> bool {
        self.at_item_for_sure()
            || (self.first_on_line() && self.at_action())
            || (list.close == Kind::CloseParen && self.is(Kind::CloseBrace))
    }

    fn skip_to_element(&mut self, start: usize, list: &List) {
        if self.at == start && !self.is(Kind::Comma) && !self.is(list.close) {
            self.bump();
        }
        let close = list.close;
        self.skip_until(|parser, depth| {
            depth == 0
                && (parser.is(Kind::Comma)
                    || parser.is(close)
                    || parser.is(Kind::CloseBrace)
                    || (parser.first_on_line() && parser.at_element()))
        });
    }

    /// Whether `name:`, `name +=`, `..name` or a text begins here: what a list of fields, parts or values holds.
    fn at_element(&self) -> bool {
        let named = matches!(self.kind(), Kind::Word | Kind::Quoted)
            && matches!(self.ahead(1).kind, Kind::Colon | Kind::AddTo | Kind::SubtractFrom);
        named || self.is(Kind::Spread) || self.is(Kind::Text)
    }

    /// Whether a foreign sign (`;`, said already) stands between the token before and this one.
    fn separated_by_junk(&self) -> bool {
        self.text[self.before()..self.token().span.start as usize].contains(';') || self.after_junk()
    }

    fn missing_comma(&mut self, list: &List) {
        let at = self.before();
        let element = list.element;
        let diagnostic =
            Diagnostic::error("F028", Span::new(at, at), format!("a `,` is missing after this {element}"))
                .here("expected `,`")
                .help(format!("every {element} but the last is followed by `,`"));
        self.report(diagnostic);
    }
}
