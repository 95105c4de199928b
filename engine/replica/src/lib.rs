//! Copies agree: what an owner has sent to a copy, in order, and what the copy has. No I/O, no threads, no clock.
