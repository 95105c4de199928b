//! A bare tonic stream: what a message there and back costs with tonic's own transport and nothing behind it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use anabranch_wire::session::{Answer, Answers, Request, Requests};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::server::NamedService;
use tonic::transport::{Endpoint, Server};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// A server that echoes, and a client of it.
pub(crate) struct Echo {
    client: Runtime,
    _server: Runtime,
    requests: UnboundedSender<Requests>,
    answers: Streaming<Answers>,
    number: u64,
}

impl Echo {
    pub(crate) fn start() -> Echo {
        let server = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        drop(socket);
        server.spawn(Server::builder().tcp_nodelay(true).add_service(Service).serve(address));
        let client = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (requests, outgoing) = unbounded_channel();
        let answers = client.block_on(async {
            let endpoint =
                Endpoint::from_shared(format!("http://{address}")).expect("an address").tcp_nodelay(true);
            let channel = loop {
                if let Ok(channel) = endpoint.connect().await {
                    break channel;
                }
            };
            let mut grpc = Grpc::new(channel);
            grpc.ready().await.expect("ready");
            let codec = ProstCodec::<Requests, Answers>::default();
            let path = http::uri::PathAndQuery::from_static("/echo.Echo/Echo");
            grpc.streaming(tonic::Request::new(Outgoing(outgoing)), path, codec)
                .await
                .expect("a stream")
                .into_inner()
        });
        Echo { client, _server: server, requests, answers, number: 0 }
    }

    pub(crate) fn round_trip(&mut self) {
        self.number += 1;
        let request = Request { number: self.number, ..Request::default() };
        self.requests
            .send(Requests { requests: vec![request], ..Requests::default() })
            .expect("the stream is open");
        let answers = self.client.block_on(self.answers.message()).expect("an answer").expect("not the end");
        assert_eq!(answers.answers[0].number, self.number);
    }
}

struct Outgoing(UnboundedReceiver<Requests>);

impl Stream for Outgoing {
    type Item = Requests;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Requests>> {
        self.0.poll_recv(context)
    }
}

#[derive(Clone)]
struct Service;

impl NamedService for Service {
    const NAME: &'static str = "echo.Echo";
}

impl tower::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let echo = service_fn(|request: tonic::Request<Streaming<Requests>>| async move {
                let echoed = request.into_inner().map(|message| {
                    let number = message?.requests[0].number;
                    Ok::<_, Status>(Answers { answers: vec![Answer { number, ..Answer::default() }] })
                });
                Ok::<_, Status>(tonic::Response::new(echoed))
            });
            let codec = ProstCodec::<Answers, Requests>::default();
            Ok(tonic::server::Grpc::new(codec).streaming(echo, request).await)
        })
    }
}
