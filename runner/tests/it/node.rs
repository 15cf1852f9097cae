//! Promises about `node/bootstrap.cjs`.
