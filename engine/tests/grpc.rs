//! A client of any language calls a flow like any service: typed messages, as its `.proto` says.

#![allow(clippy::panic, reason = "a test panics where it fails")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch::{
    Client, Error, Flow, Listen, NewToken, Node, RequestStatus, Scope, Server, Timeouts, Tokens,
};
use anabranch_wire::health::{HealthReply, HealthRequest, NOT_SERVING, SERVING};
use anabranch_wire::reflection::{Finding, Question, ReflectionReply, ReflectionRequest};
use anabranch_wire::session::{DeployReply, DeployRequest, DropReply};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

// What a compiler makes of `flows/names.proto`.

#[derive(Clone, PartialEq, Message)]
struct UpdateStream {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A row for `UpdateStream` that need not be text.
#[derive(Clone, PartialEq, Message)]
struct AnyStream {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadStream {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, Message)]
struct ReadStreamReply {
    #[prost(message, repeated, tag = "16")]
    output_stream: Vec<OutputStream>,
}

#[derive(Clone, PartialEq, Message)]
struct OutputStream {
    #[prost(string, tag = "1")]
    sourcenode: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, optional, tag = "3")]
    value: Option<String>,
    #[prost(bool, tag = "4")]
    found: bool,
}

#[derive(Clone, PartialEq, Message)]
struct QueryTable {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(string, tag = "3")]
    createdon: String,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(uint64, tag = "1")]
    accepted: u64,
    #[prost(uint64, tag = "2")]
    refused: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct OutputEvent {
    #[prost(message, optional, tag = "3")]
    row: Option<OutputStream>,
}

#[derive(Clone, PartialEq, Message)]
struct Limit {
    #[prost(uint64, tag = "1")]
    limit: u64,
}

#[derive(Clone)]
struct Connection(SendRequest<Body>);

impl tower::Service<http::Request<Body>> for Connection {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

type Caller = Grpc<Connection>;

/// Runs a test against a served node.
fn with_node(test: impl AsyncFnOnce(Caller)) {
    with_text(anabranch::doc::NAMES, async |caller, _| test(caller).await);
}

/// Runs a test against a served node with a flow.
fn with_text(text: &str, test: impl AsyncFnOnce(Caller, &Node)) {
    let flow = Flow::parse("names.flow", text).expect("it compiles");
    let node = Node::builder("A").workers(4).flow(flow).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { test(connect(&server).await, &node).await });
}

async fn connect(server: &Server) -> Caller {
    let address = server.grpc().expect("it speaks gRPC");
    let origin = format!("http://{address}").parse().expect("an address");
    Grpc::with_origin(Connection(dial(server).await), origin)
}

async fn dial(server: &Server) -> SendRequest<Body> {
    let address = server.grpc().expect("it speaks gRPC");
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    sender
}

/// The reference flow, served over gRPC.
fn served(listen: Listen) -> (Node, Server) {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let server = node.serve(&Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..listen });
    (node, server.expect("it listens"))
}

/// Sends some bytes of a call and no end; gives the status of the answer.
async fn half(server: &Server, path: &str, bytes: &'static [u8]) -> (String, String) {
    let (pieces, body) = mpsc::channel(1);
    pieces.send(Ok::<_, Status>(Frame::data(Bytes::from_static(bytes)))).await.expect("there is room");
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(body));
    let request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .expect("a request");
    let answer = dial(server).await.send_request(request).await.expect("an answer");
    let head = answer.headers().clone();
    let headers = match answer.into_body().collect().await.expect("it is whole").trailers() {
        Some(trailers) => trailers.clone(),
        None => head,
    };
    let text = |name: &str| headers[name].to_str().expect("it is ASCII").to_owned();
    drop(pieces);
    (text("grpc-status"), text("grpc-message"))
}

