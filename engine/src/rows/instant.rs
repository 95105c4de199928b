//! `std::time::Duration` for duration columns and `std::time::SystemTime` for time columns: serde knows both as a
//! struct of seconds and nanoseconds. Columns count microseconds, so nanoseconds between them are refused.

use anabranch_model::time::in_range;
use anabranch_model::types::Type;
use anabranch_model::value::Value;
use serde::de::value::MapDeserializer;
use serde::ser::{Serialize, SerializeStruct};

use super::problem::RowProblem;
use super::ser_value::{Sink, ValueSerializer};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InstantKind {
    Duration,
    Time,
}

impl InstantKind {
    /// The struct that serde calls `name`, where a column of type `ty` takes it.
    pub(super) fn named(name: &str, ty: &Type) -> Option<Self> {
        match (name, ty) {
            ("Duration", Type::Duration) => Some(InstantKind::Duration),
            ("SystemTime", Type::Time) => Some(InstantKind::Time),
            _ => None,
        }
    }

    /// The names of its seconds and its nanoseconds.
    fn fields(self) -> (&'static str, &'static str) {
        match self {
            InstantKind::Duration => ("secs", "nanos"),
            InstantKind::Time => ("secs_since_epoch", "nanos_since_epoch"),
        }
    }

    /// The struct's fields as serde reads them.
    ///
    /// # Errors
    /// The structs of the standard library do not go below zero.
    pub(super) fn read<'de>(
        self,
        micros: i64,
    ) -> Result<MapDeserializer<'de, impl Iterator<Item = (&'static str, u64)>, RowProblem>, RowProblem> {
        let Ok(micros) = u64::try_from(micros) else {
            let help = "make the field an `i64` of microseconds, or a `String`";
            let what = match self {
                InstantKind::Duration => "a duration below zero is no `Duration`",
                InstantKind::Time => "a time before 1970 is no `SystemTime`",
            };
            return Err(RowProblem::new(what).help(help));
        };
        let (seconds, nanos) = self.fields();
        let fields = [(seconds, micros / 1_000_000), (nanos, micros % 1_000_000 * 1000)];
        Ok(MapDeserializer::new(fields.into_iter()))
    }
}

/// The struct while serde writes its fields.
pub(super) struct Instant<'k, 'f> {
    kind: InstantKind,
    seconds: i64,
    nanos: i64,
    sink: &'k mut Sink<'f>,
}

impl<'k, 'f> Instant<'k, 'f> {
    pub(super) fn new(kind: InstantKind, sink: &'k mut Sink<'f>) -> Self {
        Instant { kind, seconds: 0, nanos: 0, sink }
    }
}

impl SerializeStruct for Instant<'_, '_> {
    type Ok = ();
    type Error = RowProblem;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), RowProblem> {
        static NUMBER: Type = Type::Int;
        let (seconds, nanos) = self.kind.fields();
        let field = match name {
            name if name == seconds => &mut self.seconds,
            name if name == nanos => &mut self.nanos,
            name => return Err(RowProblem::new(format!("the field `{name}` is none of a time or duration"))),
        };
        let mut take = |value: Value<'_>| match value {
            Value::Int(number) => {
                *field = number;
                Ok(())
            }
            _ => Err(RowProblem::new(format!("the field `{name}` is no number"))),
        };
        value.serialize(ValueSerializer::new(&NUMBER, &mut take))
    }

    fn end(self) -> Result<(), RowProblem> {
        if self.nanos % 1000 != 0 {
            return Err(RowProblem::new(format!("{} ns would have to be rounded", self.nanos))
                .help("cut it to whole microseconds"));
        }
        let micros = self.seconds.checked_mul(1_000_000).and_then(|sum| sum.checked_add(self.nanos / 1000));
        match (self.kind, micros) {
            (InstantKind::Duration, Some(micros)) => (self.sink)(Value::Duration(micros)),
            (InstantKind::Time, Some(micros)) if in_range(micros) => (self.sink)(Value::Time(micros)),
            _ => Err(RowProblem::new(format!("{} s is out of the range of the column", self.seconds))),
        }
    }
}
