//! Bad input of every kind, each with the exact answer.

// What is not a deployment package, or one that means harm.
mod packages;
// Requests whose fields are wrong.
mod fields;
// Names and ARNs of every wrong shape.
mod names;
// Events that cannot be delivered.
mod events;
// HTTP that is slow, cut off, too large, or not HTTP.
mod http;
// Two things at once.
mod races;
