//! The documented examples of every function, compiled and evaluated: checker and evaluator mean the same.

use anabranch_lang::{compile, render};
use anabranch_model::frame::Chance;
use anabranch_model::plan::Action;
use anabranch_model::{Expr, Fault, Frame, Function, StepContext, Value, eval};

/// A flow that computes a constant expression.
fn flow(text: &str) -> String {
    format!(
        "flow f revision 1 input I: {{ a: int }} output O: {{ t: text? }}
         on I as i {{ let x = {text}  reply O {{ t: to_text(x) }} }}"
    )
}

/// Whether the checker sees already that an argument cannot be taken.
fn refused(text: &str) -> bool {
    compile("flow", &flow(text)).diagnostics.iter().any(|one| one.code == "F057")
}

/// The typed form of a constant expression.
fn typed(text: &str) -> Expr {
    let text = flow(text);
    let compiled = compile("flow", &text);
    let said = render("flow", &text, &compiled.diagnostics, false);
    let mut plan = compiled.plan.expect(&said);
    match plan.steps[0].rules[0].actions.remove(0) {
        Action::Let { value, .. } => value,
        other => unreachable!("{other:?}"),
    }
}

fn run(expr: &Expr) -> Result<Value<'static>, Fault> {
    let context =
        StepContext { node: "A".into(), source: "B".into(), now: 17, revision: 3, chance: Chance::new(42) };
    let frame = Frame { input: &[], rows: &[], candidate: None, shapes: &[], lets: &[], context: &context };
    eval::evaluate(expr, &frame).map(Value::into_owned)
}

#[test]
fn documented_calls_have_the_documented_results() {
    for function in Function::all() {
        let of = function.signature();
        for example in [of.example, of.with_null, of.at_limit] {
            if refused(example.call) {
                assert_eq!(example.result, "R005", "a bad constant argument is told before the flow runs");
                continue;
            }
            let call = typed(example.call);
            let found = run(&call).map_err(|fault| fault.code.number());
            match example.result {
                "null" => assert_eq!(found, Ok(Value::Null), "{}", example.call),
                fault if fault.starts_with('R') && fault.len() == 4 => {
                    assert_eq!(found, Err(fault), "{}", example.call);
                }
                result => {
                    let wanted = run(&typed(result)).expect(result);
                    let same = match (&found, &wanted) {
                        (Ok(Value::Decimal(a)), Value::Decimal(b)) => a.compare(b).is_eq(),
                        // Where there are no decimals the documentation writes no point.
                        (Ok(Value::Decimal(a)), Value::Int(b)) => a.to_int() == Some(*b),
                        (Ok(found), wanted) => found == wanted,
                        (Err(_), _) => false,
                    };
                    assert!(same, "{}: {found:?}, documented {wanted:?}", example.call);
                }
            }
        }
    }
}

#[test]
fn result_that_is_never_null_is_not_nullable() {
    for function in Function::all() {
        let of = function.signature();
        for example in [of.example, of.with_null, of.at_limit].iter().filter(|of| !refused(of.call)) {
            let call = typed(example.call);
            if run(&call).is_ok_and(|value| value.is_null()) {
                assert!(call.nullable, "{} is null", example.call);
            }
        }
    }
}

/// Typing and evaluation together, operator by operator.
#[test]
fn operators_and_literals_mean_what_the_language_says() {
    let examples = [
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("1 + 1.5", "2.5"),
        ("1.5 * 2e0", "3e0"),
        ("2 * 5s", "10s"),
        ("'a' || 'b' = 'ab'", "true"),
        ("1 between 0 and 1.5", "true"),
        ("2.50 in (1, 2.5)", "true"),
        ("case when 1 > 2 then 1 else 2.5 end", "2.5"),
        ("cast('1.25' as decimal(4, 1))", "1.2"),
        ("cast('2024-01-02T00:00:00Z' as time) - cast('2024-01-01T00:00:00Z' as time)", "1d"),
        ("cast(2.5 as int)", "2"),
        ("not (1 = 2 or 2 = 3)", "true"),
        ("revision()", "3"),
    ];
    for (text, result) in examples {
        let (found, wanted) = (run(&typed(text)), run(&typed(result)));
        let plain = |value: &Result<Value<'static>, Fault>| match value {
            Ok(Value::Decimal(number)) => format!("{}", number.normalized()),
            Ok(value) => format!("{value:?}"),
            Err(fault) => fault.text.clone(),
        };
        assert_eq!(plain(&found), plain(&wanted), "{text}");
    }
}
