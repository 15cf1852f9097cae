//! What strangers may send, and what becomes of it.
//!
//! The corpus, one archive per trick, each with its exact outcome:
//! * [`names`]: names, paths and links that lead elsewhere
//! * [`kinds`]: devices, modes, passwords, methods; times
//! * [`contents`]: records and contents that lie, shared places, bombs, limits
//!
//! Beside it:
//! * [`ordinary`]: what real tools write is read
//! * [`random`]: arbitrary and mutated bytes
//! * [`raw`]: builds archives byte by byte, because no library writes most of these
//! * [`verdict`]: how a case is judged

mod contents;
mod kinds;
mod names;
mod ordinary;
mod random;
mod raw;
mod verdict;
