//! Rows as typed messages: there and back, held to a library that reads messages by their descriptor, and to what must
//! be refused.

#![allow(clippy::panic, reason = "what helps a test panics where it fails")]

mod support;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::decimal::Decimal;
use anabranch_model::row::Row;
use anabranch_model::time::{MAX_TIME, MIN_TIME};
use anabranch_model::types::{Column, Shape, Type};
use anabranch_model::value::Value;
use anabranch_wire::typed::row::{DecodeError, MESSAGE_BYTES_MAX, decode_row, encode_row};
use proptest::prelude::*;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, Value as Reflected,
};
use support::{api, packed, plan, values};

fn descriptor(message: &str) -> MessageDescriptor {
    let files = api().files().into_iter();
    let file = files
        .map(|(_, bytes)| FileDescriptorProto::decode(bytes.as_slice()).expect("it was encoded"))
        .collect();
    let pool =
        DescriptorPool::from_file_descriptor_set(FileDescriptorSet { file }).expect("it stands for itself");
    pool.get_message_by_name(&format!("anabranch.all.{message}")).expect("it is described")
}

fn any_value(ty: &Type) -> BoxedStrategy<Value<'static>> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Int => prop_oneof![Just(0), any::<i64>()].prop_map(Value::Int).boxed(),
        Type::Float => prop_oneof![Just(0.0), any::<f64>()]
            .prop_filter_map("finite", |number| number.is_finite().then_some(Value::Float(number + 0.0)))
            .boxed(),
        Type::Decimal { .. } => (-999_999_999_999i128..=999_999_999_999)
            .prop_map(|mantissa| Value::Decimal(Decimal::from_parts(mantissa, 2)))
            .boxed(),
        Type::Text => ".{0,20}".prop_map(Value::from).boxed(),
        Type::Bytes => {
            prop::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| Value::Bytes(bytes.into())).boxed()
        }
        Type::Time => prop_oneof![Just(0), Just(MIN_TIME), Just(MAX_TIME), MIN_TIME..=MAX_TIME]
            .prop_map(Value::Time)
            .boxed(),
        Type::Duration => prop_oneof![Just(0), Just(i64::MIN), Just(i64::MAX), any::<i64>()]
            .prop_map(Value::Duration)
            .boxed(),
        Type::Json => "[a-z]{0,200}".prop_map(|text| Value::Json(format!("\"{text}\"").into())).boxed(),
        Type::Enum(of) => (0..of.values.len() as u16).prop_map(Value::Enum).boxed(),
    }
}

fn any_row(shape: &Shape) -> BoxedStrategy<Vec<Value<'static>>> {
    let columns: Vec<_> = shape.columns().iter().map(any_cell).collect();
    columns.boxed()
}

fn any_cell(column: &Column) -> BoxedStrategy<Value<'static>> {
    match column.nullable {
        true => prop_oneof![1 => Just(Value::Null), 3 => any_value(&column.ty)].boxed(),
        false => any_value(&column.ty),
    }
}

fn message(shape: &Shape, values: &[Value<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_row(Row::new(&packed(shape, values), shape), &mut out);
    out
}

fn decoded(message: &[u8], shape: &Shape) -> Result<Vec<Value<'static>>, DecodeError> {
    let mut batch = Batch::new(SchemaId(0));
    decode_row(message, shape, &mut batch).map(|()| values(&batch, shape))
}

