//! What a flow declares: its schemas, enums, policies, streams and tables, in one namespace.
//!
//! A declaration that is broken stays in the namespace without its content, so that its uses are not reported too.

use std::collections::HashMap;
use std::sync::Arc;

use anabranch_model::plan;
use anabranch_model::{ColumnId, EnumType, Shape};

use crate::span::Span;

/// Everything declared in a file.
#[derive(Default)]
pub(crate) struct Declarations {
    /// The one namespace.
    pub(crate) names: HashMap<String, Declared>,
    pub(crate) schemas: Vec<Schema>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) inputs: Vec<Stream>,
    pub(crate) outputs: Vec<Stream>,
    pub(crate) tables: Vec<Table>,
}

/// A name in the namespace.
#[derive(Clone, Copy)]
pub(crate) struct Declared {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Whether something else has the name too: whatever it is used as, one of the two fits.
    pub(crate) twice: bool,
}

/// What a name stands for, with its place in the list of its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Schema(usize),
    Enum(usize),
    Policy(usize),
    Input(usize),
    Output(usize),
    Table(usize),
}

impl Kind {
    /// With its article, for messages.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Kind::Schema(_) => "a schema",
            Kind::Enum(_) => "an enum",
            Kind::Policy(_) => "a policy",
            Kind::Input(_) => "an input",
            Kind::Output(_) => "an output",
            Kind::Table(_) => "a table",
        }
    }
}

/// A schema; `shape` is none when it is broken.
pub(crate) struct Schema {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) shape: Option<Arc<Shape>>,
    pub(crate) used: bool,
}

/// An enum; `ty` is none when it is broken.
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) ty: Option<Arc<EnumType>>,
    pub(crate) used: bool,
}

/// A policy; `policy` is none when it is broken.
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) policy: Option<plan::Policy>,
    pub(crate) used: bool,
}

/// An input or output stream.
pub(crate) struct Stream {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) shape: Option<Arc<Shape>>,
    pub(crate) used: bool,
}

/// A table.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) span: Span,
    /// None when anything about the table is broken.
    pub(crate) content: Option<TableContent>,
    pub(crate) used: bool,
}

/// A table that is not broken.
#[derive(Clone)]
pub(crate) struct TableContent {
    pub(crate) shape: Arc<Shape>,
    pub(crate) key: Vec<ColumnId>,
    pub(crate) key_span: Span,
    pub(crate) partition_by: Vec<ColumnId>,
    /// The names after `partition by`, or after `key` where the table is silent.
    pub(crate) partition_span: Span,
    pub(crate) policy: plan::Policy,
    /// The `replicate` clause, or the table's name where it is silent.
    pub(crate) policy_span: Span,
}

impl TableContent {
    /// The names of `columns`, in backticks.
    pub(crate) fn names(&self, columns: &[ColumnId]) -> String {
        let names: Vec<_> = columns.iter().map(|&at| format!("`{}`", self.shape.column(at).name)).collect();
        names.join(", ")
    }
}
