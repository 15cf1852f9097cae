//! The other side of the glass: PID 1 of a sandbox.
