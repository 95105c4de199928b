//! Typed expressions, written in the language again.

use std::sync::Arc;

use anabranch_model::{ColumnId, Comparison, Expr, ExprKind, LetSlot, RowSlot, Shape, Type, Value};

use super::operators::sign;

/// What the rows and `let`s of a step are called.
pub(crate) struct Names<'n> {
    /// By the number of the row variable; those beyond are `row1` and so on.
    pub(crate) rows: &'n [String],
    /// By the number of the `let`; those beyond are `let1` and so on.
    pub(crate) lets: &'n [String],
    /// The shapes of the row variables.
    pub(crate) shapes: &'n [Arc<Shape>],
    /// The row whose columns stand alone.
    pub(crate) candidate: Option<RowSlot>,
}

impl Names<'_> {
    fn row(&self, slot: RowSlot) -> String {
        self.rows.get(usize::from(slot.0)).map_or_else(|| format!("row{}", slot.0), |name| quoted_name(name))
    }

    fn value(&self, slot: LetSlot) -> String {
        self.lets.get(usize::from(slot.0)).map_or_else(|| format!("let{}", slot.0), |name| quoted_name(name))
    }

    fn column(&self, slot: RowSlot, id: ColumnId) -> String {
        let shape = self.shapes.get(usize::from(slot.0));
        let name = shape.and_then(|shape| shape.columns().get(usize::from(id.0)));
        let name = name.map_or_else(|| format!("column{}", id.0), |column| quoted_name(&column.name));
        if self.candidate == Some(slot) { name } else { format!("{}.{name}", self.row(slot)) }
    }
}

/// How tightly an expression binds; more is tighter.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Or,
    And,
    Not,
    Compare,
    Sum,
    Product,
    Unary,
    Primary,
}

/// `expr` in the language.
pub(crate) fn print_expr(expr: &Expr, names: &Names<'_>) -> String {
    written(expr, names).0
}

/// `expr`, in parentheses when it binds less tightly than `least`.
fn within(expr: &Expr, names: &Names<'_>, least: Level) -> String {
    let (text, level) = written(expr, names);
    if level < least { format!("({text})") } else { text }
}

fn written(expr: &Expr, names: &Names<'_>) -> (String, Level) {
    let join = |parts: &[Expr], word: &str, least: Level| {
        parts.iter().map(|part| within(part, names, least)).collect::<Vec<_>>().join(word)
    };
    match &expr.kind {
        ExprKind::Literal(value) => literal(value, &expr.ty),
        ExprKind::Column(slot, id) => (names.column(*slot, *id), Level::Primary),
        ExprKind::Let(slot) => (names.value(*slot), Level::Primary),
        ExprKind::RowIsNull(slot) => (format!("{} is null", names.row(*slot)), Level::Compare),
        ExprKind::And(parts) => (join(parts, " and ", Level::Not), Level::And),
        ExprKind::Or(parts) => (join(parts, " or ", Level::And), Level::Or),
        ExprKind::Not(inner) => negated(inner, names),
        ExprKind::Compare(comparison, a, b) => {
            let (a, b) = (within(a, names, Level::Sum), within(b, names, Level::Sum));
            (format!("{a} {} {b}", comparison_sign(*comparison)), Level::Compare)
        }
        ExprKind::IsNull(a) => (format!("{} is null", within(a, names, Level::Sum)), Level::Compare),
        ExprKind::In(..) | ExprKind::Between(..) | ExprKind::Like(..) => {
            (tested(expr, names, ""), Level::Compare)
        }
        ExprKind::Binary(operator, a, b) => {
            use anabranch_model::Operator::{Add, Concat, Subtract};
            let (level, right) = match operator {
                Add | Subtract | Concat => (Level::Sum, Level::Product),
                _ => (Level::Product, Level::Unary),
            };
            let (a, b) = (within(a, names, level), within(b, names, right));
            (format!("{a} {} {b}", sign(*operator)), level)
        }
        ExprKind::Negate(a) => (format!("-{}", within(a, names, Level::Primary)), Level::Unary),
        ExprKind::Case { arms, otherwise } => (case(arms, otherwise.as_deref(), names), Level::Primary),
        ExprKind::Cast(a) => {
            (format!("cast({} as {})", print_expr(a, names), type_name(&expr.ty)), Level::Primary)
        }
        ExprKind::Call(function, arguments) => {
            (format!("{}({})", function.name(), join(arguments, ", ", Level::Or)), Level::Primary)
        }
        ExprKind::Node => ("node()".to_owned(), Level::Primary),
        ExprKind::Source => ("source()".to_owned(), Level::Primary),
        ExprKind::Now => ("now()".to_owned(), Level::Primary),
        ExprKind::Revision => ("revision()".to_owned(), Level::Primary),
        ExprKind::Uuid => ("uuid()".to_owned(), Level::Primary),
    }
}

