//! The lines of invoices that are played, and the flow that counts them: both are in the program.

use std::sync::Arc;

use anabranch::rows::{ExtraColumns, RowReader};
use anabranch::{Batch, Flow, Row, Value};

use crate::failure::Failure;

/// The flow.
pub(super) const FLOW: &str = include_str!("../../../../../flows/inventory.flow");

/// Its data.
const CSV: &[u8] = include_bytes!("../../../../../flows/data/invoices.csv");

/// An invoice line, with its product.
pub(super) struct Line {
    pub(super) product: String,
    pub(super) row: Row,
}

/// All lines, shared by those who play them.
#[derive(Clone)]
pub(super) struct Lines(Arc<Vec<Line>>);

impl Lines {
    /// Reads what is in the program.
    ///
    /// # Errors
    /// The program was built with data that does not fit.
    pub(super) fn read() -> Result<Self, Failure> {
        let flow = Flow::parse("inventory.flow", FLOW)?;
        let input = flow.plan().inputs.iter().find(|input| input.name == "Lines");
        let shape = input.ok_or_else(|| unfit("the flow has no input `Lines`"))?.shape.clone();
        let reader = RowReader::csv(CSV, shape.clone(), ExtraColumns::Refuse);
        let mut reader = reader.map_err(|_| unfit("the header of the file"))?;
        let mut lines = Vec::new();
        let schema = Batch::default().schema();
        while let Some(chunk) = reader.next_chunk(schema, 256).map_err(|error| unfit(&error.to_string()))? {
            for row in Row::all(&shape, &chunk.batch) {
                let product = match row.get("StockCode") {
                    Some(Value::Text(code)) => code.into_owned(),
                    _ => return Err(unfit("a line without product")),
                };
                lines.push(Line { product, row });
            }
        }
        Ok(Lines(Arc::new(lines)))
    }

    /// The lines in their order.
    pub(super) fn all(&self) -> &[Line] {
        &self.0
    }
}

fn unfit(what: &str) -> Failure {
    Failure::world(format!("the program was built with data that does not fit: {what}"))
}
