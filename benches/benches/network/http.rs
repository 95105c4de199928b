//! HTTP requests beside a bare axum handler, asked by the same client.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use anabranch::Server;
use anabranch_benches::{median, workload};
use axum::routing::post;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;

use super::{ROUNDS, text};

/// Connections of a client.
const CONNECTIONS: usize = 16;

/// How long a part of a round takes.
const PART: Duration = Duration::from_millis(700);

/// Single asks, each a request.
pub(crate) fn asks(server: &Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let bare = runtime.block_on(async {
        let echo = |body: String| async move { body };
        let router = axum::Router::new().route("/flows/names/ask/UpdateStream", post(echo));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(socket, router).await });
        address
    });
    let (name, value) = workload::pair(7, 7);
    let body = format!(r#"{{"name":"{}","value":"{}"}}"#, text(&name), text(&value));
    let path = "/flows/names/ask/UpdateStream";
    compare("asks/s", &bare, server, |address| rate(&runtime, address, path, "application/json", &body, 1));
    if let Some(wrk) = std::env::var_os("WRK") {
        compare("asks/s by wrk", &bare, server, |address| by_wrk(&wrk, address, path, &body));
    }
}

/// Requests a second that the program wrk gets (`WRK` in the environment names it).
fn by_wrk(wrk: &OsStr, address: SocketAddr, path: &str, body: &str) -> f64 {
    let script = std::env::temp_dir().join(format!("ask-{}.lua", std::process::id()));
    let lua = format!(
        "wrk.method = 'POST'\nwrk.body = '{body}'\nwrk.headers['content-type'] = 'application/json'\n"
    );
    std::fs::write(&script, lua).expect("a place for files");
    let run = Command::new(wrk)
        .args(["--threads", "1", "--duration", "1", "--connections", &CONNECTIONS.to_string(), "--script"])
        .arg(&script)
        .arg(format!("http://{address}{path}"))
        .output();
    let told = String::from_utf8(run.expect("wrk runs").stdout).expect("text");
    std::fs::remove_file(&script).expect("it was written");
    assert!(!told.contains("Non-2xx"), "{told}");
    let rate = told.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.expect("it tells a rate").trim().parse().expect("a number")
}

/// Rows in bodies of a thousand lines.
pub(crate) fn lines(server: &Server) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
    let mut body = String::new();
    for (name, value) in workload::random(1000, 7) {
        body.push_str(&format!("{{\"name\":\"{}\",\"value\":\"{}\"}}\n", text(&name), text(&value)));
    }
    let address = server.http().expect("it speaks HTTP");
    let path = "/flows/names/streams/UpdateStream";
    let mut rates: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        rates.push(rate(&runtime, address, path, "application/x-ndjson", &body, 1000));
    }
    println!("HTTP, bodies of 1,000 lines: {:.0} rows/s", median(rates));
}

fn compare(what: &str, bare: &SocketAddr, server: &Server, rate: impl Fn(SocketAddr) -> f64) {
    let address = server.http().expect("it speaks HTTP");
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (rate(*bare), rate(address))).collect();
    let of = |figure: fn(&(f64, f64)) -> f64| median(rounds.iter().map(figure).collect());
    println!(
        "HTTP, {CONNECTIONS} connections: bare axum {:.0} {what}, ours {:.0}, ratio {:.2}",
        of(|r| r.0),
        of(|r| r.1),
        of(|r| r.1 / r.0)
    );
}

/// Rows a second of requests of `rows` rows each.
fn rate(
    runtime: &Runtime,
    address: SocketAddr,
    path: &'static str,
    kind: &'static str,
    body: &str,
    rows: u64,
) -> f64 {
    let body = Bytes::from(body.to_owned());
    let (begin, end) = (Instant::now(), Instant::now() + PART);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (body, accepted) = (body.clone(), format!("{{\"accepted\":{rows},"));
            runtime.spawn(async move {
                let mut sender = connect(address).await;
                let mut requests = 0;
                while Instant::now() < end {
                    let request = hyper::Request::post(path)
                        .header("host", "localhost")
                        .header("content-type", kind)
                        .body(Full::new(body.clone()))
                        .expect("a request");
                    let response = sender.send_request(request).await.expect("answered");
                    assert!(response.status().is_success(), "{}", response.status());
                    let answer = response.into_body().collect().await.expect("a body").to_bytes();
                    assert!(rows == 1 || answer.starts_with(accepted.as_bytes()), "{answer:?}");
                    requests += 1;
                }
                requests
            })
        })
        .collect();
    let requests: u64 = clients.into_iter().map(|client| runtime.block_on(client).expect("it ends")).sum();
    (requests * rows) as f64 / begin.elapsed().as_secs_f64()
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);
    sender
}
