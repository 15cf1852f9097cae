//! Promises about deliveries: a real queue on disk, functions that are made up.
//!
//! * `world`: the functions, what they were asked, and a queue that can be opened again.
//! * `deliveries`: single events, from acceptance to their end.
//! * `history`: thousands of events, processes that die, disks that fail; a model judges.

mod deliveries;
mod history;
mod world;
