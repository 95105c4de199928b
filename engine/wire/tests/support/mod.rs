//! A plan with columns of all types, made by hand: this crate knows no flow files.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::sync::Arc;

use anabranch_model::batch::{Batch, SchemaId};
use anabranch_model::expr::Place;
use anabranch_model::plan::{PLAN_FORMAT, Plan, Policy, Route, Step, Stream, Table};
use anabranch_model::row::Row;
use anabranch_model::types::{Column, ColumnId, EnumType, Shape, Type};
use anabranch_model::value::Value;
use anabranch_wire::typed::FlowApi;

/// The types, each with the name of a column.
pub(crate) fn types() -> Vec<(&'static str, Type)> {
    let state = EnumType { name: "State".into(), values: vec!["placed".into(), "on hold".into()] };
    vec![
        ("truth", Type::Bool),
        ("number", Type::Int),
        ("float", Type::Float),
        ("amount", Type::Decimal { precision: 12, scale: 2 }),
        ("name", Type::Text),
        ("raw", Type::Bytes),
        ("at", Type::Time),
        ("took", Type::Duration),
        ("extra", Type::Json),
        ("state", Type::Enum(Arc::new(state))),
    ]
}

/// The types that may be keys.
fn key_types() -> Vec<(&'static str, Type)> {
    types().into_iter().filter(|(_, ty)| *ty != Type::Json).collect()
}

pub(crate) fn shape(types: &[(&str, Type)], nullable: bool) -> Arc<Shape> {
    let column =
        |(name, ty): &(&str, Type)| Column { name: (*name).into(), ty: ty.clone(), nullable, default: None };
    Arc::new(Shape::new(types.iter().map(column).collect()))
}

/// A flow `all` with an input and an output of all types, an input of nullable ones, and a table keyed by all that
/// may be keys.
pub(crate) fn plan() -> Plan {
    let place = Place { line: 1, column: 1 };
    let (plain, nullable) = (shape(&types(), false), shape(&types(), true));
    let stream = |name: &str, shape: &Arc<Shape>| Stream { name: name.into(), shape: shape.clone(), place };
    let step = |shape: &Arc<Shape>| Step {
        route: Route::Entry,
        rules: Vec::new(),
        rows: vec![shape.clone()],
        lets: 0,
        undo: false,
    };
    // A default of a column is for rows, not for keys.
    let mut columns = shape(&key_types(), false).columns().to_vec();
    columns
        .iter_mut()
        .filter(|column| column.name == "name")
        .for_each(|column| column.default = Some("x".into()));
    let keyed = Arc::new(Shape::new(columns));
    let key: Vec<ColumnId> = (0..key_types().len() as u16).rev().map(ColumnId).collect();
    let enums = types().into_iter().filter_map(|(_, ty)| match ty {
        Type::Enum(of) => Some(of),
        _ => None,
    });
    Plan {
        format: PLAN_FORMAT,
        file: "all.flow".into(),
        text: "flow all revision 1\n".into(),
        name: "all".into(),
        revision: 1,
        enums: enums.collect(),
        inputs: vec![stream("Plain", &plain), stream("Nullable", &nullable)],
        outputs: vec![stream("Out", &nullable)],
        tables: vec![Table {
            name: "Kept".into(),
            shape: keyed,
            partition_by: key.clone(),
            key,
            policy: Policy::default(),
            place,
        }],
        steps: vec![step(&plain), step(&nullable)],
    }
}

pub(crate) fn api() -> FlowApi {
    FlowApi::new(Arc::new(plan()))
}

/// The packed row of these values.
pub(crate) fn packed(shape: &Shape, values: &[Value<'_>]) -> Vec<u8> {
    let mut batch = Batch::new(SchemaId(0));
    let write = |writer: &mut anabranch_model::row::RowWriter<'_, '_>| {
        values.iter().try_for_each(|value| writer.value(value))
    };
    batch.push_with::<anabranch_model::row::RowError>(shape, write).expect("the values fit");
    batch.rows().next().expect("one row").to_vec()
}

/// The values of the only row of a batch.
pub(crate) fn values(batch: &Batch, shape: &Shape) -> Vec<Value<'static>> {
    let mut rows = batch.rows();
    let row = rows.next().expect("one row");
    assert!(rows.next().is_none());
    Row::check(row, shape).expect("what was decoded is a row");
    Row::new(row, shape).values().map(Value::into_owned).collect()
}
