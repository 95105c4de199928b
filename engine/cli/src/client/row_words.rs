//! Rows on the command line: `column=value`, `column:=JSON`, `column@FILE`, or whole JSON objects.
//!
//! The three forms are those of other clients on the command line. What stands behind `=` is always the value itself,
//! read as a CSV cell of that column is: no quotes, no word for null, so that `name="$name"` in a script means the same
//! whatever `$name` is.

use std::sync::Arc;

use anabranch::{Column, InputBatch, Shape, Type, Value, rows};
use anabranch_lang::suggest::closest;
use anabranch_model::convert::{parse_text, shown};
use anabranch_model::json::{is_json, to_json_text, write_string};

use crate::failure::{Exit, Failure};
use crate::{os, output};

/// One column of a row, as it was given.
struct Given<'w> {
    column: &'w str,
    form: Form,
    value: &'w str,
}

/// How a value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `column=value`.
    Text,
    /// `column:=JSON`.
    Json,
    /// `column@FILE`.
    File,
}

/// Appends the row that the words say.
///
/// # Errors
/// Everything that is wrong with the words has been told; or what is wrong with the row.
pub(crate) fn push(input: &str, batch: &mut InputBatch, words: &[String]) -> Result<(), Failure> {
    let shape = batch.shape().clone();
    let mut parts = Vec::new();
    let mut wrong: Option<Exit> = None;
    for word in words {
        match member(word, &shape) {
            Ok(member) => parts.push(member),
            Err(Failure::Says { exit, message, help }) => {
                output::error(&message, help.as_deref());
                wrong = wrong.max(Some(exit));
            }
            Err(other) => return Err(other),
        }
    }
    match wrong {
        Some(exit) => Err(Failure::told(exit)),
        None => push_json(input, batch, &format!("{{{}}}", parts.join(","))),
    }
}

/// Appends the row that a JSON object says.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn push_json(input: &str, batch: &mut InputBatch, object: &str) -> Result<(), Failure> {
    let shape = batch.shape().clone();
    rows::push_json_text(batch.packed(), &shape, object)
        .map_err(|problem| Failure::usage(problem.to_string()).help(takes(input, &shape)))
}

/// The columns of a stream: what a row of it is made of.
pub(crate) fn takes(input: &str, shape: &Shape) -> String {
    let column = |column: &Column| {
        let null = if column.nullable { "?" } else { "" };
        let left_out = if column.default.is_some() { " (has a default)" } else { "" };
        format!("{}: {}{null}{left_out}", column.name, column.ty)
    };
    match shape.columns() {
        [] => format!("`{input}` takes rows without columns"),
        columns => {
            let columns: Vec<String> = columns.iter().map(column).collect();
            format!("`{input}` takes {}", columns.join(", "))
        }
    }
}

/// A word as a member of a JSON object.
fn member(word: &str, shape: &Arc<Shape>) -> Result<String, Failure> {
    let given = split(word)?;
    let Some(at) = shape.position(given.column) else { return Err(unknown(&given, shape)) };
    let column = shape.column(at);
    let mut member = String::new();
    write_string(&column.name, &mut member);
    member.push(':');
    match given.form {
        Form::Json if is_json(given.value) => member.push_str(given.value),
        Form::Json => {
            let text = format!("column `{}`: {} is no JSON", column.name, shown(given.value));
            let help =
                "behind `:=` stands JSON: null, true, 1.5, '\"text\"', '[1, 2]'; behind `=` the value itself";
            return Err(Failure::usage(text).help(help));
        }
        Form::Text => to_json_text(&cell(given.value, column)?, &column.ty, &mut member),
        Form::File => {
            let bytes = os::read(given.value).map_err(|error| Failure::file("read", given.value, &error))?;
            to_json_text(&content(&bytes, given.value, column)?, &column.ty, &mut member);
        }
    }
    Ok(member)
}

/// At the first of the three signs.
fn split(word: &str) -> Result<Given<'_>, Failure> {
    let usage = |text: String| {
        Failure::usage(text).help("write column=value, column:=JSON or column@FILE, one word for each column")
    };
    let Some(at) = word.find(['=', '@']) else {
        return Err(usage(format!("{} is no column with a value", shown(word))));
    };
    let (column, value) = (&word[..at], &word[at + 1..]);
    let (column, form) = match column.strip_suffix(':') {
        _ if word[at..].starts_with('@') => (column, Form::File),
        Some(column) => (column, Form::Json),
        None => (column, Form::Text),
    };
    match column {
        "" => Err(usage(format!("there is no column before the sign in {}", shown(word)))),
        column => Ok(Given { column, form, value }),
    }
}

fn unknown(given: &Given<'_>, shape: &Shape) -> Failure {
    let names: Vec<&str> = shape.columns().iter().map(|column| column.name.as_str()).collect();
    let text = format!("the rows have no column {}; there is `{}`", shown(given.column), names.join("`, `"));
    match closest(given.column, names.iter().copied()) {
        Some(near) => Failure::usage(text).help(format!("did you mean `{near}`?")),
        None => Failure::usage(text),
    }
}

/// What a cell of a CSV file with this text holds.
fn cell<'t>(text: &'t str, column: &Column) -> Result<Value<'t>, Failure> {
    if text.is_empty() && column.nullable {
        return Ok(Value::Null);
    }
    let wrong = |why: String| Failure::usage(format!("column `{}`: {why}", column.name));
    parse_text(text, &column.ty).map_err(|why| match column.nullable {
        true if text == "null" => wrong(why).help(format!("null is written `{}:=null`", column.name)),
        _ => wrong(why),
    })
}

/// What a file holds for a column: its bytes, its text, or a value written in it.
fn content<'t>(bytes: &'t [u8], file: &str, column: &Column) -> Result<Value<'t>, Failure> {
    if column.ty == Type::Bytes {
        return Ok(Value::Bytes(bytes.into()));
    }
    let wrong = |why: String| Failure::wrong(format!("{file}: column `{}`: {why}", column.name));
    let text = std::str::from_utf8(bytes)
        .map_err(|_| wrong("the bytes are not UTF-8".to_owned()).help("save the file as UTF-8"))?;
    parse_text(text, &column.ty).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(word: &str) -> Option<(&str, Form, &str)> {
        split(word).ok().map(|given| (given.column, given.form, given.value))
    }

    #[test]
    fn the_first_sign_says_how_a_value_is_given() {
        assert_eq!(parts("name=two words"), Some(("name", Form::Text, "two words")));
        assert_eq!(parts("name="), Some(("name", Form::Text, "")));
        assert_eq!(parts("name==:=@"), Some(("name", Form::Text, "=:=@")));
        assert_eq!(parts("mail=a@b.c"), Some(("mail", Form::Text, "a@b.c")));
        assert_eq!(parts("note:=null"), Some(("note", Form::Json, "null")));
        assert_eq!(parts("photo@a=b.jpg"), Some(("photo", Form::File, "a=b.jpg")));
        assert_eq!(parts("größe=1"), Some(("größe", Form::Text, "1")));
        for wrong in ["", "name", "=1", ":=1", "@x"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}
