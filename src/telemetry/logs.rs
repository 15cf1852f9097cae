//! x
pub struct LogStore;
