//! Parts of requests, and what is decided, as frames for other nodes.

use anabranch_model::message::{Body, Forward, Origin, WorkerId};
use anabranch_model::zone::Touched;
use anabranch_wire::peer::forward::{self, ForwardBody, ForwardsWriter, Places};
use anabranch_wire::peer::{FRAME_HEAD_BYTES, FrameWriter, Kind};

/// Appends a frame with a part of a request.
pub(crate) fn write(id: u64, forward: &Forward, from: WorkerId, to: WorkerId, out: &mut Vec<u8>) {
    let (mut terms, mut places) = (Vec::new(), Vec::new());
    let Touched { copies, .. } = forward.terms.touched;
    let of = forward.terms.iter().map(|(group, term)| (group.number, term));
    let body = match &forward.body {
        Body::Rows { input, batch } => {
            let places = Places::of(&forward.rows, &mut places);
            ForwardBody::Rows { input: *input, places, batch: batch.bytes() }
        }
        Body::Get { table, partition, key, reads } => {
            ForwardBody::Get { table: *table, partition: *partition, reads: *reads, key }
        }
        Body::Page { table, after, limit, reads } => {
            ForwardBody::Page { table: *table, after: after.as_deref(), limit: *limit, reads: *reads }
        }
    };
    let Origin { once, revision, .. } = forward.origin;
    let asked = forward::Forward {
        id,
        from,
        to,
        flow: forward.flow,
        revision: forward.revision,
        asker: revision,
        once: once.expect("requests in a zone are numbered"),
        terms: forward::Terms::of(copies, of, &mut terms),
        body,
    };
    let mut writer = ForwardsWriter::begin(out);
    if writer.push(&asked).is_err() {
        unreachable!("a batch fits into a frame");
    }
    writer.finish();
}

/// A frame of the zone's deciding.
pub(crate) fn control(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + FRAME_HEAD_BYTES);
    let mut frame = FrameWriter::begin(&mut out, Kind::Control);
    frame.body().extend_from_slice(bytes);
    frame.finish();
    out
}
