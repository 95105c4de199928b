//! Values from and to text and JSON: what is read, what is refused and in which words.

mod eval_support;

use std::sync::Arc;

use anabranch_model::convert::{parse_text, text_of};
use anabranch_model::json::{from_json, from_json_text, to_json_text};
use anabranch_model::{EnumType, Type, Value};
use eval_support::{constant, run};

const MONEY: Type = Type::Decimal { precision: 5, scale: 2 };

fn state() -> Type {
    let values = (0..10).map(|number| format!("state{number}")).collect();
    Type::Enum(Arc::new(EnumType { name: "State".to_owned(), values }))
}

/// The value of a constant expression.
fn value(text: &str) -> Value<'static> {
    run(&constant(text)).expect("a value")
}

#[test]
fn cells_are_read_as_their_types() {
    for (text, ty, expected) in [
        (" true ", Type::Bool, "true"),
        ("False", Type::Bool, "false"),
        ("-17", Type::Int, "-17"),
        ("+17\t", Type::Int, "17"),
        ("-9223372036854775808", Type::Int, "-9223372036854775808"),
        ("2.5", Type::Float, "2.5e0"),
        ("-0", Type::Float, "0e0"),
        ("1E3", Type::Float, "1000e0"),
        ("2.5", MONEY, "cast(2.5 as decimal2)"),
        ("2.500", MONEY, "cast(2.5 as decimal2)"),
        (" a ", Type::Text, "' a '"),
        ("", Type::Text, "''"),
        ("2010-12-01 08:26", Type::Time, "cast('2010-12-01T08:26:00Z' as time)"),
        ("90s", Type::Duration, "90s"),
        (" [1, 2] ", Type::Json, "cast('[1, 2]' as json)"),
    ] {
        assert_eq!(parse_text(text, &ty), Ok(value(expected)), "{text:?} as {ty}");
    }
    assert_eq!(parse_text("AAEC", &Type::Bytes), Ok(Value::Bytes(vec![0, 1, 2].into())));
    assert_eq!(parse_text("state9", &state()), Ok(Value::Enum(9)));
}

#[test]
fn cells_that_do_not_fit_say_what_was_expected() {
    for (text, ty, message) in [
        ("yes", Type::Bool, "`yes` is not a bool: true or false"),
        ("", Type::Int, "`` is not an int such as -17"),
        ("1.0", Type::Int, "`1.0` is not an int such as -17"),
        ("9223372036854775808", Type::Int, "`9223372036854775808` is not an int such as -17"),
        ("NaN", Type::Float, "`NaN` is not a float such as 1.5e3"),
        ("1e999", Type::Float, "`1e999` is not a float such as 1.5e3"),
        ("1e5", MONEY, "`1e5` is not a decimal number such as -1.50"),
        ("1000", MONEY, "`1000` has too many digits for decimal(5, 2)"),
        ("1.005", MONEY, "`1.005` has too many decimals for decimal(5, 2) and would have to be rounded"),
        ("AAE", Type::Bytes, "`AAE` is not bytes in base64"),
        ("12/1/2010 8:26", Type::Time, "`12/1/2010 8:26` is not a time such as 2010-12-01T08:26:00Z"),
        ("5", Type::Duration, "`5` is not a duration such as 250ms, 5s, 5m, 3h or 7d"),
        ("{a: 1}", Type::Json, "`{a: 1}` is not json"),
        ("[1] [2]", Type::Json, "`[1] [2]` is not json"),
        ("a\nb", Type::Int, "`a\\nb` is not an int such as -17"),
        (
            "State0",
            state(),
            "`State0` is not a value of State: state0, state1, state2, state3, state4, state5, state6, state7, ...",
        ),
    ] {
        assert_eq!(parse_text(text, &ty), Err(message.to_owned()), "{text:?} as {ty}");
    }
}

#[test]
fn null_has_no_text() {
    assert_eq!(text_of(&Value::Null, &Type::Int), "");
}

