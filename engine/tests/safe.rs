//! What a node does with those who come over the network and should not, are too slow, or send anything but requests.

#![allow(clippy::disallowed_types, reason = "the sockets of clients that do wrong")]

mod safe_support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anabranch::{
    Client, ConnectOptions, Error, Flow, Listen, NetLimits, NewToken, Scope, ServerTls, Timeouts, Tokens,
    Trust,
};
use safe_support::{Authority, Served, half_open, http, read_all, served};
use serde_json::json;

/// Longer than anything here takes, on a busy machine, too.
const SOON: Duration = Duration::from_secs(20);

/// So short that a test does not wait for it.
const SHORT: Duration = Duration::from_millis(200);

fn limits() -> NetLimits {
    NetLimits::default()
}

fn tokens(lines: &[&NewToken]) -> Option<Tokens> {
    let text: Vec<&str> = lines.iter().map(|token| token.line()).collect();
    Some(Tokens::parse("tokens", &text.join("\n")).expect("they are right"))
}

fn token(scopes: &[Scope], flows: &[&str]) -> NewToken {
    let name: Vec<&str> = scopes.iter().map(|scope| scope.name()).chain(flows.iter().copied()).collect();
    NewToken::make(&name.join("-"), scopes, flows).expect("a token")
}

fn connect(served: &Served, token: &NewToken) -> Result<Client, Error> {
    ConnectOptions::new(&served.grpc()).token(token.text()).connect()
}

#[test]
fn a_client_goes_over_tls_when_it_trusts_the_authority() {
    let authority = Authority::new();
    let (certificate, key) = authority.node();
    let tls = ServerTls::read(&certificate, &key).expect("they belong together");
    let served = served(Listen { tls: Some(tls), ..Listen::default() });
    let ca = authority.file();
    let mut client = ConnectOptions::new(&served.grpc()).ca_file(&ca).connect().expect("it connects");
    assert_eq!(
        client.send("UpdateStream", &[json!({ "name": "a", "value": "1" })]).expect("sent").accepted,
        1
    );

    let why = |options: ConnectOptions| options.connect().expect_err("it must not connect").to_string();
    assert!(why(ConnectOptions::new(&served.grpc())).contains("speaks TLS"));
    assert!(why(ConnectOptions::new(&served.http()).ca_file(&ca)).contains("given with `--listen`"));
    let stranger = Authority::new();
    assert!(why(ConnectOptions::new(&served.grpc()).ca_file(&stranger.file())).contains("does not hold"));
    assert!(why(ConnectOptions::new(&served.grpc()).tls(Trust::System)).contains("authority"));
    let other_name = served.grpc().replace("127.0.0.1", "localhost.");
    assert!(ConnectOptions::new(&other_name).ca_file(&ca).connect().is_err());
    // Without TLS there is no answer that could be understood.
    assert!(Client::connect(&served.grpc()).is_err());
}

#[test]
fn certificates_and_keys_that_do_not_fit_are_refused_and_not_shown() {
    let (one, other) = (Authority::new(), Authority::new());
    let ((certificate, key), (_, foreign)) = (one.node(), other.node());
    let why =
        |certificate: &str, key: &str| ServerTls::read(certificate, key).expect_err("wrong").to_string();
    assert!(why(&certificate, &foreign).contains("does not go with the key"));
    assert!(why(&key, &certificate).contains("no certificate"));
    assert!(why(&certificate, &certificate).contains("no private key"));
    assert!(why("/not/there", &key).contains("there is no such file"));
    #[cfg(unix)]
    {
        safe_support::open_to_all(&key);
        assert!(why(&certificate, &key).contains("chmod o="));
        assert!(Tokens::read(&key).expect_err("open to all").to_string().contains("chmod o="));
    }
    let tls = format!("{:?}", ServerTls::read(&certificate, &foreign).err());
    assert!(!tls.contains("BEGIN"));
}

#[test]
fn without_a_token_nothing_is_answered_over_grpc() {
    let good = token(&[Scope::Read], &[]);
    let served = served(Listen { tokens: tokens(&[&good]), ..Listen::default() });
    let why = |options: ConnectOptions| options.connect().expect_err("it must not connect").to_string();
    assert!(why(ConnectOptions::new(&served.grpc())).contains("asks for a token"));
    let refused = ConnectOptions::new(&served.grpc()).connect();
    assert!(matches!(refused, Err(Error::Denied(_))), "{refused:?}");
    let forged = token(&[Scope::Read], &[]);
    let text = why(ConnectOptions::new(&served.grpc()).token(forged.text()));
    assert!(text.contains("none of this node's") && !text.contains(forged.text()), "{text}");
    connect(&served, &good).expect("it connects");
}

