//! How many bytes a value keeps: an allocator that counts while it is asked to.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// The system's allocator, with a count of what is alive.
pub struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALIVE: AtomicI64 = AtomicI64::new(0);

fn note(bytes: i64) {
    // Outside a measurement this costs one load: the bare handler is this program too.
    if COUNTS.load(Ordering::Relaxed) {
        ALIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

fn size(layout: Layout) -> i64 {
    i64::try_from(layout.size()).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(size(layout));
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(size(layout));
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-size(layout));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(i64::try_from(new_size).unwrap_or(i64::MAX) - size(layout));
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Makes a value and says how many bytes it keeps. What else runs meanwhile is counted too.
pub fn retained<T>(make: impl FnOnce() -> T) -> (T, u64) {
    ALIVE.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let value = make();
    COUNTS.store(false, Ordering::Relaxed);
    let alive = ALIVE.load(Ordering::Relaxed);
    (value, u64::try_from(alive).unwrap_or(0))
}
