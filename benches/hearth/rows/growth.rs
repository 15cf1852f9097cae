//! What very many functions that nobody calls do to one that is called.

use std::time::Instant;

use anyhow::Result;

use super::{compare, filler};
use crate::client::Shot;
use crate::daemon::Daemon;
use crate::functions::{BODY, ECHO};
use crate::lab::Lab;
use crate::processes;
use crate::report::{Figure, Finding, Target};

/// Registered functions.
const MANY: usize = 100_000;
/// URLs among them.
const URLS: usize = 10_000;
/// What that is held against.
const FEW: usize = 10;
/// Requests of one turn.
const PER_TURN: usize = 250;
/// Starts with many.
const STARTS: usize = 3;
/// Milliseconds in which one of them is done.
const STARTED: f64 = 1_000.0;
/// KiB that a registered function may take.
const EACH: f64 = 1.5;

/// Row `growth`.
pub fn growth(lab: &Lab) -> Result<Finding> {
    let few = lab.another("growth-few", "")?;
    let ours = few.python("bench-growth", ECHO)?;
    for number in 1..FEW {
        few.python(&format!("bench-beside-{number}"), ECHO)?;
    }
    let many = lab.another("growth-many", "")?;
    many.python("bench-growth", ECHO)?;
    let folder = many.folder.clone();
    many.stop()?;
    let begun = Instant::now();
    filler::fill(&folder.join("data"), "bench-growth", MANY, URLS)?;
    eprintln!("growth: {MANY} functions registered in {:.1} s", begun.elapsed().as_secs_f64());
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        let daemon = Daemon::start(&folder, "")?;
        starts.push(daemon.started_in.as_secs_f64() * 1e3);
        daemon.stop()?;
    }
    let many = Daemon::start(&folder, "")?;
    starts.push(many.started_in.as_secs_f64() * 1e3);
    starts.sort_by(f64::total_cmp);

    let of_many = Shot::post(many.http, "/bench-growth/", BODY);
    let mut figures = compare(lab, &of_many, &ours, PER_TURN, [Some(Target::AtMost(1.1)), None])?;
    let page = "/2015-03-31/functions/?MaxItems=50";
    let pages = [many.signed("GET", page, b"")?, few.signed("GET", page, b"")?];
    let [list, of_few] = &pages;
    let mut listed = compare(lab, list, of_few, PER_TURN / 10, [None, None])?;
    listed.truncate(1);
    for figure in &mut listed {
        figure.figure = "page of the list, p50".to_owned();
    }
    let resident = |daemon: &Daemon| processes::resident_kib(daemon.pid());
    let each = resident(&many)?.saturating_sub(resident(&few)?) as f64 / MANY as f64;
    many.stop()?;
    few.stop()?;
    figures.extend(listed);
    figures.push(Figure::new(
        "start with 100,000",
        (starts[starts.len() / 2], None),
        "ms",
        Some(Target::Within(STARTED)),
        STARTS,
    ));
    let target = Some(Target::Within(EACH));
    figures.push(Figure::new("resident, for each", (each, None), "KiB", target, MANY));
    Ok(figures.into())
}
