//! What became of rows that were sent: replies as data, refused rows as messages.

use anabranch::{Answer, Refused, Reply};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::row_table::RowTable;

/// Prints the replies: a table for each run of rows of one output, or a JSON object a row.
pub(crate) fn replies(out: &mut Output, replies: &[Reply], json: bool) -> Result<(), Failure> {
    if json {
        return replies.iter().try_for_each(|reply| {
            out.line(&format!("{{\"stream\":{},\"row\":{}}}", json!(reply.stream), reply.row.to_json_text()))
        });
    }
    for (at, run) in replies.chunk_by(|one, next| one.stream == next.stream).enumerate() {
        let [first, ..] = run else { continue };
        if at > 0 {
            out.line("")?;
        }
        out.line(&first.stream)?;
        let mut table = RowTable::new(first.row.shape());
        run.iter().for_each(|reply| table.push(&reply.row));
        out.text(&table.take())?;
    }
    Ok(())
}

/// Tells the refused rows; that there are some is a failure.
pub(crate) fn refused(out: &mut Output, answer: &Answer, json: bool) -> Result<(), Failure> {
    let several = answer.accepted + answer.refused.len() > 1;
    for refused in &answer.refused {
        match (json, several) {
            (true, _) => {
                out.line(&json!({ "refused": why(refused), "row": refused.request_row + 1 }).to_string())?
            }
            (false, true) => output::message(&format!("row {}: refused: {refused}", refused.request_row + 1)),
            (false, false) => output::message(&format!("refused: {refused}")),
        }
    }
    Ok(())
}

/// A refused row is what the flow says, not what the program does wrong; who asked needs to see it in the exit code.
pub(crate) fn exit(answer: &Answer) -> Result<(), Failure> {
    match answer.refused.is_empty() {
        true => Ok(()),
        false => Err(Failure::told(Exit::Wrong)),
    }
}

/// Why a row was refused, as JSON.
pub(crate) fn why(refused: &Refused) -> Value {
    let place = refused.place.as_ref();
    json!({
        "code": refused.code.name(),
        "text": refused.text,
        "file": place.map(|(file, _)| file),
        "line": place.map(|(_, place)| place.line),
        "column": place.map(|(_, place)| place.column),
    })
}