async fn call<M, R>(caller: &mut Caller, path: &'static str, message: M) -> Result<R, Status>
where
    M: Message + Send + Sync + 'static,
    R: Message + Default + Send + Sync + 'static,
{
    let codec = ProstCodec::<M, R>::default();
    let path = PathAndQuery::from_static(path);
    caller.unary(tonic::Request::new(message), path, codec).await.map(tonic::Response::into_inner)
}

#[test]
fn a_flow_is_called_by_its_typed_messages() {
    with_node(async |mut caller| {
        let row = UpdateStream { name: "a".into(), value: "1".into() };
        let _: Empty = call(&mut caller, "/anabranch.names.Names/UpdateStream", row).await.expect("accepted");
        let read = ReadStream { name: "a".into() };
        let reply: ReadStreamReply =
            call(&mut caller, "/anabranch.names.Names/ReadStream", read).await.expect("answered");
        let output =
            OutputStream { sourcenode: "A".into(), name: "a".into(), value: Some("1".into()), found: true };
        assert_eq!(reply.output_stream, [output]);
        let key = ReadStream { name: "a".into() };
        let row: QueryTable =
            call(&mut caller, "/anabranch.names.Names/GetQueryTable", key).await.expect("there");
        assert_eq!(row, QueryTable { name: "a".into(), value: "1".into(), createdon: "A".into() });
        let key = ReadStream { name: "b".into() };
        let none = call::<_, QueryTable>(&mut caller, "/anabranch.names.Names/GetQueryTable", key).await;
        assert_eq!(none.expect_err("it is not there").code(), Code::NotFound);
    });
}

#[test]
fn a_call_of_a_trace_is_answered_with_a_span_of_it() {
    with_node(async |mut caller| {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (traceparent, answered) in [(parent, true), ("00-nonsense", false)] {
            let mut request = tonic::Request::new(ReadStream { name: "a".into() });
            request.metadata_mut().insert("traceparent", traceparent.parse().expect("it is ASCII"));
            let path = PathAndQuery::from_static("/anabranch.names.Names/ReadStream");
            let codec = ProstCodec::<ReadStream, ReadStreamReply>::default();
            let answer = caller.unary(request, path, codec).await.expect("answered");
            let span = answer.metadata().get("traceresponse").map(|span| span.to_str().expect("it is ASCII"));
            let of_it =
                |span: &str| span.starts_with(&parent[..36]) && span.len() == parent.len() && span != parent;
            assert_eq!(span.is_some_and(of_it), answered, "{span:?}");
        }
    });
}

/// A call with a key, again: what happened in between stays.
#[test]
#[expect(clippy::disallowed_methods, reason = "a key has the time in it")]
fn a_call_with_a_key_takes_effect_once() {
    with_node(async |mut caller| {
        let millis = std::time::UNIX_EPOCH.elapsed().expect("it is later").as_millis();
        let row = |value: &str| UpdateStream { name: "a".into(), value: value.into() };
        let keyed = |key: &str| {
            let mut metadata = tonic::metadata::MetadataMap::new();
            metadata.insert("idempotency-key", key.parse().expect("it is ASCII"));
            metadata
        };
        let (one, many) = (format!("{millis}-one"), format!("{millis}-many"));
        for round in 0..2 {
            for key in [&one, &many] {
                let extensions = tonic::Extensions::new();
                if *key == one {
                    let request = tonic::Request::from_parts(keyed(key), extensions, row("first"));
                    let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStream");
                    let codec = ProstCodec::<UpdateStream, Empty>::default();
                    caller.unary(request, path, codec).await.expect("answered");
                } else {
                    let rows = tokio_stream::iter([row("second"), row("third")]);
                    let request = tonic::Request::from_parts(keyed(key), extensions, rows);
                    let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStreamMany");
                    let codec = ProstCodec::<UpdateStream, Summary>::default();
                    let summary = caller.client_streaming(request, path, codec).await.expect("answered");
                    assert_eq!(summary.into_inner().accepted, 2);
                }
                let key = ReadStream { name: "a".into() };
                let path = "/anabranch.names.Names/GetQueryTable";
                let now: QueryTable = call(&mut caller, path, key).await.expect("it is there");
                let first = round == 0 && now.value == "first";
                assert!(first || now.value == "third", "{now:?} in round {round}");
            }
        }
        let unfit = tonic::Request::from_parts(keyed("17"), tonic::Extensions::new(), row("x"));
        let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStream");
        let codec = ProstCodec::<UpdateStream, Empty>::default();
        let refused = caller.unary(unfit, path, codec).await.expect_err("it is no key");
        assert_eq!(refused.code(), Code::InvalidArgument);
    });
}

#[test]
fn many_rows_go_in_one_call_and_come_back_in_key_order() {
    with_node(async |mut caller| {
        let rows: Vec<_> =
            (0..1000).rev().map(|n| UpdateStream { name: format!("n{n:03}"), value: "x".into() }).collect();
        let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStreamMany");
        let codec = ProstCodec::<UpdateStream, Summary>::default();
        let summary =
            caller.client_streaming(tonic::Request::new(tokio_stream::iter(rows)), path, codec).await;
        assert_eq!(summary.expect("sent").into_inner(), Summary { accepted: 1000, refused: 0 });
        let path = PathAndQuery::from_static("/anabranch.names.Names/ScanQueryTable");
        let codec = ProstCodec::<Empty, QueryTable>::default();
        let rows = caller.server_streaming(tonic::Request::new(Empty {}), path, codec).await.expect("a scan");
        let mut rows = rows.into_inner();
        for number in 0..1000 {
            let row = rows.message().await.expect("a row").expect("not the end");
            assert_eq!(row.name, format!("n{number:03}"));
        }
        assert_eq!(rows.message().await.expect("no error"), None);
    });
}

#[test]
fn a_scan_with_a_limit_gives_so_many_rows_of_all_workers() {
    with_node(async |mut caller| {
        for number in 0..100 {
            let row = UpdateStream { name: format!("n{number:03}"), value: "x".into() };
            let _: Empty =
                call(&mut caller, "/anabranch.names.Names/UpdateStream", row).await.expect("accepted");
        }
        for limit in [1, 7, 99, 100, 101] {
            let names = scan(&mut caller, limit).await.expect("a scan to its end");
            let wanted: Vec<_> = (0..limit.min(100)).map(|number| format!("n{number:03}")).collect();
            assert_eq!(names, wanted);
        }
    });
}

/// The names of the first rows of the table.
async fn scan(caller: &mut Caller, limit: u64) -> Result<Vec<String>, Status> {
    let path = PathAndQuery::from_static("/anabranch.names.Names/ScanQueryTable");
    let codec = ProstCodec::<Limit, QueryTable>::default();
    let rows = caller.server_streaming(tonic::Request::new(Limit { limit }), path, codec).await?;
    let (mut rows, mut names) = (rows.into_inner(), Vec::new());
    while let Some(row) = rows.message().await? {
        names.push(row.name);
    }
    Ok(names)
}

/// A call to which rows can be sent one by one.
fn many(caller: &mut Caller) -> (mpsc::Sender<UpdateStream>, JoinHandle<Result<Summary, Status>>) {
    let (sender, rows) = mpsc::channel(16);
    let mut caller = caller.clone();
    let call = tokio::spawn(async move {
        let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStreamMany");
        let codec = ProstCodec::<UpdateStream, Summary>::default();
        let rows = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(rows));
        caller.ready().await.expect("it is open");
        caller.client_streaming(rows, path, codec).await.map(tonic::Response::into_inner)
    });
    (sender, call)
}

