//! The flow of the workload, in many revisions and under several names.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anabranch::Flow;
use anabranch_model::key;
use anabranch_model::partition::{partition_hash, partition_of};
use anabranch_model::types::Type;
use anabranch_model::value::Value;

/// Partitions of its tables: few, so that requests share them.
pub(crate) const PARTITIONS: u32 = 4;

/// What a page may count up to.
pub(crate) const MOST: i64 = 5;

/// Its tables, each with what its rows have beside page and id.
pub(crate) const TABLES: [&str; 3] = ["Hits", "Gone", "Notes"];

/// A row of a table: what does not follow from its key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The count; 0 in `Notes`, which has none.
    pub(crate) n: i64,
    /// The request that wrote it last.
    pub(crate) id: i64,
    /// The revision that wrote it last.
    pub(crate) revision: u32,
}

thread_local! {
    /// What was compiled before: it takes most of the time of a run.
    static COMPILED: RefCell<BTreeMap<(&'static str, u32), Flow>> = RefCell::default();
}

/// A revision of the flow. Each has a column more than the one before it.
pub(crate) fn flow(name: &'static str, revision: u32) -> Flow {
    COMPILED.with_borrow_mut(|compiled| {
        compiled.entry((name, revision)).or_insert_with(|| compile(name, revision)).clone()
    })
}

fn compile(name: &str, revision: u32) -> Flow {
    let columns: String =
        (2..=revision).map(|of| format!(", since{of}: text default 'before {of}'")).collect();
    let values: String = (2..=revision).map(|of| format!(", since{of}: 'by {revision}'")).collect();
    let text = format!(
        "flow {name} revision {revision}
         policy few {{ partitions {PARTITIONS} copies 1 }}
         input  Add: {{ page: text, by: int, id: int }}
         input  Forget, Note, Try: {{ page: text, id: int }}
         output Told, Changed: {{ page: text, n: int, id: int }}
         table  Hits: {{ page: text, n: int, id: int{columns} }} {{ key page replicate few }}
         table  Gone: {{ page: text, n: int, id: int }} {{ key page replicate few }}
         table  Notes: {{ page: text, id: int }} {{ key page replicate few }}
         on Add as a route by a.page {{
           upsert Hits {{ page: a.page, n += a.by, id: a.id{values} }}
           read   Hits where page = a.page as row or null
           require row is not null else invalid 'it was just written'
           require row.n <= {MOST} else conflict 'too many'
           reply  Told {{ page: a.page, n: row.n, id: a.id }}
           emit   Changed {{ page: a.page, n: row.n, id: a.id }}
         }}
         on Forget as f route by f.page {{
           read   Hits where page = f.page as row or null
           require row is not null else not_found 'no such page'
           delete Hits where page = f.page
           upsert Gone {{ page: f.page, n += 1, id: f.id }}
         }}
         on Note as n route by n.page {{ upsert Notes {{ ..n }} }}
         on Try as t route by t.page {{
           delete Hits where page = t.page
           delete Notes where page = t.page
           upsert Hits {{ page: t.page, n: 0, id: t.id{values} }}
           upsert Gone {{ page: t.page, n += 1, id: t.id }}
           require t.id < 0 else invalid 'never'
         }}"
    );
    Flow::parse(&format!("{name}.flow"), &text).expect("it compiles")
}

/// A row as the flow's revision shows it.
pub(crate) fn shown(table: &str, page: &str, row: &Row, revision: u32) -> String {
    let Row { n, id, revision: by } = row;
    match table {
        "Notes" => format!(r#"{{"page":"{page}","id":{id}}}"#),
        "Gone" => format!(r#"{{"page":"{page}","n":{n},"id":{id}}}"#),
        _ => {
            let since = |of| if of <= *by { format!("by {by}") } else { format!("before {of}") };
            let columns: String =
                (2..=revision).map(|of| format!(r#","since{of}":"{}""#, since(of))).collect();
            format!(r#"{{"page":"{page}","n":{n},"id":{id}{columns}}}"#)
        }
    }
}

/// The partition of a page.
pub(crate) fn partition(page: &str) -> usize {
    let mut bytes = Vec::new();
    let value = (Value::from(page), &Type::Text);
    key::of_values(std::iter::once(value), &mut bytes).expect("a text is a key");
    partition_of(partition_hash(&bytes), PARTITIONS).0 as usize
}
