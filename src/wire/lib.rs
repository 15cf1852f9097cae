//! The bytes between Hearth's own processes.
