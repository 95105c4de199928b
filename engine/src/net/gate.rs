//! How handlers of the network reach the workers without blocking their runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch_model::message::{Answer, Body, FlowId};
use anabranch_model::partition::PartitionId;
use tokio::sync::oneshot;

use crate::driver::Command;
use crate::error::Error;
use crate::node::Core;
use crate::os::Door;

/// The ways to the workers of a node.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) core: Arc<Core>,
    turn: Arc<AtomicUsize>,
}

impl Gate {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Gate { core, turn: Arc::default() }
    }

    /// Sends a request by itself and waits for its answer. Requests that are sent one after the other may be done in
    /// any order; who needs an order waits in between.
    ///
    /// # Errors
    /// The node has stopped.
    pub(crate) async fn call(&self, flow: FlowId, body: Body) -> Result<Answer, Error> {
        let door = self.door(&body);
        let (sender, answer) = oneshot::channel();
        // Who asked may be gone when the answer comes.
        let reply = Box::new(|answer| drop(sender.send(answer)));
        if !send(door, Command::Single(flow, body, reply)) {
            return Err(Error::Stopped);
        }
        answer.await.map_err(|_| Error::Stopped)
    }

    /// Where a request enters: at the worker that has the row, where that is known, else at each in turn.
    fn door(&self, body: &Body) -> &Door {
        let doors = self.core.doors();
        let at = match body {
            Body::Get { partition: PartitionId(partition), .. } => *partition as usize,
            Body::Rows { .. } | Body::Page { .. } => self.turn.fetch_add(1, Ordering::Relaxed),
        };
        &doors[at % doors.len()]
    }
}

/// Sends a command to a worker; where its queue is full this thread waits and the runtime's other work moves to another.
/// False when the worker has ended.
pub(crate) fn send(door: &Door, command: Command) -> bool {
    match door.try_send(command) {
        Ok(()) => true,
        Err(Some(command)) => tokio::task::block_in_place(|| door.send(command)),
        Err(None) => false,
    }
}
