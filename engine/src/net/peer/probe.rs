//! Whether a process is gone: nothing listens any more where it did.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::os;

/// Whether connections are refused there within `time`. A kernel that ends a process closes its sockets one after the
/// other, so a connection that is taken and then closed at once is followed by another try.
pub(super) fn is_refused(at: SocketAddr, time: Duration) -> bool {
    let until = os::now() + time;
    loop {
        let left = until.saturating_duration_since(os::now());
        if left.is_zero() {
            return false;
        }
        match TcpStream::connect_timeout(&at, left) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(_) => return false,
            Ok(stream) if stays_open(&stream, left) => return false,
            Ok(_) => std::thread::yield_now(),
        }
    }
}

fn stays_open(mut stream: &TcpStream, time: Duration) -> bool {
    if stream.set_read_timeout(Some(time)).is_err() {
        return true;
    }
    match stream.read(&mut [0]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}
