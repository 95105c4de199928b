//! The way to another node: frames go out, and nobody waits.

use std::fmt;
use std::sync::Arc;

/// Takes frames for another node, whole ones behind each other, in order; never blocks. What is sent when the link has
/// broken is lost, and whoever sent it is told that it broke.
pub(crate) trait Frames: Send + Sync {
    fn send(&self, frames: Vec<u8>);
}

/// A link to another node.
#[derive(Clone)]
pub struct Link(Arc<dyn Frames>);

impl Link {
    pub(crate) fn to(frames: impl Frames + 'static) -> Self {
        Link(Arc::new(frames))
    }

    /// Sends frames.
    pub(crate) fn send(&self, frames: Vec<u8>) {
        if !frames.is_empty() {
            self.0.send(frames);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link")
    }
}
