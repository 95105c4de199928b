//! Packed rows, batches and keys: round trips, order, and bytes from outside.

use std::cmp::Ordering;
use std::sync::Arc;

use anabranch_model::batch::{BATCH_HEADER_BYTES, Batch, SchemaId};
use anabranch_model::eval::compare;
use anabranch_model::key::{self, KeyReader};
use anabranch_model::partition::{PartitionId, partition_hash, partition_of};
use anabranch_model::row::{ROW_HEADER_BYTES, Row, RowError, RowWriter, Template, TemplateCell};
use anabranch_model::{Column, ColumnId, Decimal, EnumType, Shape, Type, Value};
use proptest::prelude::*;

fn types() -> impl Strategy<Value = Type> {
    let letters = EnumType { name: "Letter".into(), values: vec!["a".into(), "b".into(), "c".into()] };
    prop_oneof![
        Just(Type::Bool),
        Just(Type::Int),
        Just(Type::Float),
        Just(Type::Decimal { precision: 20, scale: 3 }),
        Just(Type::Text),
        Just(Type::Bytes),
        Just(Type::Time),
        Just(Type::Duration),
        Just(Type::Enum(Arc::new(letters))),
    ]
}

/// A value that a column of the type stores as it is. Short alphabets make equal and nearly equal values likely.
fn value(ty: &Type) -> BoxedStrategy<Value<'static>> {
    let ints = prop_oneof![any::<i64>(), -3..3i64];
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Int => ints.prop_map(Value::Int).boxed(),
        Type::Float => prop_oneof![any::<f64>(), -2.0..2.0f64, Just(0.0)]
            .prop_filter("floats are finite", |number| number.is_finite())
            .prop_map(|number| Value::Float(number + 0.0))
            .boxed(),
        Type::Decimal { scale, .. } => {
            let scale = *scale;
            let digits = prop_oneof![-(10i128.pow(20) - 1)..10i128.pow(20), -30..30i128];
            digits.prop_map(move |digits| Value::Decimal(Decimal::from_parts(digits, scale))).boxed()
        }
        Type::Text => "[a\u{0}\u{1}é]{0,5}".prop_map(Value::from).boxed(),
        Type::Bytes => prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..5)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        Type::Time => ints.prop_map(Value::Time).boxed(),
        Type::Duration => ints.prop_map(Value::Duration).boxed(),
        Type::Enum(_) => (0..3u16).prop_map(Value::Enum).boxed(),
        Type::Json => Just(Value::Json("{}".into())).boxed(),
    }
}

/// Columns, each with two values; nullable ones may be null.
fn columns() -> impl Strategy<Value = Vec<(Column, Value<'static>, Value<'static>)>> {
    let column = (types(), any::<bool>()).prop_flat_map(|(ty, nullable)| {
        let or_null =
            move |null: bool, value: Value<'static>| if null && nullable { Value::Null } else { value };
        (value(&ty), value(&ty), any::<(bool, bool)>()).prop_map(move |(first, second, nulls)| {
            let column = Column { name: "c".into(), ty: ty.clone(), nullable, default: None };
            (column, or_null(nulls.0, first), or_null(nulls.1, second))
        })
    });
    prop::collection::vec(column, 1..12)
}

