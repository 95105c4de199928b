//! What a request has to show before a handler sees it: the right `Host`, no foreign `Origin`, a token.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use tonic::{Code, Status};

use super::access::Caller;
use super::listen::Listen;
use super::tokens::Tokens;

/// What a listener asks of requests.
pub(crate) struct Guard {
    tokens: Option<Tokens>,
    /// Names that requests may be for; none where that does not matter.
    hosts: Option<Vec<String>>,
    /// Other sites whose pages may ask.
    origins: Vec<String>,
    scheme: &'static str,
}

/// Why a request is turned away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    status: StatusCode,
    grpc: Code,
    code: &'static str,
    message: String,
    help: &'static str,
}

impl Guard {
    /// For a listener at an address. A page of another site may have its own name lead to this machine, and then ask
    /// whatever a page of this machine could ask; so, where there is no token that it would have to know, requests
    /// must be for an address or a name that belongs to this machine.
    pub(crate) fn new(listen: &Listen, at: SocketAddr) -> Self {
        let open = listen.tokens.is_none() && at.ip().to_canonical().is_loopback();
        let hosts = (open || !listen.hosts.is_empty())
            .then(|| listen.hosts.iter().map(|host| host.to_ascii_lowercase()).collect());
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        Guard { tokens: listen.tokens.clone(), hosts, origins: listen.origins.clone(), scheme }
    }

    /// Who sends a request, and whether it is taken at all. For `open` ones nobody needs a token.
    pub(crate) fn admit(&self, head: &Parts, from: SocketAddr, open: bool) -> Result<Caller, Turned> {
        self.check_host(head)?;
        self.check_origin(head)?;
        let Some(tokens) = &self.tokens else { return Ok(Caller::anyone(from)) };
        match bearer(&head.headers) {
            Some(token) => match tokens.grant(token) {
                Some(grant) => Ok(Caller::holder(grant.clone(), from)),
                None => Err(unauthenticated("the token is none of this node's")),
            },
            None if open => Ok(Caller::NOBODY),
            None => Err(unauthenticated("this node asks for a token")),
        }
    }

    /// The answer to a browser that asks whether a page of another site may ask.
    pub(crate) fn preflight(&self, head: &Parts) -> Option<Response<Body>> {
        let asks = head.method == Method::OPTIONS
            && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let origin = self.foreign(&head.headers).filter(|_| asks)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let fixed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, last-event-id, traceparent"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        for (name, value) in fixed {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        share(response.headers_mut(), origin);
        Some(response)
    }

