//! Stands between two nodes and holds back proofs, so that two dials are at the same point at the same moment.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};

use anabranch::peers::wire::{Kind, PREFACE};

use crate::world::{Bare, frame};

/// A port that leads to `target`; the first connection goes on from its proof when all have come that far whom the
/// barrier waits for, later ones at once.
pub(crate) fn relay(target: SocketAddr, all_there: Arc<Barrier>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it listens");
    std::thread::spawn(move || {
        let mut first = Some(all_there);
        for stream in listener.incoming() {
            let (Ok(stream), Ok(onward)) = (stream, TcpStream::connect(target)) else { return };
            let barrier = first.take();
            std::thread::spawn(move || run(stream, onward, barrier.as_deref()));
        }
    });
    address
}

fn run(stream: TcpStream, onward: TcpStream, barrier: Option<&Barrier>) {
    let (mut dialer, mut target) = (Bare::over(stream), Bare::over(onward));
    if let Some(barrier) = barrier {
        let mut preface = [0; PREFACE.len()];
        dialer.stream.read_exact(&mut preface).expect("a preface");
        target.write(&preface);
        let pass = |from: &mut Bare, to: &mut Bare, wanted: Kind| {
            let (kind, body) = from.frame().expect("a frame");
            assert_eq!(kind, wanted);
            to.write(&frame(kind, &body));
        };
        pass(&mut dialer, &mut target, Kind::Hello);
        pass(&mut target, &mut dialer, Kind::Hello);
        let proof = dialer.frame().expect("a proof");
        barrier.wait();
        target.write(&frame(proof.0, &proof.1));
    }
    let (back_from, back_to) = (target.stream.try_clone(), dialer.stream.try_clone());
    let (Ok(back_from), Ok(back_to)) = (back_from, back_to) else { return };
    std::thread::spawn(move || pump(back_from, back_to));
    pump(dialer.stream, target.stream);
}

/// Until either side has ended.
fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut piece = [0; 1024];
    while let Ok(got @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..got]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
