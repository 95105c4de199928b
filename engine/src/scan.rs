//! All rows of a table in key order.

use std::collections::VecDeque;
use std::sync::Arc;

use anabranch_model::message::{Answer, Body};
use anabranch_model::plan::TableId;
use anabranch_model::types::Shape;

use crate::catalog::Named;
use crate::client::Client;
use crate::error::Error;
use crate::link::Link;
use crate::rows::Row;

/// Rows of a page: enough to share the cost of a request, few enough to keep memory and pauses small.
const PAGE_ROWS: u32 = 1024;

/// The rows of a table in key order, each page in the shape of the revision that gave it. Rows that are there from the first page to the last come exactly once.
#[derive(Debug)]
pub struct Scan<'c, L: Link> {
    client: &'c mut Client<L>,
    table: Named<TableId>,
    page: VecDeque<(Vec<u8>, Vec<u8>)>,
    after: Option<Vec<u8>>,
    ended: bool,
}

impl<'c, L: Link> Scan<'c, L> {
    pub(crate) fn new(client: &'c mut Client<L>, table: Named<TableId>) -> Self {
        Scan { client, table, page: VecDeque::new(), after: None, ended: false }
    }

    /// The columns of the last row, or of the first before there is one.
    pub fn shape(&self) -> &Arc<Shape> {
        &self.table.table().shape
    }

    fn turn_page(&mut self) -> Result<(), Error> {
        let (after, reads) = (self.after.take(), self.client.reading());
        let body = Body::Page { table: self.table.id, after, limit: PAGE_ROWS, reads };
        let ticket = self.client.request(self.table.flow, &self.table.plan, body, 0)?;
        let (plan, answer) = self.client.collect(ticket)?;
        self.table = self.table.revised(&plan)?;
        let Answer::Page(page) = answer else {
            unreachable!("a page is answered with a page, not {answer:?}")
        };
        self.ended = !page.more;
        self.after = page.rows.last().map(|(key, _)| key.clone());
        self.page = page.rows.into();
        Ok(())
    }
}

impl<L: Link> Iterator for Scan<'_, L> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Result<Row, Error>> {
        if self.page.is_empty()
            && !self.ended
            && let Err(error) = self.turn_page()
        {
            self.ended = true;
            return Some(Err(error));
        }
        let (_, row) = self.page.pop_front()?;
        Some(Ok(Row::new(self.shape().clone(), row.into())))
    }
}