#[test]
fn json_is_written_as_the_types_say() {
    for (constant, ty, expected) in [
        ("null", Type::Int, "null"),
        ("true", Type::Bool, "true"),
        ("9223372036854775807", Type::Int, "9223372036854775807"),
        ("1.5e0", Type::Float, "1.5"),
        ("1e300", Type::Float, "1e300"),
        ("2e0", Type::Float, "2.0"),
        ("-1.50", MONEY, "\"-1.50\""),
        ("'a\"b'", Type::Text, "\"a\\\"b\""),
        ("cast('AAEC' as bytes)", Type::Bytes, "\"AAEC\""),
        ("cast('2010-12-01' as time)", Type::Time, "\"2010-12-01T00:00:00Z\""),
        ("90s", Type::Duration, "\"90s\""),
        ("cast('{\"a\": 1.10}' as json)", Type::Json, "{\"a\": 1.10}"),
    ] {
        let mut text = String::new();
        to_json_text(&value(constant), &ty, &mut text);
        assert_eq!(text, expected);
    }
    let mut text = String::new();
    to_json_text(&Value::Enum(1), &state(), &mut text);
    assert_eq!(text, "\"state1\"");
}

#[test]
fn json_is_read_as_the_types_say() {
    for (json, ty, expected) in [
        ("null", Type::Int, "null"),
        (" 17 ", Type::Int, "17"),
        ("-9223372036854775808", Type::Int, "-9223372036854775808"),
        ("17", Type::Float, "17e0"),
        ("9007199254740992", Type::Float, "9007199254740992e0"),
        ("0.1", Type::Float, "0.1e0"),
        ("\"1.5\"", MONEY, "cast(1.5 as decimal2)"),
        ("1.50", MONEY, "cast(1.5 as decimal2)"),
        ("7", MONEY, "cast(7 as decimal2)"),
        ("\"a\\u00e4\"", Type::Text, "'aä'"),
        ("\"AAEC\"", Type::Bytes, "cast('AAEC' as bytes)"),
        ("\"2010-12-01\"", Type::Time, "cast('2010-12-01' as time)"),
        ("\"5s\"", Type::Duration, "5s"),
        ("5000000", Type::Duration, "5s"),
        ("{\"a\": 1.10}", Type::Json, "cast('{\"a\": 1.10}' as json)"),
        ("\"a\"", Type::Json, "cast('\"a\"' as json)"),
    ] {
        assert_eq!(from_json_text(json, &ty), Ok(value(expected)), "{json} as {ty}");
    }
}

#[test]
fn json_of_another_type_is_refused() {
    for (json, ty) in [
        ("\"17\"", Type::Int),
        ("17.0", Type::Int),
        ("1e2", Type::Int),
        ("9223372036854775808", Type::Int),
        ("true", Type::Int),
        ("[1]", Type::Int),
        ("", Type::Int),
        ("1", Type::Bool),
        ("\"true\"", Type::Bool),
        ("truely", Type::Bool),
        ("9007199254740993", Type::Float),
        ("1e400", Type::Float),
        ("\"1.5\"", Type::Float),
        ("-inf", Type::Float),
        ("1.005", MONEY),
        ("\"1.005\"", MONEY),
        ("1000", MONEY),
        ("17", Type::Text),
        ("\"a", Type::Text),
        ("a", Type::Text),
        ("17", Type::Bytes),
        ("\"?\"", Type::Bytes),
        ("0", Type::Time),
        ("\"soon\"", Type::Time),
        ("5.5", Type::Duration),
        ("\"5\"", Type::Duration),
        ("\"state10\"", state()),
        ("0", state()),
        ("{", Type::Json),
    ] {
        assert!(from_json_text(json, &ty).is_err(), "{json} as {ty}");
        if let Ok(parsed) = serde_json::from_str(json) {
            assert!(from_json(&parsed, &ty).is_err(), "{json} as {ty}");
        }
    }
}

#[test]
fn parsed_number_with_decimals_is_no_decimal() {
    // Its digits may have been lost before it came here.
    let parsed: serde_json::Value = serde_json::from_str("1.5").expect("json");
    let message = "`1.5` is not a decimal(5, 2) such as -1.50: write it as a string";
    assert_eq!(from_json(&parsed, &MONEY), Err(message.to_owned()));
    assert_eq!(from_json(&serde_json::json!("1.5"), &MONEY), Ok(value("cast(1.5 as decimal2)")));
    assert_eq!(from_json(&serde_json::json!(7), &MONEY), Ok(value("cast(7 as decimal2)")));
}

#[test]
fn text_without_escapes_is_borrowed() {
    let json = "\"plain\"".to_owned();
    match from_json_text(&json, &Type::Text) {
        Ok(Value::Text(text)) => assert!(matches!(text, std::borrow::Cow::Borrowed("plain"))),
        other => panic!("{other:?}"),
    }
}
