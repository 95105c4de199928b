//! The face of it: a node's part in its zone, fed with time, messages and wishes, emptied of outputs.

use std::sync::Arc;

use anabranch_model::zone::MemberId;

use crate::frame::{Body, Frame, Reason, Unreadable};
use crate::joining::Joining;
use crate::member::Me;
use crate::membership::Membership;
use crate::outbox::Outbox;
use crate::shelf::Shelf;
use crate::view::View;
use crate::wish::Wish;

/// Microseconds between two ticks of the consensus; a leader sends a heartbeat with each.
pub(crate) const TICK: u64 = 50_000;

/// Whom a message goes to, or comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contact {
    /// Where it is reached.
    pub address: String,
    /// Which member it is; `None` for a node that is not known to be one.
    pub member: Option<MemberId>,
}

impl Contact {
    /// A node of which only the address is known.
    pub fn at(address: &str) -> Contact {
        Contact { address: address.to_owned(), member: None }
    }
}

/// What comes from the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A peer that proved to be of the zone sent this. Where the link knows which member it is, a frame of anybody else is
    /// turned down.
    Message {
        /// Who.
        from: Contact,
        /// What.
        bytes: Vec<u8>,
    },
    /// There is a connection to a member.
    LinkUp(MemberId),
    /// There is none any more.
    LinkLost {
        /// To whom.
        member: MemberId,
        /// Whether its kernel closed the old one and refuses a new one, so that its process is gone.
        refused: bool,
    },
    /// Everything up to this piece is on disk.
    Kept(u64),
}

/// What the node is to do. The order counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this; it may be lost, doubled, late.
    Send {
        /// To whom.
        to: Contact,
        /// What.
        bytes: Vec<u8>,
    },
    /// Write this to disk and sync it, then say [`Event::Kept`]. What is behind it waits meanwhile. Only nodes that are
    /// durable hear it.
    Keep {
        /// To be said again.
        serial: u64,
        /// Whether it stands for all pieces before, which may go once it is on disk.
        whole: bool,
        /// What.
        bytes: Vec<u8>,
    },
    /// The zone has changed.
    View(Arc<View>),
    /// What this node owns in the latest view it may serve until then, by its own clock. Never moves back, but see
    /// [`Output::Refused`].
    Lease {
        /// Microseconds of the clock that the node gives times of.
        until: u64,
    },
    /// The node is not, or no longer, a member, and this will not change without an operator: it serves nothing.
    Refused(Reason),
}

/// Why something that came was turned down. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes are no message: who sent them is broken or hostile. Close the connection.
    Garbage,
    /// The other end speaks another version, which this is.
    Version(u8),
    /// It is of another zone, or of a zone that went on without its sender.
    AnotherZone,
    /// The member that it claims to come from is not who sent it. Close the connection.
    Impostor,
    /// What was kept is no state of this crate: the disk was damaged, or a newer version wrote it.
    Unreadable,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Garbage => {
                write!(f, "what a peer sent is no message of a zone; the connection should be closed")
            }
            Error::Version(theirs) => write!(
                f,
                "a peer speaks version {theirs} of the protocol of zones, this node version {}; update the older one",
                crate::frame::FORMAT
            ),
            Error::AnotherZone => write!(
                f,
                "a peer sent a message of another zone, or of this one before it was forced to go on; it was ignored"
            ),
            Error::Impostor => write!(
                f,
                "a peer sent a message in the name of another member; the connection should be closed"
            ),
            Error::Unreadable => write!(
                f,
                "what this node kept of its zone cannot be read; restore the data directory, or start with an empty one as a new member"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// What stands at the moment.
#[derive(Debug)]
enum Stage {
    /// It knows nobody, or nobody has taken it in.
    Joining(Joining),
    /// It is a member.
    Member(Box<Membership>),
    /// It cannot be one.
    Over,
}

/// A node's part in its zone. Times are microseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Cluster {
    me: Me,
    stage: Stage,
    out: Outbox,
    next_tick: u64,
    now: u64,
    /// Wishes made before it was a member.
    early: Vec<(u64, Wish)>,
    next_wish: u64,
    view: Arc<View>,
}

impl Cluster {
    fn with(me: Me, stage: Stage, now: u64) -> Cluster {
        let view = Arc::new(View { zone: me.zone.clone(), ..View::default() });
        Cluster {
            me,
            stage,
            out: Outbox::default(),
            next_tick: now + TICK,
            now,
            early: Vec::new(),
            next_wish: 1,
            view,
        }
    }

    /// Begins a zone of one.
    pub fn found(me: Me, now: u64) -> Cluster {
        let membership = Membership::found(&me, now);
        let mut cluster = Cluster::with(me, Stage::Member(Box::new(membership)), now);
        cluster.begin(now);
        cluster
    }

    /// Joins the zone of any node that answers at one of these addresses.
    pub fn join(me: Me, seeds: Vec<String>, now: u64) -> Cluster {
        Cluster::with(me, Stage::Joining(Joining::new(seeds)), now)
    }