#[test]
fn rows_of_a_call_take_effect_as_soon_as_their_sender_pauses() {
    with_node(async |mut caller| {
        let (rows, call) = many(&mut caller);
        for name in ["a", "b"] {
            let row = UpdateStream { name: name.into(), value: "1".into() };
            rows.send(row).await.expect("it is taken");
            let seen = async {
                while scan(&mut caller, 9).await.expect("a scan").last().is_none_or(|last| last != name) {}
            };
            tokio::time::timeout(Duration::from_secs(10), seen).await.expect("the row is there");
        }
        // Who goes away in the middle loses nothing of it.
        call.abort();
        assert_eq!(scan(&mut caller, 9).await.expect("a scan"), ["a", "b"]);
    });
}

#[test]
fn rows_before_one_that_is_wrong_have_taken_effect() {
    let text = anabranch::doc::NAMES.replace(
        "on UpdateStream as u route by u.name {",
        "on UpdateStream as u route by u.name {\n  require u.value <> 'no' else invalid 'it says no'",
    );
    with_text(&text, async |mut caller, _| {
        let row = |value: &[u8]| AnyStream { name: value.into(), value: value.into() };
        let rows = [b"1", &b"no"[..], b"2", b"\xff", b"3"].map(row);
        let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStreamMany");
        let codec = ProstCodec::<AnyStream, Summary>::default();
        let sent = caller.client_streaming(tonic::Request::new(tokio_stream::iter(rows)), path, codec).await;
        let status = sent.expect_err("one is wrong");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(
            status.message().starts_with("after 2 accepted and 1 refused rows: row 3: "),
            "{}",
            status.message()
        );
        assert_eq!(scan(&mut caller, 9).await.expect("a scan"), ["1", "2"]);
    });
}

