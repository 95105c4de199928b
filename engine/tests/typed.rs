//! The `.proto` of a flow, held to a compiler of such files: what the text says is what the descriptor says.
//!
//! `UPDATE=1 cargo test -p anabranch --test typed` rewrites `flows/names.proto`.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]
#![allow(clippy::disallowed_methods, reason = "a test reads the flows of the repository")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_model::plan::Plan;
use anabranch_wire::typed::FlowApi;
use prost_types::FileDescriptorProto;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

fn flows() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../flows")
}

fn plan(text: &str) -> Plan {
    let compiled = anabranch_lang::compile("test.flow", text);
    compiled.plan.unwrap_or_else(|| {
        panic!("{}", anabranch_lang::render("test.flow", text, &compiled.diagnostics, false))
    })
}

fn api(text: &str) -> FlowApi {
    FlowApi::new(Arc::new(plan(text)))
}

/// One file in memory.
struct Memory(String, String);

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name == self.0 {
            true => File::from_source(name, &self.1),
            false => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The descriptor of the text, by a compiler that shares nothing with us, with what only we or only it say taken out.
fn compiled(api: &FlowApi) -> FileDescriptorProto {
    let mut files = ChainFileResolver::new();
    files.add(Memory(api.file_name().to_owned(), api.text().to_owned()));
    files.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(files);
    compiler.include_source_info(false);
    if let Err(error) = compiler.open_file(api.file_name()) {
        panic!("{error:?}\n{}", api.text());
    }
    let set = compiler.file_descriptor_set();
    let mut file = set.file.into_iter().find(|file| file.name() == api.file_name()).expect("it was compiled");
    for field in file.message_type.iter_mut().flat_map(|message| &mut message.field) {
        field.json_name = None;
    }
    file
}

fn described(api: &FlowApi) -> FileDescriptorProto {
    FileDescriptorProto { source_code_info: None, ..api.descriptor().clone() }
}

#[test]
fn the_text_says_what_the_descriptor_says() {
    let mut seen = 0;
    for entry in fs::read_dir(flows()).expect("the flows are there") {
        let path = entry.expect("the flows are there").path();
        if path.extension().is_some_and(|extension| extension == "flow") {
            let api = api(&fs::read_to_string(&path).expect("a flow is text"));
            assert_eq!(compiled(&api), described(&api), "{}\n{}", path.display(), api.text());
            seen += 1;
        }
    }
    assert!(seen > 3);
}

#[test]
fn the_proto_of_the_reference_flow_is_kept() {
    let api = api(&fs::read_to_string(flows().join("names.flow")).expect("the flow is there"));
    let kept = flows().join("names.proto");
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&kept, api.text()).expect("it can be written");
    }
    let kept = fs::read_to_string(kept).unwrap_or_default();
    assert!(kept == api.text(), "UPDATE=1 takes over what is new:\n{}", api.text());
}

const BEFORE: &str = "
flow evolving revision 1
enum State ('new', 'old')
input Sent: { a: text, state: State }
output Out: { a: text }
table Kept: { a: text, state: State } { key a }
on Sent as i { upsert Kept i  reply Out { a: i.a } }
";

/// What may come later: everything appended.
const AFTER: &str = "
flow evolving revision 2
enum State ('new', 'old', 'gone')
enum Colour ('red')
input Sent: { a: text, state: State, more: int default 7, b: text? }
input Other: { a: text }
output Out: { a: text, colour: Colour }
output Second: { a: text }
table Kept: { a: text, state: State, since: time? } { key a }
table Further: { a: text } { key a }
on Sent as i { upsert Kept { a: i.a, state: i.state }  reply Second { a: i.a }  reply Out { a: i.a, colour: 'red' } }
on Other as o { upsert Further o }
";

