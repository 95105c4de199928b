//! Rows for an input stream, on their way into a request.

use std::sync::Arc;

use anabranch_model::batch::{Batch, MAX_BATCH_BYTES, SchemaId};
use anabranch_model::message::FlowId;
use anabranch_model::plan::{InputId, Plan};
use serde::Serialize;

use crate::error::Error;
use crate::rows;

/// Rows for an input stream, packed: see [`crate::Client::batch`].
#[derive(Clone, Debug)]
pub struct InputBatch {
    pub(crate) flow: FlowId,
    pub(crate) plan: Arc<Plan>,
    input: InputId,
    rows: Batch,
    /// Whether somebody else than `push` may have written rows.
    by_hand: bool,
}

impl InputBatch {
    pub(crate) fn new(flow: FlowId, plan: Arc<Plan>, input: InputId) -> Self {
        InputBatch { flow, plan, input, rows: Batch::new(SchemaId(u32::from(input.0))), by_hand: false }
    }

    /// Appends a row. One that does not fit leaves the batch as it was.
    ///
    /// # Errors
    /// [`Error::Row`] says which column is wrong and what it takes.
    pub fn push(&mut self, row: &impl Serialize) -> Result<(), Error> {
        let shape = self.plan.inputs[self.input.0 as usize].shape.clone();
        Ok(rows::push(&mut self.rows, &shape, row)?)
    }

    /// The columns that rows of the stream have.
    pub fn shape(&self) -> &Arc<anabranch_model::types::Shape> {
        &self.plan.inputs[self.input.0 as usize].shape
    }

    /// The packed rows, to fill by hand; they are checked when they are sent.
    pub fn packed(&mut self) -> &mut Batch {
        self.by_hand = true;
        &mut self.rows
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What is sent.
    ///
    /// # Errors
    /// [`Error::Packed`], [`Error::TooLarge`].
    pub(crate) fn finish(self) -> Result<(FlowId, Arc<Plan>, InputId, Batch), Error> {
        if self.by_hand {
            self.rows.check(self.shape()).map_err(Error::Packed)?;
        }
        let bytes = self.rows.bytes().len();
        match bytes > MAX_BATCH_BYTES {
            true => Err(Error::TooLarge { bytes }),
            false => Ok((self.flow, self.plan, self.input, self.rows)),
        }
    }
}
