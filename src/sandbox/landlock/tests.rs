//! What a domain refuses and what it leaves alone. Each runs in a thread of its own, which is the only
//! one it restricts; no privilege is needed. What a cell's domain does is shown in cells, by the
//! spawner's tests.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::signal::kill;
use nix::sys::stat::Mode;
use nix::unistd::{getppid, truncate};

use super::{Abi, CELL, Grant, enter};

/// Two folders, a file in each.
struct Folders {
    root: tempfile::TempDir,
}

impl Folders {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["own", "own/below", "used"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        for name in ["own/file", "used/file"] {
            fs::write(root.path().join(name), "text").unwrap();
        }
        Self { root }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    /// Does something under rules about the two folders.
    fn confined<T: Send>(&self, abi: Abi, act: impl FnOnce() -> T + Send) -> T {
        let (own, used) = (self.path("own"), self.path("used"));
        let rules = [
            (own.to_str().unwrap(), Grant::Own),
            (used.to_str().unwrap(), Grant::Use),
            ("/dev/null", Grant::Device),
        ];
        std::thread::scope(|scope| {
            let confined = scope.spawn(|| {
                nix::sys::prctl::set_no_new_privs().unwrap();
                enter(abi, &rules).unwrap();
                act()
            });
            confined.join().unwrap()
        })
    }
}

fn refused<T>(result: std::io::Result<T>) -> bool {
    matches!(result, Err(err) if err.kind() == ErrorKind::PermissionDenied)
}

#[test]
fn what_no_rule_allows_is_refused_though_owner_and_mount_allow_it() {
    let folders = Folders::new();
    let probe = || {
        [
            refused(fs::write(folders.path("used/new"), "")),
            refused(fs::write(folders.path("used/file"), "")),
            refused(fs::create_dir(folders.path("used/folder"))),
            refused(std::os::unix::fs::symlink("/", folders.path("used/link"))),
            refused(fs::read_dir("/etc")),
            refused(File::open("/etc/passwd")),
            refused(File::options().write(true).open("/dev/zero")),
        ]
    };
    assert_eq!(folders.confined(Abi::of_kernel(), probe), [true; 7]);
    // The same without a domain: nothing else stands in the way.
    assert_eq!(probe(), [false; 7]);
}

#[test]
fn what_a_rule_allows_works() {
    let folders = Folders::new();
    folders.confined(Abi::of_kernel(), || {
        assert_eq!(fs::read_to_string(folders.path("used/file")).unwrap(), "text");
        assert_eq!(fs::read_dir(folders.path("used")).unwrap().count(), 1);
        File::options().read(true).write(true).open("/dev/null").unwrap();
        fs::write(folders.path("own/new"), "longer text").unwrap();
        truncate(&folders.path("own/new"), 3).unwrap();
        fs::rename(folders.path("own/new"), folders.path("own/below/new")).unwrap();
        fs::hard_link(folders.path("own/below/new"), folders.path("own/again")).unwrap();
        std::os::unix::fs::symlink("again", folders.path("own/link")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folders.path("own/socket")).unwrap());
        nix::unistd::mkfifo(&folders.path("own/pipe"), Mode::S_IRUSR).unwrap();
        fs::remove_dir_all(folders.path("own/below")).unwrap();
    });
}

#[test]
fn a_directory_that_leaks_in_as_a_descriptor_leads_nowhere() {
    let folders = Folders::new();
    let leaked = File::open("/etc").unwrap();
    let probe = || openat(leaked.as_fd(), "passwd", OFlag::O_RDONLY, Mode::empty()).map(drop);
    assert_eq!(folders.confined(Abi::of_kernel(), probe), Err(Errno::EACCES));
    assert_eq!(probe(), Ok(()));
}

#[test]
fn a_domain_cannot_be_left_nor_widened() {
    let folders = Folders::new();
    let widened = folders.confined(Abi::of_kernel(), || {
        enter(Abi::of_kernel(), &[("/", Grant::Own)]).unwrap();
        let inherited = std::thread::spawn(|| refused(File::open("/etc/passwd")));
        (refused(File::open("/etc/passwd")), inherited.join().unwrap())
    });
    assert_eq!(widened, (true, true));
}

#[test]
fn signals_stay_within_a_domain_where_the_kernel_has_that() {
    let folders = Folders::new();
    let probe = || kill(getppid(), None);
    let newest = Abi::of_kernel();
    let expected = if newest.has_scopes() { Err(Errno::EPERM) } else { Ok(()) };
    assert_eq!(folders.confined(newest, probe), expected);
    assert_eq!(folders.confined(Abi::usable(2), probe), Ok(()));
    assert_eq!(probe(), Ok(()));
}

#[test]
fn an_older_abi_covers_less_and_says_what() {
    let folders = Folders::new();
    let probe = || truncate(&folders.path("used/file"), 1);
    assert_eq!(folders.confined(Abi::usable(2), probe), Ok(()));
    if Abi::of_kernel() >= Abi::usable(3) {
        assert_eq!(folders.confined(Abi::of_kernel(), probe), Err(Errno::EACCES));
    }
    let lacks: Vec<_> = Abi::usable(2).lacks().iter().map(|(what, _)| *what).collect();
    assert_eq!(lacks, ["truncating files", "controlling devices", "signals and abstract sockets"]);
    assert_eq!(Abi::usable(7).lacks(), []);
    assert_eq!(Abi::NONE.covers(), Vec::<&str>::new());
}

#[test]
fn an_abi_that_forbids_renames_is_as_good_as_none_and_one_from_the_future_is_the_newest_known() {
    assert_eq!([Abi::usable(0), Abi::usable(1)], [Abi::NONE; 2]);
    assert!(!Abi::usable(1).is_there() && Abi::usable(2).is_there());
    assert_eq!(Abi::usable(200), Abi::usable(7));
}

#[test]
fn a_rule_about_nothing_is_an_error_with_its_number() {
    let missing = enter(Abi::of_kernel(), &[("/no/such/thing", Grant::Use)]);
    assert_eq!(missing, Err(Errno::ENOENT));
    // A directory's rights make no sense on a file; then nothing is restricted either.
    let folders = Folders::new();
    let file = folders.path("own/file");
    assert_eq!(
        enter(Abi::of_kernel(), &[(file.to_str().unwrap(), Grant::Own)]),
        Err(Errno::EINVAL)
    );
    assert!(File::open("/etc/passwd").is_ok());
}

#[test]
fn a_cell_owns_its_tmp_and_nothing_else() {
    let owned: Vec<&str> =
        CELL.iter().filter(|(_, grant)| *grant == Grant::Own).map(|(path, _)| *path).collect();
    assert_eq!(owned, ["/tmp"]);
    assert!(CELL.iter().all(|(path, _)| Path::new(path).is_absolute()));
}
