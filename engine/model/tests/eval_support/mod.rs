//! Expressions for tests: built by hand, or read from the constant expressions that the documentation uses.
#![allow(dead_code, reason = "each test file uses a part")]

use anabranch_model::frame::Chance;
use anabranch_model::time::parse_duration;
use anabranch_model::{
    Comparison, Expr, ExprKind, Fault, Frame, Function, Operator, Place, StepContext, Type, Value, eval,
};

pub(crate) mod maker;

pub(crate) const DECIMAL: Type = Type::Decimal { precision: 38, scale: 9 };

pub(crate) fn expr(kind: ExprKind, ty: Type) -> Expr {
    Expr { kind, ty, nullable: true, place: Place { line: 3, column: 7 } }
}

pub(crate) fn literal(value: Value<'static>, ty: Type) -> Expr {
    expr(ExprKind::Literal(value), ty)
}

pub(crate) fn call(function: Function, arguments: Vec<Expr>, ty: Type) -> Expr {
    expr(ExprKind::Call(function, arguments), ty)
}

pub(crate) fn compare(comparison: Comparison, left: Expr, right: Expr) -> Expr {
    expr(ExprKind::Compare(comparison, Box::new(left), Box::new(right)), Type::Bool)
}

pub(crate) fn binary(operator: Operator, left: Expr, right: Expr, ty: Type) -> Expr {
    expr(ExprKind::Binary(operator, Box::new(left), Box::new(right)), ty)
}

pub(crate) fn cast(inner: Expr, ty: Type) -> Expr {
    expr(ExprKind::Cast(Box::new(inner)), ty)
}

pub(crate) fn context() -> StepContext {
    StepContext { node: "A".into(), source: "B".into(), now: 17, revision: 3, chance: Chance::new(42) }
}

/// Evaluates an expression without rows.
pub(crate) fn run(expr: &Expr) -> Result<Value<'static>, Fault> {
    let context = context();
    let frame = Frame { input: &[], rows: &[], candidate: None, shapes: &[], lets: &[], context: &context };
    eval::evaluate(expr, &frame).map(Value::into_owned)
}

/// The value of a constant expression, or the number of its fault.
pub(crate) fn value_of(text: &str) -> Result<Value<'static>, &'static str> {
    run(&constant(text)).map_err(|fault| fault.code.number())
}

/// Results in the form in which tests compare them: decimals by their digits, a whole decimal like an int (the
/// documentation writes no point where there are no decimals).
pub(crate) fn plain(result: Result<Value<'static>, &'static str>) -> String {
    match result {
        Ok(Value::Decimal(number)) if number.scale() == 0 => format!("Ok(Int({number}))"),
        other => format!("{other:?}"),
    }
}

/// Reads a constant expression: literals, `a operator b` without precedence, `cast`, functions.
pub(crate) fn constant(text: &str) -> Expr {
    let mut reader = Reader(text);
    let read = reader.sum();
    assert!(reader.0.trim().is_empty(), "{text}: left over {:?}", reader.0);
    read
}

struct Reader<'t>(&'t str);

impl<'t> Reader<'t> {
    fn sum(&mut self) -> Expr {
        let mut left = self.primary();
        for (symbol, operator) in [
            ("||", Operator::Concat),
            ("+", Operator::Add),
            ("- ", Operator::Subtract),
            ("*", Operator::Multiply),
            ("/", Operator::Divide),
            ("%", Operator::Remainder),
        ] {
            if self.taken(symbol) {
                let ty = left.ty.clone();
                left = binary(operator, left, self.primary(), ty);
            }
        }
        left
    }

    fn primary(&mut self) -> Expr {
        self.0 = self.0.trim_start();
        if let Some(rest) = self.0.strip_prefix('\'') {
            let (inside, rest) = rest.split_once('\'').expect("an end of the text");
            self.0 = rest;
            return literal(Value::from(inside.to_owned()), Type::Text);
        }
        let end = self.0.find(|c: char| !(c.is_alphanumeric() || "_.-".contains(c))).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        match word {
            "null" => literal(Value::Null, Type::Text),
            "true" => literal(Value::Bool(true), Type::Bool),
            "false" => literal(Value::Bool(false), Type::Bool),
            "cast" => self.cast(),
            _ if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => number(word),
            _ => self.call(word),
        }
    }

    fn cast(&mut self) -> Expr {
        assert!(self.taken("("));
        let inner = self.sum();
        assert!(self.taken("as"));
        let (name, rest) = self.0.split_once(')').expect("an end of the cast");
        self.0 = rest;
        cast(inner, named(name.trim()))
    }

    fn call(&mut self, name: &str) -> Expr {
        let function = Function::by_name(name).expect(name);
        assert!(self.taken("("));
        let mut arguments = Vec::new();
        while !self.taken(")") {
            arguments.push(self.sum());
            self.taken(",");
        }
        assert!(function.signature().accepts(arguments.len()), "{name} with {}", arguments.len());
        let ty = arguments.first().map_or(Type::Json, |argument| argument.ty.clone());
        call(function, arguments, ty)
    }

    fn taken(&mut self, symbol: &str) -> bool {
        self.0 = self.0.trim_start();
        let rest = self.0.strip_prefix(symbol);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

fn number(word: &str) -> Expr {
    if let Some(duration) = parse_duration(word) {
        return literal(Value::Duration(duration), Type::Duration);
    }
    if word.contains('e') {
        return literal(Value::Float(word.parse().expect("a float")), Type::Float);
    }
    if word.contains('.') {
        return literal(Value::Decimal(word.parse().expect("a decimal")), DECIMAL);
    }
    literal(Value::Int(word.parse().expect("an int")), Type::Int)
}

pub(crate) fn named(name: &str) -> Type {
    match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "float" => Type::Float,
        "decimal" => DECIMAL,
        "text" => Type::Text,
        "bytes" => Type::Bytes,
        "time" => Type::Time,
        "duration" => Type::Duration,
        "json" => Type::Json,
        // `decimal2` is decimal(5, 2).
        other => {
            let scale = other.trim_start_matches("decimal").parse();
            Type::Decimal { precision: 5, scale: scale.expect(other) }
        }
    }
}