#[test]
fn large_rows_of_a_call_do_not_wait_for_each_other() {
    with_text(anabranch::doc::NAMES, async |mut caller, node| {
        let row = |name| UpdateStream { name: format!("n{name}"), value: "x".repeat(3 << 20) };
        let rows: Vec<_> = (0..8).map(row).collect();
        let path = PathAndQuery::from_static("/anabranch.names.Names/UpdateStreamMany");
        let codec = ProstCodec::<UpdateStream, Summary>::default();
        let summary =
            caller.client_streaming(tonic::Request::new(tokio_stream::iter(rows)), path, codec).await;
        assert_eq!(summary.expect("sent").into_inner(), Summary { accepted: 8, refused: 0 });
        let status = node.status();
        let of_rows = |requests: &&RequestStatus| requests.of == "UpdateStream";
        let requests: u64 = status.flows[0].requests.iter().filter(of_rows).map(|of| of.count).sum();
        assert_eq!(requests, 8, "each goes beyond what a batch is to have");
    });
}

#[test]
fn the_text_of_a_status_is_cut_where_it_is_too_long_for_headers() {
    let text = anabranch::doc::NAMES.replace(
        "on UpdateStream as u route by u.name {",
        "on UpdateStream as u route by u.name {\n  require u.name = '' else invalid u.value",
    );
    with_text(&text, async |mut caller, _| {
        let row = UpdateStream { name: "a".into(), value: "%".repeat(100_000) };
        let refused = call::<_, Empty>(&mut caller, "/anabranch.names.Names/UpdateStream", row).await;
        let status = refused.expect_err("refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().starts_with("invalid: %%%"), "{}", status.message());
        let path = "/anabranch.names.Names/UpdateStream";
        let _: Empty =
            call(&mut caller, path, UpdateStream::default()).await.expect("the connection is as it was");
    });
}

#[test]
fn a_flow_that_would_have_the_service_of_another_is_refused() {
    let named = |name: &str| {
        let text = anabranch::doc::NAMES.replace("flow names revision", &format!("flow {name} revision"));
        Flow::parse("some.flow", &text).expect("it compiles")
    };
    let clash = |error: &Error, flow: &str| {
        let text = error.to_string();
        matches!(error, Error::SameService { .. }) && text.contains(flow) && text.contains("`my_flow`")
    };
    let node = Node::builder("A").flow(named("my_flow")).start().expect("it starts");
    for name in ["\"my-flow\"", "\"my flow\""] {
        let refused = node.deploy(named(name)).expect_err("the name is taken");
        assert!(clash(&refused, name.trim_matches('"')), "{refused}");
        let both = Node::builder("A").flow(named("my_flow")).flow(named(name)).start();
        assert!(clash(&both.expect_err("the name is taken"), name.trim_matches('"')));
    }
    node.deploy(named("my_flow2")).expect("another name");
    node.drop_flow("my_flow").expect("it is there");
    node.deploy(named("\"my-flow\"")).expect("the name is free");
}

#[test]
fn half_a_message_is_waited_for_only_so_long() {
    let timeouts = Timeouts { body: Duration::from_millis(200), ..Timeouts::default() };
    let (_node, server) = served(Listen { timeouts, ..Listen::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        for path in [
            "/anabranch.names.Names/UpdateStream",
            "/anabranch.names.Names/UpdateStreamMany",
            "/anabranch.names.Names/ScanQueryTable",
            "/anabranch.v1.Node/Session",
            "/anabranch.v1.Node/Drop",
        ] {
            for bytes in [&[0, 0, 0, 0, 9, 1][..], &[0, 0]] {
                let ended = tokio::time::timeout(Duration::from_secs(20), half(&server, path, bytes)).await;
                let (code, text) = ended.unwrap_or_else(|_| panic!("{path} goes on for ever"));
                assert_eq!(code, "4", "{path}: {text}");
                assert!(text.contains("message%20did%20not%20come%20on%20within%200.2%20s"), "{text}");
            }
        }
    });
}

/// Between whole messages a sender may take its time.
#[test]
fn a_sender_may_idle_between_rows() {
    let timeouts = Timeouts { body: Duration::from_millis(50), ..Timeouts::default() };
    let (_node, server) = served(Listen { timeouts, ..Listen::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut caller = connect(&server).await;
        let (rows, call) = many(&mut caller);
        // A call that waits in vain takes longer than the sender idles.
        for name in ["a", "b"] {
            rows.send(UpdateStream { name: name.into(), value: "1".into() }).await.expect("it is taken");
            let (code, _) = half(&server, "/anabranch.names.Names/UpdateStream", &[0]).await;
            assert_eq!(code, "4");
        }
        drop(rows);
        let summary = call.await.expect("no panic").expect("it went on");
        assert_eq!(summary, Summary { accepted: 2, refused: 0 });
    });
}

#[test]
fn messages_that_are_too_long_or_none_are_told() {
    with_node(async |mut caller| {
        let long = UpdateStream { name: "a".into(), value: "x".repeat(9 << 20) };
        let wrong = call::<_, Empty>(&mut caller, "/anabranch.names.Names/UpdateStream", long).await;
        let status = wrong.expect_err("it is too long");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("at most 8388608"), "{status}");
        let odd = AnyStream { name: vec![0xff], value: Vec::new() };
        let wrong = call::<_, DropReply>(&mut caller, "/anabranch.v1.Node/Drop", odd).await;
        let status = wrong.expect_err("it is no message");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    });
}

