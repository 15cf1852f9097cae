//! AWS Lambda's service model: its operations, shapes and constraints, as tables and types.
//!
//! ```text
//!   botocore's model ─► generate.py ─► generated ─┬─► tables: which operation, what breaks the model
//!                                                 └─► types: requests to read, responses to write
//! ```
//!
//! What is generated is data; what looks at it is written by hand: [`Operation::find`] says which
//! operation a method and a path mean, [`Request::read`] gathers what a request says from all the places
//! it can say it in, tells everything that breaks the model in AWS's words, and gives the typed request.
//!
//! Nothing here knows what an operation does, or what HTTP library carries it.

// The tables and the types.
#[rustfmt::skip]
mod generated;

// The words of the tables.
pub mod operation;
mod pattern;
pub mod scalar;
pub mod shape;

// What looks at them.
mod check;
mod request;
mod value;

pub use generated::operations::{FAULTS, Operation};
pub use generated::types;
pub use request::{Request, Unreadable};
