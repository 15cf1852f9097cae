//! Beginning and end: whatever dies, nothing is left behind and nothing registered is lost.

// The daemon, the spawner, a sandbox: killed.
mod kill;
// The daemon, stopped and started in order.
mod restart;
// Sandboxes that will not die.
mod stuck;
// Who is charged for what sandboxes read.
mod pages;
// `hearth dev`, from the first line it prints to Ctrl-C.
pub mod dev;
