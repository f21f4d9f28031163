//! An allocator that counts what its thread asks for, and passes it on to that of the module around this.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;

use super::Inner;

struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator cannot be written otherwise; all it does is count and pass on")]
// SAFETY: every call is passed on unchanged to the inner allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(0, layout.size());
        // SAFETY: the caller's promises are the ones that the inner allocator asks for.
        unsafe { Inner.alloc(layout) }
    }

    // Passed on too: what stands in for these by default never grows in place, and so makes what is measured slower than it is.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(0, layout.size());
        // SAFETY: as above.
        unsafe { Inner.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(layout.size(), size);
        // SAFETY: as above.
        unsafe { Inner.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.set(BYTES.get().wrapping_sub(layout.size()));
        // SAFETY: as above.
        unsafe { Inner.dealloc(pointer, layout) }
    }
}

/// Counts one allocation, in which so many bytes take the place of others.
fn note(before: usize, after: usize) {
    COUNT.set(COUNT.get() + 1);
    BYTES.set(BYTES.get().wrapping_sub(before).wrapping_add(after));
}

/// Allocations of this thread so far.
pub(crate) fn count() -> u64 {
    COUNT.get()
}

/// Bytes that this thread holds, if it gives back what it asked for itself.
pub(crate) fn bytes() -> usize {
    BYTES.get()
}
