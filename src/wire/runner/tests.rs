//! Tests of `runner`.
