//! Every example in the documentation of the functions is true.

mod eval_support;

use anabranch_model::function::{Example, Nulls};
use anabranch_model::{Function, Value};
use eval_support::{plain, value_of};

fn holds(example: Example) -> Result<(), String> {
    let found = value_of(example.call);
    let expected = match example.result.starts_with("R0") {
        true => Err(example.result),
        false => value_of(example.result),
    };
    match plain(found.clone()) == plain(expected.clone()) {
        true => Ok(()),
        false => Err(format!("{} is {found:?}, not {expected:?}", example.call)),
    }
}

#[test]
fn every_documented_example_holds() {
    let examples = Function::all().flat_map(|function| {
        let of = function.signature();
        [of.example, of.with_null, of.at_limit]
    });
    let wrong: Vec<String> = examples.filter_map(|example| holds(example).err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn examples_show_the_function_they_stand_with() {
    for function in Function::all() {
        let of = function.signature();
        for example in [of.example, of.with_null, of.at_limit] {
            assert!(example.call.starts_with(&format!("{}(", of.name)), "{}", example.call);
        }
        assert!(of.with_null.call.contains("null"), "{}", of.with_null.call);
    }
}

#[test]
fn null_rule_is_what_the_functions_do() {
    for function in Function::all() {
        let of = function.signature();
        let result = value_of(of.with_null.call);
        match of.nulls {
            Nulls::WhenAnyIs => assert_eq!(result, Ok(Value::Null), "{}", of.with_null.call),
            Nulls::WhenAllAre | Nulls::Never => assert_ne!(result, Ok(Value::Null), "{}", of.with_null.call),
            Nulls::Maybe => {}
        }
    }
}
