//! Rows at the edges: serde structs, JSON and CSV to packed rows and back.