/// Every field and value of a file by its path, with its number and type.
fn numbers(api: &FlowApi) -> Vec<String> {
    let mut lines = Vec::new();
    for message in &api.descriptor().message_type {
        for field in &message.field {
            let ty = (field.r#type(), field.type_name(), field.label(), field.proto3_optional());
            lines.push(format!("{}.{} = {} {ty:?}", message.name(), field.name(), field.number()));
        }
    }
    for of in &api.descriptor().enum_type {
        lines.extend(
            of.value.iter().map(|value| format!("{}.{} = {}", of.name(), value.name(), value.number())),
        );
    }
    lines.extend(api.methods().into_iter().map(|(path, _)| path.to_owned()));
    lines
}

#[test]
fn numbers_stay_when_a_flow_grows_at_its_ends() {
    let (before, after) = (api(BEFORE), api(AFTER));
    let evolution = anabranch_lang::evolution(before.plan(), after.plan());
    assert!(evolution.allowed(), "{evolution}");
    let now = numbers(&after);
    for line in numbers(&before) {
        assert!(now.contains(&line), "{line} is gone:\n{}", now.join("\n"));
    }
    assert_eq!(after.breaks(&before), Vec::<String>::new());
    assert_eq!(compiled(&after), described(&after), "{}", after.text());
}

#[test]
fn what_moves_a_number_is_told() {
    let before = api(BEFORE);
    for (from, to, told) in [
        (
            "{ a: text, state: State }\noutput",
            "{ state: State, a: text }\noutput",
            "input `Sent`: field 1 was `a` and is `state`",
        ),
        (
            "output Out: { a: text }",
            "output Out: { b: text?, a: text }",
            "output `Out`: field 1 was `a` and is `b`",
        ),
        ("input Sent:", "input First: { a: text }\ninput Sent:", "input `Sent` was number 1 and is number 2"),
        (
            "output Out:",
            "output First: { a: text }\noutput Out:",
            "output `Out` was number 1 and is number 2",
        ),
        ("table Kept: { a: text,", "table Kept: { more: int?, a: text,", "table `Kept`: field 1 was `a`"),
        (
            "input Sent: { a: text,",
            "input Sent: { a: text default 'x',",
            "input `Sent`: `a` gets or loses its default",
        ),
    ] {
        let text = BEFORE.replace("revision 1", "revision 2").replacen(from, to, 1);
        let after = api(&text);
        let evolution = anabranch_lang::evolution(before.plan(), after.plan());
        assert!(evolution.allowed(), "{evolution}");
        let broken = after.breaks(&before).join("\n");
        assert!(broken.contains(told), "{broken}");
    }
}

#[test]
fn a_removed_column_of_a_table_is_told() {
    let before = api(AFTER);
    let after = api(&AFTER.replace("revision 2", "revision 3").replace(", since: time?", ""));
    let evolution = anabranch_lang::evolution(before.plan(), after.plan());
    assert!(evolution.allowed(), "{evolution}");
    let broken = after.breaks(&before).join("\n");
    assert!(broken.contains("table `Kept`: field 3 was `since` and is gone"), "{broken}");
}

#[test]
fn names_that_no_proto_has_are_replaced_and_told() {
    let text = r#"
flow "größte Flüsse" revision 1
enum Summary ('a b', 'a_b', 'unspecified', '1')
enum SummaryA ('b')
schema S { "from": text, name: text, "Name": text, na_me: text, "2nd": text, "日本": text, message: text,
  string: text, google: text, "an ""odd"" 'one'": text?, s: Summary default 'a b', t: SummaryA, at: time, took: duration, d: decimal(5, 2) default 1.5 }
input "GrTeFlSse", "Watch", "Scan", "WatchErrors", "None", "日本", google, Timestamp, position, row: S
output "Out", "OutEvent", "Errors", "out_": S
table "Refused", "Out Row", "ErrorEvent": S { key name, "Name" }
on position as p { reply "Out" p  reply "out_" p  upsert "Out Row" p }
on row as p { upsert "Refused" p  emit "OutEvent" p  emit "Errors" p }
"#;
    let api = api(text);
    assert_eq!(compiled(&api), described(&api), "{}", api.text());
    assert_eq!(api.service(), "anabranch.gr__te_Fl_sse.GrTeFlSse");
    let said = api.text();
    for line in [
        "  string from_ = 1;  // Column `from`.",
        "  string name = 2;",
        "  string Name_2 = 3;  // Column `Name`.",
        "  string na_me_3 = 4;  // Column `na_me`.",
        "  string x2nd = 5;  // Column `2nd`.",
        "  string column_6 = 6;  // Column `日本`.",
        "  string message = 7;",
        "  optional Summary s = 11;  // Default: a b",
        "  optional string d = 15;  // The digits of a decimal(5, 2), such as \"1.50\". Default: 1.50",
        "  SUMMARY_UNSPECIFIED = 0;",
        "  SUMMARY_A_B_2 = 2;  // 'a_b'",
        "  SUMMARY_UNSPECIFIED_2 = 3;  // 'unspecified'",
        "message None_ {",
        "  rpc WatchErrors(.anabranch.gr__te_Fl_sse.WatchErrors) returns (WatchErrorsReply);",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}\n{said}");
    }
}
