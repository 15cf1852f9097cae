//! The privileged program: receive, check, act, reply.
