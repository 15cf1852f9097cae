//! How soon what a handler writes is there, before it has ended.
//!
//! The handler's first words are the time of day, which is the same for all processes of a machine, at
//! the beginning of a millisecond; what is counted is from there to the arrival of these words.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::Connection;
use crate::floors;
use crate::functions::Function;
use crate::lab::Lab;
use crate::report::{Finding, Target, Unmeasured, percentiles};

/// Answers.
const CALLS: usize = 1_000;
/// Before anything counts.
const WARM_UP: usize = 100;
/// Waits for the clock's next millisecond, writes which one it is, waits so that nothing is put together,
/// and writes the rest.
const SOURCE: &[u8] = b"exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const begun = Date.now();
  let now = begun;
  while (now === begun) now = Date.now();
  stream.write(String(now));
  await new Promise((resolve) => setTimeout(resolve, 2));
  stream.write('the rest');
  stream.end();
});
";

/// Row `stream`.
pub fn stream(lab: &Lab) -> Result<Finding> {
    let daemon = lab.daemon()?;
    let function = Function {
        name: "bench-stream",
        runtime: daemon.node_runtime()?,
        handler: "index.handler",
        files: &[("index.js", 0o644, SOURCE)],
        memory: 512,
        mode: Some("RESPONSE_STREAM"),
    };
    let made = daemon.make(&function);
    let ours = match made {
        Ok(shot) => shot,
        Err(err) => {
            daemon.delete(["bench-stream"])?;
            return Err(Unmeasured::NotThere(format!("{:#}", err.root_cause())).into());
        }
    };
    let floor = floors::of_url(&lab.folder("floor-url"))?;
    let echo = super::warm::echo(&floor);
    let mut connections = (Connection::open(ours.address)?, Connection::open(echo.address)?);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for call in 0..lab.much(CALLS, CALLS / 10) + WARM_UP {
        let (arrived, words) = connections.0.first_chunk(&ours)?;
        let written =
            std::str::from_utf8(&words)?.trim().parse().context("the time comes first")?;
        let took = arrived.checked_sub(Duration::from_millis(written));
        ensure!(took.is_some(), "it arrived before it was written");
        let of_floor = connections.1.fire(&echo)?.0;
        if call >= WARM_UP {
            here.extend(took);
            there.push(of_floor);
        }
    }
    daemon.delete(["bench-stream"])?;
    Ok(percentiles(here, there, [Some(Target::AtMost(2.0)), None]).into())
}
