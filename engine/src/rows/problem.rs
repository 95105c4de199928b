//! What is wrong with a row from outside, so that whoever wrote it can correct it.

use std::fmt::{self, Display};

use anabranch_lang::suggest::closest;
use anabranch_model::convert::shown;
use anabranch_model::row::RowError;
use anabranch_model::types::Shape;
use serde::Serialize;
use serde::de::{self, Expected, Unexpected};
use serde::ser;

/// Why a value cannot be a row, or a row not the asked type. Nothing was written.
///
/// Shows as ``column `quantity`: `six` is not an int such as -17``, followed by the help where there is some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowProblem {
    /// The column, when it is about one.
    pub column: Option<String>,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl RowProblem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        RowProblem { column: None, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help.get_or_insert(help.into());
        self
    }

    /// The same problem of a column, unless it already names one.
    pub(super) fn at(mut self, column: &str) -> Self {
        self.column.get_or_insert_with(|| column.to_owned());
        self
    }

    /// A name that is no column of the shape.
    pub(super) fn unknown(name: &str, shape: &Shape) -> Self {
        let columns = || shape.columns().iter().map(|column| column.name.as_str());
        let problem = RowProblem::new("the rows have no such column").at(name);
        match closest(name, columns()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("the columns are {}", listed(columns()))),
        }
    }

    /// A column that must be given and is not.
    pub(super) fn missing(column: &str) -> Self {
        RowProblem::new("the column is missing, and is neither nullable nor has a default").at(column)
    }

    /// A column that is given twice.
    pub(super) fn twice(column: &str) -> Self {
        RowProblem::new("the column is given twice").at(column).help("give it once")
    }
}

/// The first names, in backticks.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const LISTED: usize = 12;
    let mut names: Vec<String> = names.take(LISTED + 1).map(|name| format!("`{name}`")).collect();
    if names.len() > LISTED {
        names[LISTED] = "...".to_owned();
    }
    names.join(", ")
}

impl Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(column) = &self.column {
            write!(f, "column {}: ", shown(column))?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RowProblem {}

impl From<RowError> for RowProblem {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Null { column } => {
                RowProblem::new("null, and the column is not nullable").at(&column).help("give it a value")
            }
            RowError::Type { column, ty } => {
                RowProblem::new(format!("the value is not of type {ty}")).at(&column)
            }
            RowError::Overflow { column } => RowProblem::new("the number has too many digits").at(&column),
            RowError::Damaged { column } => {
                RowProblem::new("the bytes are no value of the column's type").at(&column)
            }
            RowError::Columns | RowError::Header | RowError::Length { .. } => {
                RowProblem::new(error.to_string())
            }
        }
    }
}

impl ser::Error for RowProblem {
    fn custom<T: Display>(message: T) -> Self {
        RowProblem::new(message.to_string())
    }
}

impl de::Error for RowProblem {
    fn custom<T: Display>(message: T) -> Self {
        RowProblem::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match found {
            Unexpected::Unit | Unexpected::Option => {
                RowProblem::new(format!("null, expected {expected}")).help("make the field an `Option`")
            }
            found => RowProblem::new(format!("{found}, expected {expected}")),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        RowProblem::new("the struct wants this field, and the row has no such column")
            .at(field)
            .help("rename the field to its column, or give it `#[serde(default)]`")
    }
}

/// A line of a file that is no row. Shows as `12: column ...`, so that a file name and a colon go before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineProblem {
    /// The line in the file, from 1; the first of a record with line breaks in its cells.
    pub line: u64,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: RowProblem,
}

impl Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.problem)
    }
}

impl std::error::Error for LineProblem {}