#[test]
fn rights_are_looked_at_before_a_flow_file_is() {
    let reads = NewToken::make("reads", &[Scope::Read], &[]).expect("a token");
    let deploys = NewToken::make("deploys", &[Scope::Deploy], &["names"]).expect("a token");
    let lines = [reads.line(), deploys.line()].join("\n");
    let tokens = Some(Tokens::parse("tokens", &lines).expect("they are right"));
    let (_node, server) = served(Listen { tokens, ..Listen::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut caller = connect(&server).await;
        let other = anabranch::doc::NAMES.replace("flow names", "flow other");
        for (token, flow, text, code, told) in [
            (&reads, "names", "nonsense", Code::PermissionDenied, "scope `deploy`"),
            (&deploys, "other", "nonsense", Code::PermissionDenied, "scope `deploy`"),
            (&deploys, "names", "nonsense", Code::InvalidArgument, "F0"),
            (&deploys, "names", &other, Code::FailedPrecondition, "the file is of the flow `other`"),
        ] {
            let message = DeployRequest { file: "a.flow".into(), text: text.into(), flow: flow.into() };
            let mut request = tonic::Request::new(message);
            let bearer = format!("Bearer {}", token.text()).parse().expect("it is ASCII");
            request.metadata_mut().insert("authorization", bearer);
            let codec = ProstCodec::<DeployRequest, DeployReply>::default();
            caller.ready().await.expect("it is open");
            let path = PathAndQuery::from_static("/anabranch.v1.Node/Deploy");
            let status = caller.unary(request, path, codec).await.expect_err("refused");
            assert_eq!(status.code(), code, "{status}");
            assert!(status.message().contains(told), "{status}");
        }
    });
}