/// What a library that knows nothing of us reads in a field, as the value that we would have written.
fn reflected(read: &Reflected, ty: &Type) -> Value<'static> {
    let parts = |message: &DynamicMessage| {
        let part = |name| match &*message.get_field_by_name(name).expect("it is described") {
            Reflected::I64(number) => i128::from(*number),
            Reflected::I32(number) => i128::from(*number),
            other => panic!("{other:?}"),
        };
        let (seconds, nanos) = (part("seconds"), part("nanos"));
        i64::try_from(seconds * 1_000_000 + nanos / 1000).expect("it fits")
    };
    match (read, ty) {
        (Reflected::Bool(truth), Type::Bool) => Value::Bool(*truth),
        (Reflected::I64(number), Type::Int) => Value::Int(*number),
        (Reflected::F64(number), Type::Float) => Value::Float(*number),
        (Reflected::String(text), Type::Text) => Value::from(text.clone()),
        (Reflected::String(text), Type::Json) => Value::Json(text.clone().into()),
        (Reflected::String(text), Type::Decimal { .. }) => Value::Decimal(text.parse().expect("digits")),
        (Reflected::Bytes(bytes), Type::Bytes) => Value::Bytes(bytes.to_vec().into()),
        (Reflected::Message(message), Type::Time) => Value::Time(parts(message)),
        (Reflected::Message(message), Type::Duration) => Value::Duration(parts(message)),
        (Reflected::EnumNumber(number), Type::Enum(_)) => {
            Value::Enum(u16::try_from(number - 1).expect("a value"))
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rows_come_back_from_their_messages(
        plain in any_row(&plan().inputs[0].shape), nullable in any_row(&plan().inputs[1].shape),
    ) {
        let plan = plan();
        for (row, input) in [(plain, &plan.inputs[0]), (nullable, &plan.inputs[1])] {
            let sent = message(&input.shape, &row);
            prop_assert_eq!(decoded(&sent, &input.shape), Ok(row.clone()));
            let read = DynamicMessage::decode(descriptor(&input.name), sent.as_slice()).expect("it is a message");
            prop_assert_eq!(read.unknown_fields().count(), 0);
            for ((column, value), field) in
                input.shape.columns().iter().zip(&row).zip(1..)
            {
                let field = read.descriptor().get_field(field).expect("it is described");
                let present = !field.supports_presence() || read.has_field(&field);
                prop_assert_eq!(present, !value.is_null(), "{}", column.name);
                if present {
                    prop_assert_eq!(&reflected(&read.get_field(&field), &column.ty), value);
                }
            }
            prop_assert_eq!(decoded(&read.encode_to_vec(), &input.shape), Ok(row));
        }
    }

    #[test]
    fn fields_come_in_any_order_and_the_last_of_each_counts(
        first in any_row(&plan().inputs[1].shape), last in any_row(&plan().inputs[1].shape),
    ) {
        let shape = &plan().inputs[1].shape;
        // A duration twice is one message of both, whose parts need not go together.
        let took = |row: Vec<Value<'static>>| -> Vec<Value<'static>> {
            let blank = |value: Value<'static>| match value {
                Value::Duration(_) | Value::Time(_) => Value::Null,
                other => other,
            };
            row.into_iter().map(blank).collect()
        };
        let (first, last) = (took(first), took(last));
        let both = [message(shape, &first), message(shape, &last)].concat();
        let expected = first.into_iter().zip(last).map(|(a, b)| if b.is_null() { a } else { b });
        prop_assert_eq!(decoded(&both, shape), Ok(expected.collect::<Vec<_>>()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let plan = plan();
        for input in &plan.inputs {
            let mut batch = Batch::new(SchemaId(0));
            match decode_row(&bytes, &input.shape, &mut batch) {
                Ok(()) => prop_assert!(batch.check(&input.shape).is_ok()),
                Err(error) => {
                    prop_assert_eq!(batch.row_bytes(), 0);
                    prop_assert!(!error.to_string().is_empty());
                }
            }
        }
    }

    #[test]
    fn no_changed_message_makes_it_panic(
        row in any_row(&plan().inputs[0].shape), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        end in any::<prop::sample::Index>(),
    ) {
        let shape = &plan().inputs[0].shape;
        let mut bytes = message(shape, &row);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut batch = Batch::new(SchemaId(0));
        if decode_row(&bytes, shape, &mut batch).is_ok() {
            prop_assert!(batch.check(shape).is_ok());
            prop_assert!(DynamicMessage::decode(descriptor("Plain"), bytes.as_slice()).is_ok());
        }
        bytes.truncate(end.index(bytes.len()));
        let _ = decode_row(&bytes, shape, &mut batch);
    }
}

/// A message with one field: number, wire type, content.
fn field(number: u8, wire_type: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | wire_type], content].concat()
}

fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).ok().filter(|length| *length < 128).expect("short");
    field(number, 2, &[&[length], content].concat())
}

#[test]
fn what_a_column_does_not_hold_is_told_with_its_name() {
    let shape = &plan().inputs[1].shape;
    let long = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
    for (sent, told) in [
        (bytes(1, b"true"), "field `truth` is sent as another type; it takes a bool"),
        (field(3, 0, &[1]), "field `float` is sent as another type"),
        (field(5, 0, &[1]), "field `name` is sent as another type; it takes a string"),
        (field(2, 5, &[0; 4]), "field `number` is sent as another type"),
        (field(2, 3, &[0x14]), "field `number` is sent as another type"),
        (bytes(7, &[0x0a, 0]), "field `at` is sent as another type"),
        (field(3, 1, &f64::NAN.to_le_bytes()), "field `float`: NaN is not a finite number"),
        (field(3, 1, &f64::INFINITY.to_le_bytes()), "field `float`: inf is not"),
        (bytes(4, b"1.234"), "field `amount`: `1.234` has too many decimals"),
        (bytes(4, b"12345678901.00"), "field `amount`: `12345678901.00` has too many digits"),
        (bytes(4, b""), "field `amount`: `` is not"),
        (bytes(4, b"1e3"), "field `amount`: `1e3` is not"),
        (bytes(5, b"a\xff"), "field `name`: the text is not UTF-8 from byte 1 on"),
        ([bytes(5, b"a\xff"), bytes(5, b"a")].concat(), "field `name`: the text is not UTF-8 from byte 1 on"),
        (bytes(9, b"{"), "field `extra`: `{` is not json"),
        (bytes(9, b""), "field `extra`: `` is not json"),
        (field(10, 0, &[3]), "field `state`: 3 is not a value of State: placed, on hold"),
        (field(10, 0, &long), "field `state`: -1 is not a value of State"),
        (bytes(7, &[0x10, 1]), "field `at`: 1 nanos would be rounded"),
        (
            bytes(7, &[0x10, 0x80, 0x94, 0xeb, 0xdc, 3]),
            "field `at`: 1000000000 nanos do not go with 0 seconds",
        ),
        (bytes(7, &[&[0x10][..], &long].concat()), "field `at`: -1 nanos do not go"),
        (bytes(7, &[&[0x08][..], &long[..8], &[0x7f]].concat()), "lie outside the years 1 to 9999"),
        (
            bytes(8, &[&[0x08][..], &long[..8], &[0x7f]].concat()),
            "field `took`: 9223372036854775807 seconds are longer",
        ),
        (
            bytes(8, &[&[0x08, 1, 0x10][..], &long].concat()),
            "field `took`: -1 nanos do not go with 1 seconds",
        ),
        (bytes(8, &[0x08]), "the message cannot be read, field `took`: the message ends inside a number"),
        (vec![0x2a, 5, b'a'], "the message cannot be read, field `name`: the message ends inside it"),
        (vec![0x7a, 5, b'a'], "the message cannot be read, field `15`: the message ends inside it"),
        (vec![0xff], "the message cannot be read: the message ends inside a number"),
        ([&[0x10][..], &[255; 9], &[2]].concat(), "field `number`: a number has more than 64 bits"),
    ] {
        let error = decoded(&sent, shape).expect_err(told).to_string();
        assert!(error.contains(told), "{sent:?}: {error}");
    }
}

