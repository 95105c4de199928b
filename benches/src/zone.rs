//! A zone, measured.
