//! What goes out, in order: behind a piece that is to be kept nothing leaves before it is kept.
//!
//! That makes the consensus safe although it counts an entry as its own before the disk has it: nobody hears of what rests
//! on it until the disk has it.

use std::collections::VecDeque;

use crate::Output;

/// Outputs that wait for a piece to be kept; further messages are lost, which is what messages may be.
const HELD_MAX: usize = 4096;

/// What goes out.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: VecDeque<Output>,
    serial: u64,
    waits_for: Option<u64>,
}

impl Outbox {
    pub(crate) fn push(&mut self, output: Output) {
        let lost = matches!(output, Output::Send { .. }) && self.queue.len() >= HELD_MAX;
        if !lost {
            self.queue.push_back(output);
        }
    }

    pub(crate) fn keep(&mut self, whole: bool, bytes: Vec<u8>) {
        self.serial += 1;
        self.queue.push_back(Output::Keep { serial: self.serial, whole, bytes });
    }

    pub(crate) fn kept(&mut self, serial: u64) {
        if self.waits_for.is_some_and(|waits_for| waits_for <= serial) {
            self.waits_for = None;
        }
    }

    /// What may go now.
    pub(crate) fn take(&mut self) -> Vec<Output> {
        let mut out = Vec::new();
        while self.waits_for.is_none() {
            let Some(output) = self.queue.pop_front() else { break };
            if let Output::Keep { serial, .. } = &output {
                self.waits_for = Some(*serial);
            }
            out.push(output);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_before_what_it_rests_on_is_kept() {
        let mut out = Outbox::default();
        let lease = |until| Output::Lease { until };
        let keep = |serial| Output::Keep { serial, whole: false, bytes: vec![7] };
        out.push(lease(1));
        out.keep(false, vec![7]);
        out.push(lease(2));
        out.keep(false, vec![7]);
        out.push(lease(3));
        assert_eq!(out.take(), [lease(1), keep(1)]);
        assert_eq!(out.take(), []);
        out.kept(1);
        assert_eq!(out.take(), [lease(2), keep(2)]);
        out.kept(1);
        assert_eq!(out.take(), [], "an older word does not count");
        out.kept(2);
        assert_eq!(out.take(), [lease(3)]);
    }
}
