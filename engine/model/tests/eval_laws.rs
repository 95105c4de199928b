//! Laws over random values and random expressions.

mod eval_support;

use std::cmp::Ordering;
use std::sync::Arc;

use anabranch_model::convert::{parse_text, text_of};
use anabranch_model::eval::{self, MAX_RESULT_BYTES, compare};
use anabranch_model::json::{from_json, from_json_text, is_json, to_json_text};
use anabranch_model::time::{MAX_TIME, MIN_TIME};
use anabranch_model::{Column, Expr, Fault, Frame, RowWriter, Shape, Type, Value};
use eval_support::maker::Maker;
use eval_support::{cast, context, literal, run};
use proptest::prelude::*;

/// Whether a result keeps what is promised about values of its type.
fn sound(value: &Value<'_>, ty: &Type) -> bool {
    match (value, ty) {
        (Value::Null, _) => true,
        (Value::Float(number), Type::Float) => {
            number.is_finite() && !(*number == 0.0 && number.is_sign_negative())
        }
        (Value::Decimal(number), Type::Decimal { .. }) => number.fits(38) && number.scale() <= 38,
        (Value::Text(text), Type::Text) => text.len() <= MAX_RESULT_BYTES,
        (Value::Json(text), Type::Json) => is_json(text),
        (Value::Enum(at), Type::Enum(of)) => usize::from(*at) < of.values.len(),
        (Value::Time(time), Type::Time) => (MIN_TIME..=MAX_TIME).contains(time),
        (Value::Bool(_), Type::Bool)
        | (Value::Int(_), Type::Int)
        | (Value::Bytes(_), Type::Bytes)
        | (Value::Duration(_), Type::Duration) => true,
        _ => false,
    }
}

/// Evaluates an expression over a row and `let` values of every type; row 1 is null.
fn evaluated(maker: &Maker, expr: &Expr) -> Result<Value<'static>, Fault> {
    let column = |ty: &Type| Column { name: ty.to_string(), ty: ty.clone(), nullable: true, default: None };
    let shape = Arc::new(Shape::new(maker.types.iter().map(column).collect()));
    let mut input = Vec::new();
    let mut writer = RowWriter::new(&mut input, &shape);
    maker.types.iter().for_each(|ty| writer.value(&maker.value(ty)).expect("of its type"));
    writer.finish().expect("a row");
    let lets: Vec<Value<'static>> = maker.types.iter().map(|ty| maker.value(ty)).collect();
    let (context, shapes, rows) = (context(), [shape.clone(), shape], [Vec::new()]);
    let frame = Frame {
        input: &input,
        rows: &rows,
        candidate: None,
        shapes: &shapes,
        lets: &lets,
        context: &context,
    };
    let _ = eval::is_true(expr, &frame);
    eval::evaluate(expr, &frame).map(Value::into_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn well_typed_expressions_give_values_of_their_type(seed in any::<u64>()) {
        let maker = Maker::new(seed, true);
        let expr = maker.expr(&maker.any_type(), 5);
        match evaluated(&maker, &expr) {
            Ok(value) => prop_assert!(sound(&value, &expr.ty), "{:?} is {:?}", expr, value),
            Err(fault) => prop_assert!(
                !fault.text.contains("of these types") && !fault.text.contains('\n'), "{} in {:?}", fault, expr
            ),
        }
    }

    #[test]
    fn ill_typed_expressions_do_not_panic(seed in any::<u64>()) {
        let maker = Maker::new(seed, false);
        let expr = maker.expr(&maker.any_type(), 5);
        let _ = evaluated(&maker, &expr);
    }

    #[test]
    fn order_is_total(seed in any::<u64>()) {
        let maker = Maker::new(seed, true);
        for ty in maker.types.iter().filter(|ty| **ty != Type::Json) {
            let [a, b, c] = [(); 3].map(|()| maker.value(ty));
            let order = |left, right| compare(left, right).expect("values of one type have an order");
            prop_assert_eq!(order(&a, &a), Ordering::Equal);
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            if order(&a, &b) != Ordering::Greater && order(&b, &c) != Ordering::Greater {
                prop_assert_ne!(order(&a, &c), Ordering::Greater);
            }
            prop_assert_eq!(order(&a, &b) == Ordering::Equal, a == b);
        }
    }

    #[test]
    fn values_of_two_types_have_no_order(seed in any::<u64>()) {
        let maker = Maker::new(seed, true);
        let (left, right) = (maker.any_type(), maker.any_type());
        let decimals = matches!((&left, &right), (Type::Decimal { .. }, Type::Decimal { .. }));
        if left != right && !decimals {
            prop_assert_eq!(compare(&maker.value(&left), &maker.value(&right)), None);
        }
        prop_assert_eq!(compare(&maker.value(&left), &Value::Null), None);
    }

    #[test]
    fn text_and_back_is_the_same_value(seed in any::<u64>()) {
        let maker = Maker::new(seed, true);
        for ty in &maker.types {
            let value = maker.value(ty);
            let text = text_of(&value, ty).into_owned();
            prop_assert_eq!(parse_text(&text, ty), Ok(value.borrow()), "{}", text);
            let there = cast(literal(value.clone(), ty.clone()), Type::Text);
            prop_assert_eq!(run(&cast(there, ty.clone())), Ok(value));
        }
    }

    #[test]
    fn json_and_back_is_the_same_value(seed in any::<u64>()) {
        let maker = Maker::new(seed, true);
        for ty in maker.types.iter().filter(|ty| **ty != Type::Json) {
            let value = maker.value(ty);
            let mut text = String::new();
            to_json_text(&value, ty, &mut text);
            prop_assert_eq!(from_json_text(&text, ty), Ok(value.borrow()), "{}", text);
            let parsed: serde_json::Value = serde_json::from_str(&text).expect("json");
            prop_assert_eq!(from_json(&parsed, ty), Ok(value), "{}", text);
        }
    }

    #[test]
    fn no_text_from_outside_panics(text in ".{0,30}", seed in any::<u64>()) {
        let maker = Maker::new(seed, true);
        for text in [text, maker.text(), maker.json()] {
            for ty in &maker.types {
                if let Ok(value) = parse_text(&text, ty) {
                    prop_assert!(sound(&value, ty), "{} as {}: {:?}", text, ty, value);
                }
                if let Ok(value) = from_json_text(&text, ty) {
                    prop_assert!(sound(&value, ty), "{} as {}: {:?}", text, ty, value);
                }
            }
        }
    }

    #[test]
    fn rows_hold_what_expressions_give(seed in any::<u64>()) {
        // A text or json result always fits a row, and a decimal can be rounded into its column or is refused.
        let maker = Maker::new(seed, true);
        let expr = maker.expr(&maker.any_type(), 3);
        if let Ok(value) = evaluated(&maker, &expr) {
            let column = Column { name: "a".into(), ty: expr.ty.clone(), nullable: true, default: None };
            let shape = Shape::new(vec![column]);
            let mut bytes = Vec::new();
            let mut writer = RowWriter::new(&mut bytes, &shape);
            let stored = writer.value(&value);
            prop_assert!(stored.is_ok() || matches!(expr.ty, Type::Decimal { .. }), "{:?}", value);
        }
    }
}