fn pack(shape: &Shape, values: &[Value<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(&mut bytes, shape);
    values.iter().for_each(|value| writer.value(value).expect("it fits its column"));
    writer.finish().expect("the row is complete");
    bytes
}

fn shape(columns: &[(Column, Value<'static>, Value<'static>)]) -> Arc<Shape> {
    Arc::new(Shape::new(columns.iter().map(|(column, ..)| column.clone()).collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_gives_back_what_was_written(columns in columns()) {
        let (shape, values): (_, Vec<_>) = (shape(&columns), columns.iter().map(|(_, value, _)| value.clone()).collect());
        let bytes = pack(&shape, &values);
        prop_assert_eq!(Row::check(&bytes, &shape), Ok(()));
        prop_assert_eq!(Row::new(&bytes, &shape).values().collect::<Vec<_>>(), values);
        // Reading and writing again gives the same bytes: there is one encoding.
        let again: Vec<_> = Row::new(&bytes, &shape).values().collect();
        prop_assert_eq!(pack(&shape, &again), bytes);
    }

    #[test]
    fn bytes_from_outside_are_refused_or_can_be_read(columns in columns(), at in any::<prop::sample::Index>(), to: u8, cut: bool) {
        let shape = shape(&columns);
        let values: Vec<_> = columns.iter().map(|(_, value, _)| value.clone()).collect();
        let mut bytes = pack(&shape, &values);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = to }
        if Row::check(&bytes, &shape).is_ok() {
            let values: Vec<_> = Row::new(&bytes, &shape).values().map(Value::into_owned).collect();
            prop_assert_eq!(&pack(&shape, &values)[ROW_HEADER_BYTES..], &bytes[ROW_HEADER_BYTES..]);
        }
    }

    #[test]
    fn a_template_packs_what_a_writer_packs(columns in columns(), order in prop::collection::vec(any::<prop::sample::Index>(), 1..12), constant in "[a-c]{0,4}") {
        let source = shape(&columns);
        let values: Vec<_> = columns.iter().map(|(_, value, _)| value.clone()).collect();
        let chosen: Vec<usize> = order.iter().map(|index| index.index(columns.len())).collect();
        let text = Column { name: "t".into(), ty: Type::Text, nullable: false, default: None };
        let mut target: Vec<Column> = chosen.iter().map(|&at| source.columns()[at].clone()).collect();
        target.insert(target.len() / 2, text);
        let target = Shape::new(target);
        let mut cells: Vec<_> = chosen.iter().map(|&at| TemplateCell::Copy(ColumnId(at as u16))).collect();
        let mut expected: Vec<_> = chosen.iter().map(|&at| values[at].clone()).collect();
        cells.insert(chosen.len() / 2, TemplateCell::Constant(constant.as_bytes().into()));
        expected.insert(chosen.len() / 2, Value::from(constant));
        let mut made = vec![7; 3];
        Template::new(&source, &target, &cells).write(&pack(&source, &values), &mut made).unwrap();
        let expected = pack(&target, &expected);
        prop_assert_eq!(&made[3..], expected.as_slice());
    }

    #[test]
    fn key_bytes_sort_like_the_values(columns in columns()) {
        let (shape, mut first, mut second) = (shape(&columns), Vec::new(), Vec::new());
        let mut order = Ordering::Equal;
        for (at, (column, a, b)) in columns.iter().enumerate() {
            let last = at + 1 == columns.len();
            key::encode(a, column.nullable, last, &mut first);
            key::encode(b, column.nullable, last, &mut second);
            let column_order = match (a.is_null(), b.is_null()) {
                (false, false) => compare(a, b).unwrap(),
                (a, b) => b.cmp(&a),
            };
            order = order.then(column_order);
        }
        prop_assert_eq!(first.cmp(&second), order, "{:?}", shape);
    }

    #[test]
    fn a_key_read_from_a_row_is_the_key_of_its_values(columns in columns()) {
        let columns: Vec<_> = columns.into_iter().map(|(column, value, _)| (Column { nullable: false, ..column }, value))
            .filter(|(_, value)| !value.is_null()).collect();
        prop_assume!(!columns.is_empty());
        let shape = Arc::new(Shape::new(columns.iter().map(|(column, _)| column.clone()).collect()));
        let values: Vec<_> = columns.iter().map(|(_, value)| value.clone()).collect();
        let ids: Vec<_> = (0..columns.len()).rev().map(|at| ColumnId(at as u16)).collect();
        let (row, mut buffer, mut expected) = (pack(&shape, &values), Vec::new(), Vec::new());
        let typed: Vec<_> = ids.iter().map(|id| (values[id.0 as usize].borrow(), &shape.column(*id).ty)).collect();
        key::of_values(typed.into_iter(), &mut expected).unwrap();
        prop_assert_eq!(KeyReader::new(&shape, &ids).read(&row, &mut buffer), expected.as_slice());
    }

    #[test]
    fn a_batch_goes_over_a_wire_and_back(columns in columns(), rows in 0..5usize, at in any::<prop::sample::Index>(), to: u8) {
        let shape = shape(&columns);
        let values: Vec<_> = columns.iter().map(|(_, value, _)| value.clone()).collect();
        let mut batch = Batch::new(SchemaId(9));
        (0..rows).for_each(|_| batch.push(&pack(&shape, &values)));
        let sent = Batch::from_bytes(batch.bytes().to_vec(), &shape).unwrap();
        prop_assert_eq!((&sent, sent.len(), sent.schema()), (&batch, rows, SchemaId(9)));
        // Whatever a byte is changed to, the batch is refused or every row can be read.
        let mut bytes = batch.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(batch) = Batch::from_bytes(bytes, &shape) {
            prop_assert_eq!(batch.rows().map(|row| Row::new(row, &shape).values().count()).sum::<usize>(), rows * columns.len());
        }
    }

    #[test]
    fn any_bytes_are_a_batch_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), columns in columns()) {
        let shape = shape(&columns);
        let _ = Batch::from_bytes(bytes.clone(), &shape);
        let mut headed = Batch::new(SchemaId(0)).bytes().to_vec();
        headed.extend(bytes);
        let _ = Batch::from_bytes(headed, &shape);
    }
}

