//! Promises about the store as a whole.
