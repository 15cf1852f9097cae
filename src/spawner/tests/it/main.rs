//! The real spawner program, as root, making real cells.
//!
//! * [`isolation`]: what a function can see and do from inside a cell.
//! * [`landlock`]: what is left when another wall has a hole.
//! * [`walls`]: what only shows from outside, or with one wall taken away.
//! * [`calls`]: every system call by number, against the golden list.
//! * [`hostile`]: a control plane that was taken over.
//! * [`layers`]: what is mounted beside the code.
//! * [`lifecycle`]: cells are made, assigned, ended; nothing is left; how long it takes.
//! * [`crashes`]: whoever is killed, everything beneath it goes.
//! * [`kills`]: the same at every arrow of a sandbox's life.
//! * [`side_by_side`]: spawners of one machine never touch each other's.
//! * [`stuck`]: sandboxes that will not die, or not come to be.
//! * [`forking`]: templates, and what is forked from them into cells.
//! * [`freezing`]: what is stopped stands still, and can still be looked at and ended.
//! * [`numbers`]: process numbers are used again.
//! * [`privilege`]: what the spawner's own processes keep.
//! * [`protocol`]: what the spawner refuses, and how it ends.
//! * [`size`]: how much memory the spawner's own processes take.
//! * [`runtimes`]: CPython and Node work under the filter.
//!
//! [`harness`] builds the programs, an image and a control plane's end of the socket. Each test has a
//! spawner of its own, in a slot of its own, so they run side by side.

/// Runs tests of the module it stands in once more, on cells that a template was forked into.
macro_rules! on_forked_cells {
    ($($test:ident,)*) => {
        mod forked {
            $(
                #[test]
                fn $test() {
                    $crate::harness::rungs::start_by($crate::harness::rungs::Start::Forked);
                    super::$test();
                }
            )*
        }
    };
}

mod calls;
mod crashes;
mod forking;
mod freezing;
mod harness;
mod hostile;
mod isolation;
mod kills;
mod landlock;
mod layers;
mod lifecycle;
mod numbers;
mod privilege;
mod protocol;
mod runtimes;
mod side_by_side;
mod size;
mod stuck;
mod walls;
