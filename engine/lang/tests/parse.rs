//! What the parser makes of a text: which operator takes what, what literals mean, where the spans are.
#![allow(clippy::panic, reason = "a helper of tests may fail them")]

use anabranch_lang::ast::{ActionKind, Expr, ExprKind, Item, Literal};
use anabranch_lang::{lexer, parse};

/// The expression `text`, with parentheses around every operator.
fn tree(text: &str) -> String {
    let file = format!("flow f revision 1 on A as a {{ let x = {text} }}");
    let (parsed, diagnostics) = parse(&file);
    assert!(diagnostics.is_empty(), "{}", anabranch_lang::render("f", &file, &diagnostics, false));
    let Item::Rule(rule) = &parsed.items[0] else { panic!("one rule") };
    let ActionKind::Let(_, value) = &rule.block.actions[0].kind else { panic!("one let") };
    assert_eq!(&file[value.span.range()], text, "the span of the whole");
    show(value)
}

fn show(expr: &Expr) -> String {
    let list = |all: &[Expr]| all.iter().map(show).collect::<Vec<_>>().join(", ");
    let not = |negated: bool| if negated { "not " } else { "" };
    match &expr.kind {
        ExprKind::Literal(literal) => format!("{literal:?}"),
        ExprKind::Name(None, name) => name.text.clone(),
        ExprKind::Name(Some(of), name) => format!("{}.{}", of.text, name.text),
        ExprKind::Paren(inside) => show(inside),
        ExprKind::And(a, b) => format!("({} and {})", show(a), show(b)),
        ExprKind::Or(a, b) => format!("({} or {})", show(a), show(b)),
        ExprKind::Not(a) => format!("(not {})", show(a)),
        ExprKind::Compare(comparison, a, b) => format!("({} {comparison:?} {})", show(a), show(b)),
        ExprKind::IsNull(a, negated) => format!("({} is {}null)", show(a), not(*negated)),
        ExprKind::In(a, values, negated) => format!("({} {}in [{}])", show(a), not(*negated), list(values)),
        ExprKind::Between(a, low, high, negated) => {
            format!("({} {}between {}, {})", show(a), not(*negated), show(low), show(high))
        }
        ExprKind::Like(a, b, negated) => format!("({} {}like {})", show(a), not(*negated), show(b)),
        ExprKind::Binary(operator, a, b) => format!("({} {operator:?} {})", show(a), show(b)),
        ExprKind::Negate(a) => format!("(- {})", show(a)),
        ExprKind::Case { arms, otherwise } => {
            let arms: String =
                arms.iter().map(|(when, then)| format!("{} => {}; ", show(when), show(then))).collect();
            format!("case {arms}{}", otherwise.as_ref().map_or("none".into(), |otherwise| show(otherwise)))
        }
        ExprKind::Cast(a, ty) => format!("cast {} {:?}", show(a), ty.kind),
        ExprKind::Call(name, arguments) => format!("{}[{}]", name.text, list(arguments)),
        ExprKind::Aggregate { .. } => unreachable!("a flow has no aggregates"),
    }
}

#[test]
fn operators_bind_as_in_sql() {
    assert_eq!(tree("a or b and c"), "(a or (b and c))");
    assert_eq!(tree("not a = b and c"), "((not (a Equal b)) and c)");
    assert_eq!(tree("a + b * c - d"), "((a Add (b Multiply c)) Subtract d)");
    assert_eq!(tree("a - b - c"), "((a Subtract b) Subtract c)");
    assert_eq!(tree("a || b = c || d"), "((a Concat b) Equal (c Concat d))");
    assert_eq!(tree("-a * b"), "((- a) Multiply b)");
    assert_eq!(tree("(a or b) and c"), "((a or b) and c)");
    assert_eq!(tree("not not a"), "(not (not a))");
}

#[test]
fn tests_take_sums() {
    assert_eq!(
        tree("a between b and c + 1 and d"),
        "((a between b, (c Add Literal)) and d)".replace("Literal", "Int(1)")
    );
    assert_eq!(tree("a not between b and c or d"), "((a not between b, c) or d)");
    assert_eq!(tree("a + b is not null and c is null"), "(((a Add b) is not null) and (c is null))");
    assert_eq!(tree("a not in (b, c + d) or e"), "((a not in [b, (c Add d)]) or e)");
    assert_eq!(tree("a not like b || c"), "(a not like (b Concat c))");
}

#[test]
fn minus_belongs_to_the_int_after_it() {
    assert_eq!(tree("-9223372036854775808"), "Int(-9223372036854775808)");
    assert_eq!(tree("- 5"), "Int(-5)");
    assert_eq!(tree("a - 5"), "(a Subtract Int(5))");
    assert_eq!(tree("a - -5"), "(a Subtract Int(-5))");
    assert_eq!(tree("- -5"), "(- Int(-5))");
    assert_eq!(tree("-1.5"), "(- Decimal(\"1.5\"))");
    assert_eq!(tree("-5m"), "(- Duration(300000000, \"5m\"))");
    assert_eq!(tree("-5 * 2"), "(Int(-5) Multiply Int(2))");
}

