//! Tests of `link`.
