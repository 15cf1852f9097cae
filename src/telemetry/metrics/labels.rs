//! The values a label can have: closed sets, so that a series cannot be invented by a caller.

/// A label: one enum, its key in the text, and the text of each value.
pub trait Label: Copy + 'static {
    /// The key, such as `class`.
    const KEY: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// The value's place in [`Label::ALL`].
    fn index(self) -> usize;

    /// The value as it is printed.
    fn text(self) -> &'static str;
}

macro_rules! label {
    (
        $(#[$meta:meta])*
        $name:ident, $key:literal { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl Label for $name {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

label! {
    /// Why an invocation did not end well.
    ErrorClass, "class" {
        /// The handler returned or raised an error.
        Function = "function",
        /// It did not answer in time.
        Timeout = "timeout",
        /// Its process ended.
        Crash = "crash",
        /// It used more memory than it may.
        Memory = "memory",
        /// Its code could not be loaded.
        Init = "init",
        /// Its answer was too large.
        Oversize = "oversize",
        /// Hearth itself failed.
        System = "system",
    }
}

label! {
    /// Whose room was full.
    Throttle, "limit" {
        /// The account's concurrency.
        Account = "account",
        /// The function's reserved concurrency.
        Function = "function",
        /// How fast the function may grow.
        Rate = "rate",
        /// The machine's memory.
        Memory = "memory",
    }
}

label! {
    /// What stood ready when an instance was started, from much to nothing.
    Start, "rung" {
        /// A sandbox with an interpreter in it.
        Spare = "spare",
        /// A sandbox, and a snapshot of the initialised function to be restored in it.
        Snapshot = "snapshot",
        /// A sandbox, and a process to fork into it.
        Fork = "fork",
        /// A sandbox.
        Exec = "exec",
        /// Nothing.
        Make = "make",
    }
}

label! {
    /// Whose interpreter stands ready.
    Interpreter, "runtime" {
        /// CPython.
        Python = "python",
        /// Node.js.
        Node = "nodejs",
    }
}

label! {
    /// What was to be made ahead of time.
    Refill, "what" {
        /// An empty sandbox.
        Cell = "cell",
        /// One with an interpreter in it.
        Spare = "spare",
        /// A process that spares are forked from.
        Template = "template",
    }
}

label! {
    /// What came of compiling a package when it was taken in.
    Compilation, "outcome" {
        /// Instances find it.
        Kept = "kept",
        /// They compile for themselves.
        Failed = "failed",
    }
}

label! {
    /// Where an instance is in its life.
    InstanceState, "state" {
        /// Its code is being loaded.
        Starting = "starting",
        /// It waits for an event.
        Idle = "idle",
        /// It has one.
        Busy = "busy",
        /// It waits and is frozen.
        Frozen = "frozen",
        /// It is being taken down.
        Ending = "ending",
    }
}

label! {
    /// Which listener.
    Door, "door" {
        /// Management.
        Api = "api",
        /// Triggers: function URLs.
        Gateway = "gateway",
        /// Inside the sandboxes.
        Runtime = "runtime",
    }
}

label! {
    /// What an attempt to deliver an asynchronous event came to.
    AsyncAttempt, "outcome" {
        /// The function answered it.
        Success = "success",
        /// The function failed.
        Function = "function",
        /// There was no room for it.
        Throttled = "throttled",
        /// Hearth itself could not deliver it.
        System = "system",
    }
}

label! {
    /// Why an accepted event, or what was to be told of it, went no further.
    AsyncDrop, "reason" {
        /// The function failed as often as it may, and nobody is to be told.
        Retries = "retries_exhausted",
        /// It became too old, and nobody is to be told.
        Age = "age_exceeded",
        /// The function may not run at all, and nobody is to be told.
        ZeroReserved = "zero_reserved_concurrency",
        /// Its function, or the version it was meant for, is gone.
        Deleted = "function_deleted",
        /// It has come through its function too often.
        Recursion = "recursion",
        /// The function that was to be told is gone.
        DestinationGone = "destination_gone",
        /// What was to be told is longer than an event may be.
        DestinationTooLarge = "destination_too_large",
    }
}