#[test]
fn a_row_that_fails_leaves_its_batch_as_it_was() {
    let column = Column { name: "n".into(), ty: Type::Int, nullable: false, default: None };
    let shape = Shape::new(vec![column]);
    let mut batch = Batch::new(SchemaId(0));
    batch.push_with::<RowError>(&shape, |row| row.value(&Value::Int(1))).unwrap();
    let before = batch.clone();
    let null = batch.push_with::<RowError>(&shape, |row| row.value(&Value::Null));
    assert_eq!(null, Err(RowError::Null { column: "n".into() }));
    let missing = batch.push_with::<RowError>(&shape, |_| Ok(()));
    assert_eq!(missing, Err(RowError::Columns));
    assert_eq!(batch, before);
}

/// The format is on disks and on wires: a change of these bytes is a change of the format.
#[test]
fn the_row_format_is_fixed() {
    let column = |name: &str, ty, nullable| Column { name: name.into(), ty, nullable, default: None };
    let shape = Shape::new(vec![
        column("name", Type::Text, false),
        column("n", Type::Int, true),
        column("v", Type::Text, true),
    ]);
    let row = pack(&shape, &[Value::from("ab"), Value::Null, Value::from("c")]);
    #[rustfmt::skip]
    let expected = [
        36, 0, 0, 0,  0, 0,  0, 0,  0, 0, 0, 0, 0, 0, 0, 0, // length, flags, zero, site, stamp
        0b010,                                              // nulls
        2, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0, 0,  3, 0, 0, 0,   // end of name, n, end of v
        b'a', b'b', b'c',
    ];
    assert_eq!(row, expected);
    let mut batch = Batch::new(SchemaId(258));
    batch.push(&row);
    assert_eq!(batch.bytes()[..BATCH_HEADER_BYTES], [1, 0, 0, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
}

/// Fixed for ever: rows on disks and on other nodes rest on it. The hashes are XXH3-64 of the xxHash reference.
#[test]
fn the_partition_of_a_key_is_fixed_for_ever() {
    let vectors: [(&[u8], u64, u32, u32); 6] = [
        (b"", 0x2d06_8005_38d3_94c2, 11, 175),
        (b"a", 0xe6c6_32b6_1e96_4e1f, 57, 901),
        (b"key000000000", 0xf2e4_2a5c_5d57_494d, 60, 948),
        (b"key000999999", 0x4842_1b9e_6fde_5209, 18, 282),
        ("schön".as_bytes(), 0xcaca_2ad4_4a47_989e, 50, 792),
        (&[0x80, 0, 0, 0, 0, 0, 0, 42], 0xf016_f1b5_1cfb_68cc, 60, 937),
    ];
    for (key, hash, of_64, of_1000) in vectors {
        let found = partition_hash(key);
        assert_eq!(found, hash, "{key:?}");
        assert_eq!((partition_of(found, 64).0, partition_of(found, 1000).0), (of_64, of_1000), "{key:?}");
    }
    assert_eq!(partition_of(u64::MAX, 64), PartitionId(63));
    assert_eq!(partition_of(0, 64), PartitionId(0));
    assert_eq!(partition_of(u64::MAX, 1), PartitionId(0));
}
