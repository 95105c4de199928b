//! Wishes of this node that are not decided yet, and when they are told again.

use crate::command::Command;
use crate::state::State;

/// Microseconds after which a wish that was not decided is told again.
const AGAIN: u64 = 200_000;

/// Wishes that are not decided yet; more push out the oldest.
const WISHES_MAX: usize = 4096;

/// A wish that is not decided.
#[derive(Debug)]
struct Pending {
    command: Command,
    told_at: Option<u64>,
}

/// Those of a node.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pending: Vec<Pending>,
    untold: bool,
}

impl Wishes {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(crate) fn add(&mut self, command: Command) {
        if self.pending.iter().any(|known| known.command == command) {
            return;
        }
        if self.pending.len() >= WISHES_MAX {
            self.pending.remove(0);
        }
        self.pending.push(Pending { command, told_at: None });
        self.untold = true;
    }

    /// Whether there are new ones since this was asked last.
    pub(crate) fn take_untold(&mut self) -> bool {
        std::mem::take(&mut self.untold)
    }

    /// What is to be told now; of those with numbers the first only, so that they keep their order.
    pub(crate) fn due(&mut self, state: &State, now: u64) -> Vec<Command> {
        self.pending.retain(|wish| !wish.command.is_settled(state));
        let mut numbered = false;
        let mut due = Vec::new();
        for wish in &mut self.pending {
            let later = wish.command.number().is_some() && std::mem::replace(&mut numbered, true);
            if !later && wish.told_at.is_none_or(|at| at + AGAIN <= now) {
                wish.told_at = Some(now);
                due.push(wish.command.clone());
            }
        }
        due
    }

    /// Whether an operator wants what nobody may serve served.
    pub(crate) fn has_force(&self) -> bool {
        self.pending.iter().any(|wish| matches!(wish.command, Command::ForceServe { .. }))
    }

    /// The node goes on alone: everything is told again, to itself.
    pub(crate) fn go_alone(&mut self) {
        for wish in &mut self.pending {
            wish.told_at = None;
            if let Command::ForceServe { alone, .. } = &mut wish.command {
                *alone = true;
            }
        }
    }
}
