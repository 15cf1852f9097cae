//! What strangers may send, and what becomes of it.
//!
//! * [`evil`]: the corpus, one archive per trick, each with its exact outcome
//! * [`ordinary`]: what real tools write is read
//! * [`random`]: arbitrary and mutated bytes
//! * [`raw`]: builds archives byte by byte, because no library writes most of these

mod evil;
mod ordinary;
mod random;
mod raw;
