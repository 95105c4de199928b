//! Bytes that anybody may send to a node as its peer, read to their end. The bounded run of the same is `tests/peer`; a
//! crash found here becomes a test there.
//!
//! `cargo +nightly fuzz run peer`

#![no_main]

#[path = "../../tests/peer/read_all.rs"]
mod read_all;

use anabranch_wire::peer::Kind;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    read_all::read_frames(bytes);
    if let [kind, body @ ..] = bytes
        && let Some(kind) = Kind::of(*kind)
    {
        read_all::read_body(kind, body);
    }
});
