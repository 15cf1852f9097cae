//! What `generate.py` wrote. Nothing in these files is changed by hand.

pub(crate) mod operations;
pub(crate) mod patterns;
pub(crate) mod shapes;
pub mod types;