#[test]
fn literals_are_what_they_say() {
    assert_eq!(tree("1_000"), "Int(1000)");
    assert_eq!(tree("1_0.5"), "Decimal(\"10.5\")");
    assert_eq!(tree("1.5e-3"), "Float(\"1.5e-3\")");
    assert_eq!(tree("2E9"), "Float(\"2E9\")");
    assert_eq!(tree("250ms"), "Duration(250000, \"250ms\")");
    assert_eq!(tree("7d"), "Duration(604800000000, \"7d\")");
    assert_eq!(tree("'it''s'"), "Text(\"it's\")");
    assert_eq!(tree("''"), "Text(\"\")");
    assert_eq!(tree("TRUE"), "Bool(true)");
    assert_eq!(tree("Null"), "Null");
}

#[test]
fn names_are_what_they_say() {
    assert_eq!(tree("u.\"from\""), "u.from");
    assert_eq!(tree("u.from"), "u.from");
    assert_eq!(tree("\"a \"\"b\"\"\""), "a \"b\"");
    assert_eq!(tree("key + order + time"), "((key Add order) Add time)");
    assert_eq!(tree("Größe"), "Größe");
}

#[test]
fn functions_are_keywords() {
    assert_eq!(tree("COALESCE(a, 1)"), "coalesce[a, Int(1)]");
    assert_eq!(tree("now()"), "now[]");
    assert_eq!(tree("length + 1"), "(length Add Int(1))");
    assert_eq!(tree("cast(a as decimal(10, 2))"), "cast a Decimal(Some((10, 2)))");
    assert_eq!(tree("CASE WHEN a THEN 1 ELSE 2 END"), "case a => Int(1); Int(2)");
    assert_eq!(tree("case when a then b when c then d end"), "case a => b; c => d; none");
}

#[test]
fn spans_reach_from_the_first_to_the_last_token() {
    let text = "flow f revision 1 on A as a { let x = (1 + 2) * three.four }";
    let (file, _) = parse(text);
    let Item::Rule(rule) = &file.items[0] else { panic!("one rule") };
    assert_eq!(&text[rule.span.range()], "on A as a { let x = (1 + 2) * three.four }");
    assert_eq!(&text[rule.block.span.range()], "{ let x = (1 + 2) * three.four }");
    let ActionKind::Let(name, value) = &rule.block.actions[0].kind else { panic!("one let") };
    assert_eq!(&text[name.span.range()], "x");
    let ExprKind::Binary(_, left, right) = &value.kind else { panic!("a product") };
    assert_eq!([&text[left.span.range()], &text[right.span.range()]], ["(1 + 2)", "three.four"]);
    let ExprKind::Paren(inside) = &left.kind else { panic!("parentheses") };
    assert_eq!(&text[inside.span.range()], "1 + 2");
}

#[test]
fn keywords_come_in_any_case_and_names_do_not() {
    let (file, diagnostics) = parse(
        "FLOW F REVISION 2 Schema S { A: TEXT, a: Int? } ON S AS s ROUTE BY s.a WHERE true { DELETE T WHERE a = 1 }",
    );
    assert_eq!(diagnostics, []);
    let Item::Schema(schema) = &file.items[0] else { panic!("a schema") };
    assert_eq!(
        schema.fields.fields.iter().map(|field| field.name.text.as_str()).collect::<Vec<_>>(),
        ["A", "a"]
    );
}

#[test]
fn what_is_broken_is_left_out_and_the_rest_is_there() {
    let text = "flow f revision 1\nschema A { id: int, 7, n: int }\ntable ! { }\nschema B { id: int }\non I as i {\n  let = 3\n  emit O i\n}\n";
    let (file, diagnostics) = parse(text);
    assert!(diagnostics.len() >= 3, "{diagnostics:?}");
    let [Item::Schema(a), Item::Schema(_), Item::Rule(rule)] = &file.items[..] else {
        panic!("{:?}", file.items)
    };
    assert_eq!(a.fields.fields.len(), 2);
    assert!(matches!(rule.block.actions[..], [ref only] if matches!(only.kind, ActionKind::Emit(..))));
}

#[test]
fn defaults_keep_their_sign() {
    let (file, diagnostics) =
        parse("flow f revision 1 schema S { a: int default -1, b: decimal default -1.5 }");
    assert_eq!(diagnostics, []);
    let Item::Schema(schema) = &file.items[0] else { panic!("a schema") };
    let kind = |at: usize| &schema.fields.fields[at].default.as_ref().expect("it has one").kind;
    assert_eq!(*kind(0), ExprKind::Literal(Literal::Int(-1)));
    assert!(matches!(kind(1), ExprKind::Negate(_)));
}

#[test]
fn tokens_and_comments_cover_the_text_in_order() {
    let text = "flow f -- one\nrevision 1 -- two";
    let lexed = lexer::lex(text);
    let words: Vec<&str> = lexed.tokens.iter().map(|token| &text[token.span.range()]).collect();
    assert_eq!(words, ["flow", "f", "revision", "1", ""]);
    let comments: Vec<&str> = lexed.comments.iter().map(|span| &text[span.range()]).collect();
    assert_eq!(comments, ["-- one", "-- two"]);
}
