//! What Hearth promises, shown from outside: a real daemon, real clients, real walls.
//!
//! Every test is a promise and its name says which. The table of contents:

#![allow(
    unreachable_pub,
    reason = "a test binary exports nothing: `pub` means for its other modules"
)]

// What the tests stand on: tools, daemons, a client that can misbehave.
mod harness;

// AWS's own clients take functions through their whole life, in Python, Node and custom runtimes.
mod clients;
// Who may ask: signatures, their refusals in AWS's words, what --dev still refuses.
mod sigv4;
// Aliases: calls by another name, divided between two versions.
mod aliases;
// What the API says about functions: shapes, states, revisions, versions, pages.
mod management;
// A function that works: events, answers, context, environment.
mod invoke;
// Answers that come as a stream of events.
mod streaming;
// Functions that fail, each in its own way.
mod failures;
// How many run at once, and how long they are kept.
mod scaling;
// What many large calls and many instances cost the daemon itself.
mod thrift;
// By what means a first call is served, and what follows when nothing stands ready.
mod ladder;
// Events that are accepted now and delivered later, whatever dies in between.
mod asynchronous;
// Packages that the operator gives every Python function.
mod packages;
// What is compiled of a function's code when it is taken in.
mod compiled;
// Layers: published by AWS's own clients, found in /opt by functions of every kind.
mod layers;
// Concurrency as AWS's own clients reserve it.
mod concurrency;
// What is said of functions beside their configuration.
mod settings;
// The machine runs short of something, and comes to itself again.
mod bad_days;
// What becomes of them between calls: frozen, and let go.
mod keeping;
// Instances that are there before anybody calls.
mod provisioned;
// Versions that initialise once, and instances that are restored.
mod snapshots;
// Custom runtimes that serve several events at once.
mod several;
// The Runtime API as custom runtimes see it.
mod custom_runtime;
// Function URLs: events, answers, who is let in.
mod urls;
// Lines of functions and about functions.
mod logs;
// What functions could read from, if there were any of it.
mod event_sources;
// What runs by the clock, through AWS's own clients, and across restarts.
mod schedules;
// What functions print to, opened by name.
mod streams;
// Bad input of every kind, each with the exact answer.
mod bad_input;
// Beginning and end: nothing left behind, nothing registered lost.
mod lifecycle;
// The two services, under a service manager that the tests play.
mod service;
// What is generated from AWS's model is what would be generated now.
mod generated;
// The command line.
mod cli;
// The walls, each with a probe and its negative control.
mod isolation;
// Programs of every kind work behind them.
mod programs;
// The same for whoever is not root, with and without what he may have been given.
mod rootless;