#[test]
fn a_session_does_what_its_token_says_flow_by_flow() {
    let (reads, writes) = (token(&[Scope::Read], &["names"]), token(&[Scope::Write], &["names"]));
    let stranger = token(&Scope::ALL, &["other"]);
    let served = served(Listen { tokens: tokens(&[&reads, &writes, &stranger]), ..Listen::default() });
    let row = json!({ "name": "a", "value": "1" });
    let denied = |error: Error| matches!(error, Error::Denied(_));

    let mut writer = connect(&served, &writes).expect("it connects");
    assert_eq!(writer.send("UpdateStream", std::slice::from_ref(&row)).expect("sent").accepted, 1);
    assert!(denied(writer.get("QueryTable", ["a"]).expect_err("it may not read")));
    assert!(writer.scan("QueryTable").expect("a table").next().expect("an answer").is_err());

    let mut reader = connect(&served, &reads).expect("it connects");
    assert!(denied(reader.send("UpdateStream", &[row]).expect_err("it may not write")));
    assert_eq!(reader.ask("ReadStream", &json!({ "name": "a" })).expect("it only reads").len(), 1);
    assert!(reader.get("QueryTable", ["a"]).expect("it may read").is_some());

    // What concerns the whole node, or the flow itself, needs scopes of its own.
    assert!(denied(reader.status().expect_err("it may not")));
    assert!(denied(writer.drop_flow("names").expect_err("it may not")));
    let flow = Flow::parse("names.flow", anabranch::doc::NAMES).expect("it compiles");
    assert!(denied(writer.deploy(flow).expect_err("it may not")));
    assert!(denied(writer.subscribe("OutputStream").map(drop).expect_err("it may not")));
    let mut found = writer.query("select name from QueryTable").expect("a question");
    assert!(found.next().expect("an answer").is_err());

    let mut other = connect(&served, &stranger).expect("it connects");
    let unknown = other.ask("ReadStream", &json!({ "name": "a" })).expect_err("it sees no such flow");
    assert!(matches!(&unknown, Error::Unknown { known, .. } if known.is_empty()), "{unknown}");
    assert!(denied(other.drop_flow("names").expect_err("it is not its flow")));
    assert!(denied(other.drop_flow("none").expect_err("whether it is there or not")));
}

