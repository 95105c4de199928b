//! Zones as users have them: real processes and sockets, killed and stopped at any moment, asked by the program itself.

#[path = "../support/mod.rs"]
mod support;

mod cuts;
mod harness;
mod hits;
mod kills;
mod options;
mod scripts;
mod seen;
mod stops;
