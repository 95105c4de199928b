//! Rows for an input stream, on their way into a request.

use std::sync::Arc;

use anabranch_model::batch::{Batch, MAX_BATCH_BYTES, SchemaId};
use anabranch_model::message::FlowId;
use anabranch_model::plan::{InputId, Plan};
use serde::Serialize;

use crate::error::Error;
use crate::idempotency_key::IdempotencyKey;
use crate::os;
use crate::rows;

/// A batch that can be sent.
pub(crate) struct Packed {
    pub(crate) flow: FlowId,
    pub(crate) plan: Arc<Plan>,
    pub(crate) input: InputId,
    pub(crate) rows: Batch,
    pub(crate) key: Option<IdempotencyKey>,
}

/// Rows for an input stream, packed: see [`crate::Client::batch`].
#[derive(Clone, Debug)]
pub struct InputBatch {
    pub(crate) flow: FlowId,
    pub(crate) plan: Arc<Plan>,
    input: InputId,
    rows: Batch,
    /// Whether somebody else than `push` may have written rows.
    by_hand: bool,
    key: Option<IdempotencyKey>,
}

impl InputBatch {
    pub(crate) fn new(flow: FlowId, plan: Arc<Plan>, input: InputId) -> Self {
        let rows = Batch::new(SchemaId(u32::from(input.0)));
        InputBatch { flow, plan, input, rows, by_hand: false, key: None }
    }

    /// Appends a row. One that does not fit leaves the batch as it was.
    ///
    /// # Errors
    /// [`Error::Row`] says which column is wrong and what it takes.
    pub fn push(&mut self, row: &impl Serialize) -> Result<(), Error> {
        let shape = self.plan.inputs[self.input.0 as usize].shape.clone();
        Ok(rows::push(&mut self.rows, &shape, row)?)
    }

    /// The batch takes effect once, however often it is sent with this key and the same rows: a repeat gets the first
    /// answer. The key is a UUID of version 7, or the milliseconds since 1970 UTC at which it was made, `-` and a text of
    /// one's own; where a node has forgotten the request, its rows are refused with code `unknown`, and nothing is done.
    ///
    /// A client over the network needs no key to repeat what is under way when its connection is lost: it does so by
    /// itself. A key is for who must be able to repeat a request after the client is gone.
    ///
    /// ```
    /// # let flow = anabranch::Flow::parse("seen.flow", "flow seen revision 1
    /// #    input See: { name: text }
    /// #    table Names: { name: text, times: int } { key name }
    /// #    on See as s { upsert Names { name: s.name, times += 1 } }")?;
    /// # let node = anabranch::Node::builder("A").flow(flow).start()?;
    /// # let now = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_millis();
    /// let key = format!("{now}-order-17");
    /// for _ in 0..3 {
    ///     let mut client = node.client();
    ///     let mut batch = client.batch("See")?.once(&key)?;
    ///     batch.push(&serde_json::json!({ "name": "a" }))?;
    ///     let ticket = client.submit(batch)?;
    ///     assert_eq!(client.wait(ticket)?.accepted, 1);
    /// }
    /// let row = node.client().get("Names", ["a"])?.expect("it was seen");
    /// assert_eq!(row.to_string(), r#"{"name":"a","times":1}"#);
    /// # Ok::<(), anabranch::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::IdempotencyKey`].
    pub fn once(mut self, key: &str) -> Result<Self, Error> {
        self.key = Some(IdempotencyKey::parse(key, os::now_micros())?);
        Ok(self)
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
    pub(crate) fn finish(self) -> Result<Packed, Error> {
        if self.by_hand {
            self.rows.check(self.shape()).map_err(Error::Packed)?;
        }
        let bytes = self.rows.bytes().len();
        match bytes > MAX_BATCH_BYTES {
            true => Err(Error::TooLarge { bytes }),
            false => {
                let InputBatch { flow, plan, input, rows, key, .. } = self;
                Ok(Packed { flow, plan, input, rows, key })
            }
        }
    }
}
