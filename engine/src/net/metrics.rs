//! What `GET /metrics` says: every metric with its name, its labels and what it means.
//!
//! Labels take their values from what is declared (flows, streams, tables, routes, codes) and never from what a client
//! sends, so that a node has a bounded number of them. `engine/METRICS.md` is the list for people; a test keeps it true.

mod journal;
mod zone;

use std::collections::BTreeMap;

use anabranch_operators::BATCH_SIZES;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::connection::Speaks;
use super::exposition::{Distribution, Exposition, Kind, Metric};
use super::gate::Gate;
use super::traffic::{Requests, Traffic, times};
use crate::os::process::{Process, process};
use crate::status::{ChannelStatus, FlowStatus, InputStatus, NodeStatus, OperatorStatus, RuleStatus};

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

const BUILD: Metric = gauge(
    "anabranch_build_info",
    &["version", "node"],
    "Always 1; the version of the engine and the node's name.",
);
const WORKERS: Metric = gauge("anabranch_workers", &[], "Workers of the node.");
const REVISION: Metric = gauge("anabranch_flow_revision", &["flow"], "The revision of the flow that runs.");
const ROWS_IN: Metric = counter(
    "anabranch_stream_rows_in_total",
    &["flow", "stream"],
    "Rows that an input stream took, refused ones included.",
);
const ROWS_REFUSED: Metric = counter(
    "anabranch_stream_rows_refused_total",
    &["flow", "stream", "code"],
    "Rows of an input stream that were refused.",
);
const ROWS_OUT: Metric = counter(
    "anabranch_stream_rows_out_total",
    &["flow", "stream"],
    "Rows that rules replied and emitted to an output stream.",
);
const REQUEST_SECONDS: Metric = histogram(
    "anabranch_request_seconds",
    &["flow", "kind", "of"],
    "Seconds from where a request entered a worker to where its answer left it; `kind` is `rows` sent to the input `of`, \
     `get` of a key or `page` of rows of the table `of`.",
);
const BATCH_ROWS: Metric = histogram(
    "anabranch_batch_rows",
    &["flow", "stream"],
    "Rows of the batches of an input stream, on each worker.",
);
const STEP_SECONDS: Metric = counter(
    "anabranch_step_seconds_total",
    &["flow", "stream"],
    "Seconds that the rules of an input stream ran, on all workers together.",
);
const RULE_ROWS: Metric = counter(
    "anabranch_rule_rows_total",
    &["flow", "stream", "line"],
    "Rows for which the actions of a rule ran; `line` is where the rule stands in the flow file.",
);
const RULE_SECONDS: Metric = counter(
    "anabranch_rule_seconds_total",
    &["flow", "stream", "line"],
    "Seconds that a rule ran, on all workers together; with `--profile` only.",
);
const OPERATOR_SECONDS: Metric = counter(
    "anabranch_operator_seconds_total",
    &["flow", "operator"],
    "Seconds that an operator of a flow ran, on all workers together; with `--profile` only.",
);
const OPERATOR_ACTIVATIONS: Metric = counter(
    "anabranch_operator_activations_total",
    &["flow", "operator"],
    "How often an operator of a flow was run; with `--profile` only.",
);
const CHANNEL_MESSAGES: Metric = counter(
    "anabranch_channel_messages_total",
    &["flow", "from", "to"],
    "Messages between two operators of a flow; with `--profile` only.",
);
const CHANNEL_RECORDS: Metric = counter(
    "anabranch_channel_records_total",
    &["flow", "from", "to"],
    "Requests, tasks or answers in these messages; with `--profile` only.",
);
const TABLE_ROWS: Metric = gauge("anabranch_table_rows", &["flow", "table"], "Rows of a table.");
const TABLE_ROW_BYTES: Metric =
    gauge("anabranch_table_row_bytes", &["flow", "table"], "Bytes of the keys and packed rows of a table.");
const TABLE_MEMORY: Metric = gauge(
    "anabranch_table_memory_bytes",
    &["flow", "table"],
    "Bytes of memory held for the rows of a table.",
);
const TABLE_DEGRADED: Metric = gauge(
    "anabranch_table_degraded",
    &["flow", "table"],
    "1 where the node cannot give what the policy of a table owes its rows, else 0.",
);
const COMMANDS_WAITING: Metric =
    gauge("anabranch_worker_commands_waiting", &["worker"], "Commands that wait for a worker.");
