//! What the allocator keeps of memory that is no longer in use.

/// Gives whole pages that are free back to the kernel; whether there were any.
///
/// The C library gives back the end of its heap by itself, and nothing from the middle of it or from
/// the heaps of other threads. Where it is another library's (musl), which keeps little, there is
/// nothing to be done.
pub fn give_back() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: takes no pointer, may be called at any time from any thread, and moves nothing that
        // is in use: it takes the allocator's own locks, one heap after the other.
        unsafe { libc::malloc_trim(0) != 0 }
    }
    #[cfg(not(target_env = "gnu"))]
    {
        false
    }
}
