//! What a worker has to say of its part in the zone.

use anabranch_model::message::WorkerId;
use anabranch_model::zone::{Group, MemberId, Term};

/// What a worker says of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A node has all of this worker's part of a group, as it was told with this number, and what is acknowledged waits for it.
    Filled { worker: WorkerId, group: Group, member: MemberId, number: u64 },
    /// Nothing of a group is under way here, and all copies have everything.
    Drained { worker: WorkerId, group: Group, term: Term },
    /// A copy does not stand where it could be sent anything: it has to be filled anew.
    Lost { member: MemberId },
    /// A node sends what no node should; the link is to be ended.
    Odd { member: MemberId },
}
