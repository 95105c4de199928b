//! The messages around rows, held to a library that reads and writes them by the descriptor.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use std::sync::Arc;

use anabranch_model::batch::Batch;
use anabranch_model::plan::{InputId, OutputId, RefusalCode, TableId};
use anabranch_model::row::Row;
use anabranch_model::types::{Shape, Type};
use anabranch_model::value::Value;
use anabranch_wire::typed::message::{
    ErrorEvent, Event, Refused, RefusedRow, Scan, Summary, Watch, encode_error_event, encode_event,
    grpc_status,
};
use anabranch_wire::typed::row::decode_row;
use anabranch_wire::typed::{FlowApi, Method};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value as Reflected,
};
use support::{api, packed, plan};

fn pool(api: &FlowApi) -> DescriptorPool {
    let files = api.files().into_iter();
    let file = files
        .map(|(_, bytes)| FileDescriptorProto::decode(bytes.as_slice()).expect("it was encoded"))
        .collect();
    DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file }).expect("it stands for itself")
}

fn descriptor(message: &str) -> MessageDescriptor {
    pool(&api()).get_message_by_name(&format!("anabranch.all.{message}")).expect("it is described")
}

fn read(message: &str, bytes: &[u8]) -> DynamicMessage {
    let read = DynamicMessage::decode(descriptor(message), bytes).expect("it is a message");
    assert_eq!(read.unknown_fields().count(), 0, "{read:?}");
    read
}

fn get(message: &DynamicMessage, name: &str) -> Reflected {
    message.get_field_by_name(name).unwrap_or_else(|| panic!("no field {name}")).into_owned()
}

/// A row of the nullable columns in which only the number is set.
fn numbered(number: i64) -> Vec<u8> {
    let shape = &plan().outputs[0].shape;
    let mut values = vec![Value::Null; shape.columns().len()];
    values[1] = Value::Int(number);
    packed(shape, &values)
}

fn number_of(row: &Reflected) -> i64 {
    let row = row.as_message().expect("a row");
    get(row, "number").as_i64().expect("a number")
}

#[test]
fn a_reply_has_its_rows_in_their_order() {
    let mut plan = plan();
    let place = plan.inputs[0].place;
    let reply = |output| anabranch_model::plan::Action::Reply { output, columns: Vec::new(), place };
    let nested = anabranch_model::plan::Action::If { arms: Vec::new(), otherwise: vec![reply(OutputId(0))] };
    plan.steps[0].rules =
        vec![anabranch_model::plan::Rule { place, filter: None, actions: vec![nested, reply(OutputId(0))] }];
    let api = FlowApi::new(plan.into());
    let rows = [numbered(1), numbered(i64::MIN)];
    let mut out = Vec::new();
    api.encode_reply(rows.iter().map(|row| (OutputId(0), row.as_slice())), &mut out);
    let described = pool(&api).get_message_by_name("anabranch.all.PlainReply").expect("it is described");
    let read = DynamicMessage::decode(described, out.as_slice()).expect("it is a message");
    let rows = get(&read, "out");
    let numbers: Vec<i64> = rows.as_list().expect("rows").iter().map(number_of).collect();
    assert_eq!(numbers, [1, i64::MIN]);
    // An input whose rules never reply has an empty reply.
    assert_eq!(descriptor("NullableReply").fields().count(), 0);
}

#[test]
fn an_event_tells_its_position_and_what_was_missed() {
    let (row, api) = (numbered(7), api());
    let row = Row::new(&row, &api.plan().outputs[0].shape);
    let mut out = Vec::new();
    encode_event(&Event { position: "p1", missed: 3, row: Some(row) }, &mut out);
    let event = read("OutEvent", &out);
    assert_eq!((get(&event, "position").as_str(), get(&event, "missed").as_u64()), (Some("p1"), Some(3)));
    assert_eq!(number_of(&get(&event, "row")), 7);
    out.clear();
    encode_event(&Event { position: "p2", missed: 1, row: None }, &mut out);
    assert!(!read("OutEvent", &out).has_field_by_name("row"));
}

