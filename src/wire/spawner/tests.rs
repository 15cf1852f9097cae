//! Tests of `spawner`.