const UNANSWERED_BYTES: Metric =
    gauge("anabranch_unanswered_bytes", &[], "Bytes of requests of all clients without an answer.");
const SUBSCRIBERS: Metric = gauge(
    "anabranch_subscribers",
    &["flow", "stream"],
    "Subscriptions to a stream; `errors` are refused rows.",
);
const SUBSCRIPTION_WAITING: Metric = gauge(
    "anabranch_subscription_rows_waiting",
    &["flow", "stream"],
    "Rows that wait for the subscribers of a stream.",
);
const SUBSCRIPTION_MISSED: Metric = counter(
    "anabranch_subscription_rows_missed_total",
    &["flow", "stream"],
    "Rows that subscribers of a stream missed, because they were too slow.",
);
const CONNECTIONS: Metric = gauge("anabranch_connections", &["protocol"], "Open connections.");
const CONNECTIONS_TOTAL: Metric =
    counter("anabranch_connections_total", &["protocol"], "Connections that were accepted.");
const CONNECTIONS_REFUSED: Metric = counter(
    "anabranch_connections_refused_total",
    &["protocol"],
    "Connections that were refused, because their address had as many as it may have.",
);
const SESSIONS: Metric = gauge("anabranch_sessions", &[], "Open sessions of Rust clients.");
const SESSIONS_TOTAL: Metric =
    counter("anabranch_sessions_total", &[], "Sessions of Rust clients that were opened.");
const HTTP_REQUESTS: Metric = counter(
    "anabranch_http_requests_total",
    &["route", "method", "status"],
    "HTTP requests, by the pattern of their route; `other` is no route.",
);
const HTTP_SECONDS: Metric = histogram(
    "anabranch_http_request_seconds",
    &["route"],
    "Seconds from the head of an HTTP request to the head of its answer.",
);
const GRPC_REQUESTS: Metric = counter(
    "anabranch_grpc_requests_total",
    &["method", "code"],
    "gRPC calls, by method and the status with which their answers began; `other` is no method.",
);
const GRPC_SECONDS: Metric = histogram(
    "anabranch_grpc_request_seconds",
    &["method"],
    "Seconds from the head of a gRPC call to the head of its answer.",
);
const CPU: Metric = counter(
    "process_cpu_seconds_total",
    &[],
    "Seconds of processors that the process used, in user and kernel mode.",
);
const RESIDENT: Metric =
    gauge("process_resident_memory_bytes", &[], "Bytes of memory that the process has in use.");
const VIRTUAL: Metric = gauge("process_virtual_memory_bytes", &[], "Bytes of address space of the process.");
const OPEN_FILES: Metric = gauge("process_open_fds", &[], "Files and sockets that the process has open.");
const OPEN_FILES_LIMIT: Metric = gauge("process_max_fds", &[], "Files and sockets that it may have open.");
const THREADS: Metric = gauge("process_threads", &[], "Threads of the process.");
const START: Metric =
    gauge("process_start_time_seconds", &[], "When the process started, in seconds since 1970 UTC.");

/// All metrics, in the order in which they are written.
#[cfg(test)]
const ALL: &[&Metric] = &[
    &BUILD,
    &WORKERS,
    &REVISION,
    &ROWS_IN,
    &ROWS_REFUSED,
    &ROWS_OUT,
    &REQUEST_SECONDS,
    &BATCH_ROWS,
    &STEP_SECONDS,
    &RULE_ROWS,
    &RULE_SECONDS,
    &OPERATOR_SECONDS,
    &OPERATOR_ACTIVATIONS,
    &CHANNEL_MESSAGES,
    &CHANNEL_RECORDS,
    &TABLE_ROWS,
    &TABLE_ROW_BYTES,
    &TABLE_MEMORY,
    &TABLE_DEGRADED,
    &journal::STATE,
    &journal::RECORDS,
    &journal::BYTES,
    &journal::WAITING,
    &journal::SEGMENTS,
    &journal::SNAPSHOTS,
    &journal::SYNC_SECONDS,
    &zone::SERVES,
    &zone::QUORUM,
    &zone::NODES_UP,
    &zone::OWNED,
    &zone::UNAVAILABLE,
    &zone::LACKING,
    &zone::TAKEOVERS,
    &zone::MOVES,
    &COMMANDS_WAITING,
    &UNANSWERED_BYTES,
    &SUBSCRIBERS,
    &SUBSCRIPTION_WAITING,
    &SUBSCRIPTION_MISSED,
    &CONNECTIONS,
    &CONNECTIONS_TOTAL,
    &CONNECTIONS_REFUSED,
    &SESSIONS,
    &SESSIONS_TOTAL,
    &HTTP_REQUESTS,
    &HTTP_SECONDS,
    &GRPC_REQUESTS,
    &GRPC_SECONDS,
    &CPU,
    &RESIDENT,
    &VIRTUAL,
    &OPEN_FILES,
    &OPEN_FILES_LIMIT,
    &THREADS,
    &START,
];

