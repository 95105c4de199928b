//! The built-in functions: a closed list.
//!
//! This file says what they are called, what they take and what they give: all that the checker needs. What each
//! one is for, with examples that a test evaluates, is in `function/table.rs`; what they compute is in [`crate::eval`].
//!
//! ```
//! use anabranch_model::function::{Function, ParameterKind};
//!
//! let substring = Function::by_name("SUBSTRING").expect("names are keywords, in any case");
//! let signature = substring.signature();
//! assert!(signature.accepts(2) && signature.accepts(3) && !signature.accepts(4));
//! assert_eq!(signature.parameter(1).map(|p| p.kind), Some(ParameterKind::Int));
//! ```

use std::fmt::Write;

use serde::{Deserialize, Serialize};

mod table;

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "documented in the table of signatures")]
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

impl Function {
    /// All functions, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Function> {
        table::TABLE.iter().map(|(function, _)| *function)
    }

    /// The function called `name`; function names are keywords, so the case does not matter.
    pub fn by_name(name: &str) -> Option<Function> {
        Function::all().find(|function| function.name().eq_ignore_ascii_case(name))
    }

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        self.signature().name
    }

    /// What it takes and gives.
    pub fn signature(self) -> &'static Signature {
        // The table stands in the order of the enum; a test holds it to that.
        &table::TABLE[self as usize].1
    }
}

/// What a function takes and gives, with its documentation.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The arguments as the documentation writes them: `text, start [, length]`.
    pub usage: &'static str,
    /// The parameters in order, optional ones last.
    pub parameters: &'static [Parameter],
    /// How many arguments must be given at least.
    pub required: usize,
    /// How many of the last parameters may repeat, as a group: 0 for none, 1 for `coalesce(a, b, c)`, 2 for
    /// `json_object('a', x, 'b', y)`.
    pub repeated: usize,
    /// The type of the result.
    pub result: ResultType,
    /// When the result is null.
    pub nulls: Nulls,
    /// One line: what it computes.
    pub summary: &'static str,
    /// An ordinary call.
    pub example: Example,
    /// A call with a null.
    pub with_null: Example,
    /// A call at or beyond the limit of what it takes.
    pub at_limit: Example,
}

impl Signature {
    /// The parameter that the argument at place `at` (from 0) belongs to; `None` when there are too many.
    pub fn parameter(&self, at: usize) -> Option<&'static Parameter> {
        let fixed = self.parameters.len();
        if at < fixed {
            return self.parameters.get(at);
        }
        let beyond = (at - fixed).checked_rem(self.repeated)?;
        self.parameters.get(fixed - self.repeated + beyond)
    }

    /// Whether the function takes this many arguments.
    pub fn accepts(&self, count: usize) -> bool {
        let fixed = self.parameters.len();
        if count < self.required {
            return false;
        }
        match (count <= fixed, self.repeated) {
            (true, group) => group == 0 || (fixed - count).is_multiple_of(group),
            (false, 0) => false,
            (false, group) => (count - fixed).is_multiple_of(group),
        }
    }

    /// How many arguments it takes, for messages: `2 or 3 arguments`, `at least 2 arguments`.
    pub fn count_text(&self) -> String {
        let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
        let (least, most) = (self.required, self.parameters.len());
        match self.repeated {
            0 if least == most => format!("{least} {}", plural(least)),
            0 => format!("{least} or {most} arguments"),
            1 => format!("at least {least} {}", plural(least)),
            _ => "names and values in turn".to_owned(),
        }
    }
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// What the documentation and messages call it.
    pub name: &'static str,
    /// Which arguments it takes.
    pub kind: ParameterKind,
}

/// Which arguments a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Any type, but one and the same for all parameters of this kind (decimals may differ in scale).
    Same,
    /// As [`Same`](ParameterKind::Same), but a type that has an order: everything but json.
    Ordered,
    /// int, decimal or float.
    Number,
    /// int.
    Int,
    /// float.
    Float,
    /// text.
    Text,
    /// time.
    Time,
    /// json.
    Json,
    /// Any type.
    Any,
    /// A text literal (not null) that names a member of a json object; no two of a call are the same.
    Name,
    /// A text literal (not null), one of these words in any case.
    Word(&'static [&'static str]),
    /// text; a literal one can be checked with [`crate::eval::check_pattern`] before the flow runs.
    Pattern,
}