#[test]
fn an_error_event_has_the_refused_row_of_its_input() {
    let (row, api) = (numbered(7), api());
    let refused = RefusedRow {
        input: InputId(1),
        row: Row::new(&row, &api.plan().inputs[1].shape),
        code: RefusalCode::NotFound,
        text: "why",
        line: 3,
        column: 0,
    };
    let mut out = Vec::new();
    encode_error_event(&ErrorEvent { position: "p", missed: 0, refused: Some(refused) }, &mut out);
    let event = read("ErrorEvent", &out);
    let told = ["position", "code", "text"].map(|name| get(&event, name).as_str().map(str::to_owned));
    assert_eq!(told.map(Option::unwrap), ["p", "not_found", "why"]);
    assert_eq!((get(&event, "line").as_u64(), get(&event, "column").as_u64()), (Some(3), Some(0)));
    let row = event.descriptor().oneofs().next().expect("it has a oneof");
    let set: Vec<_> = row.fields().filter(|field| event.has_field(field)).collect();
    assert_eq!((row.name(), set.len(), set[0].name()), ("row", 1, "nullable"));
    assert_eq!(number_of(&event.get_field(&set[0])), 7);
    out.clear();
    encode_error_event(&ErrorEvent { position: "p", missed: 9, refused: None }, &mut out);
    assert_eq!(get(&read("ErrorEvent", &out), "missed").as_u64(), Some(9));
}

#[test]
fn the_messages_of_every_flow_are_those_of_its_file() {
    let refused = Refused { row: 1, code: "invalid".into(), text: "why".into(), line: 2, column: 3 };
    let summary = Summary { accepted: 5, refused: 1, refusals: vec![refused] };
    let read_summary = read("Summary", &summary.encode_to_vec());
    assert_eq!(Summary::decode(read_summary.encode_to_vec().as_slice()), Ok(summary));
    for name in ["accepted", "refused", "refusals"] {
        assert!(read_summary.has_field_by_name(name), "{name}");
    }
    let list = get(&read_summary, "refusals");
    let refused = list.as_list().expect("refused rows")[0].as_message().expect("a message").clone();
    assert_eq!(
        (get(&refused, "code").as_str(), get(&refused, "column").as_u64()),
        (Some("invalid"), Some(3))
    );
    let watch = Watch { after: "here".into() };
    assert_eq!(get(&read("Watch", &watch.encode_to_vec()), "after").as_str(), Some("here"));
}

/// The key of the table of all types, written by the descriptor; the values that it says.
fn key() -> (DynamicMessage, Vec<Value<'static>>) {
    let mut key = DynamicMessage::new(descriptor("KeptKey"));
    let parts = |name: &str, seconds: i64| {
        let described =
            pool(&api()).get_message_by_name(&format!("google.protobuf.{name}")).expect("it is there");
        let mut message = DynamicMessage::new(described);
        message.set_field_by_name("seconds", Reflected::I64(seconds));
        Reflected::Message(message)
    };
    key.set_field_by_name("amount", Reflected::String("1.5".into()));
    key.set_field_by_name("at", parts("Timestamp", 2));
    key.set_field_by_name("took", parts("Duration", -3));
    key.set_field_by_name("name", Reflected::String("a".into()));
    key.set_field_by_name("state", Reflected::EnumNumber(2));
    let ty = Type::Decimal { precision: 12, scale: 2 };
    let values = vec![
        Value::Enum(1),
        Value::Duration(-3_000_000),
        Value::Time(2_000_000),
        Value::Bytes(vec![].into()),
        Value::from("a"),
        anabranch_model::convert::parse_text("1.50", &ty).expect("a decimal"),
        Value::Float(0.0),
        Value::Int(0),
        Value::Bool(false),
    ];
    (key, values)
}

#[test]
fn a_key_has_the_key_columns_in_the_order_of_the_key() {
    let (mut key, mut values) = key();
    assert_eq!(api().decode_key(TableId(0), &key.encode_to_vec()), Ok(values.clone()));
    key.clear_field_by_name("name");
    values[4] = Value::from("");
    assert_eq!(api().decode_key(TableId(0), &key.encode_to_vec()), Ok(values));
    let error = api().decode_key(TableId(0), &[]).expect_err("an enum has no zero value").to_string();
    assert!(error.contains("`state` is not sent"), "{error}");
}

