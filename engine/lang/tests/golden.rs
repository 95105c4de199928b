//! Flows with what must become of them, file by file: `good/NAME.flow` compiles to `NAME.plan.json` and says nothing,
//! `wrong/NAME.flow` says `NAME.expected`. `UPDATE=1` in the environment rewrites both.

mod support;

use anabranch_lang::{Severity, compile, render, to_json};
use support::{compare, flows, golden};

/// The name a file has in messages and plans: its own, wherever the repository lies.
const FILE: &str = "flow";

#[test]
fn good_flows_compile_to_their_plans() {
    let mut failures = Vec::new();
    for (path, text) in flows("good") {
        let compiled = compile(FILE, &text);
        let said = render(&path.display().to_string(), &text, &compiled.diagnostics, false);
        let Some(plan) = compiled.plan.filter(|_| said.is_empty()) else {
            failures.push(said);
            continue;
        };
        let mut json = serde_json::to_string_pretty(&plan).expect("a plan is data");
        json.push('\n');
        compare(&path.with_extension("plan.json"), &json, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn wrong_flows_say_what_is_wrong() {
    golden("wrong", "expected", |text| render(FILE, text, &compile(FILE, text).diagnostics, false));
}

#[test]
fn wrong_flows_have_no_plan_and_good_spans() {
    for (path, text) in flows("wrong") {
        let compiled = compile(FILE, &text);
        let errors = compiled.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        assert_eq!(compiled.plan.is_none(), errors, "{}", path.display());
        assert!(!compiled.diagnostics.is_empty(), "{} is fine", path.display());
        for diagnostic in &compiled.diagnostics {
            let json = to_json(FILE, &text, diagnostic);
            assert_eq!(json["code"], diagnostic.code, "{json}");
            for label in &diagnostic.labels {
                assert!(text.get(label.span.range()).is_some(), "{}: {diagnostic:?}", path.display());
            }
        }
    }
}

#[test]
fn there_are_many_wrong_flows() {
    assert!(flows("wrong").len() >= 60, "only {}", flows("wrong").len());
}
