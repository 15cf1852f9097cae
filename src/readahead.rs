//! Reads what sandboxes will read, before they do.
//!
//! The kernel charges a page of a file to the control group of whoever brought it into the cache, for
//! as long as it stays there. Brought in by a sandbox, the interpreter would count as that one
//! function's memory, and the group of a sandbox that is long gone would go on existing for the sake
//! of pages that everybody uses: dead groups pile up. The control plane lives longer than any
//! sandbox. Code that is uploaded it writes itself, and an image that is made as well; what is left
//! is what lies on the disk when it starts.
//!
//! It asks the kernel to read and does not look at a single byte: a file that is cached already costs
//! a few calls. The first sandboxes wait for the images a moment, and for code never. What the kernel drops later under memory pressure, and what
//! exceeds the budget, is charged to the sandbox that reads it next, as before.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use tokio::sync::oneshot;

/// One request is not served beyond the device's read-ahead window; this is the kernel's default.
const WINDOW: u64 = 128 << 10;
/// Share of the memory that is free at the start: what is read may not push out what is in use.
const SHARE: u64 = 4;

/// How long a start may wait for the images. A disk that is slower than that makes everything slow,
/// and being ready is worth more than whom pages are charged to.
const PATIENCE: Duration = Duration::from_millis(200);

/// Reading that goes on.
#[derive(Debug)]
pub struct ReadAhead {
    images: oneshot::Receiver<()>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    files: u64,
    bytes: u64,
    /// Files that would not have fitted.
    left_out: u64,
}

/// Reads these trees in the background, in this order, as far as memory goes.
///
/// # Errors
/// If no thread can be made.
pub fn start(images: Vec<PathBuf>, code: Vec<PathBuf>) -> io::Result<ReadAhead> {
    let (images_are_read, wait) = oneshot::channel();
    let read = move || {
        let mut done = Done::default();
        let budget = available_memory() / SHARE;
        let mut read = |tree: &PathBuf| {
            if let Err(err) = read_tree(tree, budget, &mut done) {
                let tree = tree.display();
                tracing::warn!(%tree, %err, "not read ahead; sandboxes will be charged for it");
            }
        };
        images.iter().for_each(&mut read);
        // Whoever has not waited so long does not wait any more.
        let _late = images_are_read.send(());
        code.iter().for_each(&mut read);
        let Done { files, bytes, left_out } = done;
        tracing::debug!(files, bytes, left_out, "read ahead");
    };
    thread::Builder::new().name("readahead".to_owned()).spawn(read)?;
    Ok(ReadAhead { images: wait })
}

// === impl ReadAhead ===

impl ReadAhead {
    /// Waits until the images are in the cache, or for long enough.
    pub async fn images(self) {
        if tokio::time::timeout(PATIENCE, self.images).await.is_err() {
            tracing::info!("images are still being read; the first sandboxes are charged for some");
        }
    }
}

/// Every file of a tree. Directories and inodes come into the cache by being looked at.
fn read_tree(tree: &Path, budget: u64, done: &mut Done) -> io::Result<()> {
    let mut open = vec![tree.to_owned()];
    while let Some(directory) = open.pop() {
        let Some(entries) = there(fs::read_dir(&directory))? else { continue };
        for entry in entries {
            let Some(entry) = there(entry)? else { continue };
            let Some(kind) = there(entry.file_type())? else { continue };
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                read_file(&entry.path(), budget, done)?;
            }
        }
    }
    Ok(())
}

fn read_file(path: &Path, budget: u64, done: &mut Done) -> io::Result<()> {
    let file = OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path);
    let Some(file) = there(file)? else { return Ok(()) };
    let length = file.metadata()?.len();
    if done.bytes + length > budget {
        done.left_out += 1;
        return Ok(());
    }
    request(&file, length)?;
    done.files += 1;
    done.bytes += length;
    Ok(())
}

fn request(file: &File, length: u64) -> io::Result<()> {
    let mut offset = 0;
    while offset < length {
        let beyond = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let from = i64::try_from(offset).map_err(beyond)?;
        let window = i64::try_from(WINDOW).map_err(beyond)?;
        posix_fadvise(file, from, window, PosixFadviseAdvice::POSIX_FADV_WILLNEED)?;
        offset += WINDOW;
    }
    Ok(())
}

/// A function that is deleted meanwhile takes its code along.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(it) => Ok(Some(it)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(err),
    }
}

/// `MemAvailable`, bytes; nothing where it cannot be read.
fn available_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    //! Which files are asked for. That asking has the effect is shown on a running daemon, in `tests/it`.

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{Done, available_memory, read_tree};

    /// Two files of 1,000 bytes and one of 300,000, a link to a file and one to the folder itself.
    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs::create_dir_all(at("deep/er")).unwrap();
        fs::write(at("small"), [0; 1_000]).unwrap();
        fs::write(at("deep/er/small"), [0; 1_000]).unwrap();
        fs::write(at("deep/large"), vec![0; 300_000]).unwrap();
        symlink("small", at("link")).unwrap();
        symlink(".", at("deep/loop")).unwrap();
        tree
    }

    fn read(budget: u64) -> Done {
        let mut done = Done::default();
        read_tree(tree().path(), budget, &mut done).unwrap();
        done
    }

    #[test]
    fn every_file_is_read_once_and_no_link_is_followed() {
        assert_eq!(read(u64::MAX), Done { files: 3, bytes: 302_000, left_out: 0 });
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_the_rest_is_read() {
        assert_eq!(read(100_000), Done { files: 2, bytes: 2_000, left_out: 1 });
        assert_eq!(read(0), Done { files: 0, bytes: 0, left_out: 3 });
    }

    #[test]
    fn a_tree_that_is_gone_is_no_error() {
        let mut done = Done::default();
        read_tree(&tree().path().join("nothing"), u64::MAX, &mut done).unwrap();
        assert_eq!(done, Done::default());
    }

    #[test]
    fn the_memory_that_is_free_is_known() {
        assert!(available_memory() > 1 << 20);
    }
}
