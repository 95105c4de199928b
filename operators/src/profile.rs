//! What timely logs of itself, as counters: activations and time of operators, messages and records of channels.
//!
//! timely writes an event for each start and stop of an operator, and for each message. They are added up here and
//! thrown away; nothing is kept but the sums, by the names of flow and operator. It costs two looks at the clock for
//! each activation, so it is done where somebody asks for it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use anabranch_model::message::FlowId;
use timely::logging::{
    ChannelsEvent, MessagesEvent, OperatesEvent, ScheduleEvent, StartStop, TimelyEvent, TimelyEventBuilder,
};

/// An operator of a flow on one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorCounts {
    /// Its name: `Input`, `route`, `step`, `source`.
    pub operator: String,
    /// How often it was run.
    pub activations: u64,
    /// Nanoseconds that it ran.
    pub nanos: u64,
}

/// A channel between two operators of a flow, as the worker that sends sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelCounts {
    /// The operator that sends.
    pub from: String,
    /// The operator that receives.
    pub to: String,
    /// Messages sent.
    pub messages: u64,
    /// Requests, tasks or answers in them.
    pub records: u64,
}

/// What a profile says about a flow on one worker, since its revision runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowProfile {
    /// Its operators, in the order in which a request passes them.
    pub operators: Vec<OperatorCounts>,
    /// Its channels, in the same order.
    pub channels: Vec<ChannelCounts>,
}

/// The counters of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profile(Rc<RefCell<Counters>>);

/// timely numbers dataflows, and the operators in each; operators and channels have another number on their worker.
#[derive(Debug, Default)]
struct Counters {
    flows: HashMap<usize, FlowId>,
    operators: BTreeMap<usize, Operator>,
    channels: BTreeMap<usize, Channel>,
}

#[derive(Debug)]
struct Operator {
    dataflow: usize,
    /// Its number in the dataflow; `None` for the dataflow as a whole.
    index: Option<usize>,
    started: Option<Duration>,
    counts: OperatorCounts,
}

#[derive(Debug)]
struct Channel {
    dataflow: usize,
    from: usize,
    to: usize,
    messages: u64,
    records: u64,
}

impl Profile {
    /// Begins to count; dataflows that are built later are seen.
    pub(crate) fn begin(worker: &timely::worker::Worker) -> Self {
        let profile = Profile::default();
        let counters = profile.0.clone();
        if let Some(mut logs) = worker.log_register() {
            logs.insert::<TimelyEventBuilder, _>("timely", move |_, events| {
                let mut counters = counters.borrow_mut();
                for (at, event) in events.iter_mut().flat_map(|events| events.drain(..)) {
                    counters.event(at, event);
                }
            });
        }
        profile
    }

    /// The dataflow of this number is that of a flow.
    pub(crate) fn build(&self, dataflow: usize, flow: FlowId) {
        self.0.borrow_mut().flows.insert(dataflow, flow);
    }

    /// What is known of a flow.
    pub(crate) fn of(&self, flow: FlowId) -> FlowProfile {
        let counters = self.0.borrow();
        let is_its = |dataflow: &usize| counters.flows.get(dataflow) == Some(&flow);
        let operators = counters.operators.values().filter(|of| of.index.is_some() && is_its(&of.dataflow));
        let channels = counters.channels.values().filter(|of| is_its(&of.dataflow));
        FlowProfile {
            operators: operators.map(|of| of.counts.clone()).collect(),
            channels: channels.map(|of| counters.named(of)).collect(),
        }
    }
}

impl Counters {
    fn event(&mut self, at: Duration, event: TimelyEvent) {
        match event {
            TimelyEvent::Operates(operator) => self.operates(operator),
            TimelyEvent::Channels(channel) => self.channel(&channel),
            TimelyEvent::Schedule(schedule) => self.schedule(at, schedule),
            TimelyEvent::Messages(message) => self.message(&message),
            TimelyEvent::Shutdown(gone) => self.shutdown(gone.id),
            TimelyEvent::PushProgress(_)
            | TimelyEvent::CommChannels(_)
            | TimelyEvent::Park(_)
            | TimelyEvent::Text(_) => {}
        }
    }

    fn operates(&mut self, operator: OperatesEvent) {
        let Some(&dataflow) = operator.addr.first() else { return };
        let counts = OperatorCounts { operator: operator.name, ..OperatorCounts::default() };
        let index = operator.addr.get(1).copied();
        self.operators.insert(operator.id, Operator { dataflow, index, started: None, counts });
    }

    fn channel(&mut self, channel: &ChannelsEvent) {
        let Some(&dataflow) = channel.scope_addr.first() else { return };
        let (from, to) = (channel.source.0, channel.target.0);
        self.channels.insert(channel.id, Channel { dataflow, from, to, messages: 0, records: 0 });
    }

    fn schedule(&mut self, at: Duration, schedule: ScheduleEvent) {
        let Some(operator) = self.operators.get_mut(&schedule.id) else { return };
        match schedule.start_stop {
            StartStop::Start => operator.started = Some(at),
            StartStop::Stop => {
                let Some(started) = operator.started.take() else { return };
                operator.counts.activations += 1;
                operator.counts.nanos += at.saturating_sub(started).as_nanos() as u64;
            }
        }
    }

    /// Counted where they are sent: all that are sent are received.
    fn message(&mut self, message: &MessagesEvent) {
        if message.is_send
            && let Some(channel) = self.channels.get_mut(&message.channel)
        {
            channel.messages += 1;
            channel.records += message.record_count.unsigned_abs();
        }
    }

    /// Forgets a dataflow that has ended.
    fn shutdown(&mut self, id: usize) {
        let Some(Operator { dataflow, index: None, .. }) = self.operators.get(&id) else { return };
        let ended = *dataflow;
        self.flows.remove(&ended);
        self.operators.retain(|_, of| of.dataflow != ended);
        self.channels.retain(|_, of| of.dataflow != ended);
    }

    fn named(&self, channel: &Channel) -> ChannelCounts {
        let name = |index: usize| {
            let is_it = |of: &&Operator| of.dataflow == channel.dataflow && of.index == Some(index);
            self.operators.values().find(is_it).map(|of| of.counts.operator.clone()).unwrap_or_default()
        };
        ChannelCounts {
            from: name(channel.from),
            to: name(channel.to),
            messages: channel.messages,
            records: channel.records,
        }
    }
}
