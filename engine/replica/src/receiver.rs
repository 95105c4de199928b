//! The end of a lane at the copy.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use anabranch_model::zone::{Group, MemberId, Term};

use crate::ack::Ack;
use crate::tenure::{Tenure, Verdict, verdict};

/// One item of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'i> {
    /// What it belongs to.
    pub group: Group,
    /// The term in which the owner made it.
    pub term: Term,
    /// It.
    pub bytes: &'i [u8],
}

/// Why items were not taken. In each case the link has to be made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeError<E> {
    /// Items are missing before this one.
    Hole {
        /// The number of the next item.
        next: u64,
        /// The one that came.
        came: u64,
    },
    /// More waits than the sender may have under way.
    Full {
        /// How many bytes may wait.
        window: usize,
    },
    /// The item of this number could not be applied; the lane is of no use any more.
    Failed(u64, E),
}

impl<E: fmt::Display> fmt::Display for TakeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TakeError::Hole { next, came } => {
                write!(
                    f,
                    "an owner sent item {came} of a lane where item {next} was to come: the link is made anew"
                )
            }
            TakeError::Full { window } => {
                write!(
                    f,
                    "an owner sent more than the {window} bytes that may wait in a lane: the link is made anew"
                )
            }
            TakeError::Failed(number, error) => {
                write!(
                    f,
                    "item {number} of a lane could not be applied ({error}): this copy has to be filled anew"
                )
            }
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for TakeError<E> {}

/// Takes the items of a lane, each once and in order, and says what the copy has.
///
/// Of the items that came the first are *taken*: applied, or fenced. Behind them there may be some that *wait*, the first
/// of them because nothing is known of its term yet.
#[derive(Debug)]
pub struct Receiver {
    sender: MemberId,
    /// Bytes that may wait.
    window: usize,
    epoch: u64,
    taken: u64,
    durable: u64,
    /// Items behind `durable` with the own records that keep them.
    unsafe_items: VecDeque<Applied>,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The last item of each group that was fenced.
    fenced: BTreeMap<Group, u64>,
    /// Groups of which that was not told on this link.
    untold: BTreeSet<Group>,
    /// `taken` and `durable` as they were told last.
    told: (u64, u64),
    broken: bool,
    /// Whether that was told.
    told_broken: bool,
}

/// All items up to `number` are kept by the own records up to `count`.
#[derive(Clone, Copy, Debug)]
struct Applied {
    number: u64,
    count: u64,
}

#[derive(Debug)]
struct Waiting {
    group: Group,
    term: Term,
    bytes: Vec<u8>,
}

impl Receiver {
    /// Of what `sender` sends; at most so many bytes wait for news of terms, beside one item.
    #[must_use]
    pub fn new(sender: MemberId, window: usize) -> Self {
        Receiver {
            sender,
            window,
            epoch: 0,
            taken: 0,
            durable: 0,
            unsafe_items: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            fenced: BTreeMap::new(),
            untold: BTreeSet::new(),
            told: (0, 0),
            broken: false,
            told_broken: false,
        }
    }

