//! What is generated from AWS's service model, held against the model of the tests' own botocore.

use std::process::Command;

use crate::harness::setup;

#[test]
fn the_tables_and_types_of_the_model_are_those_of_the_pinned_botocore() {
    let generator = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lambda/generate.py");
    let output = Command::new(setup::venv()).args(["-B", generator, "--check"]).output();
    let output = output.expect("the virtual environment has an interpreter");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\nrun {generator} with the pinned botocore");
}
