//! An active-active streaming dataflow engine.

pub mod rows;