    /// Takes items that came, `first` the number of the first of them. Those that came before are passed over, a new epoch
    /// begins anew. `known` says who owns the item's group (`None` where this node has not heard enough to take it), `apply` applies
    /// an item and gives the count of the own records that keep it (0 where nothing has to be kept).
    ///
    /// # Errors
    /// See [`TakeError`]; the items before the one that it speaks of were taken.
    pub fn take<'i, E>(
        &mut self,
        epoch: u64,
        first: u64,
        items: impl IntoIterator<Item = Item<'i>>,
        known: impl Fn(Item<'_>) -> Option<Tenure>,
        mut apply: impl FnMut(Item<'_>) -> Result<u64, E>,
    ) -> Result<(), TakeError<E>> {
        if epoch < self.epoch || (epoch == self.epoch && self.broken) {
            return Ok(());
        }
        if epoch > self.epoch {
            *self = Receiver { epoch, ..Receiver::new(self.sender, self.window) };
        }
        for (number, item) in (first..).zip(items) {
            let next = self.taken + self.waiting.len() as u64 + 1;
            if number > next {
                return Err(TakeError::Hole { next, came: number });
            }
            if number == next {
                self.receive(item, &known, &mut apply)?;
            }
        }
        Ok(())
    }

    fn receive<E>(
        &mut self,
        item: Item<'_>,
        known: &impl Fn(Item<'_>) -> Option<Tenure>,
        apply: &mut impl FnMut(Item<'_>) -> Result<u64, E>,
    ) -> Result<(), TakeError<E>> {
        if self.waiting.is_empty() && self.settle(item, known, apply)? {
            return Ok(());
        }
        if !self.waiting.is_empty() && self.waiting_bytes + item.bytes.len() > self.window {
            return Err(TakeError::Full { window: self.window });
        }
        self.waiting_bytes += item.bytes.len();
        self.waiting.push_back(Waiting { group: item.group, term: item.term, bytes: item.bytes.to_vec() });
        Ok(())
    }

    /// Takes what waited, as far as it need not any longer: more is known of who owns what.
    ///
    /// # Errors
    /// As for [`Receiver::take`].
    pub fn resume<E>(
        &mut self,
        known: impl Fn(Item<'_>) -> Option<Tenure>,
        mut apply: impl FnMut(Item<'_>) -> Result<u64, E>,
    ) -> Result<(), TakeError<E>> {
        while let Some(waiting) = self.waiting.pop_front() {
            let Waiting { group, term, bytes } = &waiting;
            let item = Item { group: *group, term: *term, bytes };
            if !self.settle(item, &known, &mut apply)? {
                self.waiting.push_front(waiting);
                break;
            }
            self.waiting_bytes -= waiting.bytes.len();
        }
        Ok(())
    }

    /// Takes the next item; `false` where it has to wait.
    fn settle<E>(
        &mut self,
        item: Item<'_>,
        known: &impl Fn(Item<'_>) -> Option<Tenure>,
        apply: &mut impl FnMut(Item<'_>) -> Result<u64, E>,
    ) -> Result<bool, TakeError<E>> {
        let number = self.taken + 1;
        let count = match verdict(known(item), self.sender, item.term) {
            Verdict::Wait => return Ok(false),
            Verdict::Apply => apply(item).map_err(|error| self.fail(number, error))?,
            Verdict::Fence => {
                self.fenced.insert(item.group, number);
                self.untold.insert(item.group);
                0
            }
        };
        self.taken = number;
        match self.unsafe_items.back_mut() {
            Some(last) if count <= last.count => last.number = number,
            _ => self.unsafe_items.push_back(Applied { number, count }),
        }
        Ok(true)
    }

    fn fail<E>(&mut self, number: u64, error: E) -> TakeError<E> {
        self.broken = true;
        self.waiting.clear();
        self.waiting_bytes = 0;
        TakeError::Failed(number, error)
    }

    /// What there is to tell since the last time, where the own records up to `kept` are on disk (`u64::MAX` where nothing
    /// is kept on a disk). To be asked once a turn, not for each item.
    #[must_use]
    pub fn ack(&mut self, kept: u64) -> Option<Ack> {
        self.keep(kept);
        let breaks = self.broken && !self.told_broken;
        let news = breaks || self.told != (self.taken, self.durable) || !self.untold.is_empty();
        self.told_broken = self.broken;
        news.then(|| {
            let fenced = std::mem::take(&mut self.untold);
            self.told = (self.taken, self.durable);
            self.says(fenced.iter().filter_map(|group| self.fenced.get(group)).copied().collect())
        })
    }

    /// The first word on a new link: where the copy stands, and all that was fenced.
    #[must_use]
    pub fn stand(&mut self) -> Ack {
        self.untold.clear();
        self.told = (self.taken, self.durable);
        self.says(self.fenced.values().copied().collect())
    }

    fn says(&self, fenced: Vec<u64>) -> Ack {
        let (applied, durable) = self.told;
        Ack { epoch: self.epoch, applied, durable, fenced, broken: self.broken }
    }

    fn keep(&mut self, kept: u64) {
        while let Some(first) = self.unsafe_items.front().filter(|first| first.count <= kept) {
            self.durable = first.number;
            self.unsafe_items.pop_front();
        }
    }

    /// Whose items it takes.
    #[must_use]
    pub fn sender(&self) -> MemberId {
        self.sender
    }

    /// Whether items wait for news of their terms.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// All items up to this one were applied or fenced.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }
}

#[cfg(test)]
mod tests;