/// The type of a function's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultType {
    /// The one type of the arguments that are [`ParameterKind::Same`] or [`ParameterKind::Ordered`].
    Same,
    /// The type of the first argument. (A decimal result may have another scale than its type says.)
    First,
    /// bool.
    Bool,
    /// int.
    Int,
    /// float.
    Float,
    /// text.
    Text,
    /// time.
    Time,
    /// json.
    Json,
}

/// When the result of a function is null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// When an argument is; not nullable when no argument is nullable.
    WhenAnyIs,
    /// When all arguments are; not nullable when one argument is not nullable.
    WhenAllAre,
    /// It may be null whatever the arguments are.
    Maybe,
    /// Never.
    Never,
}

/// A documented call, written in the flow language with constants only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// The call.
    pub call: &'static str,
    /// Its result as a literal or a `cast`, or the number of the fault (`R001`).
    pub result: &'static str,
}

/// The table of all functions for the language documentation, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "| function | gives | meaning | example | with null | at the limit |\n|---|---|---|---|---|---|\n",
    );
    for function in Function::all() {
        let of = function.signature();
        let cell =
            |example: Example| format!("`{}` = `{}`", example.call, example.result).replace('|', "\\|");
        writeln!(
            page,
            "| `{}({})` | {} | {} | {} | {} | {} |",
            of.name,
            of.usage,
            result_text(of.result),
            of.summary,
            cell(of.example),
            cell(of.with_null),
            cell(of.at_limit),
        )
        .expect("writing to a String cannot fail");
    }
    page
}

fn result_text(result: ResultType) -> &'static str {
    match result {
        ResultType::Same => "their type",
        ResultType::First => "the type of the first",
        ResultType::Bool => "bool",
        ResultType::Int => "int",
        ResultType::Float => "float",
        ResultType::Text => "text",
        ResultType::Time => "time",
        ResultType::Json => "json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_stands_in_the_order_of_the_enum() {
        for (place, (function, signature)) in table::TABLE.iter().enumerate() {
            assert_eq!(*function as usize, place, "{}", signature.name);
            assert_eq!(Function::by_name(&signature.name.to_uppercase()), Some(*function));
        }
        assert_eq!(table::TABLE.len(), Function::Hash as usize + 1);
    }

    #[test]
    fn unknown_name_is_no_function() {
        assert_eq!(Function::by_name("median"), None);
        assert_eq!(Function::by_name(""), None);
    }

    #[test]
    fn argument_counts_follow_optional_and_repeated_parameters() {
        let accepted =
            |f: Function| (0..7).filter(|count| f.signature().accepts(*count)).collect::<Vec<usize>>();
        assert_eq!(accepted(Function::Abs), [1]);
        assert_eq!(accepted(Function::Round), [1, 2]);
        assert_eq!(accepted(Function::Coalesce), [2, 3, 4, 5, 6]);
        assert_eq!(accepted(Function::JsonObject), [0, 2, 4, 6]);
        assert_eq!(accepted(Function::Hash), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn repeated_parameters_take_turns() {
        let of = Function::JsonObject.signature();
        assert_eq!(of.parameter(4).map(|p| p.kind), Some(ParameterKind::Name));
        assert_eq!(of.parameter(5).map(|p| p.kind), Some(ParameterKind::Any));
        assert_eq!(Function::Abs.signature().parameter(1), None);
    }

    #[test]
    fn reference_has_a_line_for_every_function() {
        let page = reference();
        for function in Function::all() {
            assert!(page.contains(&format!("| `{}(", function.name())), "{}", function.name());
        }
        assert_eq!(page.lines().count(), Function::all().count() + 2);
    }
}
