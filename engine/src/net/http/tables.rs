//! Rows of a table: one by its key, or all in key order.

use anabranch_model::message::{Answer, Body, Page, Reads};
use anabranch_model::plan::TableId;
use anabranch_model::value::Value;
use axum::extract::RawQuery;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::App;
use super::feed::{Feed, feed};
use super::problem::Problem;
use super::query::Query;
use super::target::{Installed, Target};
use crate::catalog::Named;
use crate::error::Error;
use crate::key::Key;
use crate::net::access::Operation;
use crate::net::gate::Gate;
use crate::rows;

/// What an answer says of itself that did not wait for what it shows to be safe.
const READ: HeaderName = HeaderName::from_static("anabranch-read");

/// Rows of a page: enough to share the cost of a request, few enough to keep memory small.
const PAGE_ROWS: u64 = 1024;

/// `GET /flows/{flow}/tables/{table}/{key...}?read=stale`.
pub(super) async fn row(app: App, target: Target, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    app.gate.caller().check(Operation::Read, &flow.plan.name)?;
    let id = flow.table(&target.name)?;
    let table = &flow.plan.tables[id.0 as usize];
    let key = Key::of(table, target.key.iter().map(|part| Value::from(part.as_str())))?;
    let reads = Query::parse(query.as_deref(), &["read"])?.reads()?;
    let body = Body::Get { table: id, partition: key.partition, key: key.bytes, reads };
    let (plan, answer) = app.gate.call(flow.id, &flow.plan, body).await?;
    let Answer::Row(found) = answer else { unreachable!("a key is answered with its row") };
    let Some(bytes) = found else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("table `{}` has no row with the key `{}`", table.name, target.key.join("`, `")),
            "the table is there, the row is not",
        ));
    };
    let mut text = String::with_capacity(2 * bytes.len());
    let named = Named { flow: flow.id, plan: flow.plan.clone(), id }.revised(&plan)?;
    rows::write_json(&named.table().shape, &bytes, &mut text);
    text.push('\n');
    Ok(told(super::json(StatusCode::OK, text), reads))
}

/// An answer that says where it did not wait for what it shows to be safe.
pub(super) fn told(mut response: Response, reads: Reads) -> Response {
    if reads == Reads::Stale {
        response.headers_mut().insert(READ, HeaderValue::from_static("stale"));
    }
    response
}

/// `GET /flows/{flow}/tables/{table}?limit=n&after=key&read=stale`.
pub(super) async fn list(app: App, target: Target, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let flow = target.flow(&app.gate)?;
    app.gate.caller().check(Operation::Read, &flow.plan.name)?;
    let table = flow.table(&target.name)?;
    let query = Query::parse(query.as_deref(), &["limit", "after", "read"])?;
    let reads = query.reads()?;
    let left = query.number("limit")?.unwrap_or(u64::MAX);
    let after = match query.all("after") {
        parts if parts.is_empty() => None,
        parts => {
            let values = parts.into_iter().map(Value::from);
            Some(Key::of(&flow.plan.tables[table.0 as usize], values)?.bytes)
        }
    };
    let mut scan = Scan { gate: app.gate, flow, table, after, left, reads };
    // What is wrong from the beginning still gets a status of its own.
    let first = scan.page().await?;
    let (feed, body) = feed();
    tokio::spawn(scan.run(first, feed));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    Ok(told(([(header::CONTENT_TYPE, ndjson)], body).into_response(), reads))
}

/// A table that is read page by page.
pub(super) struct Scan {
    pub(super) gate: Gate,
    pub(super) flow: Installed,
    pub(super) table: TableId,
    pub(super) after: Option<Vec<u8>>,
    /// Rows that are still wanted.
    pub(super) left: u64,
    pub(super) reads: Reads,
}

impl Scan {
    /// Writes rows until there are no more, or the client is gone.
    async fn run(mut self, first: Page, mut feed: Feed) {
        let mut page = first;
        loop {
            let text = self.text(&page);
            if !text.is_empty() && !feed.send(text).await {
                return;
            }
            if !page.more || self.left == 0 {
                return;
            }
            match self.page().await {
                Ok(next) => page = next,
                // The status is sent: a body that breaks off says that it is not whole.
                Err(_) => return feed.fail().await,
            }
        }
    }

    /// The next page.
    pub(super) async fn page(&mut self) -> Result<Page, Error> {
        let limit = self.left.min(PAGE_ROWS);
        if limit == 0 {
            return Ok(Page::default());
        }
        let (after, reads) = (self.after.take(), self.reads);
        let body = Body::Page { table: self.table, after, limit: limit as u32, reads };
        let (plan, answer) = self.gate.call(self.flow.id, &self.flow.plan, body).await?;
        let Answer::Page(mut page) = answer else { unreachable!("a page is answered with a page") };
        let table =
            Named { flow: self.flow.id, plan: self.flow.plan.clone(), id: self.table }.revised(&plan)?;
        (self.flow.plan, self.table) = (table.plan, table.id);
        // Every worker gave so many.
        if page.rows.len() as u64 > limit {
            page.rows.truncate(limit as usize);
            page.more = true;
        }
        self.left -= page.rows.len() as u64;
        self.after = page.rows.last().map(|(key, _)| key.clone());
        page.more &= self.after.is_some();
        Ok(page)
    }

    /// The rows of a page, a line each.
    fn text(&self, page: &Page) -> Bytes {
        let shape = &self.flow.plan.tables[self.table.0 as usize].shape;
        let mut text = String::new();
        for (_, bytes) in &page.rows {
            rows::write_json(shape, bytes, &mut text);
            text.push('\n');
        }
        text.into()
    }
}
