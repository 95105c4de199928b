//! The HTTP interface of flows as an OpenAPI 3.1 document, made from their plans.
//!
//! Every flow has its paths below `/flows/{flow}`, with the names of its streams and tables written out, so that a
//! generator of clients gives each a method of its own. Names of schemas and operations are those of the typed
//! messages ([`crate::typed`]) behind the name of the flow: `names.UpdateStream`. How values are written is told by
//! [`schema`], and is what [`anabranch_model::json`] writes and reads.

pub mod schema;

use anabranch_model::plan::{Plan, Stream, Table};
use serde_json::{Map, Value, json};

use crate::typed::describe::{key_shape, replies};
use crate::typed::name::{TypeNames, field};

/// The document of a node with these flows.
pub fn openapi(plans: &[&Plan]) -> Value {
    let mut document = Document { paths: node_paths(), schemas: shared_schemas() };
    for plan in plans {
        Flow::of(plan).describe(&mut document);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": match plans {
                [only] => format!("Flow {}", only.name),
                _ => "Anabranch".to_owned(),
            },
            "version": match plans {
                [only] => only.revision.to_string(),
                _ => env!("CARGO_PKG_VERSION").to_owned(),
            },
            "description": "Rows are JSON objects. Decimals, times, durations and bytes are strings.",
        },
        "paths": document.paths,
        "components": { "schemas": document.schemas },
    })
}

/// The document as it grows.
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// A flow with its names.
struct Flow<'p> {
    plan: &'p Plan,
    /// What names of schemas and operations begin with.
    prefix: String,
    names: TypeNames,
}

impl<'p> Flow<'p> {
    fn of(plan: &'p Plan) -> Self {
        Flow { plan, prefix: field(&plan.name, "flow"), names: TypeNames::of(plan) }
    }

