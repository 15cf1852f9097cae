//! `hearth`: functions as a service on your own Linux server.
//!
//! The binary is thin: it reads the command line, and either becomes the daemon (`split`, then
//! `serve`) or a client of one (`client`, and a verb). What it composes lives in the crates.

#![allow(unreachable_pub, reason = "in a binary, `pub` says that another file uses it")]

mod activation;
mod aliases;
mod args;
mod client;
mod config;
mod deploy;
mod dev;
mod doctor;
mod exit;
mod giveback;
mod install;
mod output;
mod project;
mod provisioned;
mod readahead;
mod readiness;
mod rootless;
mod serve;
mod service;
mod spawner_unit;
mod split;
mod starts;
mod units;
mod verbs;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use crate::args::{Arguments, Command};
use crate::client::Client;
use crate::exit::Exit;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    speak(arguments.verbose);
    match run(&arguments) {
        Ok(exit) => exit.into(),
        // Whoever closed the pipe has read enough.
        Err(err) if is_closed_pipe(&err) => Exit::Done.into(),
        Err(err) => {
            output::say(&format!("error: {err:#}"));
            Exit::Failed.into()
        }
    }
}

fn run(arguments: &Arguments) -> Result<Exit> {
    let format = arguments.output;
    match &arguments.command {
        // Everything that needs root happens before the first thread exists.
        Command::Serve(args) => serve::run(config::Config::new(args)?),
        Command::Service(args) => install::run(args, format),
        Command::Spawner(args) => spawner_unit::run(args),
        Command::Doctor(args) => doctor::run(args, format),
        Command::Completions(args) => {
            let mut command = Arguments::command();
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut command, "hearth", &mut script);
            std::io::stdout().write_all(&script)?;
            Ok(Exit::Done)
        }
        Command::Dev(args) => client_runtime(dev::run(args)),
        Command::Deploy(args) => client_runtime(deploy::run(args, format)),
        Command::Invoke(args) => {
            client_runtime(async { verbs::invoke(&Client::new(&args.remote)?, args).await })
        }
        Command::Logs(args) => {
            client_runtime(async { verbs::logs(&Client::new(&args.remote)?, args, format).await })
        }
        Command::List(remote) => {
            client_runtime(async { verbs::list(&Client::new(remote)?, format).await })
        }
        Command::Describe(args) => client_runtime(async {
            verbs::describe(&Client::new(&args.remote)?, args, format).await
        }),
        Command::Delete(args) => {
            client_runtime(async { verbs::delete(&Client::new(&args.remote)?, args, format).await })
        }
        Command::Url(args) => {
            client_runtime(async { verbs::url(&Client::new(&args.remote)?, args, format).await })
        }
    }
}

/// A client makes a handful of requests; one thread is plenty.
fn client_runtime(work: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Log lines go to standard error; `RUST_LOG` wins over `-v`.
fn speak(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Where a line cannot be written, on a full disk say, saying so there would be a panic.
        .log_internal_errors(false)
        .init();
}

fn is_closed_pipe(err: &anyhow::Error) -> bool {
    err.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|err| err.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
