//! HTTP triggers: function URLs.
//!
//! A request is read (`address`), let in or not (`admit`), made an event (`event`), run (`engine`),
//! and what the function returned is made a response (`answer`); browsers are told what they may
//! (`cors`). All of these are pure; [`Gateway`] puts them in a row.
//!
//! Not here yet: HTTP and WebSocket APIs, and responses that stream.

pub mod address;
pub mod admit;
pub mod answer;
pub mod cors;
mod door;
pub mod engine;
pub mod event;
mod json;

pub use door::{Config, Gateway};
pub use engine::Engine;