    /// Goes on as the member that it was, from what was kept: the last whole piece and those behind it. Without pieces
    /// that is [`Cluster::join`].
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`].
    pub fn restore(me: Me, seeds: Vec<String>, saved: &[Vec<u8>], now: u64) -> Result<Cluster, Error> {
        if saved.is_empty() {
            return Ok(Cluster::join(me, seeds, now));
        }
        let shelf = Shelf::restore(saved).ok_or(Error::Unreadable)?;
        let membership = Membership::restore(&me, shelf, seeds, now);
        let mut cluster = Cluster::with(me, Stage::Member(Box::new(membership)), now);
        cluster.begin(now);
        Ok(cluster)
    }

    fn begin(&mut self, now: u64) {
        self.now = now;
        if let Stage::Member(member) = &mut self.stage {
            member.begin(&self.me, &mut self.out, now);
        }
        self.settle();
    }

    /// Takes what comes from the world.
    ///
    /// # Errors
    ///
    /// Why it was turned down; nothing has changed then.
    pub fn handle(&mut self, now: u64, event: Event) -> Result<(), Error> {
        self.now = self.now.max(now);
        match event {
            Event::Message { from, bytes } => self.message(from, &bytes)?,
            Event::LinkUp(member) => self.with_member(|of, _, _, _| of.link_up(member)),
            Event::LinkLost { member, refused: true } => {
                self.with_member(|of, me, out, now| of.refused(member, me, out, now));
            }
            Event::LinkLost { refused: false, .. } => {}
            Event::Kept(serial) => self.out.kept(serial),
        }
        self.settle();
        Ok(())
    }

    /// Wants something decided; what becomes of it is seen in the view. Gives the number under which a revision of a flow
    /// names its wish.
    pub fn wish(&mut self, now: u64, wish: Wish) -> u64 {
        self.now = self.now.max(now);
        let number = self.next_wish;
        self.next_wish += 1;
        match &mut self.stage {
            Stage::Member(member) => member.wish(wish, number),
            Stage::Joining(_) => self.early.push((number, wish)),
            Stage::Over => {}
        }
        number
    }

    /// What to do now, in order. To be called after each event and wish, and when it is [due](Cluster::due).
    pub fn turn(&mut self, now: u64) -> Vec<Output> {
        self.now = self.now.max(now);
        if let Stage::Member(member) = &mut self.stage
            && member.tell_new(&self.me, &mut self.out, self.now)
        {
            self.settle();
        }
        if self.now >= self.next_tick {
            let late = self.now - self.next_tick;
            self.next_tick = self.now + TICK - if late < TICK { late } else { 0 };
            match &mut self.stage {
                Stage::Joining(joining) => joining.tick(&self.me, &mut self.out, self.now),
                Stage::Member(member) => member.tick(late, &self.me, &mut self.out, self.now),
                Stage::Over => {}
            }
            self.settle();
        } else if let Stage::Member(member) = &mut self.stage
            && member.due().is_some_and(|due| due <= self.now)
        {
            member.campaign();
            self.settle();
        }
        self.out.take()
    }

    /// When [`Cluster::turn`] is to be called at the latest.
    pub fn due(&self) -> u64 {
        match &self.stage {
            Stage::Over => u64::MAX,
            Stage::Joining(_) => self.next_tick,
            Stage::Member(member) => member.due().map_or(self.next_tick, |due| due.min(self.next_tick)),
        }
    }

    /// The latest view. [`Output::View`] gives it when it is kept.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Its number, once it is a member.
    pub fn id(&self) -> Option<MemberId> {
        match &self.stage {
            Stage::Member(member) => Some(member.id()),
            _ => None,
        }
    }

    /// Whether it leads the zone, as far as it knows.
    pub fn leads(&self) -> bool {
        matches!(&self.stage, Stage::Member(member) if member.leads())
    }

    fn with_member(&mut self, act: impl FnOnce(&mut Membership, &Me, &mut Outbox, u64)) {
        if let Stage::Member(member) = &mut self.stage {
            act(member, &self.me, &mut self.out, self.now);
        }
    }

    fn message(&mut self, from: Contact, bytes: &[u8]) -> Result<(), Error> {
        let frame = Frame::decode(bytes).map_err(|why| match why {
            Unreadable::Format(theirs) => Error::Version(theirs),
            Unreadable::Garbage => Error::Garbage,
        })?;
        if from.member.is_some() && frame.from.is_some() && from.member != frame.from {
            return Err(Error::Impostor);
        }
        match &mut self.stage {
            Stage::Over => Ok(()),
            Stage::Joining(_) => self.message_while_joining(frame),
            Stage::Member(member) => {
                let refused = member.message(from, frame, &self.me, &mut self.out, self.now)?;
                if let Some(reason) = refused {
                    self.end(reason);
                }
                Ok(())
            }
        }
    }

    fn message_while_joining(&mut self, frame: Frame) -> Result<(), Error> {
        let Stage::Joining(joining) = &mut self.stage else { return Ok(()) };
        match frame.body {
            Body::Redirect { address } => joining.redirect(address, &self.me, &mut self.out, self.now),
            Body::Refused(reason) => self.end(reason),
            Body::Taken { id, book } => {
                let mut member = Membership::taken(&self.me, id, frame.zone, frame.forced, book);
                member.begin(&self.me, &mut self.out, self.now);
                for (number, wish) in std::mem::take(&mut self.early) {
                    member.wish(wish, number);
                }
                self.stage = Stage::Member(Box::new(member));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, reason: Reason) {
        self.stage = Stage::Over;
        self.out.push(Output::Refused(reason));
    }

    /// Goes on until nothing is left to do at this time.
    fn settle(&mut self) {
        if let Stage::Member(member) = &mut self.stage {
            member.settle(&self.me, &mut self.out, &mut self.view, self.now);
        }
    }
}
