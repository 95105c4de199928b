//! Structs to rows and back: every type, every mistake.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anabranch::rows::{Row, RowProblem, push, push_json_text};
use anabranch_model::types::EnumType;
use anabranch_model::{Batch, Column, Decimal, SchemaId, Shape, Type, Value};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

fn column(name: &str, ty: Type) -> Column {
    Column { name: name.into(), ty, nullable: false, default: None }
}

fn nullable(name: &str, ty: Type) -> Column {
    Column { nullable: true, ..column(name, ty) }
}

fn color() -> Type {
    let values = ["red", "green", "blue"].map(String::from).to_vec();
    Type::Enum(Arc::new(EnumType { name: "Color".into(), values }))
}

const MONEY: Type = Type::Decimal { precision: 20, scale: 2 };

/// Rows of one nullable column `x`.
fn one(ty: Type) -> Arc<Shape> {
    Arc::new(Shape::new(vec![nullable("x", ty)]))
}

/// A row of one column `x`, or what is wrong with it.
fn taken<T: Serialize>(ty: Type, value: T) -> String {
    match Row::of(&one(ty), &BTreeMap::from([("x", value)])) {
        Ok(row) => row.to_string(),
        Err(problem) => problem.to_string(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Color {
    Red,
    Green,
    Blue,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Note {
    inner: Option<Box<Note>>,
    tags: Vec<u32>,
    text: String,
}

/// A field of every type, in another order than the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    truth: bool,
    tiny: i8,
    int: i64,
    large: Option<u32>,
    float: f64,
    small_float: f32,
    decimal: Decimal,
    decimal_text: Option<String>,
    letter: char,
    bytes: Vec<u8>,
    fixed: [u8; 4],
    time: i64,
    system_time: SystemTime,
    duration: Duration,
    micros: Option<i64>,
    color: Color,
    maybe_color: Option<Color>,
    note: Note,
    json: Option<BTreeMap<String, i64>>,
    pair: (u8, String),
}

fn everything() -> Arc<Shape> {
    Arc::new(Shape::new(vec![
        column("pair", Type::Json),
        column("truth", Type::Bool),
        column("tiny", Type::Int),
        column("int", Type::Int),
        nullable("large", Type::Int),
        column("text", Type::Text),
        column("float", Type::Float),
        column("small_float", Type::Float),
        column("decimal", Type::Decimal { precision: 38, scale: 9 }),
        nullable("decimal_text", MONEY),
        column("letter", Type::Text),
        column("bytes", Type::Bytes),
        column("fixed", Type::Bytes),
        column("time", Type::Time),
        column("system_time", Type::Time),
        column("duration", Type::Duration),
        nullable("micros", Type::Duration),
        nullable("json", Type::Json),
        column("color", color()),
        nullable("maybe_color", color()),
        column("note", Type::Json),
    ]))
}

fn blank() -> Everything {
    Everything {
        text: String::new(),
        truth: false,
        tiny: 0,
        int: 0,
        large: None,
        float: 0.0,
        small_float: 0.0,
        decimal: Decimal::ZERO,
        decimal_text: None,
        letter: 'a',
        bytes: Vec::new(),
        fixed: [0; 4],
        time: 0,
        system_time: SystemTime::UNIX_EPOCH,
        duration: Duration::ZERO,
        micros: None,
        color: Color::Red,
        maybe_color: None,
        note: Note::default(),
        json: None,
        pair: (0, String::new()),
    }
}

fn colors() -> impl Strategy<Value = Color> {
    prop_oneof![Just(Color::Red), Just(Color::Green), Just(Color::Blue)]
}

prop_compose! {
    fn numbers()(
        truth: bool, tiny: i8, int: i64, large: Option<u32>,
        float in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
        small_float in proptest::num::f32::NORMAL,
        mantissa in -10i128.pow(27)..10i128.pow(27), scale in 0u8..=9,
        cents in proptest::option::of(-10i64.pow(17)..10i64.pow(17)),
    ) -> Everything {
        let decimal_text = cents.map(|cents| Decimal::from_parts(cents.into(), 2).to_string());
        let decimal = Decimal::from_parts(mantissa, scale);
        Everything { truth, tiny, int, large, float, small_float, decimal, decimal_text, ..blank() }
    }
}

prop_compose! {
    fn times()(
        time in -62_135_596_800_000_000i64..253_402_300_800_000_000,
        since_epoch in 0u64..253_402_300_800_000_000,
        duration in 0u64..i64::MAX as u64,
        micros: Option<i64>,
    ) -> Everything {
        let system_time = SystemTime::UNIX_EPOCH + Duration::from_micros(since_epoch);
        Everything { time, system_time, duration: Duration::from_micros(duration), micros, ..blank() }
    }
}

prop_compose! {
    fn any_row()(
        numbers in numbers(), times in times(),
        text: String, letter: char, bytes: Vec<u8>, fixed: [u8; 4],
        color in colors(), maybe_color in proptest::option::of(colors()),
        json in proptest::option::of(proptest::collection::btree_map(any::<String>(), any::<i64>(), 0..4)),
        tags: Vec<u32>, first: u8,
    ) -> Everything {
        let inner = Some(Box::new(Note { text: text.clone(), ..Note::default() }));
        Everything {
            pair: (first, text.clone()),
            note: Note { text: text.clone(), tags, inner },
            time: times.time, system_time: times.system_time, duration: times.duration, micros: times.micros,
            text, letter, bytes, fixed, color, maybe_color, json,
            ..numbers
        }
    }
}

fn from_text(shape: &Arc<Shape>, text: &str) -> Result<Row, RowProblem> {
    let mut batch = Batch::new(SchemaId::default());
    push_json_text(&mut batch, shape, text)?;
    Ok(Row::all(shape, &batch).next().expect("one row was pushed"))
}

proptest! {
    #[test]
    fn structs_come_back_as_they_went(value in any_row()) {
        let shape = everything();
        let row = Row::of(&shape, &value).unwrap();
        prop_assert_eq!(anabranch_model::Row::check(row.bytes(), &shape), Ok(()));
        prop_assert_eq!(row.to::<Everything>().unwrap(), value);
    }

    #[test]
    fn rows_come_back_through_every_form(value in any_row()) {
        let shape = everything();
        let row = Row::of(&shape, &value).unwrap();
        let text = row.to_json_text();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(&from_text(&shape, &text).unwrap(), &row);
        prop_assert_eq!(&from_text(&shape, &serde_json::to_string(&row).unwrap()).unwrap(), &row);
        prop_assert_eq!(&Row::of(&shape, &row).unwrap(), &row);
        prop_assert_eq!(&Row::from_json(&shape, &row.to_json().unwrap()).unwrap(), &row);
        prop_assert_eq!(row.to_json().unwrap(), serde_json::to_value(&row).unwrap());
    }
}

#[test]
fn fields_borrow_from_the_row() {
    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct Borrowed<'a> {
        text: &'a str,
        color: &'a str,
        bytes: &'a [u8],
    }
    let columns = vec![column("text", Type::Text), column("color", color()), column("bytes", Type::Bytes)];
    let shape = Arc::new(Shape::new(columns));
    let value = Borrowed { text: "é", color: "green", bytes: &[0, 1, 2] };
    let row = Row::of(&shape, &value).unwrap();
    assert_eq!(row.to_string(), r#"{"text":"é","color":"green","bytes":"AAEC"}"#);
    assert_eq!(row.to::<Borrowed<'_>>().unwrap(), value);
}

#[test]
fn columns_without_a_field_take_their_default_else_null() {
    let shape = Arc::new(Shape::new(vec![
        column("name", Type::Text),
        Column { default: Some(Value::Int(7)), ..column("size", Type::Int) },
        nullable("note", Type::Text),
        Column { default: Some(Value::from("x")), ..nullable("kind", Type::Text) },
    ]));
    let row = Row::of(&shape, &BTreeMap::from([("name", "a")])).unwrap();
    assert_eq!(row.to_string(), r#"{"name":"a","size":7,"note":null,"kind":"x"}"#);
    let row = Row::of(&shape, &serde_json::json!({"kind": null, "size": 8, "name": "a"})).unwrap();
    assert_eq!(row.to_string(), r#"{"name":"a","size":8,"note":null,"kind":null}"#);
}

#[test]
fn flattened_wrapped_and_optional_structs_are_rows() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Inner {
        name: String,
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Outer {
        size: u64,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Wrapped(Outer);
    let shape = Arc::new(Shape::new(vec![column("name", Type::Text), column("size", Type::Int)]));
    let value = Some(Wrapped(Outer { size: 3, inner: Inner { name: "a".into() } }));
    let row = Row::of(&shape, &value).unwrap();
    assert_eq!(row.to_string(), r#"{"name":"a","size":3}"#);
    assert_eq!(row.to::<Option<Wrapped>>().unwrap(), value);
}

#[test]
fn a_failed_row_leaves_the_batch_as_it_was() {
    let shape = Arc::new(Shape::new(vec![column("a", Type::Text), column("b", Type::Int)]));
    let mut batch = Batch::new(SchemaId::default());
    push(&mut batch, &shape, &serde_json::json!({"a": "x", "b": 1})).unwrap();
    let before = batch.clone();
    for wrong in [
        serde_json::json!({"a": "x", "b": "y"}),
        serde_json::json!({"a": "x"}),
        serde_json::json!({"b": 1, "c": 1}),
        serde_json::json!([]),
    ] {
        push(&mut batch, &shape, &wrong).unwrap_err();
        assert_eq!(batch, before, "{wrong}");
    }
}

#[test]
fn numbers_are_taken_where_nothing_is_rounded() {
    let int = |number: i128, ty: Type| taken(ty, number);
    assert_eq!(int(i128::from(i64::MAX), Type::Int), r#"{"x":9223372036854775807}"#);
    assert_eq!(
        int(i128::from(i64::MAX) + 1, Type::Int),
        "column `x`: the number 9223372036854775808 is out of the range of int"
    );
    assert_eq!(int(1 << 53, Type::Float), r#"{"x":9007199254740992.0}"#);
    assert_eq!(
        int((1 << 53) + 1, Type::Float),
        "column `x`: the number 9007199254740993 would have to be rounded to be a float"
    );
    assert!(int(i128::MAX, Type::Float).contains("rounded"));
    assert_eq!(int(-7, MONEY), r#"{"x":"-7.00"}"#);
    assert_eq!(
        int(10i128.pow(18), MONEY),
        "column `x`: `1000000000000000000` has too many digits for decimal(20, 2)"
    );
    for number in [i128::MAX, i128::MIN] {
        assert!(int(number, MONEY).contains("is not a decimal"), "{number}");
    }
    assert!(taken(Type::Int, u128::MAX).contains("is not an int"));
    assert_eq!(taken(Type::Float, 0.5f32), r#"{"x":0.5}"#);
    assert_eq!(taken(Type::Float, -0.0), r#"{"x":0.0}"#);
    assert_eq!(taken(Type::Float, f64::NAN), "column `x`: NaN is not finite; give null or a number");
    assert_eq!(taken(Type::Int, 3.0), "column `x`: the float 3.0 is not an int such as -17");
    assert_eq!(
        taken(MONEY, 1.5),
        "column `x`: the float 1.5 is not a decimal(20, 2) such as -1.50; \
         give it as text, so that nothing is rounded"
    );
    assert_eq!(taken(MONEY, "1.5"), r#"{"x":"1.50"}"#);
    assert!(taken(MONEY, "1.505").contains("would have to be rounded"));
}

#[test]
fn values_of_other_types_are_refused() {
    for (found, problem) in [
        (taken(Type::Int, "5"), "the text `5` is not an int such as -17"),
        (taken(Type::Bool, 1), "the number 1 is not a bool: true or false"),
        (taken(Type::Text, 1), "the number 1 is not text"),
        (taken(Type::Text, true), "the bool true is not text"),
        (taken(Type::Text, vec![1]), "a sequence is not text"),
        (taken(color(), "pink"), "`pink` is not a value of Color: red, green, blue"),
        (taken(color(), 1), "the number 1 is not a value of Color: red, green, blue"),
        (taken(Type::Bytes, vec![1, 256]), "a byte is a number from 0 to 255"),
        (taken(Type::Bytes, vec![-1]), "a byte is a number from 0 to 255"),
        (taken(Type::Bytes, "?"), "`?` is not bytes in base64"),
        (taken(Type::Time, "noon"), "`noon` is not a time such as 2010-12-01T08:26:00Z"),
        (taken(Type::Time, i64::MAX), "the number 9223372036854775807 is out of the range of time"),
        (taken(Type::Duration, "5"), "`5` is not a duration such as 250ms, 5s, 5m, 3h or 7d"),
        (taken(Type::Duration, BTreeMap::from([(1, 2)])), "a map is not a duration"),
        (taken(Type::Int, Note::default()), "the struct `Note` is not an int"),
        (taken(Type::Text, Ok::<i32, i32>(1)), "the enum value `Ok` with its content is not text"),
    ] {
        assert!(found.starts_with(&format!("column `x`: {problem}")), "{found}\n{problem}");
    }
}

#[test]
fn times_and_durations_are_whole_microseconds() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_500_000);
    assert_eq!(taken(Type::Time, at), r#"{"x":"1970-01-01T00:00:01.500Z"}"#);
    assert_eq!(
        taken(Type::Time, at + Duration::from_nanos(1)),
        "column `x`: 500000001 ns would have to be rounded; cut it to whole microseconds"
    );
    assert_eq!(taken(Type::Duration, Duration::from_secs(90)), r#"{"x":"90s"}"#);
    assert!(taken(Type::Duration, Duration::from_secs(1 << 62)).contains("out of the range"));
    assert!(taken(Type::Duration, Duration::from_secs(u64::MAX)).contains("out of the range"));
    assert!(taken(Type::Text, Duration::ZERO).contains("the struct `Duration` is not text"));
    assert_eq!(taken(Type::Duration, "-5s"), r#"{"x":"-5s"}"#);
    let row = Row::of(&one(Type::Duration), &BTreeMap::from([("x", -5)])).unwrap();
    let problem = row.to::<BTreeMap<String, Duration>>().unwrap_err();
    assert!(problem.to_string().contains("a duration below zero is no `Duration`"), "{problem}");
}

#[test]
fn a_row_is_a_struct_or_a_map_of_its_columns() {
    let (shape, strict) = (one(Type::Int), Arc::new(Shape::new(vec![column("x", Type::Int)])));
    let told = |refused: Result<Row, RowProblem>| refused.unwrap_err().to_string();
    for found in [told(Row::of(&shape, &5)), told(Row::of(&shape, "x")), told(Row::of(&shape, &(1, 2)))] {
        assert!(found.ends_with("is no row; give a struct or a map with string keys"), "{found}");
    }
    assert!(told(Row::of(&shape, &None::<Note>)).starts_with("nothing is no row"));
    assert!(told(Row::of(&shape, &BTreeMap::from([(1, 2)]))).contains("the number 1 is not text"));
    assert_eq!(
        told(Row::of(&shape, &BTreeMap::from([("y", 2)]))),
        "column `y`: the rows have no such column; the columns are `x`"
    );
    assert_eq!(
        told(Row::of(&strict, &BTreeMap::<String, i32>::new())),
        "column `x`: the column is missing, and is neither nullable nor has a default; give it a value"
    );
    assert_eq!(
        told(Row::of(&strict, &BTreeMap::from([("x", ())]))),
        "column `x`: null, and the column is not nullable; give it a value"
    );
}

#[test]
fn columns_are_read_as_what_is_asked_for() {
    fn read<T: for<'a> Deserialize<'a>>(ty: Type, text: &str) -> Result<T, String> {
        let row = from_text(&one(ty), &format!("{{\"x\":{text}}}")).unwrap();
        let mut map: BTreeMap<String, T> = row.to().map_err(|problem| problem.to_string())?;
        Ok(map.remove("x").unwrap())
    }
    assert_eq!(read(MONEY, "\"2.50\""), Ok(2.5));
    assert_eq!(read(MONEY, "\"2.50\""), Ok("2.50".to_owned()));
    assert_eq!(read(MONEY, "\"2.00\""), Ok(2u8));
    assert!(read::<u8>(MONEY, "\"2.50\"").is_err());
    assert_eq!(read(Type::Time, "\"1970-01-01\""), Ok(0i64));
    assert_eq!(read(Type::Time, "\"1970-01-01\""), Ok("1970-01-01T00:00:00Z".to_owned()));
    assert_eq!(read(Type::Duration, "\"2m\""), Ok(120_000_000u32));
    assert_eq!(read(Type::Int, "7"), Ok(7.0));
    assert_eq!(read(Type::Float, "7"), Ok(7));
    assert_eq!(read(Type::Json, "{\"a\":[1]}"), Ok(BTreeMap::from([("a".to_owned(), vec![1])])));
    assert_eq!(read(Type::Int, "null"), Ok(None::<i64>));
    assert_eq!(read(Type::Text, "\"red\""), Ok(Color::Red));
    assert_eq!(
        read::<u8>(Type::Int, "256"),
        Err("column `x`: invalid value: integer `256`, expected u8; the column is of type int?".to_owned())
    );
    assert_eq!(
        read::<i64>(Type::Int, "null"),
        Err("column `x`: null, expected i64; make the field an `Option`".to_owned())
    );
    assert_eq!(
        read::<String>(Type::Int, "1"),
        Err("column `x`: integer `1`, expected a string; the column is of type int?".to_owned())
    );
    assert!(read::<f64>(Type::Int, "9007199254740993").unwrap_err().contains("rounded"));
    assert!(read::<Color>(Type::Text, "\"pink\"").unwrap_err().contains("unknown variant `pink`"));
}

#[test]
fn a_struct_that_wants_more_than_the_row_has_is_told() {
    let row = Row::of(&one(Type::Int), &BTreeMap::from([("x", 1)])).unwrap();
    let problem = row.to::<Note>().unwrap_err();
    assert_eq!(problem.column.as_deref(), Some("tags"));
    assert!(problem.to_string().contains("the row has no such column"), "{problem}");
    assert!(row.to::<(i64,)>().is_err());
}

#[test]
fn equal_rows_say_the_same_whatever_their_stamp() {
    let shape = one(Type::Int);
    let row = |number: i64| Row::of(&shape, &BTreeMap::from([("x", number)])).unwrap();
    assert_eq!(row(1), row(1));
    assert_ne!(row(1), row(2));
    let other = Row::of(&one(Type::Duration), &BTreeMap::from([("x", 1)])).unwrap();
    assert_ne!(row(1), other, "the same bytes under another shape are another row");
    let mut stamped = row(1).bytes().to_vec();
    stamped[anabranch_model::row::ROW_STAMP_BYTES].fill(1);
    let mut batch = Batch::new(SchemaId::default());
    batch.push(&stamped);
    assert_eq!(Row::all(&shape, &batch).next().unwrap(), row(1));
}

#[test]
fn values_are_found_by_name_and_place() {
    let row = Row::of(&one(Type::Int), &BTreeMap::from([("x", 1)])).unwrap();
    assert_eq!((row.get("x"), row.get("y")), (Some(Value::Int(1)), None));
    assert_eq!((row.value(0), row.value(1)), (Some(Value::Int(1)), None));
    assert_eq!(row.columns().collect::<Vec<_>>(), [("x", Value::Int(1))]);
    assert_eq!(format!("{row:?} {row}"), r#"Row{"x":1} {"x":1}"#);
    let none = Row::of(&Arc::new(Shape::new(Vec::new())), &serde_json::json!({})).unwrap();
    assert_eq!(none.to_string(), "{}");
}

#[test]
fn a_row_that_is_too_large_is_refused() {
    let problem = taken(Type::Text, "x".repeat(5 << 20));
    assert!(problem.starts_with("the row has 5242"), "{problem}");
}
