//! A client of any language calls a flow like any service: typed messages, as its `.proto` says.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use anabranch::{Flow, Listen, Node, Server};
use http::uri::PathAndQuery;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
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
fn with_node<F: Future<Output = ()>>(test: impl FnOnce(Caller) -> F) {
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    let node = Node::builder("A").flow(flow).start().expect("it starts");
    let listen = Listen { grpc: Some(([127, 0, 0, 1], 0).into()), ..Listen::default() };
    let server = node.serve(&listen).expect("it listens");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { test(connect(&server).await).await });
}

async fn connect(server: &Server) -> Caller {
    let address = server.grpc().expect("it speaks gRPC");
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    Grpc::with_origin(Connection(sender), format!("http://{address}").parse().expect("an address"))
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
