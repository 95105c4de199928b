//! How a client reaches its worker: over a channel to a thread, or by a call in the same thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use anabranch_model::message::Once;
use anabranch_model::plan::{InputId, Plan};
use crossbeam_channel::Receiver;

use crate::deploy::Deployed;
use crate::driver::Command;
use crate::egress::Answered;
use crate::error::Error;
use crate::flow::Flow;
use crate::idempotency_key::IdempotencyKey;
use crate::node::Core;
use crate::os::{self, Door};
use crate::status::NodeStatus;
use crate::testing::Stage;
use crate::watch::Watch;
use crate::zone_status::ZoneStatus;

/// How a client reaches its worker.
pub trait Link {
    /// Sends a command; waits while the worker's queue is full.
    ///
    /// # Errors
    /// The node has stopped.
    fn send(&mut self, command: Command) -> Result<(), Error>;

    /// The next answer; waits for it.
    ///
    /// # Errors
    /// The node has stopped.
    fn receive(&mut self) -> Result<Answered, Error>;

    /// The next answer if there is one now.
    ///
    /// # Errors
    /// The node has stopped.
    fn try_receive(&mut self) -> Result<Option<Answered>, Error>;

    /// Asks which flows the node runs now. False where the client knows at any time.
    ///
    /// # Errors
    /// The node cannot be reached.
    fn refresh(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    /// The time of the node's clock, in microseconds since 1970 UTC.
    fn now(&self) -> i64 {
        os::now_micros()
    }

    /// The number of the request after number `last`.
    fn number(&mut self, last: u64) -> u64 {
        last + 1
    }

    /// By what rows for an input, with a key, are recognised.
    fn once(&self, key: IdempotencyKey, plan: &Plan, input: InputId) -> Once {
        key.once("", plan, input)
    }
}

/// The way of most clients.
#[derive(Debug)]
pub enum Connection {
    /// To a node in the same process.
    Threads(Threads),
    /// To a node over the network.
    #[cfg(feature = "net")]
    Remote(Box<crate::net::Remote>),
}

impl Connection {
    /// What the node knows of itself now.
    pub(crate) fn status(&mut self) -> Result<NodeStatus, Error> {
        match self {
            Connection::Threads(threads) => Ok(threads.core.status()),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.status(),
        }
    }

    /// What the node knows of its zone now.
    pub(crate) fn zone(&mut self) -> Result<Option<ZoneStatus>, Error> {
        match self {
            Connection::Threads(threads) => Ok(threads.core.zone().status()),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.zone(),
        }
    }
}

impl Connection {
    /// Installs a flow, or puts it in the place of its older revision.
    pub(crate) fn deploy(&mut self, flow: Flow) -> Result<Deployed, Error> {
        match self {
            Connection::Threads(threads) => threads.core.deploy(flow),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.deploy(flow),
        }
    }

    /// Drops a flow with its rows.
    pub(crate) fn drop_flow(&mut self, name: &str) -> Result<(), Error> {
        match self {
            Connection::Threads(threads) => threads.core.drop_flow(name),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.drop_flow(name),
        }
    }

    /// Rows of an output from now on.
    pub(crate) fn subscribe(&mut self, output: &str) -> Result<Watch, Error> {
        match self {
            Connection::Threads(threads) => threads.core.subscribe(output).map(Watch::here),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.subscribe(output).map(Watch::remote),
        }
    }
}

impl Link for Connection {
    fn send(&mut self, command: Command) -> Result<(), Error> {
        match self {
            Connection::Threads(threads) => threads.send(command),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.send(command),
        }
    }

    fn receive(&mut self) -> Result<Answered, Error> {
        match self {
            Connection::Threads(threads) => threads.receive(),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.receive(),
        }
    }

    fn try_receive(&mut self) -> Result<Option<Answered>, Error> {
        match self {
            Connection::Threads(threads) => threads.try_receive(),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.try_receive(),
        }
    }

    fn refresh(&mut self) -> Result<bool, Error> {
        match self {
            Connection::Threads(_) => Ok(false),
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.refresh().map(|()| true),
        }
    }

    fn number(&mut self, last: u64) -> u64 {
        match self {
            Connection::Threads(_) => last + 1,
            #[cfg(feature = "net")]
            Connection::Remote(remote) => remote.number(last),
        }
    }

    fn once(&self, key: IdempotencyKey, plan: &Plan, input: InputId) -> Once {
        match self {
            Connection::Threads(_) => key.once("", plan, input),
            #[cfg(feature = "net")]
            Connection::Remote(_) => {
                // The node knows whose key it is.
                let (client, number) = key.numbers();
                Once { client, number, answered: 0, repeated: true }
            }
        }
    }
}

/// To a worker on a thread of its own.
#[derive(Debug)]
pub struct Threads {
    pub(crate) core: Arc<Core>,
    pub(crate) door: Door,
    pub(crate) answers: Receiver<Answered>,
}

impl Link for Threads {
    fn send(&mut self, mut command: Command) -> Result<(), Error> {
        if let Command::Trace(_, _, trace) = &mut command {
            *trace = trace.child(crate::os::seed());
        }
        if self.door.send(command) { Ok(()) } else { Err(Error::Stopped) }
    }

    fn receive(&mut self) -> Result<Answered, Error> {
        self.answers.recv().map_err(|_| Error::Stopped)
    }

    fn try_receive(&mut self) -> Result<Option<Answered>, Error> {
        use crossbeam_channel::TryRecvError;
        match self.answers.try_recv() {
            Ok(answered) => Ok(Some(answered)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Error::Stopped),
        }
    }
}

/// To a worker in the same thread.
#[derive(Debug)]
pub struct Here {
    pub(crate) stage: Rc<RefCell<Stage>>,
    pub(crate) answers: Receiver<Answered>,
}

impl Link for Here {
    fn send(&mut self, command: Command) -> Result<(), Error> {
        self.stage.borrow_mut().handle(command);
        Ok(())
    }

    fn receive(&mut self) -> Result<Answered, Error> {
        loop {
            if let Ok(answered) = self.answers.try_recv() {
                return Ok(answered);
            }
            self.stage.borrow_mut().go_on();
        }
    }

    fn try_receive(&mut self) -> Result<Option<Answered>, Error> {
        self.stage.borrow_mut().turn();
        Ok(self.answers.try_recv().ok())
    }

    fn now(&self) -> i64 {
        self.stage.borrow().now()
    }
}
