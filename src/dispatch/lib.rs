//! Who runs where and when, decided in pure code.
