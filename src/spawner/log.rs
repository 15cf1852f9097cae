//! One line to standard error for what an operator must know.
//!
//! The spawner has no log of its own: its standard error is the control plane's, or the journal.

use std::io::Write;

/// Writes one line. A standard error that is gone is nobody's problem but the operator's.
pub(crate) fn line(text: &str) {
    // One write, so that lines of several processes do not mix.
    let line = format!("hearth-spawner: {text}\n");
    let _nobody_reads = std::io::stderr().write_all(line.as_bytes());
}
