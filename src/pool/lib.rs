//! Performs what dispatch decides.