    fn describe(&self, document: &mut Document) {
        for (at, input) in self.plan.inputs.iter().enumerate() {
            let schema = schema::of_input(&input.shape);
            document.schemas.insert(self.name(&self.names.inputs[at]), schema);
            document.schemas.insert(self.name(&self.names.replies[at]), self.reply(at));
            document.paths.insert(self.path("streams", &input.name), json!({ "post": self.send(at, input) }));
            document.paths.insert(self.path("ask", &input.name), json!({ "post": self.ask(at, input) }));
        }
        for (at, output) in self.plan.outputs.iter().enumerate() {
            document.schemas.insert(self.name(&self.names.outputs[at]), schema::of_row(&output.shape));
            let watch = self.watch(&output.name, &format!("Watch{}", self.names.outputs[at]));
            document.paths.insert(self.path("streams", &output.name), json!({ "get": watch }));
        }
        for (at, table) in self.plan.tables.iter().enumerate() {
            document.schemas.insert(self.name(&self.names.rows[at]), schema::of_row(&table.shape));
            let path = self.path("tables", &table.name);
            document.paths.insert(path.clone(), json!({ "get": self.list(at, table) }));
            let (parts, get) = self.get(at, table);
            document.paths.insert(format!("{path}/{parts}"), json!({ "get": get }));
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn path(&self, kind: &str, name: &str) -> String {
        format!("/flows/{}/{kind}/{}", segment(&self.plan.name), segment(name))
    }

    fn reference(&self, name: &str) -> Value {
        reference(&self.name(name))
    }

    /// What is the same in every operation of the flow.
    fn operation(&self, id: &str, summary: String, mut rest: Value) -> Value {
        rest["operationId"] = self.name(id).into();
        rest["summary"] = summary.into();
        rest["tags"] = json!([self.plan.name]);
        rest["responses"]["default"] = problem("Nothing was done, or not all of it; `code` says why.");
        rest
    }

    fn send(&self, at: usize, input: &Stream) -> Value {
        let row = self.reference(&self.names.inputs[at]);
        let rest = json!({
            "requestBody": {
                "required": true,
                "content": {
                    "application/json": { "schema": row },
                    "application/x-ndjson": { "schema": { "type": "string", "description": "A row a line." } },
                },
            },
            "responses": { "200": content("What became of the rows.", "application/json", reference("Sent")) },
        });
        let summary = format!("Sends rows to `{}`, in order", input.name);
        self.operation(&format!("Send{}", self.names.inputs[at]), summary, rest)
    }

    fn ask(&self, at: usize, input: &Stream) -> Value {
        let reply = self.reference(&self.names.replies[at]);
        let rest = json!({
            "requestBody": {
                "required": true,
                "content": { "application/json": { "schema": self.reference(&self.names.inputs[at]) } },
            },
            "responses": {
                "200": content("The row took effect; what rules replied to it.", "application/json", reply),
                "400": problem("It is no row of the stream, or a rule refused it as `invalid`."),
                "403": problem("A rule refused it as `denied`."),
                "404": problem("A rule refused it as `not_found`."),
                "409": problem("A rule refused it as `conflict`."),
                "503": problem("It was refused as `unavailable`; repeat it later."),
            },
        });
        let summary = format!("Sends one row to `{}` and gives the replies", input.name);
        self.operation(&format!("Ask{}", self.names.inputs[at]), summary, rest)
    }

    /// The replies of an input: each with the name of its stream.
    fn reply(&self, at: usize) -> Value {
        let replied = self.plan.steps.get(at).map(replies).unwrap_or_default();
        let choice = |output: &anabranch_model::plan::OutputId| {
            let at = usize::from(output.0);
            json!({
                "type": "object",
                "required": ["stream", "row"],
                "properties": {
                    "stream": { "const": self.plan.outputs[at].name },
                    "row": self.reference(&self.names.outputs[at]),
                },
            })
        };
        let choices: Vec<Value> = replied.iter().map(choice).collect();
        let replies = match choices.is_empty() {
            true => json!({ "type": "array", "maxItems": 0 }),
            false => json!({ "type": "array", "items": { "oneOf": choices } }),
        };
        json!({ "type": "object", "required": ["replies"], "properties": { "replies": replies } })
    }

    fn watch(&self, name: &str, id: &str) -> Value {
        let last = json!({
            "name": "Last-Event-ID",
            "in": "header",
            "description": "The id of the last event that the caller has, to go on behind it.",
            "schema": { "type": "string" },
        });
        let events = json!({ "type": "string", "description": "Server-sent events; the data of each is a row as JSON." });
        let rest = json!({
            "parameters": [last],
            "responses": { "200": content("Rows from now on; does not end by itself.", "text/event-stream", events) },
        });
        self.operation(id, format!("The rows of `{name}` as they come"), rest)
    }

    fn list(&self, at: usize, table: &Table) -> Value {
        let row = self.reference(&self.names.rows[at]);
        let limit = json!({
            "name": "limit",
            "in": "query",
            "description": "Rows, at most.",
            "schema": { "type": "integer", "minimum": 0 },
        });
        let after = json!({
            "name": "after",
            "in": "query",
            "description": "The key behind which to begin, a value for each of its columns.",
            "schema": { "type": "array", "items": { "type": "string" } },
        });
        let lines = json!({ "type": "string", "description": "A row a line.", "contentSchema": row });
        let rest = json!({
            "parameters": [limit, after, reads()],
            "responses": { "200": content("The rows.", "application/x-ndjson", lines) },
        });
        let summary = format!("The rows of `{}` in the order of their keys", table.name);
        self.operation(&format!("Scan{}", self.names.rows[at]), summary, rest)
    }

    /// The rest of the path of a row, and what is there.
    fn get(&self, at: usize, table: &Table) -> (String, Value) {
        let key = key_shape(&table.shape, &table.key);
        let names: Vec<String> = (1..)
            .zip(key.columns())
            .map(|(number, column)| field(&column.name, &format!("key_{number}")))
            .collect();
        let unique = |at: usize| match names[..at].contains(&names[at]) {
            true => format!("{}_{}", names[at], at + 1),
            false => names[at].clone(),
        };
        let parameter = |(at, column): (usize, &anabranch_model::types::Column)| {
            let schema = schema::of_key(column);
            json!({ "name": unique(at), "in": "path", "required": true, "schema": schema })
        };
        let parameters = key.columns().iter().enumerate().map(parameter);
        let parameters: Vec<Value> = parameters.chain([reads()]).collect();
        let parts: Vec<String> = (0..names.len()).map(|at| format!("{{{}}}", unique(at))).collect();
        let rest = json!({
            "parameters": parameters,
            "responses": {
                "200": content("The row.", "application/json", self.reference(&self.names.rows[at])),
                "404": problem("There is no row with this key."),
            },
        });
        let summary = format!("The row of `{}` with this key", table.name);
        (parts.join("/"), self.operation(&format!("Get{}", self.names.rows[at]), summary, rest))
    }
}

/// The paths that every node has.
fn node_paths() -> Map<String, Value> {
    let get = |id: &str, summary: &str, kind: &str| {
        let schema = if kind == "application/json" { json!({}) } else { json!({ "type": "string" }) };
        let ok = content(summary, kind, schema);
        json!({ "get": { "operationId": id, "summary": summary, "tags": ["node"], "responses": { "200": ok } } })
    };
    [
        ("/flows", get("listFlows", "The flows of the node", "application/json")),
        ("/flows/{flow}", flow_paths()),
        ("/query", json!({ "post": query() })),
        ("/status", get("status", "Counts and sizes", "application/json")),
        ("/zone", get("zone", "The zone of the node: its nodes and partitions", "application/json")),
        ("/ready", get("ready", "Whether the node takes requests", "application/json")),
        ("/live", get("live", "Whether the node lives", "text/plain")),
        ("/metrics", get("metrics", "Counts and sizes for Prometheus", "text/plain")),
    ]
    .map(|(path, item)| (path.to_owned(), item))
    .into_iter()
    .collect()
}

/// What may be done with a flow as a whole.
fn flow_paths() -> Value {
    let name = json!({ "name": "flow", "in": "path", "required": true, "schema": { "type": "string" } });
    let operation = |id: &str, summary: &str, responses: Value| {
        let mut operation = json!({
            "operationId": id, "summary": summary, "tags": ["node"], "parameters": [name], "responses": responses,
        });
        operation["responses"]["default"] = problem("Nothing was done; `code` says why.");
        operation
    };
    let file = json!({ "type": "string", "description": "A flow file." });
    let deployed = |what: &str| content(what, "application/json", reference("Deployed"));
    let mut put = operation(
        "putFlow",
        "Installs a flow, or puts a newer revision in the place of the one that runs",
        json!({
            "200": deployed("It replaced an older revision, or runs already."),
            "201": deployed("It was not there before."),
            "409": problem("It may not follow the revision that runs; `changes` says why."),
            "422": problem("It does not compile; `diagnostics` says why."),
        }),
    );
    put["requestBody"] = json!({ "required": true, "content": { "text/plain": { "schema": file } } });
    let dropped = json!({ "type": "object", "properties": { "dropped": { "type": "string" } } });
    json!({
        "get": operation("getFlow", "The file of a flow", json!({ "200": content("The file.", "text/plain", file) })),
        "put": put,
        "delete": operation(
            "dropFlow",
            "Drops a flow with its rows",
            json!({ "200": content("It is gone.", "application/json", dropped) }),
        ),
    })
}

/// A question over one table.
fn query() -> Value {
    let question =
        json!({ "type": "string", "description": "A question in SQL's words: `select ... from ...`." });
    let lines = json!({ "type": "string", "description": "A result a line." });
    json!({
        "operationId": "query",
        "summary": "Answers a question over one table",
        "tags": ["node"],
        "requestBody": { "required": true, "content": { "text/plain": { "schema": question } } },
        "responses": {
            "200": content("The results.", "application/x-ndjson", lines),
            "default": problem("What is wrong with the question; `diagnostics` has all of it."),
        },
    })
}

/// The schemas that every flow has.
fn shared_schemas() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let count = json!({ "type": "integer", "minimum": 0 });
    let place = json!({
        "type": ["object", "null"],
        "description": "Where in the flow file a rule refused the row.",
        "properties": { "file": text, "line": count, "column": count },
    });
    let code = json!({
        "type": "string",
        "description": "What a program may act on; of a refused row `invalid`, `not_found`, `conflict`, `denied` or \
                        `unavailable`.",
    });
    let problem = json!({
        "type": "object",
        "required": ["code", "message", "help"],
        "properties": { "code": code, "message": text, "help": text, "place": place },
    });
    let refused = json!({
        "type": "object",
        "required": ["row", "code", "message"],
        "properties": { "row": count, "code": code, "message": text, "place": place },
    });
    let sent = json!({
        "type": "object",
        "required": ["accepted", "refused"],
        "properties": {
            "accepted": count,
            "refused": { "type": "array", "items": reference("Refused") },
            "refused_not_told": count,
        },
    });
    let texts = json!({ "type": "array", "items": text });
    let deployed = json!({
        "type": "object",
        "required": ["flow", "revision", "changes", "warnings", "breaks"],
        "properties": {
            "flow": text,
            "revision": { "type": "integer" },
            "changes": { "type": "array", "items": { "type": "object" } },
            "warnings": { "type": "array", "items": { "type": "object" } },
            "breaks": texts,
        },
    });
    [("Problem", problem), ("Refused", refused), ("Sent", sent), ("Deployed", deployed)]
        .map(|(name, schema)| (name.to_owned(), schema))
        .into_iter()
        .collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn content(description: &str, kind: &str, schema: Value) -> Value {
    json!({ "description": description, "content": { (kind): { "schema": schema } } })
}

fn problem(description: &str) -> Value {
    content(description, "application/json", reference("Problem"))
}

/// A name as a part of a path.
fn segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Whether a read waits.
fn reads() -> Value {
    json!({
        "name": "read",
        "in": "query",
        "description": "`stale`: it does not wait until what it shows is safe on the node's disk.",
        "schema": { "type": "string", "enum": ["safe", "stale"] },
    })
}