#[test]
fn http_asks_for_the_token_and_tells_what_is_missing() {
    let (reads, deploys) = (token(&[Scope::Read], &[]), token(&[Scope::Deploy], &["names"]));
    let stranger = token(&Scope::ALL, &["other"]);
    let served = served(Listen { tokens: tokens(&[&reads, &deploys, &stranger]), ..Listen::default() });
    let ask = |headers: &str| {
        http(&served, &format!("POST /flows/names/ask/ReadStream HTTP/1.1\r\n{headers}"), r#"{"name":"a"}"#)
    };
    let answer = ask("");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("www-authenticate: Bearer") && answer.contains(r#""code":"unauthenticated""#));
    for (way, status) in [("DELETE", 404), ("PUT", 403)] {
        let head = format!("{way} /flows/names HTTP/1.1\r\nAuthorization: Bearer {}\r\n", stranger.text());
        let answer = http(&served, &head, anabranch::doc::NAMES);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{way}: {answer}");
    }
    for path in ["/status", "/zone", "/metrics"] {
        let head = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", deploys.text());
        assert!(http(&served, &head, "").starts_with("HTTP/1.1 403"), "{path}");
    }
    let lists = |path: &str, token: &NewToken| {
        http(&served, &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", token.text()), "")
    };
    for path in ["/flows", "/openapi.json"] {
        assert!(lists(path, &reads).contains("UpdateStream"), "{path}");
        assert!(!lists(path, &stranger).contains("UpdateStream"), "{path}");
    }
    assert!(lists("/flows/names/streams/OutputStream", &deploys).starts_with("HTTP/1.1 403"));
    assert!(ask("Authorization: Bearer anb_0\r\n").starts_with("HTTP/1.1 401"));
    let answer = ask(&format!("Authorization: Bearer {}\r\n", reads.text()));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = ask(&format!("Authorization: Bearer {}\r\n", deploys.text()));
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains(deploys.text()), "{answer}");
    let answer = ask(&format!("Authorization: Bearer {}\r\n", stranger.text()));
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(http(&served, "GET /live HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200"));
}

/// What nothing is done with is denied as well, and before anything of the body has come.
#[test]
fn a_token_is_looked_at_before_a_body_and_where_there_is_nothing_to_do() {
    let (reads, writes) = (token(&[Scope::Read], &[]), token(&[Scope::Write], &[]));
    let served = served(Listen { tokens: tokens(&[&reads, &writes]), ..Listen::default() });
    let ask = |head: &str, token: &NewToken, body: &str| {
        http(&served, &format!("{head} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", token.text()), body)
    };
    for (head, token, body) in [
        ("POST /streams/UpdateStream", &reads, "[]"),
        ("POST /streams/UpdateStream", &reads, "no JSON"),
        ("POST /ask/UpdateStream", &reads, "no JSON"),
        ("GET /tables/QueryTable?limit=0", &writes, ""),
        ("GET /tables/QueryTable/a/key/of/too/many/parts", &writes, ""),
        ("POST /query", &writes, "no JSON"),
    ] {
        let answer = ask(head, token, body);
        assert!(answer.starts_with("HTTP/1.1 403"), "{head}: {answer}");
    }
    for (path, kind) in [("streams/UpdateStream", "x-ndjson"), ("ask/UpdateStream", "json")] {
        let mut stream = TcpStream::connect(served.http()).expect("it connects");
        stream.set_read_timeout(Some(SOON)).expect("a time");
        let head =
            format!("POST /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/{kind}\r\n");
        let bearer = format!("Authorization: Bearer {}\r\n", reads.text());
        write!(stream, "{head}{bearer}Transfer-Encoding: chunked\r\n\r\n").expect("written");
        let mut status = [0; 12];
        stream.read_exact(&mut status).expect("an answer before the body");
        assert_eq!(&status, b"HTTP/1.1 403", "{path}");
    }
}

#[test]
fn the_description_says_that_a_token_is_needed_where_it_is() {
    let reads = token(&[Scope::Read], &[]);
    let (open, asks) =
        (served(Listen::default()), served(Listen { tokens: tokens(&[&reads]), ..Listen::default() }));
    for path in ["/openapi.json", "/flows/names/openapi.json"] {
        let head = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", reads.text());
        assert!(!http(&open, &head, "").contains("securitySchemes"));
        let described = http(&asks, &head, "");
        assert!(
            described.contains(r#""securitySchemes":{"token":{"scheme":"bearer","type":"http"}}"#),
            "{described}"
        );
        assert!(described.contains(r#""security":[{"token":[]}]"#), "{described}");
    }
}

#[test]
fn who_speaks_grpc_to_the_address_of_http_is_told() {
    let served = served(Listen::default());
    let error = Client::connect(&served.http()).expect_err("it is no gRPC").to_string();
    assert!(error.contains("speaks HTTP") && error.contains("--listen"), "{error}");
}

#[test]
fn who_administers_some_flows_does_not_see_the_node() {
    let (some, all) = (token(&[Scope::Admin, Scope::Read], &["names"]), token(&[Scope::Admin], &[]));
    let served = served(Listen { tokens: tokens(&[&some, &all]), ..Listen::default() });
    let denied = connect(&served, &some).expect("it connects").status().expect_err("it sees some flows only");
    assert!(denied.to_string().contains("for all flows"), "{denied}");
    assert_eq!(connect(&served, &all).expect("it connects").status().expect("it may").node, "A");
    for path in ["/status", "/metrics"] {
        for (token, status) in [(&some, 403), (&all, 200)] {
            let head = format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", token.text());
            assert!(http(&served, &head, "").starts_with(&format!("HTTP/1.1 {status}")), "{path}");
        }
    }
}

#[test]
fn requests_for_other_hosts_and_from_other_sites_are_turned_away() {
    let served = served(Listen { origins: vec!["https://app.example".into()], ..Listen::default() });
    let live = |headers: &str| http(&served, &format!("GET /live HTTP/1.1\r\n{headers}"), "");
    assert!(live("Host: evil.example\r\n").starts_with("HTTP/1.1 421"));
    assert!(live("Origin: https://evil.example\r\n").starts_with("HTTP/1.1 403"));
    let shared = live("Origin: https://app.example\r\n");
    assert!(shared.starts_with("HTTP/1.1 200"), "{shared}");
    assert!(shared.contains("access-control-allow-origin: https://app.example"), "{shared}");
    let preflight = "OPTIONS /flows HTTP/1.1\r\nAccess-Control-Request-Method: PUT\r\nOrigin: https://";
    let preflight = |site: &str| http(&served, &format!("{preflight}{site}\r\n"), "");
    assert!(preflight("app.example").starts_with("HTTP/1.1 204"));
    assert!(preflight("evil.example").starts_with("HTTP/1.1 403"));
}

#[test]
fn grpc_is_not_spoken_over_http_1() {
    let served = served(Listen::default());
    let mut stream = TcpStream::connect(served.grpc()).expect("it connects");
    let head = "POST /anabranch.v1.Node/Catalog HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n";
    write!(stream, "{head}Content-Length: 0\r\nConnection: close\r\n\r\n").expect("written");
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 421") && answer.contains("speaks gRPC"), "{answer}");
}

/// Every way to hold a connection without a request: the node ends it, and counts it no more.
#[test]
fn whoever_is_too_slow_is_shown_the_door() {
    let head = Timeouts { head: SHORT, ..Timeouts::default() };
    let plain = served(Listen { timeouts: head, ..Listen::default() });
    for address in [plain.grpc(), plain.http()] {
        for half in ["", "PRI * HTTP/2.0\r\n", "GET /live HT", "GET /live HTTP/1.1\r\nHost: localhost\r\nX-"]
        {
            assert_eq!(half_open(&address, half.as_bytes()), "", "{half:?}");
        }
    }
    assert!(plain.server.wait_for_connections(0, SOON));

    let authority = Authority::new();
    let (certificate, key) = authority.node();
    let tls = ServerTls::read(&certificate, &key).ok();
    let handshake = NetLimits { handshake: SHORT, ..limits() };
    let secured = served(Listen { tls, limits: handshake, ..Listen::default() });
    for half in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        half_open(&secured.http(), half);
        half_open(&secured.grpc(), half);
    }
    assert!(secured.server.wait_for_connections(0, SOON));
}

#[test]
fn an_http_2_client_that_stops_in_the_middle_of_a_frame_is_shown_the_door() {
    let silent = NetLimits { ping_every: SHORT, pong_within: SHORT, ..limits() };
    let served = served(Listen { limits: silent, ..Listen::default() });
    // A head that is announced and never comes, and one that goes on in a frame that never comes.
    let halves: [&[u8]; 3] = [
        b"",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x40\x01\x04\0\0\0\x01\x82",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82",
    ];
    for half in halves {
        let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", half].concat();
        half_open(&served.grpc(), &bytes);
        half_open(&served.http(), &bytes);
    }
    assert!(served.server.wait_for_connections(0, SOON));
}

#[test]
fn an_idle_http_2_client_is_let_go() {
    let idle = NetLimits { idle: SHORT, ..limits() };
    let timeouts = Timeouts { head: SHORT, ..Timeouts::default() };
    let served = served(Listen { limits: idle, timeouts, ..Listen::default() });
    // A client with a session is not idle, however little it says.
    let mut client = Client::connect(&served.grpc()).expect("it connects");
    half_open(&served.grpc(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(served.server.wait_for_connections(1, SOON));
    assert_eq!(client.ask("ReadStream", &json!({ "name": "a" })).expect("asked").len(), 1);
    drop(client);
    assert!(served.server.wait_for_connections(0, SOON));
}

#[test]
fn a_body_that_does_not_come_ends_its_request() {
    let timeouts = Timeouts { body: SHORT, ..Timeouts::default() };
    let served = served(Listen { timeouts, ..Listen::default() });
    let head =
        "POST /flows/names/ask/ReadStream HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"na";
    let answer = half_open(&served.http(), head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(served.server.wait_for_connections(0, SOON));
}

#[test]
fn who_does_not_read_what_was_asked_for_is_let_go() {
    let stalled = NetLimits { stalled: SHORT, ..limits() };
    let served = served(Listen { limits: stalled, ..Listen::default() });
    // More than the buffers of the system hold.
    let rows: Vec<_> =
        (0..200).map(|n| json!({ "name": n.to_string(), "value": "x".repeat(100_000) })).collect();
    for part in rows.chunks(100) {
        assert_eq!(served.node.client().send("UpdateStream", part).expect("sent").accepted, 100);
    }
    let mut stream = TcpStream::connect(served.http()).expect("it connects");
    stream.write_all(b"GET /tables/QueryTable HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("written");
    stream.read_exact(&mut [0; 12]).expect("the answer begins");
    assert!(served.server.wait_for_connections(0, SOON));
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    let served = served(Listen::default());
    let mut garbage: Vec<Vec<u8>> = vec![
        vec![0; 100_000],
        vec![0xff; 100_000],
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(50),
        [b"GET /".to_vec(), vec![b'a'; 1 << 20]].concat(),
        [b"GET / HTTP/1.1\r\n".to_vec(), b"X-Y: z\r\n".repeat(100_000)].concat(),
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), vec![0xff; 100_000]].concat(),
        // A frame of 16 MiB, one on a stream that nobody opened, and one of an unknown window.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\0\0\0\0\0\x01".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\0\0\0\0\0\x07a".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x04\x08\0\0\0\0\0\0\0\0\0".to_vec(),
    ];
    // Any bytes, the same in every run.
    let mut seed = 1_u64;
    for _ in 0..50 {
        let bytes = (0..2000).map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 56) as u8
        });
        garbage.push(bytes.collect());
    }
    for bytes in &garbage {
        for address in [served.grpc(), served.http()] {
            let mut stream = TcpStream::connect(address).expect("it connects");
            // The node may hang up before everything is written.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    assert!(served.server.wait_for_connections(0, SOON));
    let mut client = Client::connect(&served.grpc()).expect("it connects");
    assert_eq!(client.ask("ReadStream", &json!({ "name": "a" })).expect("asked").len(), 1);
}

#[test]
fn streams_that_are_opened_and_taken_back_in_a_flood_end_the_connection() {
    let served = served(Listen::default());
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..40_001_u32).step_by(2) {
        let id = stream.to_be_bytes();
        // GET / of localhost, then RST_STREAM.
        bytes.extend_from_slice(b"\0\0\x0e\x01\x05");
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(b"\x82\x86\x84\x41\x09localhost");
        bytes.extend_from_slice(b"\0\0\x04\x03\0");
        bytes.extend_from_slice(&id);
        bytes.extend_from_slice(b"\0\0\0\x08");
    }
    let mut stream = TcpStream::connect(served.http()).expect("it connects");
    let _ = stream.write_all(&bytes);
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(served.server.wait_for_connections(0, SOON));
    drop(stream);
    assert!(http(&served, "GET /live HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn connections_beyond_the_limit_wait_and_are_served_when_others_end() {
    let few = NetLimits { connections: 2, ..limits() };
    let served = served(Listen { limits: few, ..Listen::default() });
    let open: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(served.http()).expect("it connects")).collect();
    assert!(served.server.wait_for_connections(2, SOON));
    let mut waits = TcpStream::connect(served.http()).expect("the system takes it");
    waits.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("written");
    drop(open);
    assert!(read_all(&mut waits).starts_with("HTTP/1.1 200"));
    assert!(served.server.wait_for_connections(0, SOON));
}

#[test]
fn an_address_with_too_many_connections_gets_no_more() {
    let few = NetLimits { connections_per_address: Some(2), ..limits() };
    let served = served(Listen { limits: few, ..Listen::default() });
    let open: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(served.http()).expect("it connects")).collect();
    assert!(served.server.wait_for_connections(2, SOON));
    assert_eq!(half_open(&served.http(), b""), "");
    assert_eq!(served.server.connections(), 2);
    drop(open);
    assert!(served.server.wait_for_connections(0, SOON));
    assert!(http(&served, "GET /live HTTP/1.1\r\n", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn clients_that_are_gone_leave_nothing() {
    let served = served(Listen::default());
    for _ in 0..20 {
        let mut client = Client::connect(&served.grpc()).expect("it connects");
        for n in 0..10 {
            let mut batch = client.batch("UpdateStream").expect("an input");
            batch.push(&json!({ "name": n.to_string(), "value": "x" })).expect("a row");
            client.submit(batch).expect("submitted");
        }
        drop(client);
    }
    assert!(served.server.wait_for_connections(0, SOON));
}