#[test]
fn the_health_of_the_node_is_told_without_a_token() {
    let reads = NewToken::make("reads", &[Scope::Read], &["names"]).expect("a token");
    let tokens = Some(Tokens::parse("tokens", reads.line()).expect("they are right"));
    let timeouts = Timeouts { ready: Duration::from_secs(20), ..Timeouts::default() };
    let (node, server) = served(Listen { tokens, timeouts, ..Listen::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let check = async |service: &str, token: Option<&NewToken>| {
        let mut request = tonic::Request::new(HealthRequest { service: service.into() });
        if let Some(token) = token {
            let bearer = format!("Bearer {}", token.text()).parse().expect("it is ASCII");
            request.metadata_mut().insert("authorization", bearer);
        }
        let mut caller = connect(&server).await;
        caller.ready().await.expect("it is open");
        let codec = ProstCodec::<HealthRequest, HealthReply>::default();
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let answer = caller.unary(request, path, codec).await;
        answer.map(|reply| reply.into_inner().status).map_err(|status| status.code())
    };
    runtime.block_on(async {
        assert_eq!(check("", None).await, Ok(SERVING));
        assert_eq!(check("anabranch.v1.Node", None).await, Ok(SERVING));
        // Who shows no token does not get to know which flows there are.
        assert_eq!(check("anabranch.names.Names", None).await, Err(Code::Unauthenticated));
        assert_eq!(check("anabranch.none.None", None).await, Err(Code::Unauthenticated));
        assert_eq!(check("anabranch.names.Names", Some(&reads)).await, Ok(SERVING));
        assert_eq!(check("anabranch.none.None", Some(&reads)).await, Err(Code::NotFound));
    });
    node.stop().expect("it stops");
    runtime.block_on(async { assert_eq!(check("", None).await, Ok(NOT_SERVING), "its workers are gone") });
}

#[test]
fn reflection_describes_every_service_that_it_lists() {
    with_node(async |mut caller| {
        let ask = async |caller: &mut Caller, question: Question| {
            let request = ReflectionRequest { host: String::new(), question: Some(question) };
            caller.ready().await.expect("it is open");
            let path = PathAndQuery::from_static("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
            let codec = ProstCodec::<ReflectionRequest, ReflectionReply>::default();
            let requests = tonic::Request::new(tokio_stream::iter([request]));
            let replies = caller.streaming(requests, path, codec).await.expect("answered");
            replies.into_inner().message().await.expect("it goes on").expect("a reply").finding
        };
        let Some(Finding::Services(listed)) = ask(&mut caller, Question::Services(String::new())).await
        else {
            panic!("services are asked for");
        };
        let names: Vec<String> = listed.services.into_iter().map(|service| service.name).collect();
        assert_eq!(names, ["anabranch.names.Names"]);
        for name in names {
            let found = ask(&mut caller, Question::FileWithSymbol(name)).await;
            assert!(matches!(found, Some(Finding::Files(_))), "{found:?}");
        }
    });
}

#[test]
fn a_refused_revision_tells_all_that_changes_and_the_session_goes_on() {
    let (_node, server) = served(Listen::default());
    let revision = |revision: u32, prefix: &str| {
        let columns: Vec<String> = (0..700).map(|number| format!("{prefix}{number}: int?")).collect();
        let text = anabranch::doc::NAMES.replace("revision 1", &format!("revision {revision}")).replace(
            "output OutputStream",
            &format!("output Wide: {{ {} }}\noutput OutputStream", columns.join(", ")),
        );
        Flow::parse("names.flow", &text).expect("it compiles")
    };
    let mut client = Client::connect(&server.grpc().expect("it speaks gRPC").to_string()).expect("connected");
    client.deploy(revision(2, "a")).expect("it may follow");
    match client.deploy(revision(3, "b")) {
        Err(Error::Evolution(evolution)) => assert!(evolution.changes.len() >= 700),
        other => panic!("{other:?}"),
    }
    let names = client.ask("ReadStream", &serde_json::json!({ "name": "a" }));
    assert_eq!(names.expect("the session goes on").len(), 1);
}

#[test]
fn a_watch_goes_on_over_a_revision_that_its_proto_can_read() {
    with_text(anabranch::doc::NAMES, async |mut caller, node| {
        let deploy = |revision: u32, columns: &str| {
            let text = anabranch::doc::NAMES
                .replace("revision 1", &format!("revision {revision}"))
                .replace("{ sourcenode: text, name: text, value: text?, found: bool }", columns);
            node.deploy(Flow::parse("names.flow", &text).expect("it compiles")).expect("it may follow");
        };
        let ask = |name: &str| {
            let row = serde_json::json!({ "name": name });
            assert_eq!(node.client().ask("ReadStream", &row).expect("answered").len(), 1);
        };
        caller.ready().await.expect("it is open");
        let path = PathAndQuery::from_static("/anabranch.names.Names/WatchOutputStream");
        let codec = ProstCodec::<Empty, OutputEvent>::default();
        let events = caller.server_streaming(tonic::Request::new(Empty {}), path, codec).await;
        let mut events = events.expect("it is watched").into_inner();
        ask("a");
        deploy(2, "{ sourcenode: text, name: text, value: text?, found: bool, more: int? }");
        ask("b");
        for name in ["a", "b"] {
            let event = events.message().await.expect("it goes on").expect("an event");
            assert_eq!(event.row.expect("a row").name, name);
        }
        deploy(3, "{ name: text, sourcenode: text, value: text?, found: bool, more: int? }");
        ask("c");
        assert_eq!(events.message().await.expect_err("`name` has another number").code(), Code::Aborted);
    });
}

#[test]
fn what_is_not_there_or_no_message_is_told() {
    with_node(async |mut caller| {
        let none = call::<_, Empty>(&mut caller, "/anabranch.names.Names/NoStream", Empty {}).await;
        let status = none.expect_err("no such method");
        assert_eq!(status.code(), Code::Unimplemented);
        assert_eq!(
            status.message(),
            "there is no method `/anabranch.names.Names/NoStream`; there are the services `anabranch.v1.Node`, \
             `anabranch.names.Names`"
        );
        let odd = Summary { accepted: 7, refused: 7 };
        let wrong = call::<_, Empty>(&mut caller, "/anabranch.names.Names/UpdateStream", odd).await;
        let status = wrong.expect_err("no such message");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    });
}
