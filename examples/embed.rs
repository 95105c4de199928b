//! A host application with a node inside: it counts the visits of pages and says which page is popular.
//!
//! ```text
//! cargo run --example embed
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use anabranch::{Error, Event, Flow, Node};
use serde::{Deserialize, Serialize};

/// What the node runs. In an application of your own it is a file: `Flow::read("visits.flow")`.
const VISITS: &str = "
flow visits revision 1

input  Visits: { page: text, visitor: text }
input  GetPage: { page: text }
output Page: { page: text, visits: int }
output Popular: { page: text, last_visitor: text }

table Pages: { page: text, visits: int } { key page }

on Visits as v {
  require v.page <> '' else invalid 'a visit names its page'
  upsert Pages { page: v.page, visits += 1 }
  read   Pages where page = v.page as p or null
  if p.visits = 3 {
    emit Popular { page: v.page, last_visitor: v.visitor }
  }
}

on GetPage as g {
  read  Pages where page = g.page as p or null
  reply Page { page: g.page, visits: coalesce(p.visits, 0) }
}
";

// Rows are structs: a field for each column.

#[derive(Serialize)]
struct Visit<'a> {
    page: &'a str,
    visitor: &'a str,
}

#[derive(Serialize)]
struct GetPage<'a> {
    page: &'a str,
}

#[derive(Debug, Deserialize)]
struct Page {
    page: String,
    visits: u64,
}

fn main() -> Result<(), Error> {
    // Two workers share the pages between them: each owns half of the partitions.
    let node = Node::builder("A").workers(2).flow(Flow::parse("visits.flow", VISITS)?).start()?;
    let mut popular = node.subscribe("Popular")?;
    let mut client = node.client();

    // Send rows. What becomes of them comes back: one of these is refused, the others count.
    let visits = [
        Visit { page: "home", visitor: "ada" },
        Visit { page: "about", visitor: "ada" },
        Visit { page: "", visitor: "nobody" },
        Visit { page: "home", visitor: "bob" },
        Visit { page: "home", visitor: "carl" },
    ];
    let answer = client.send("Visits", &visits)?;
    println!("accepted {}", answer.accepted);
    for refused in &answer.refused {
        println!("row {} was refused, {refused}", refused.request_row);
    }

    // Ask. The same client sees everything that it has sent before.
    for reply in client.ask("GetPage", &GetPage { page: "home" })? {
        let Page { page, visits } = reply.row.to()?;
        println!("{page} has {visits} visits");
    }

    // Subscribers get what rules emit. (`next` waits for it; `try_next` and `next_within` do not.)
    if let Some(Event::Row(row)) = popular.next() {
        println!("popular: {row}");
    }

    // Read a table: the row of a key, or all rows in key order.
    println!("the row of about: {:?}", client.get("Pages", ["about"])?.map(|row| row.to_string()));
    for row in client.scan("Pages")? {
        let Page { page, visits } = row?.to()?;
        println!("{visits:>3}  {page}");
    }

    node.stop()
}
