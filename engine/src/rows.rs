//! Rows at the edges: serde structs, JSON and CSV to packed rows and back.
//!
//! ```
//! # use anabranch_model::{Column, Shape, Type};
//! # use std::sync::Arc;
//! use anabranch::rows::Row;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct NameValue {
//!     name: String,
//!     value: Option<i64>,
//! }
//!
//! # let column = |name: &str, ty, nullable| Column { name: name.into(), ty, nullable, default: None };
//! # let columns = vec![column("name", Type::Text, false), column("value", Type::Int, true)];
//! # let shape = Arc::new(Shape::new(columns));
//! let a = NameValue { name: "a".into(), value: Some(1) };
//! let row = Row::of(&shape, &a).unwrap();
//! assert_eq!(row.to_string(), r#"{"name":"a","value":1}"#);
//! assert_eq!(row.to::<NameValue>().unwrap(), a);
//!
//! let wrong = Row::of(&shape, &serde_json::json!({"name": "a", "vaule": 1})).unwrap_err();
//! assert_eq!(
//!     wrong.to_string(),
//!     "column `vaule`: the rows have no such column; did you mean `value`?"
//! );
//! ```
//!
//! # Structs
//!
//! Fields meet columns by name. A field without a column is refused; a column without a field takes its default, else
//! null, else the row is refused. Nothing is rounded: what does not fit exactly is refused.
//!
//! | column | a field may be | and is read as |
//! |---|---|---|
//! | bool | `bool` | `bool` |
//! | int | integers of any width | integers that hold it, floats that are exactly it |
//! | float | finite floats, integers that a float holds exactly | floats; integers when it is whole |
//! | decimal | `"1.50"`, [`Decimal`](anabranch_model::Decimal), integers | text, `Decimal`; integers when it is whole; the nearest float |
//! | text | text, `char`, an enum without content (its name) | the same; `&str` borrows from the row |
//! | bytes | `Vec<u8>`, `[u8; N]`, base64 text | the same; `&[u8]` borrows from the row |
//! | time | ISO 8601 text, integers of microseconds since 1970, `SystemTime` | the same; text unless asked otherwise |
//! | duration | `"5s"`, integers of microseconds, `Duration` | the same; text unless asked otherwise |
//! | json | whatever serde writes as JSON; floats that are not finite become null in there | whatever serde reads from it |
//! | an enum | the name of a value, as text or as an enum without content | the same |
//!
//! `Option` is for nullable columns, `None` is null; so is a JSON null in a json column.
//!
//! # JSON and CSV
//!
//! [`push_json_text`] and [`RowReader`] read values from their text, so that no digit is lost. JSON writes as
//! [`anabranch_model::json`] says, CSV cells as [`anabranch_model::convert`] says.

mod assemble;
mod cells;
mod csv;
mod de;
mod de_value;
mod instant;
mod json;
mod lines;
mod problem;
mod reader;
mod row;
mod ser;
mod ser_value;

pub use problem::{LineProblem, RowProblem};
pub use reader::{Chunk, OpenError, RowReader};
pub use row::Row;
#[cfg(feature = "net")]
pub(crate) use row::write_json;

use anabranch_model::batch::Batch;
use anabranch_model::types::Shape;
use serde::Serialize;

use self::assemble::Assembler;
use self::ser::RowSerializer;

/// Bytes of a line of a file, at most, and of the further lines of a CSV record with line breaks in its cells: a row
/// of the largest size, with room for quoting and escapes.
pub const MAX_LINE_BYTES: usize = 8 << 20;

/// What happens to columns of a file that the shape does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExtraColumns {
    /// They are reported.
    #[default]
    Refuse,
    /// They are skipped.
    Ignore,
}

/// Appends a struct, or a map with string keys, to a batch of rows of `shape`.
///
/// # Errors
/// Which column does not fit, and why; the batch is as it was.
pub fn push<T: Serialize + ?Sized>(batch: &mut Batch, shape: &Shape, value: &T) -> Result<(), RowProblem> {
    batch.push_with(shape, |writer| value.serialize(RowSerializer::new(Assembler::new(writer, shape))))
}

/// Appends a JSON object to a batch of rows of `shape`. Numbers with decimals do not stand for a decimal here, because
/// their digits are lost already: write them as strings.
///
/// # Errors
/// Which column does not fit, and why; the batch is as it was.
pub fn push_json(batch: &mut Batch, shape: &Shape, object: &serde_json::Value) -> Result<(), RowProblem> {
    batch.push_with(shape, |writer| json::assemble_value(Assembler::new(writer, shape), object))
}

/// Appends the text of a JSON object to a batch of rows of `shape`.
///
/// # Errors
/// What is wrong with the text, or which column does not fit, and why; the batch is as it was.
pub fn push_json_text(batch: &mut Batch, shape: &Shape, text: &str) -> Result<(), RowProblem> {
    push_json_text_with(batch, shape, text, ExtraColumns::Refuse)
}

fn push_json_text_with(
    batch: &mut Batch,
    shape: &Shape,
    text: &str,
    extra: ExtraColumns,
) -> Result<(), RowProblem> {
    let usual =
        batch.push_with(shape, |writer| json::assemble_usual(Assembler::new(writer, shape), text, extra));
    match usual {
        Ok(()) => Ok(()),
        Err(json::Unusual) => {
            batch.push_with(shape, |writer| json::assemble_text(Assembler::new(writer, shape), text, extra))
        }
    }
}

fn line_too_long() -> RowProblem {
    RowProblem::new(format!("the line has over {MAX_LINE_BYTES} bytes"))
        .help("see whether a line break or a closing quote is missing")
}

fn not_utf8() -> RowProblem {
    RowProblem::new("the bytes are not UTF-8").help("save the file as UTF-8")
}
