//! Expressions, by precedence climbing: `or`, `and`, `not`, comparison, sum, product, sign.

use anabranch_model::{Comparison, Operator};

use super::{MAX_HEIGHT, Parsed, Parser};
use crate::ast::{Expr, ExprKind, Literal};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;
use crate::span::Span;

/// How strongly an operator binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Power {
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Unary,
}

/// An operator after an operand.
#[derive(Clone, Copy)]
enum Infix {
    Or,
    And,
    Compare(Comparison),
    Is,
    In,
    Between,
    Like,
    Binary(Operator),
}

impl Infix {
    fn power(self) -> Power {
        match self {
            Infix::Or => Power::Or,
            Infix::And => Power::And,
            Infix::Compare(_) | Infix::Is | Infix::In | Infix::Between | Infix::Like => Power::Compare,
            Infix::Binary(Operator::Add | Operator::Subtract | Operator::Concat) => Power::Sum,
            Infix::Binary(_) => Power::Product,
        }
    }
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.nested(|parser| parser.binary(Power::Or))
    }

    pub(super) fn exprs(&mut self) -> Parsed<Vec<Expr>> {
        let mut all = vec![self.expr()?];
        while self.eat(Kind::Comma).is_some() {
            all.push(self.expr()?);
        }
        Ok(all)
    }

    /// An expression whose operators bind at least as strongly as `least`.
    fn binary(&mut self, least: Power) -> Parsed<Expr> {
        let mut left = self.prefix(least)?;
        let mut compared = false;
        while let Some((infix, negated)) = self.infix() {
            let power = infix.power();
            if power < least {
                break;
            }
            if power == Power::Compare && std::mem::replace(&mut compared, true) {
                return Err(self.chained_comparison());
            }
            let height = self.height;
            let start = left.span;
            self.skip(1 + usize::from(negated));
            let kind = self.right_side(infix, negated, left)?;
            self.grow(height)?;
            left = Expr { kind, span: self.since(start) };
        }
        self.foreign_suffix(left)
    }

    /// Sets the height of an expression over parts of which the last read has `self.height` and the others `height`.
    fn grow(&mut self, height: usize) -> Parsed<()> {
        self.height = self.height.max(height) + 1;
        if self.height > MAX_HEIGHT {
            return Err(
                self.too_deep(format!("an expression with more than {MAX_HEIGHT} operators in a row"))
            );
        }
        Ok(())
    }

    /// The operator here, not taken, and whether a `not` stands before it.
    fn infix(&self) -> Option<(Infix, bool)> {
        let sign = match self.kind() {
            Kind::Equal => Infix::Compare(Comparison::Equal),
            Kind::NotEqual => Infix::Compare(Comparison::NotEqual),
            Kind::Less => Infix::Compare(Comparison::Less),
            Kind::LessOrEqual => Infix::Compare(Comparison::LessOrEqual),
            Kind::Greater => Infix::Compare(Comparison::Greater),
            Kind::GreaterOrEqual => Infix::Compare(Comparison::GreaterOrEqual),
            Kind::Plus => Infix::Binary(Operator::Add),
            Kind::Minus => Infix::Binary(Operator::Subtract),
            Kind::Concat => Infix::Binary(Operator::Concat),
            Kind::Star => Infix::Binary(Operator::Multiply),
            Kind::Slash => Infix::Binary(Operator::Divide),
            Kind::Percent => Infix::Binary(Operator::Remainder),
            Kind::AndSign => Infix::And,
            Kind::Word => {
                let negated = self.is_word("not");
                let words = [
                    ("and", Infix::And),
                    ("or", Infix::Or),
                    ("is", Infix::Is),
                    ("in", Infix::In),
                    ("between", Infix::Between),
                    ("like", Infix::Like),
                ];
                let (_, infix) =
                    words.into_iter().find(|(word, _)| self.ahead_is_word(usize::from(negated), word))?;
                let negatable = matches!(infix, Infix::In | Infix::Between | Infix::Like);
                return (negatable || !negated).then_some((infix, negated));
            }
            _ => return None,
        };
        Some((sign, false))
    }

    fn right_side(&mut self, infix: Infix, negated: bool, left: Expr) -> Parsed<ExprKind> {
        let left = Box::new(left);
        Ok(match infix {
            Infix::Or => ExprKind::Or(left, Box::new(self.binary(Power::And)?)),
            Infix::And => ExprKind::And(left, Box::new(self.binary(Power::Not)?)),
            Infix::Compare(comparison) => self.comparison(comparison, left)?,
            Infix::Is => self.is_null(left)?,
            Infix::In => ExprKind::In(left, self.in_list()?, negated),
            Infix::Like => ExprKind::Like(left, Box::new(self.binary(Power::Sum)?), negated),
            Infix::Between => {
                let low = self.binary(Power::Sum)?;
                let height = self.height;
                self.expect_word("and")?;
                let high = self.binary(Power::Sum)?;
                self.height = self.height.max(height);
                ExprKind::Between(left, Box::new(low), Box::new(high), negated)
            }
            Infix::Binary(operator) => {
                let next = if infix.power() == Power::Sum { Power::Product } else { Power::Unary };
                ExprKind::Binary(operator, left, Box::new(self.binary(next)?))
            }
        })
    }

    /// `= null` is reported and taken for the test that was meant.
    fn comparison(&mut self, comparison: Comparison, left: Box<Expr>) -> Parsed<ExprKind> {
        let right = self.binary(Power::Sum)?;
        let meant = match (&right.kind, comparison) {
            (ExprKind::Literal(Literal::Null), Comparison::Equal) => (false, "is null"),
            (ExprKind::Literal(Literal::Null), Comparison::NotEqual) => (true, "is not null"),
            _ => return Ok(ExprKind::Compare(comparison, left, Box::new(right))),
        };
        let span = left.span.to(right.span);
        self.diagnostics.forget(left.span.end..right.span.start);
        let diagnostic = Diagnostic::error("F025", span, "a comparison with null is never true");
        let written = super::shortened(&self.text[left.span.range()]);
        self.report(diagnostic.help(format!("write `{written} {}`", meant.1)));
        Ok(ExprKind::IsNull(left, meant.0))
    }

    fn is_null(&mut self, left: Box<Expr>) -> Parsed<ExprKind> {
        let negated = self.eat_word("not").is_some();
        let help = if self.is_word("true") {
            "leave `is true` out: null counts as false in a condition"
        } else if self.is_word("false") {
            "write `not ...`"
        } else if self.is_word("distinct") {
            "write `a = b or (a is null and b is null)`"
        } else {
            self.expect_word("null")?;
            return Ok(ExprKind::IsNull(left, negated));
        };
        let message = format!("expected `null`, found {}", self.found());
        Err(self.report(Diagnostic::error("F001", self.token().span, message).help(help)))
    }

    fn in_list(&mut self) -> Parsed<Vec<Expr>> {
        let open = self.expect(Kind::OpenParen, "`(` and a list of values")?;
        if self.is_word("select") && matches!(self.ahead(1).kind, Kind::Word | Kind::Star | Kind::Quoted) {
            return Err(self.select_inside());
        }
        if let Some(close) = self.eat(Kind::CloseParen) {
            let message = "`in` needs at least one value";
            let diagnostic = Diagnostic::error("F021", open.span.to(close.span), message);
            return Err(self.report(diagnostic.help("nothing is in an empty list: write `false`")));
        }
        self.arguments(open)
    }

    /// Expressions up to the `)` that closes `open`, at least one.
    pub(super) fn arguments(&mut self, open: crate::lexer::Token) -> Parsed<Vec<Expr>> {
        let mut found = Vec::new();
        let mut height = 0;
        loop {
            found.push(self.expr()?);
            height = self.height.max(height);
            if self.eat(Kind::Comma).is_some() {
                continue;
            }
            self.close(open)?;
            self.height = height;
            return Ok(found);
        }
    }

    /// The `)` that closes `open`.
    pub(super) fn close(&mut self, open: crate::lexer::Token) -> Parsed<()> {
        if self.eat(Kind::CloseParen).is_some() {
            return Ok(());
        }
        let over = matches!(self.kind(), Kind::CloseBrace | Kind::OpenBrace)
            || self.at_item_for_sure()
            || self.at_action();
        Err(if over { self.unclosed(open) } else { self.expected("`,` or `)`", &[]) })
    }

    fn chained_comparison(&mut self) -> super::Reported {
        let message = "comparisons do not chain";
        let help = "write `a < b and b < c`, or `b between a and c`; put parentheses around a comparison that is compared";
        self.report(Diagnostic::error("F022", self.token().span, message).help(help))
    }

    /// An operand with the operators before it.
    fn prefix(&mut self, least: Power) -> Parsed<Expr> {
        let start = self.token().span;
        if self.is_word("not") || self.is(Kind::NotSign) {
            if least > Power::Not {
                let diagnostic = Diagnostic::error("F001", start, "expected a value, found `not`");
                return Err(self.report(diagnostic.help("put parentheses around it: `(not ...)`")));
            }
            self.bump();
            return self.under(start, Power::Not, ExprKind::Not);
        }
        if self.is(Kind::Minus) && self.ahead(1).kind != Kind::Int {
            self.bump();
            return self.under(start, Power::Unary, ExprKind::Negate);
        }
        if self.is(Kind::Plus) {
            let diagnostic = Diagnostic::error("F001", start, "expected a value, found `+`");
            self.report(diagnostic.help("leave it out: a number without a sign is positive"));
            self.bump();
        }
        self.primary()
    }

    fn under(&mut self, start: Span, power: Power, make: fn(Box<Expr>) -> ExprKind) -> Parsed<Expr> {
        let operand = self.nested(|parser| parser.binary(power))?;
        self.grow(0)?;
        Ok(Expr { kind: make(Box::new(operand)), span: self.since(start) })
    }

    /// What other languages write after an operand: `x::type`, `a ? b : c`.
    fn foreign_suffix(&mut self, left: Expr) -> Parsed<Expr> {
        let span = self.token().span;
        let written = || super::shortened(&self.text[left.span.range()]);
        if self.is(Kind::Colon) && self.ahead(1).kind == Kind::Colon && self.ahead(1).span.start == span.end {
            let help = format!("write `cast({} as TYPE)`", written());
            let diagnostic =
                Diagnostic::error("F010", span.to(self.ahead(1).span), "`::` is not an operator");
            self.report(diagnostic.help(help));
            self.skip(2);
            let ty = self.type_name()?;
            let span = self.since(left.span);
            return Ok(Expr { kind: ExprKind::Cast(Box::new(left), ty), span });
        }
        if self.is(Kind::Question) {
            let diagnostic = Diagnostic::error("F010", span, "`?` does not choose between values");
            return Err(self.report(diagnostic.help("write `case when CONDITION then a else b end`")));
        }
        if self.is(Kind::Dot) {
            let help = "a member of json is read with `json_get(json, 'member')`";
            let diagnostic = Diagnostic::error("F001", span, "expected an operator, found `.`");
            return Err(self.report(diagnostic.help(help)));
        }
        if self.is_word("ilike") {
            let diagnostic =
                Diagnostic::error("F010", span, "`ilike` is not an operator of the flow language");
            return Err(self.report(diagnostic.help("write `lower(text) like 'pattern'`")));
        }
        Ok(left)
    }
}