#[test]
fn a_scan_may_have_a_limit_and_a_key_to_begin_behind() {
    let (key, values) = key();
    let mut scan = DynamicMessage::new(descriptor("KeptScan"));
    assert_eq!(api().decode_scan(TableId(0), &scan.encode_to_vec()), Ok(Scan { limit: None, after: None }));
    scan.set_field_by_name("limit", Reflected::U64(5));
    scan.set_field_by_name("after", Reflected::Message(key));
    let read = api().decode_scan(TableId(0), &scan.encode_to_vec());
    assert_eq!(read, Ok(Scan { limit: Some(5), after: Some(values) }));
    for (bytes, told) in [
        (&[0x0a, 0][..], "field `limit` is sent as another type"),
        (&[0x10, 0], "field `after` is sent as another type"),
        (&[0x12, 5], "field `after`: the message ends inside it"),
        (&[0x12, 0], "field `state` is not sent"),
    ] {
        let error = api().decode_scan(TableId(0), bytes).expect_err(told).to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn paths_lead_to_methods() {
    let api = api();
    let methods = [
        ("Plain", Method::Ask(InputId(0))),
        ("PlainMany", Method::SendMany(InputId(0))),
        ("Nullable", Method::Ask(InputId(1))),
        ("NullableMany", Method::SendMany(InputId(1))),
        ("WatchOut", Method::Watch(OutputId(0))),
        ("WatchErrors", Method::WatchErrors),
        ("GetKept", Method::Get(TableId(0))),
        ("ScanKept", Method::Scan(TableId(0))),
    ];
    let paths: Vec<(String, Method)> =
        methods.iter().map(|(name, method)| (format!("/anabranch.all.All/{name}"), *method)).collect();
    let found: Vec<(String, Method)> =
        api.methods().into_iter().map(|(path, method)| (path.to_owned(), method)).collect();
    assert_eq!(found, paths);
    assert_eq!((api.service().as_str(), api.file_name()), ("anabranch.all.All", "all.proto"));
    assert_eq!(api.method("/anabranch.all.All/plain"), None);
    // Streams of the descriptor are those of the methods.
    let service = pool(&api).get_service_by_name("anabranch.all.All").expect("it is described");
    for (method, (_, kind)) in service.methods().zip(&methods) {
        assert_eq!(
            (method.is_client_streaming(), method.is_server_streaming()),
            (kind.takes_many(), kind.gives_many())
        );
    }
}

#[test]
fn refusals_have_a_status_each() {
    let statuses = RefusalCode::ALL.map(grpc_status);
    assert_eq!(statuses, [3, 5, 9, 7, 14, 2]);
}

#[test]
fn the_page_for_authors_of_clients_is_true() {
    let page = include_str!("../PROTOCOL.md");
    for code in RefusalCode::ALL {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", code.name())));
        assert!(
            row.is_some_and(|row| row.ends_with(&format!("| {} |", grpc_status(code)))),
            "{}",
            code.name()
        );
    }
    let types = plan().inputs[0].shape.columns().to_vec();
    for (column, field) in types.iter().zip(descriptor("Plain").fields()) {
        let word = match &column.ty {
            Type::Decimal { .. } => "`decimal`".to_owned(),
            Type::Enum(_) => "an enum".to_owned(),
            other => format!("`{other}`"),
        };
        let kind = match field.kind() {
            Kind::Message(message) => format!("`{}`", message.full_name()),
            Kind::Enum(_) => "an enum".to_owned(),
            other => format!("`{other:?}`"),
        };
        // What is an error when it is not sent is one in the table.
        let alone = Arc::new(Shape::new(vec![column.clone()]));
        let missing = decode_row(&[], &alone, &mut Batch::default()).is_err();
        let row = page.lines().find(|line| line.starts_with(&format!("| {word} | {kind} | ")));
        let row = row.unwrap_or_else(|| panic!("| {word} | {kind} |"));
        assert_eq!(row.contains("| an error |"), missing, "{row}");
    }
}
