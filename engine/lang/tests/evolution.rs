//! What may change from one revision to the next, and what the list of changes says.

use anabranch_lang::{Evolution, Verdict, compile, evolution, render};
use anabranch_model::plan::Plan;

const OLD: &str = "
flow shop revision 4

enum   Status ('new', 'paid')
policy pair { partitions 16 copies 2 }

input  Orders: { id: text, amount: int, note: text? }
input  Ask: { id: text }
output Answer: { id: text, status: Status?, amount: int? }

table Kept: { id: text, amount: int, status: Status default 'new', note: text? } {
  key       id
  replicate pair
}

on Orders as o {
  upsert Kept o
}

on Ask as a {
  read  Kept where id = a.id as row or null
  reply Answer { id: a.id, status: row.status, amount: row.amount }
}
";

fn plan(text: &str) -> Plan {
    let compiled = compile("flow", text);
    let said = render("flow", text, &compiled.diagnostics, false);
    compiled.plan.expect(&said)
}

/// The evolution from [`OLD`] to the next revision with these replacements.
fn changed(replacements: &[(&str, &str)]) -> Evolution {
    let mut text = OLD.replace("revision 4", "revision 5");
    for (from, to) in replacements {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    evolution(&plan(OLD), &plan(&text))
}

#[track_caller]
fn allowed(replacements: &[(&str, &str)], item: &str, what: &str) {
    let evolution = changed(replacements);
    assert!(evolution.allowed(), "{evolution}");
    let found = evolution.changes.iter().any(|change| change.item == item && change.what == what);
    assert!(found, "{evolution}");
}

#[track_caller]
fn refused(replacements: &[(&str, &str)], item: &str, what: &str) {
    let evolution = changed(replacements);
    let refused = evolution.changes.iter().filter(|change| change.verdict == Verdict::Refused);
    let refused: Vec<_> = refused.map(|change| (change.item.as_str(), change.what.as_str())).collect();
    assert_eq!(refused, [(item, what)], "{evolution}");
    assert!(
        evolution.changes.iter().all(|change| change.verdict == Verdict::Allowed || change.why.is_some())
    );
}

#[test]
fn nothing_changes_in_a_new_revision_of_the_same_text() {
    let evolution = changed(&[]);
    assert_eq!(evolution.changes, []);
    assert_eq!(evolution.to_string(), "flow shop revision 4 -> 5: nothing changes\n");
}

#[test]
fn layout_and_names_inside_rules_are_no_change() {
    let evolution = changed(&[
        (
            "on Orders as o {\n  upsert Kept o",
            "on Orders as order_row route by order_row.id { upsert Kept { ..order_row }",
        ),
        ("as row or null", "as kept or null"),
        ("row.status", "kept.status"),
        ("row.amount", "kept.amount"),
    ]);
    assert_eq!(evolution.changes, []);
}

#[test]
fn new_items_are_allowed() {
    let more = "input Gone: { id: text }\noutput Said: { id: text }\ntable More: { id: text } { key id }\n\
                on Gone as g { upsert More g  emit Said g }\n\nenum";
    allowed(&[("enum", more)], "table More", "new, empty");
    allowed(&[("enum", more)], "input Gone", "new");
    allowed(&[("enum", more)], "output Said", "new");
}

#[test]
fn table_inserted_before_another_changes_no_rule_of_the_other() {
    let more =
        "input Gone: { id: text }\ntable A: { id: text } { key id }\non Gone as g { upsert A g }\n\nenum";
    let evolution = changed(&[("enum", more)]);
    assert!(evolution.changes.iter().all(|change| !change.item.starts_with("on ")), "{evolution}");
}

#[test]
fn optional_columns_are_allowed() {
    let kept = "note: text? } {\n  key";
    allowed(&[(kept, "note: text?, by: text? } {\n  key")], "table Kept", "new column `by`: text?");
    allowed(
        &[(kept, "note: text?, n: int default 3 } {\n  key")],
        "table Kept",
        "new column `n`: int default 3",
    );
    allowed(
        &[
            ("note: text? }\ninput", "note: text?, n: int default 3 }\ninput"),
            ("upsert Kept o", "upsert Kept { id: o.id, amount: o.amount, note: o.note }"),
        ],
        "input Orders",
        "new column `n`: int default 3",
    );
}

#[test]
fn required_columns_are_refused() {
    refused(
        &[
            ("note: text? } {\n  key", "note: text?, n: int } {\n  key"),
            ("upsert Kept o", "upsert Kept { ..o, n: 1 }"),
        ],
        "table Kept",
        "new column `n`: int",
    );
    refused(
        &[
            ("note: text? }\ninput", "note: text?, n: int }\ninput"),
            ("upsert Kept o", "upsert Kept { id: o.id, amount: o.amount, note: o.note }"),
        ],
        "input Orders",
        "new column `n`: int",
    );
}

#[test]
fn output_may_have_more_columns() {
    allowed(
        &[
            ("amount: int? }", "amount: int?, found: bool }"),
            ("amount: row.amount }", "amount: row.amount, found: row is not null }"),
        ],
        "output Answer",
        "new column `found`: bool",
    );
}

#[test]
fn enum_grows_at_its_end_only() {
    allowed(&[("'paid')", "'paid', 'sent')")], "enum Status", "new value 'sent'");
    refused(
        &[("('new', 'paid')", "('new', 'sent', 'paid')")],
        "enum Status",
        "the value 'paid' is no longer number 2",
    );
    refused(&[("('new', 'paid')", "('new')")], "enum Status", "the value 'paid' is no longer number 2");
}

#[test]
fn changed_types_are_refused() {
    let kept = "table Kept: { id: text, amount: int,";
    refused(
        &[
            (kept, "table Kept: { id: text, amount: float,"),
            ("upsert Kept o", "upsert Kept { ..o, amount: cast(o.amount as float) }"),
            ("amount: row.amount", "amount: cast(row.amount as int)"),
        ],
        "table Kept",
        "column `amount`: int -> float",
    );
    refused(&[(kept, "table Kept: { id: text, amount: int?,")], "table Kept", "column `amount`: int -> int?");
}

#[test]
fn key_partitioning_and_partitions_are_fixed() {
    let key = "key       id";
    let row = ("upsert Kept o", "upsert Kept { ..o, note: '' }");
    let changes = changed(&[
        (key, "key id, note partition by id"),
        ("status: Status default 'new', note: text? }", "status: Status default 'new', note: text }"),
        row,
        ("where id = a.id", "where id = a.id and note = ''"),
    ]);
    let refused: Vec<_> = changes.changes.iter().filter(|of| of.verdict == Verdict::Refused).collect();
    assert_eq!(refused[0].what, "key id -> id, note");
    self::refused(&[("partitions 16", "partitions 32")], "table Kept", "partitions 16 -> 32");
}

#[test]
fn copies_may_only_grow() {
    allowed(&[("copies 2", "copies 3")], "table Kept", "copies 2 -> 3");
    refused(&[("copies 2", "copies 1")], "table Kept", "copies 2 -> 1");
    allowed(&[("copies 2", "copies 2 ack 2 sync memory")], "table Kept", "ack all -> 2");
    allowed(&[("copies 2", "copies 2 ack 2 sync memory")], "table Kept", "sync disk -> memory");
}

#[test]
fn removed_column_of_a_table_is_dropped_and_of_a_stream_refused() {
    allowed(
        &[
            ("default 'new', note: text? }", "default 'new' }"),
            ("upsert Kept o", "upsert Kept { id: o.id, amount: o.amount }"),
        ],
        "table Kept",
        "removed column `note`: text?",
    );
    refused(
        &[("amount: int, note: text? }\n", "amount: int }\n")],
        "input Orders",
        "removed column `note`: text?",
    );
    refused(
        &[("status: Status?, amount: int? }", "status: Status? }"), (", amount: row.amount", "")],
        "output Answer",
        "removed column `amount`: int?",
    );
}

#[test]
fn removed_streams_and_tables_are_refused() {
    let rule = "on Orders as o {\n  upsert Kept o\n}";
    refused(
        &[("input  Orders: { id: text, amount: int, note: text? }\n", ""), (rule, "")],
        "input Orders",
        "removed",
    );
    let evolution = evolution(&plan(OLD), &plan("flow shop revision 5"));
    let refused: Vec<_> = evolution.changes.iter().filter(|of| of.verdict == Verdict::Refused).collect();
    let items: Vec<_> = refused.iter().map(|change| change.item.as_str()).collect();
    assert_eq!(items, ["input Orders", "input Ask", "output Answer", "table Kept"]);
}

#[test]
fn revision_grows_with_every_change() {
    let old = plan(OLD);
    let lower = evolution(&old, &plan(&OLD.replace("revision 4", "revision 3")));
    assert!(!lower.allowed(), "{lower}");
    let same = evolution(&old, &plan(&OLD.replace("'paid'", "'paid', 'sent'")));
    assert!(!same.allowed(), "{same}");
    assert!(evolution(&old, &old).allowed());
}

#[test]
fn another_flow_is_no_revision_of_this_one() {
    let other = evolution(&plan(OLD), &plan(&OLD.replace("flow shop revision 4", "flow store revision 5")));
    assert!(!other.allowed(), "{other}");
}

#[test]
fn list_of_changes_is_aligned_and_json_says_the_same() {
    let evolution = changed(&[
        ("copies 2", "copies 3"),
        ("partitions 16", "partitions 32"),
        ("'paid')", "'paid', 'sent')"),
    ]);
    let expected = "\
flow shop revision 4 -> 5: 3 changes, 1 refused
  allowed  enum Status  new value 'sent'
  refused  table Kept   partitions 16 -> 32  the number of partitions is fixed when a table is created
  allowed  table Kept   copies 2 -> 3        the new copies are filled while the table serves
";
    assert_eq!(evolution.to_string(), expected);
    let json = serde_json::to_value(&evolution).expect("an evolution is data");
    assert_eq!(json["changes"][1]["verdict"], "refused");
    assert_eq!(json["changes"][0].get("why"), None);
}

#[test]
fn changed_rules_are_told_with_their_input() {
    allowed(
        &[("upsert Kept o", "upsert Kept { ..o, note: 'x' }")],
        "on Orders",
        "changed rules, in lines of the plan: 1 new, 1 gone",
    );
}