    /// The other site that may see the answer, where a page of one asks.
    pub(crate) fn foreign(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut all = headers.get_all(header::ORIGIN).iter();
        // Of several none is right.
        let origin = all.next().filter(|_| all.next().is_none())?;
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    fn check_host(&self, head: &Parts) -> Result<(), Turned> {
        let Some(hosts) = &self.hosts else { return Ok(()) };
        let said = head.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
        let said = said.chain(head.uri.authority().map(|authority| authority.as_str().as_bytes()));
        let mut said = said.peekable();
        if said.peek().is_none() {
            return Err(Turned {
                status: StatusCode::BAD_REQUEST,
                grpc: Code::InvalidArgument,
                code: "no_host",
                message: "the request does not say for which host it is".into(),
                help: "send the header `host`",
            });
        }
        for authority in said {
            let host =
                Authority::try_from(authority).ok().map(|authority| authority.host().to_ascii_lowercase());
            let known = host.is_some_and(|host| is_own(&host) || hosts.contains(&host));
            if !known {
                return Err(Turned {
                    status: StatusCode::MISDIRECTED_REQUEST,
                    grpc: Code::PermissionDenied,
                    code: "wrong_host",
                    message: "the request is for a host name that is not this node's".into(),
                    help: "use localhost or an address, or name the host with `--allow-host`",
                });
            }
        }
        Ok(())
    }

    fn check_origin(&self, head: &Parts) -> Result<(), Turned> {
        let Some(origin) = head.headers.get(header::ORIGIN) else { return Ok(()) };
        let only = head.headers.get_all(header::ORIGIN).iter().count() == 1;
        let own = only
            && origin.to_str().ok().and_then(|origin| origin.split_once("://")).is_some_and(
                |(scheme, site)| {
                    let host = head.headers.get(header::HOST).map(HeaderValue::as_bytes);
                    let host = head.uri.authority().map(|authority| authority.as_str().as_bytes()).or(host);
                    scheme == self.scheme
                        && host.is_some_and(|host| host.eq_ignore_ascii_case(site.as_bytes()))
                },
            );
        match own || self.foreign(&head.headers).is_some() {
            true => Ok(()),
            false => Err(Turned {
                status: StatusCode::FORBIDDEN,
                grpc: Code::PermissionDenied,
                code: "wrong_origin",
                message: "a page of another site may not ask this node".into(),
                help: "allow the site with `--allow-origin`",
            }),
        }
    }
}

/// Lets the page of another site see a response.
pub(crate) fn share(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

/// An address, which no other site can have lead here, or the name of every machine for itself.
fn is_own(host: &str) -> bool {
    host == "localhost" || host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// The token of a request.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn unauthenticated(message: &str) -> Turned {
    Turned {
        status: StatusCode::UNAUTHORIZED,
        grpc: Code::Unauthenticated,
        code: "unauthenticated",
        message: message.into(),
        help: "send `Authorization: Bearer` with a token that the node knows; `anabranch token new` makes one",
    }
}

impl Turned {
    /// For who speaks HTTP to a gRPC address.
    pub(crate) fn elsewhere() -> Turned {
        Turned {
            status: StatusCode::MISDIRECTED_REQUEST,
            grpc: Code::Unimplemented,
            code: "wrong_address",
            message: "this address speaks gRPC over HTTP/2".into(),
            help: "send HTTP requests to the address that was given with `--http`",
        }
    }

    pub(crate) fn http(self) -> Response<Body> {
        let body = serde_json::json!({ "code": self.code, "message": self.message, "help": self.help });
        let mut response = Response::new(Body::from(format!("{body}\n")));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    pub(crate) fn grpc(self) -> Response<Body> {
        let status = Status::new(self.grpc, format!("{}; {}", self.message, self.help));
        status.into_http::<tonic::body::Body>().map(Body::new)
    }
}

const WWW_AUTHENTICATE: HeaderName = header::WWW_AUTHENTICATE;

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const HERE: ([u8; 4], u16) = ([127, 0, 0, 1], 80);

    fn guard(listen: &Listen) -> Guard {
        Guard::new(listen, HERE.into())
    }

    fn admit(guard: &Guard, headers: &[(&str, &str)]) -> Result<Caller, &'static str> {
        let request = headers
            .iter()
            .fold(Request::get("/flows"), |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        guard.admit(&head, HERE.into(), false).map_err(|turned| turned.code)
    }

    #[test]
    fn without_tokens_a_request_must_be_for_this_machine() {
        let listen = Listen { hosts: vec!["Node1.example".into()], ..Listen::default() };
        for (listen, host, taken) in [
            (&Listen::default(), "localhost:7000", true),
            (&Listen::default(), "LOCALHOST", true),
            (&Listen::default(), "127.0.0.1:7000", true),
            (&Listen::default(), "[::1]:7000", true),
            (&Listen::default(), "evil.example:7000", false),
            (&Listen::default(), "localhost.evil.example", false),
            (&Listen::default(), "127.0.0.1.evil.example", false),
            (&Listen::default(), "", false),
            (&Listen::default(), "user@localhost", true),
            (&Listen::default(), "evil.example@", false),
            (&listen, "node1.example:7000", true),
            (&listen, "localhost", true),
            (&listen, "node2.example", false),
        ] {
            assert_eq!(admit(&guard(listen), &[("host", host)]).is_ok(), taken, "{host}");
        }
    }

    #[test]
    fn a_request_says_its_host_and_at_most_one_origin() {
        let listen = Listen { origins: vec!["https://app.example".into()], ..Listen::default() };
        let guard = guard(&listen);
        assert_eq!(admit(&guard, &[]).map(|_| ()), Err("no_host"));
        let (host, good) = (("host", "localhost"), ("origin", "https://app.example"));
        assert!(admit(&guard, &[host, good]).is_ok());
        for second in ["https://evil.example", "https://app.example"] {
            assert_eq!(admit(&guard, &[host, good, ("origin", second)]).map(|_| ()), Err("wrong_origin"));
        }
        let own = ("origin", "http://localhost");
        assert_eq!(admit(&guard, &[host, own, ("origin", "http://evil")]).map(|_| ()), Err("wrong_origin"));
    }

    #[test]
    fn pages_of_other_sites_may_not_ask_unless_they_are_allowed() {
        let listen = Listen { origins: vec!["https://app.example".into()], ..Listen::default() };
        for (origin, taken) in [
            ("http://localhost:7000", true),
            ("https://app.example", true),
            ("https://localhost:7000", false),
            ("http://localhost:7001", false),
            ("https://app.example.evil", false),
            ("http://app.example", false),
            ("null", false),
            ("", false),
        ] {
            let headers = [("host", "localhost:7000"), ("origin", origin)];
            assert_eq!(admit(&guard(&listen), &headers).is_ok(), taken, "{origin}");
        }
    }

    #[test]
    fn tokens_are_asked_for_and_forged_ones_refused() {
        use crate::net::access::Scope;
        use crate::net::tokens::NewToken;
        let token = NewToken::make("t", &[Scope::Read], &[]).unwrap();
        let tokens = Tokens::parse("tokens", token.line()).ok();
        let guard = guard(&Listen { tokens, ..Listen::default() });
        let caller =
            |value: &str| admit(&guard, &[("authorization", value)]).map(|caller| caller.name().to_owned());
        assert_eq!(caller(&format!("Bearer {}", token.text())), Ok("t".into()));
        assert_eq!(caller(&format!("bearer  {}", token.text())), Ok("t".into()));
        for forged in ["", "Bearer", "Bearer ", "Basic dDp0", token.text(), "Bearer anb_0"] {
            assert_eq!(caller(forged), Err("unauthenticated"), "{forged}");
        }
        assert_eq!(admit(&guard, &[]).map(|_| ()), Err("unauthenticated"));
    }
}