#[test]
fn what_is_not_sent_is_zero_where_its_type_has_one() {
    let plan = plan();
    let nulls = vec![Value::Null; 10];
    assert_eq!(decoded(&[], &plan.inputs[1].shape), Ok(nulls.clone()));
    // The unspecified value of an enum is none, and fields of other numbers are passed over.
    assert_eq!(decoded(&field(10, 0, &[0]), &plan.inputs[1].shape), Ok(nulls));
    for (number, told) in [
        (
            4,
            "field `amount` is not sent and has no default: give it a string: a decimal(12, 2) such as -1.50",
        ),
        (7, "field `at` is not sent and has no default: give it a google.protobuf.Timestamp"),
        (8, "field `took` is not sent"),
        (9, "field `extra` is not sent"),
        (10, "field `state` is not sent and has no default: give it a value of State"),
    ] {
        let mut sent = Vec::new();
        for (at, content) in [(4, &b"1"[..]), (7, b""), (8, b""), (9, b"1")] {
            if at != number {
                sent.extend(bytes(at, content));
            }
        }
        if number != 10 {
            sent.extend(field(10, 0, &[1]));
        }
        let error = decoded(&sent, &plan.inputs[0].shape).expect_err(told).to_string();
        assert!(error.contains(told), "{error}");
        sent.extend(match number {
            4 | 9 => bytes(number, b"1"),
            7 | 8 => bytes(number, b""),
            _ => field(10, 0, &[1]),
        });
        let row = decoded(&sent, &plan.inputs[0].shape).expect("all is sent that has no zero");
        let zeros = [Value::Bool(false), Value::Int(0), Value::Float(0.0)];
        assert_eq!((&row[..3], &row[4]), (&zeros[..], &Value::from("")));
    }
}

#[test]
fn a_time_in_pieces_is_one_time() {
    let shape = &plan().inputs[1].shape;
    let pieces =
        [bytes(7, &[0x08, 5]), bytes(7, &[0x10, 0xe8, 0x07]), bytes(8, &[0x08, 9]), bytes(8, &[0x08, 6])];
    let row = decoded(&pieces.concat(), shape).expect("it is a row");
    assert_eq!((&row[6], &row[7]), (&Value::Time(5_000_001), &Value::Duration(6_000_000)));
}

#[test]
fn a_default_stands_for_what_is_not_sent() {
    let column = |name: &str, nullable| Column {
        name: name.into(),
        ty: Type::Int,
        nullable,
        default: Some(Value::Int(7)),
    };
    let shape = Shape::new(vec![column("a", false), column("b", true)]);
    assert_eq!(decoded(&[], &shape), Ok(vec![Value::Int(7), Value::Int(7)]));
    assert_eq!(decoded(&field(1, 0, &[0]), &shape), Ok(vec![Value::Int(0), Value::Int(7)]));
    // So that a zero is told from nothing, it is written.
    assert_eq!(message(&shape, &[Value::Int(0), Value::Int(1)]), [0x08, 0, 0x10, 1]);
}

#[test]
fn a_message_too_long_for_a_row_is_not_looked_at() {
    let shape =
        Shape::new(vec![Column { name: "a".into(), ty: Type::Bytes, nullable: false, default: None }]);
    let long = vec![0xff; MESSAGE_BYTES_MAX + 1];
    assert_eq!(decoded(&long, &shape), Err(DecodeError::Length { bytes: long.len() }));
    let mut row_too_long = vec![0x0a];
    let content = anabranch_model::row::MAX_ROW_BYTES;
    prost::encoding::encode_varint(content as u64, &mut row_too_long);
    row_too_long.resize(row_too_long.len() + content, 7);
    assert!(matches!(decoded(&row_too_long, &shape), Err(DecodeError::Row(_))));
}

#[test]
fn a_shape_of_many_columns_is_read_as_one_of_few() {
    let column = |at: i64| Column { name: format!("c{at}"), ty: Type::Int, nullable: true, default: None };
    let shape = Shape::new((0..1024).map(column).collect());
    let row: Vec<_> = (0..1024).map(|at| if at % 3 == 0 { Value::Null } else { Value::Int(at) }).collect();
    assert_eq!(decoded(&message(&shape, &row), &shape), Ok(row));
}
