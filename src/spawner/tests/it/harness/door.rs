//! The test's side of a point to stop at: see `sandbox::failpoint`.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use sandbox::failpoint::Point;
use tempfile::TempDir;

use super::patience;

/// How often an armed program may still come by after it was let go: more than any test makes cells.
const PASSES: [u8; 256] = [0; 256];

/// Where one armed program tells that it stands.
pub(crate) struct Door {
    point: Point,
    listener: UnixListener,
    stream: Option<UnixStream>,
    folder: TempDir,
}

// === impl Door ===

impl Door {
    pub(crate) fn new(point: Point) -> Self {
        let folder = tempfile::Builder::new().prefix("hearth-door-").tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("door")).unwrap();
        Self { point, listener, stream: None, folder }
    }

    /// Tells a program where the door is.
    pub(crate) fn arm(&self, command: &mut Command) {
        command.env("HEARTH_FAILPOINT", self.point.name());
        command.env("HEARTH_FAILPOINT_DOOR", self.folder.path().join("door"));
    }

    /// Waits until somebody stands at the point.
    pub(crate) fn wait(&mut self) {
        if self.stream.is_none() {
            let (stream, _) = self.listener.accept().unwrap();
            stream.set_read_timeout(Some(patience())).unwrap();
            self.stream = Some(stream);
        }
        let expected = format!("{}\n", self.point.name());
        let mut said = vec![0; expected.len()];
        let heard = self.stream.as_mut().map(|stream| stream.read_exact(&mut said));
        assert!(matches!(heard, Some(Ok(()))), "{}: never reached: {heard:?}", self.point.name());
        assert_eq!(said, expected.as_bytes());
    }

    /// Lets it go on, and everybody who comes by later.
    pub(crate) fn open(&mut self) {
        if let Some(stream) = &mut self.stream {
            // It may have been killed just before.
            let _gone = stream.write_all(&PASSES);
        }
    }
}
