//! Asks the processor to load memory ahead of its use.
//!
//! The rows of a batch lie anywhere in memory. One after the other they would wait for it three or four times each;
//! asked for ahead, the waits of many rows overlap (measured: see `benches/README.md`).

/// Asks for the cache line of `of`. Changes nothing but when it arrives.
#[inline]
#[allow(
    unsafe_code,
    reason = "the instruction reads nothing and faults on no address, and this one is even valid"
)]
pub fn prefetch<T>(of: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on the state of the program; the address comes from a reference.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(of).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = of;
}
