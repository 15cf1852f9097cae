//! Calls of instances that are there: what the way through the platform costs.

use anyhow::{Result, ensure};

use super::{compare, flooded};
use crate::client::{Connection, Shot};
use crate::floors::{self, Floor};
use crate::functions::{BODY, ECHO, MIRROR};
use crate::lab::Lab;
use crate::report::{Finding, Target};
use crate::tools;

/// Requests of one turn.
const PER_TURN: usize = 250;
/// Bytes of the large body: what `Invoke` takes is 6 MiB.
const LARGE: usize = 6_000_000;
/// Large requests of one turn.
const LARGE_PER_TURN: usize = 5;

/// Row `warm-latency`.
pub fn latency(lab: &Lab) -> Result<Finding> {
    let floor = floors::of_url(&lab.folder("floor-url"))?;
    let daemon = lab.daemon()?;
    let ours = daemon.python("bench-warm", ECHO)?;
    echoes(&ours)?;
    let targets = [Some(Target::AtMost(1.5)), Some(Target::AtMost(3.0))];
    let figures = compare(lab, &ours, &echo(&floor), PER_TURN, targets);
    daemon.delete(["bench-warm"])?;
    Ok(figures?.into())
}

/// Row `warm-throughput`.
pub fn throughput(lab: &Lab) -> Result<Finding> {
    let floor = floors::of_url(&lab.folder("floor-url"))?;
    let daemon = lab.daemon()?;
    let ours = daemon.python("bench-flood", ECHO)?;
    echoes(&ours)?;
    let figures = flooded(lab, &ours, &echo(&floor), Some(Target::AtLeast(0.6)));
    daemon.delete(["bench-flood"])?;
    Ok(figures?.into())
}

/// Row `api-invoke`.
pub fn api_invoke(lab: &Lab) -> Result<Finding> {
    let floor = floors::of_invoke(&lab.folder("floor-invoke"))?;
    let daemon = lab.daemon()?;
    daemon.python("bench-api", MIRROR)?;
    // Signed once: the signature is verified anew each time, and stays valid for five minutes.
    let ours = daemon.signed("POST", "/2015-03-31/functions/bench-api/invocations", BODY)?;
    let targets = [Some(Target::AtMost(2.0)), None];
    let figures = compare(lab, &ours, &echo(&floor), PER_TURN, targets);
    daemon.delete(["bench-api"])?;
    Ok(figures?.into())
}

/// Row `native`, and the same on AWS's own runtime client.
pub fn native(lab: &Lab) -> Result<Finding> {
    let floor = Floor::start(&["floor-http"])?;
    let daemon = lab.daemon()?;
    let ours = daemon.native("bench-native", &tools::echo()?)?;
    echoes(&ours)?;
    let mut figures = flooded(lab, &ours, &echo(&floor), Some(Target::AtLeast(0.2)))?;
    daemon.delete(["bench-native"])?;
    if !lab.is_held() {
        let official = std::fs::read(tools::custom_runtime())?;
        let ours = daemon.native("bench-official", &official)?;
        let beside = flooded(lab, &ours, &echo(&floor), None)?;
        daemon.delete(["bench-official"])?;
        let rate = beside.into_iter().find(|figure| figure.figure == "rate");
        figures.extend(rate.map(|mut figure| {
            figure.figure = "rate, AWS's runtime client".to_owned();
            figure
        }));
    }
    Ok(figures.into())
}

/// Row `large`.
pub fn large(lab: &Lab) -> Result<Finding> {
    let floor = floors::of_invoke(&lab.folder("floor-invoke"))?;
    let daemon = lab.daemon()?;
    daemon.python("bench-large", MIRROR)?;
    let letters = (0..LARGE).map(|n| b'a' + (n % 26) as u8);
    let body: Vec<u8> = b"\"".iter().copied().chain(letters).chain(*b"\"").collect();
    let ours = daemon.signed("POST", "/2015-03-31/functions/bench-large/invocations", &body)?;
    let floor = Shot::post(floor.address, "/echo", &body);
    for shot in [&ours, &floor] {
        ensure!(Connection::open(shot.address)?.fire(shot)?.1 == body, "a large answer is wrong");
    }
    let targets = [Some(Target::AtMost(2.0)), None];
    let figures = compare(lab, &ours, &floor, LARGE_PER_TURN, targets);
    daemon.delete(["bench-large"])?;
    Ok(figures?.into())
}

/// A floor's request for the same as ours.
pub(super) fn echo(floor: &Floor) -> Shot {
    Shot::post(floor.address, "/echo", BODY)
}

/// What answers something else is not measured.
pub(super) fn echoes(shot: &Shot) -> Result<()> {
    let mut connection = Connection::open(shot.address)?;
    let (_, body) = connection.fire(shot)?;
    ensure!(body == BODY, "the function answered {}", String::from_utf8_lossy(body));
    Ok(())
}
