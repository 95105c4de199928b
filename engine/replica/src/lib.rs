//! Copies agree: what an owner has sent to a copy, in order, and what the copy has. No I/O, no threads, no clock.
//!
//! A *lane* leads from one worker of an owner to one worker of a copy: items with numbers of their own (1, 2, 3, ...),
//! first in, first out. It outlives links: after a new one the copy says where it stands, and the owner goes on from
//! there. [`Sender`] is the lane's end at the owner, [`Receiver`] the one at the copy, [`Ack`] what comes back;
//! [`Copies`] has all lanes of one worker and knows which of its records are on all copies that have to have them.
//!
//! What goes through a lane is bytes that somebody else understands; here an item has a group and a term. A copy takes an
//! item of the owner that it knows, waits where the item is of a term that it has not heard of yet, and *fences* what is
//! of an owner that it knows to be one no longer: that is passed over, told to the sender by its number, and never counts
//! as acknowledged.
//!
//! ```text
//! INVARIANT at the owner:  durable <= applied <= handed out on this link <= pushed
//! INVARIANT at the copy:   durable <= taken <= received; what was taken is a prefix of what was pushed
//! ```
//!
//! ```
//! use anabranch_model::plan::Sync;
//! use anabranch_model::zone::{Group, Holder, MemberId, Term};
//! use anabranch_replica::{Copies, Item, Receiver, Tenure};
//!
//! let (owner, copy) = (MemberId(1), MemberId(2));
//! let group = Group { copies: 2, number: 7 };
//! let mut copies = Copies::new();
//! copies.add(copy, 1, 1);
//! copies.set(group, &[copy], &[])?;
//! copies.push(group, 0, 1, 0, |bytes| bytes.extend_from_slice(b"a row"));
//! assert!(copies.covers(0, Sync::Memory) && !copies.covers(1, Sync::Memory));
//!
//! let mut receiver = Receiver::new(owner, 1 << 20);
//! copies.reconnected(copy, 0, &receiver.stand())?;
//! let frame = copies.next(copy, 0, 1 << 20).ok_or("there is something to send")?;
//! let items = [Item { group, term: Term(1), bytes: frame.bytes }];
//! let tenure = Tenure { since: Term(1), term: Term(1), holder: Holder::There(owner) };
//! receiver.take(frame.epoch, frame.first, items, |_| Some(tenure), |_| Ok::<_, ()>(1)).map_err(|_| "in order")?;
//!
//! let ack = receiver.ack(0).ok_or("something is new")?;
//! copies.acked(copy, 0, &ack)?;
//! assert!(copies.covers(1, Sync::Memory) && !copies.covers(1, Sync::Disk));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod ack;
mod copies;
mod groups;
mod receiver;
mod sender;
mod tenure;

pub use ack::Ack;
pub use copies::{Copies, Unknown};
pub use receiver::{Item, Receiver, TakeError};
pub use sender::{Frame, LANE_ITEMS_MAX, Lost, PIECE_BYTES_WINDOW, Sender};
pub use tenure::Tenure;