/// What is known when a node is asked for its metrics.
struct Known<'a> {
    status: &'a NodeStatus,
    waiting: Vec<usize>,
    unanswered_bytes: usize,
    traffic: &'a Traffic,
    process: Option<Process>,
}

/// Answers `GET /metrics`.
pub(crate) async fn answer(gate: Gate) -> Response {
    // The workers are asked, and files are read: that takes a thread for a moment.
    match tokio::task::spawn_blocking(move || text(&gate)).await {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn text(gate: &Gate) -> String {
    let known = Known {
        status: &gate.core.status(),
        waiting: gate.core.doors().iter().map(crate::os::Door::waiting).collect(),
        unanswered_bytes: gate.core.load().bytes(),
        traffic: &gate.traffic,
        process: process(),
    };
    let mut out = Exposition::default();
    node(&mut out, &known);
    streams(&mut out, known.status);
    requests(&mut out, known.status);
    profile(&mut out, known.status);
    tables(&mut out, known.status);
    journal::journal(&mut out, known.status.journal.as_ref());
    zone::zone(&mut out, gate.core.zone().status().as_ref());
    queues(&mut out, &known);
    network(&mut out, known.traffic);
    process_figures(&mut out, known.process.as_ref());
    out.into_text()
}

fn node(out: &mut Exposition, known: &Known<'_>) {
    let status = known.status;
    out.family(&BUILD, |build| build.count(&[env!("CARGO_PKG_VERSION"), &status.node], 1));
    out.family(&WORKERS, |workers| workers.count(&[], status.workers.into()));
    out.family(&REVISION, |revision| {
        status.flows.iter().for_each(|flow| revision.number(&[&flow.flow], flow.revision as f64));
    });
}

/// Writes a metric that all flows have samples of: names below the flow, with their values.
fn by_flow<T>(
    out: &mut Exposition,
    metric: &Metric,
    status: &NodeStatus,
    items: impl Fn(&FlowStatus) -> &[T],
    sample: impl Fn(&T) -> (&str, u64),
) {
    out.family(metric, |samples| {
        for flow in &status.flows {
            for (name, value) in items(flow).iter().map(&sample) {
                samples.count(&[&flow.flow, name], value);
            }
        }
    });
}

fn streams(out: &mut Exposition, status: &NodeStatus) {
    by_flow(out, &ROWS_IN, status, |flow| &flow.inputs, |input| (&input.stream, input.rows_in));
    out.family(&ROWS_REFUSED, |refused| {
        for (flow, input) in inputs(status) {
            for (code, rows) in &input.refused_by_code {
                refused.count(&[&flow.flow, &input.stream, code], *rows);
            }
        }
    });
    by_flow(out, &ROWS_OUT, status, |flow| &flow.outputs, |output| (&output.stream, output.rows_out));
}

fn inputs(status: &NodeStatus) -> impl Iterator<Item = (&FlowStatus, &InputStatus)> {
    status.flows.iter().flat_map(|flow| flow.inputs.iter().map(move |input| (flow, input)))
}

fn requests(out: &mut Exposition, status: &NodeStatus) {
    out.family(&REQUEST_SECONDS, |seconds| {
        for (flow, of) in status.flows.iter().flat_map(|flow| flow.requests.iter().map(move |of| (flow, of)))
        {
            let at_most = times(&of.at_most);
            let took = Distribution { at_most, sum: of.sum_us as f64 / 1e6, count: of.count };
            seconds.distribution(&[&flow.flow, &of.kind, &of.of], &took);
        }
    });
    out.family(&BATCH_ROWS, |rows| {
        inputs(status)
            .for_each(|(flow, input)| rows.distribution(&[&flow.flow, &input.stream], &batches(input)));
    });
    out.family(&STEP_SECONDS, |seconds| {
        for (flow, input) in inputs(status) {
            seconds.number(&[&flow.flow, &input.stream], input.step_micros as f64 / 1e6);
        }
    });
    out.family(&RULE_ROWS, |rows| {
        for (flow, input) in inputs(status) {
            for (line, ran) in by_line(&input.rules, |rule| Some(rule.rows)) {
                rows.count(&[&flow.flow, &input.stream, &line.to_string()], ran);
            }
        }
    });
    out.family(&RULE_SECONDS, |seconds| {
        for (flow, input) in inputs(status) {
            for (line, micros) in by_line(&input.rules, |rule| rule.micros) {
                seconds.number(&[&flow.flow, &input.stream, &line.to_string()], micros as f64 / 1e6);
            }
        }
    });
}

/// Two rules may stand on one line.
fn by_line(rules: &[RuleStatus], of: impl Fn(&RuleStatus) -> Option<u64>) -> BTreeMap<u32, u64> {
    let mut lines = BTreeMap::new();
    for (line, count) in rules.iter().filter_map(|rule| Some((rule.line, of(rule)?))) {
        *lines.entry(line).or_default() += count;
    }
    lines
}

fn batches(input: &InputStatus) -> Distribution {
    let mut count = 0;
    let mut at_most = Vec::new();
    for power in 0..BATCH_SIZES - 1 {
        count += input.batches.get(power).copied().unwrap_or_default();
        at_most.push(((1_u64 << power) as f64, count));
    }
    Distribution { at_most, sum: input.rows_in as f64, count: input.batches.iter().sum() }
}

fn profile(out: &mut Exposition, status: &NodeStatus) {
    let seconds = |operator: &OperatorStatus| operator.micros as f64 / 1e6;
    out.family(&OPERATOR_SECONDS, |samples| {
        let all = status.flows.iter().flat_map(|flow| flow.operators.iter().map(move |of| (flow, of)));
        all.for_each(|(flow, of)| samples.number(&[&flow.flow, &of.operator], seconds(of)));
    });
    by_flow(out, &OPERATOR_ACTIVATIONS, status, |flow| &flow.operators, |of| (&of.operator, of.activations));
    let mut channels = |metric: &Metric, count: fn(&ChannelStatus) -> u64| {
        out.family(metric, |samples| {
            let all = status.flows.iter().flat_map(|flow| flow.channels.iter().map(move |of| (flow, of)));
            all.for_each(|(flow, of)| samples.count(&[&flow.flow, &of.from, &of.to], count(of)));
        });
    };
    channels(&CHANNEL_MESSAGES, |channel| channel.messages);
    channels(&CHANNEL_RECORDS, |channel| channel.records);
}

fn tables(out: &mut Exposition, status: &NodeStatus) {
    by_flow(out, &TABLE_ROWS, status, |flow| &flow.tables, |table| (&table.table, table.rows));
    by_flow(out, &TABLE_ROW_BYTES, status, |flow| &flow.tables, |table| (&table.table, table.row_bytes));
    by_flow(out, &TABLE_MEMORY, status, |flow| &flow.tables, |table| (&table.table, table.memory_bytes));
    let degraded = |table: &crate::status::TableStatus| u64::from(table.degraded.is_some());
    by_flow(out, &TABLE_DEGRADED, status, |flow| &flow.tables, |table| (&table.table, degraded(table)));
}

fn queues(out: &mut Exposition, known: &Known<'_>) {
    out.family(&COMMANDS_WAITING, |waiting| {
        for (worker, commands) in known.waiting.iter().enumerate() {
            waiting.count(&[&worker.to_string()], *commands as u64);
        }
    });
    out.family(&UNANSWERED_BYTES, |bytes| bytes.count(&[], known.unanswered_bytes as u64));
    by_flow(out, &SUBSCRIBERS, known.status, |flow| &flow.subscriptions, |of| (&of.stream, of.subscribers));
    by_flow(
        out,
        &SUBSCRIPTION_WAITING,
        known.status,
        |flow| &flow.subscriptions,
        |of| (&of.stream, of.rows_waiting),
    );
    by_flow(
        out,
        &SUBSCRIPTION_MISSED,
        known.status,
        |flow| &flow.subscriptions,
        |of| (&of.stream, of.rows_missed),
    );
}

fn network(out: &mut Exposition, traffic: &Traffic) {
    let protocols = [Speaks::Grpc, Speaks::Http].map(|speaks| (speaks.name(), traffic.of(speaks)));
    out.family(&CONNECTIONS, |open| {
        protocols.iter().for_each(|(name, protocol)| open.count(&[name], protocol.connections.now()));
    });
    out.family(&CONNECTIONS_TOTAL, |accepted| {
        protocols.iter().for_each(|(name, protocol)| accepted.count(&[name], protocol.connections.ever()));
    });
    out.family(&CONNECTIONS_REFUSED, |refused| {
        protocols.iter().for_each(|(name, protocol)| refused.count(&[name], protocol.turned_away.ever()));
    });
    out.family(&SESSIONS, |open| open.count(&[], traffic.sessions().now()));
    out.family(&SESSIONS_TOTAL, |opened| opened.count(&[], traffic.sessions().ever()));
    let (grpc, http) = (traffic.of(Speaks::Grpc).requests(), traffic.of(Speaks::Http).requests());
    out.family(&HTTP_REQUESTS, |requests| {
        for (route, (method, status), count) in answers(&http) {
            requests.count(&[route, method, &status.to_string()], count);
        }
    });
    out.family(&HTTP_SECONDS, |times| {
        http.iter().for_each(|(route, of)| times.distribution(&[route], &of.seconds()));
    });
    out.family(&GRPC_REQUESTS, |calls| {
        for (route, (_, code), count) in answers(&grpc) {
            calls.count(&[route, &code.to_string()], count);
        }
    });
    out.family(&GRPC_SECONDS, |times| {
        grpc.iter().for_each(|(route, of)| times.distribution(&[route], &of.seconds()));
    });
}

fn answers(requests: &Requests) -> impl Iterator<Item = (&str, (&'static str, u16), u64)> {
    requests
        .iter()
        .flat_map(|(route, of)| of.answers.iter().map(|(answer, count)| (route.as_str(), *answer, *count)))
}

fn process_figures(out: &mut Exposition, process: Option<&Process>) {
    let mut figure = |metric: &Metric, of: fn(&Process) -> f64| {
        out.family(metric, |samples| {
            if let Some(process) = process {
                samples.number(&[], of(process));
            }
        });
    };
    figure(&CPU, |process| process.cpu_seconds);
    figure(&RESIDENT, |process| process.resident_bytes as f64);
    figure(&VIRTUAL, |process| process.virtual_bytes as f64);
    figure(&OPEN_FILES, |process| process.open_files as f64);
    figure(&OPEN_FILES_LIMIT, |process| process.open_files_most as f64);
    figure(&THREADS, |process| process.threads as f64);
    figure(&START, |process| process.start_seconds);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_the_metrics_as_they_are() {
        let mut table = "| metric | type | labels | what it is |\n|---|---|---|---|\n".to_owned();
        for metric in ALL {
            let labels = metric.labels.join("`, `");
            let labels = if labels.is_empty() { String::new() } else { format!("`{labels}`") };
            let line =
                format!("| `{}` | {} | {labels} | {} |\n", metric.name, metric.kind.name(), metric.help);
            table.push_str(&line);
        }
        let page = include_str!("../../METRICS.md");
        assert!(page.contains(&table), "engine/METRICS.md: the table is not as it should be:\n\n{table}");
    }

    #[test]
    fn names_say_their_units_and_whether_they_only_grow() {
        for metric in ALL {
            let signs = |name: &str| name.bytes().all(|sign| matches!(sign, b'a'..=b'z' | b'_'));
            assert!(signs(metric.name) && metric.labels.iter().all(|label| signs(label)), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(
                metric.kind != Kind::Histogram
                    || ["_seconds", "_rows"].iter().any(|unit| metric.name.ends_with(unit))
            );
            assert!(metric.help.ends_with('.') && !metric.help.contains('|'), "{}", metric.name);
        }
    }
}