fn negated(inner: &Expr, names: &Names<'_>) -> (String, Level) {
    match &inner.kind {
        ExprKind::RowIsNull(slot) => (format!("{} is not null", names.row(*slot)), Level::Compare),
        ExprKind::IsNull(a) => (format!("{} is not null", within(a, names, Level::Sum)), Level::Compare),
        ExprKind::In(..) | ExprKind::Between(..) | ExprKind::Like(..) => {
            (tested(inner, names, "not "), Level::Compare)
        }
        _ => (format!("not {}", within(inner, names, Level::Not)), Level::Not),
    }
}

/// `in`, `between` and `like`, with `not ` before the word or nothing.
fn tested(expr: &Expr, names: &Names<'_>, not: &str) -> String {
    let sum = |expr: &Expr| within(expr, names, Level::Sum);
    match &expr.kind {
        ExprKind::In(a, list) => {
            let list: Vec<_> = list.iter().map(|one| print_expr(one, names)).collect();
            format!("{} {not}in ({})", sum(a), list.join(", "))
        }
        ExprKind::Between(a, low, high) => {
            format!("{} {not}between {} and {}", sum(a), sum(low), sum(high))
        }
        ExprKind::Like(a, pattern) => format!("{} {not}like {}", sum(a), sum(pattern)),
        _ => print_expr(expr, names),
    }
}

fn case(arms: &[(Expr, Expr)], otherwise: Option<&Expr>, names: &Names<'_>) -> String {
    let mut text = "case".to_owned();
    for (when, then) in arms {
        text.push_str(&format!(" when {} then {}", print_expr(when, names), print_expr(then, names)));
    }
    if let Some(otherwise) = otherwise {
        text.push_str(&format!(" else {}", print_expr(otherwise, names)));
    }
    text.push_str(" end");
    text
}

fn comparison_sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    }
}

/// A type as the language writes it.
pub(crate) fn type_name(ty: &Type) -> String {
    match ty {
        Type::Enum(of) => quoted_name(&of.name),
        other => other.to_string(),
    }
}

fn literal(value: &Value<'_>, ty: &Type) -> (String, Level) {
    let text = print_value(value, ty);
    let level = if text.starts_with('-') { Level::Unary } else { Level::Primary };
    (text, level)
}

/// A constant of type `ty` in the language.
pub(crate) fn print_value(value: &Value<'_>, ty: &Type) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:e}"),
        Value::Decimal(value) => decimal(value.mantissa(), usize::from(value.scale())),
        Value::Text(text) => quoted_text(text),
        Value::Duration(value) => duration(*value),
        Value::Enum(at) => match ty {
            Type::Enum(of) => quoted_text(of.values.get(usize::from(*at)).map_or("", String::as_str)),
            _ => at.to_string(),
        },
        Value::Time(value) => format!("cast({value} as time)"),
        Value::Json(text) => format!("cast({} as json)", quoted_text(text)),
        Value::Bytes(bytes) => format!("cast({} as bytes)", quoted_text(&String::from_utf8_lossy(bytes))),
    }
}

fn decimal(mantissa: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let minus = if mantissa < 0 { "-" } else { "" };
    // A literal with a point is a decimal; without one it would be an int.
    let part = if part.is_empty() { "0" } else { part };
    format!("{minus}{whole}.{part}")
}

/// A duration in its largest whole unit.
fn duration(microseconds: i64) -> String {
    const UNITS: [(&str, i64); 5] =
        [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];
    if microseconds == 0 {
        return "0s".to_owned();
    }
    match UNITS.iter().find(|(_, unit)| microseconds % unit == 0) {
        Some((name, unit)) => format!("{}{name}", microseconds / unit),
        None => format!("cast({microseconds} as duration)"),
    }
}

pub(crate) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as the language writes it: in quotes where it has other characters or is a reserved word.
pub(crate) fn quoted_name(name: &str) -> String {
    const RESERVED: [&str; 17] = [
        "and", "or", "not", "null", "true", "false", "case", "when", "then", "else", "end", "is", "in",
        "between", "like", "as", "where",
    ];
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(char::is_alphabetic)
        && letters.all(|letter| letter.is_alphanumeric() || letter == '_');
    let reserved = RESERVED.iter().chain(&["from", "on"]).any(|word| word.eq_ignore_ascii_case(name));
    if plain && !reserved { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
