//! The total evaluator.
