//! A table does what an ordered map does, whatever the sequence of operations.

use std::collections::BTreeMap;

use anabranch_model::{Column, RowWriter, Shape, Type, Value};
use anabranch_table::{Chunk, ChunkCursor, Table};
use proptest::prelude::*;

fn shape() -> Shape {
    Shape::new(vec![Column { name: "text".into(), ty: Type::Text, nullable: false, default: None }])
}

fn row(shape: &Shape, bytes: usize) -> Vec<u8> {
    let mut row = Vec::new();
    let mut writer = RowWriter::new(&mut row, shape);
    writer.value(&Value::from("x".repeat(bytes))).expect("text fits a text column");
    writer.finish().expect("the row is complete");
    row
}

#[derive(Clone, Debug)]
enum Operation {
    Put(u8, usize),
    Remove(u8),
    Begin,
    Commit,
    RollBack,
    Scan(Option<u8>),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        6 => (any::<u8>(), prop_oneof![0..200usize, 1_000..70_000usize]).prop_map(|(key, bytes)| Operation::Put(key, bytes)),
        3 => any::<u8>().prop_map(Operation::Remove),
        1 => Just(Operation::Begin),
        1 => Just(Operation::Commit),
        1 => Just(Operation::RollBack),
        1 => any::<Option<u8>>().prop_map(Operation::Scan),
    ]
}

fn key(number: u8) -> Vec<u8> {
    format!("key {}", u32::from(number) * 7919 % 256).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_table_is_an_ordered_map_with_steps(operations in prop::collection::vec(operation(), 1..300)) {
        let shape = shape();
        let mut table = Table::new(1);
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut before: Option<BTreeMap<Vec<u8>, Vec<u8>>> = None;
        for operation in operations {
            match operation {
                Operation::Put(number, bytes) => {
                    let row = row(&shape, bytes);
                    prop_assert_eq!(table.put(&key(number), &row), model.insert(key(number), row).is_some());
                }
                Operation::Remove(number) => {
                    prop_assert_eq!(table.remove(&key(number)), model.remove(&key(number)).is_some());
                }
                Operation::Begin if before.is_none() => {
                    table.begin();
                    before = Some(model.clone());
                }
                Operation::Commit => {
                    table.commit();
                    before = None;
                }
                Operation::RollBack if before.is_some() => {
                    table.roll_back();
                    model = before.take().unwrap_or_default();
                }
                Operation::Scan(after) => {
                    let after = after.map(key);
                    let found: Vec<_> = table.in_order(after.as_deref()).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
                    let expected: Vec<_> = model.iter().filter(|(k, _)| after.as_ref().is_none_or(|after| *k > after))
                        .map(|(k, v)| (k.clone(), v.clone())).collect();
                    prop_assert_eq!(found, expected);
                }
                Operation::Begin | Operation::RollBack => {}
            }
            prop_assert_eq!(table.len(), model.len());
            let bytes: usize = model.iter().map(|(k, v)| 2 + k.len() + v.len()).sum();
            prop_assert_eq!(table.row_bytes(), bytes);
        }
        for (key, row) in &model {
            prop_assert_eq!(table.get(key), Some(row.as_slice()));
        }
        let (mut seen, mut cursor) = (BTreeMap::new(), ChunkCursor::default());
        while let Chunk::More(next) = table.chunk(cursor, 3, |key, row| {
            assert!(seen.insert(key.to_vec(), row.to_vec()).is_none(), "a row came twice");
        }) {
            cursor = next;
        }
        prop_assert_eq!(seen, model);
    }
}

/// All rows in the order in which a visit in chunks meets them.
fn visited(table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let all =
        table.chunk(ChunkCursor::default(), usize::MAX, |key, row| rows.push((key.to_vec(), row.to_vec())));
    assert!(matches!(all, Chunk::End));
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn a_step_that_is_rolled_back_leaves_every_row_where_it_was(
        before in prop::collection::vec(operation(), 0..60),
        steps in prop::collection::vec(prop::collection::vec(operation(), 1..40), 1..4),
        half in 0..20usize,
    ) {
        let (shape, mut table) = (shape(), Table::new(1));
        let change = |table: &mut Table, operation: &Operation| match operation {
            Operation::Put(number, bytes) => table.put(&key(number % 32), &row(&shape, *bytes)),
            Operation::Remove(number) => table.remove(&key(number % 32)),
            _ => false,
        };
        for operation in &before {
            change(&mut table, operation);
        }
        let (rows, mut met) = (visited(&table), Vec::new());
        let begun = table.chunk(ChunkCursor::default(), half, |key, row| met.push((key.to_vec(), row.to_vec())));
        for step in &steps {
            table.begin();
            for operation in step {
                change(&mut table, operation);
                prop_assert_eq!(visited(&table).len(), table.len(), "what was removed is not visited");
            }
            table.roll_back();
            prop_assert_eq!(visited(&table), rows.clone());
        }
        if let Chunk::More(from) = begun {
            table.chunk(from, usize::MAX, |key, row| met.push((key.to_vec(), row.to_vec())));
        }
        prop_assert_eq!(met, rows);
    }
}

#[test]
fn a_step_that_is_kept_gives_the_slots_of_removed_rows_back() {
    let (shape, mut table) = (shape(), Table::new(1));
    let [short, long] = [10, 300].map(|bytes| row(&shape, bytes));
    table.put(b"other", &short);
    let mut most = 0;
    for round in 0..1_000 {
        table.begin();
        for key in 0..100u8 {
            table.put(&[key], if round % 2 == 0 { &short } else { &long });
        }
        for key in 0..50u8 {
            table.remove(&[key]);
        }
        if round % 3 == 0 {
            table.roll_back()
        } else {
            table.commit()
        }
        if round == 10 {
            most = table.memory_bytes();
        }
    }
    assert!(table.memory_bytes() <= most, "{} bytes, {most} before", table.memory_bytes());
    table.begin();
    for key in 50..100u8 {
        assert!(table.remove(&[key]));
    }
    table.remove(b"other");
    table.commit();
    assert!(table.is_empty() && table.memory_bytes() < 4096, "{} bytes are still held", table.memory_bytes());
}

#[test]
fn deleting_everything_gives_memory_back() {
    let shape = shape();
    let mut table = Table::new(1);
    let row = row(&shape, 40);
    for number in 0..50_000u32 {
        table.put(&number.to_be_bytes(), &row);
    }
    let full = table.memory_bytes();
    for number in 0..50_000u32 {
        assert!(table.remove(&number.to_be_bytes()));
    }
    assert_eq!(table.row_bytes(), 0);
    assert!(table.memory_bytes() < full / 100, "{} of {full} bytes are still held", table.memory_bytes());
}

#[test]
fn a_row_costs_less_than_sixty_bytes_beside_its_own() {
    let shape = shape();
    let mut table = Table::new(1);
    let row = row(&shape, 24);
    for number in 0..100_000u32 {
        table.put(&number.to_be_bytes(), &row);
    }
    let overhead = table.memory_bytes() / table.len() - row.len();
    assert!(overhead < 60, "{overhead} bytes a row beside the row's {}", row.len());
}
