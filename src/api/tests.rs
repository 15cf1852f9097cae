//! Promises about the API as a whole: real requests, a real store, a pool that runs nothing.
//!
//! * `server`: what the others start from: a server without sandboxes, and a client for it.
//! * `functions`: functions created, looked at, listed, deleted.
//! * `changes`: updates, revisions, versions, states.
//! * `refusals`: what is refused, with the exact answer.
//! * `invoke`: calls.
//! * `asynchronous`: events that are delivered later, and how they are treated.
//! * `attachments`: tags, URLs, policies.
//! * `compiling`: code is compiled before its function is made ready, or is not, and it is made ready.
//! * `aliases`: aliases, and what is done through them.
//! * `settings`: code signing, runtime management, recursion.
//! * `concurrency`: what is reserved.
//! * `provisioned`: what is provisioned.
//! * `snapshots`: SnapStart.
//! * `access`: credentials, and who is let in without.
//! * `logs`: CloudWatch Logs.
//! * `layers`: layers and their policies.
//! * `attached`: functions that use layers.
//! * `event_sources`: mappings from event sources.
//! * `scheduler`: EventBridge Scheduler.
//! * `rules`: EventBridge's rules.
//! * `model`: every answer against AWS's own model.

mod access;
mod aliases;
mod asynchronous;
mod attached;
mod attachments;
mod changes;
mod compiling;
mod concurrency;
mod event_sources;
mod functions;
mod invoke;
mod layers;
mod logs;
mod model;
mod provisioned;
mod refusals;
mod rules;
mod scheduler;
mod server;
mod settings;
mod snapshots;
