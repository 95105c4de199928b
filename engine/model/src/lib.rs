//! The nouns of Anabranch, without I/O, time or threads: values, packed rows and batches, keys and the partition
//! hash, typed expressions with their evaluator, and the plan that a flow file compiles to.
//!
//! This is layer 0: every other crate may name it, and it names none of them.

pub mod batch;
pub mod convert;
pub mod decimal;
pub mod eval;
pub mod expr;
pub mod fault;
pub mod frame;
pub mod function;
pub mod json;
pub mod key;
pub mod like;
pub mod message;
pub mod partition;
pub mod plan;
pub mod question;
pub mod record;
pub mod rest;
pub mod row;
pub mod share;
pub mod snapshot;
pub mod stamp;
pub mod time;
pub mod types;
pub mod value;
pub mod zone;

pub use batch::{Batch, SchemaId};
pub use decimal::Decimal;
pub use expr::{Comparison, Expr, ExprKind, LetSlot, Operator, Place, RowSlot};
pub use fault::{Fault, FaultCode};
pub use frame::{Frame, StepContext};
pub use function::Function;
pub use partition::PartitionId;
pub use row::{Row, RowWriter};
pub use types::{Column, ColumnId, EnumType, Shape, Type};
pub use value::Value;
