//! Where the memory of all binaries comes from.
//!
//! The C library's allocator took a quarter of the store's processor time: whatever is larger than a kilobyte, as most objects are,
//! is neither kept by a thread nor had without asking the kernel. Libraries leave the choice to the program, and so does this one: each
//! binary names it.

pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay` of mimalloc 3, which its bindings do not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Milliseconds, of which the allocator waits ten times as many.
const DELAY: std::ffi::c_long = 10;

/// Gives memory that is free back to the kernel after a tenth of a second, unless the environment says otherwise. By default that
/// is ten seconds, and happens with an allocation, so an idle process keeps what its start has needed. Not at once, for buffers
/// that are taken again and again would be made anew each time: pages of a large range took a third more processor time.
#[expect(unsafe_code, reason = "the options of the allocator are set by a function of C")]
pub(crate) fn keep_little() {
    // SAFETY: this sets a number in a table, and is done before another thread is there to read it.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, DELAY) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options are numbers, and another version of the allocator may count them anew.
    #[test]
    #[expect(unsafe_code, reason = "the options of the allocator are read by a function of C")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: this reads a number from a table, which nothing writes in this process.
        let milliseconds = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(milliseconds, 1000, "no other option has this default");
    }
}
