//! The built-in functions: a closed list.

use serde::{Deserialize, Serialize};

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented in the table below")]
pub enum Function {
    Coalesce,
    Nullif,
    Least,
    Greatest,
    Abs,
    Round,
    Floor,
    Ceil,
    Power,
    Sqrt,
    Ln,
    Lower,
    Upper,
    Trim,
    Substring,
    Replace,
    Length,
    Position,
    StartsWith,
    SplitPart,
    RegexpLike,
    DateTrunc,
    Extract,
    ToText,
    JsonGet,
    JsonObject,
    Hash,
}
