//! What Hearth promises, shown from outside: a real daemon, real clients, real walls.

mod harness;
