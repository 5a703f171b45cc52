//! Memory that will be wanted in a moment.
//!
//! A broadcast touches a few cache lines of each receiver, which the kernel's work for the receivers before it has
//! pushed out. One after the other they are waited for; told of some receivers ahead, the processor fetches them
//! side by side.

/// Bytes of a cache line.
pub(crate) const LINE: usize = 64;
/// An `Arc` has two counters in front of what is shared, which are touched first.
pub(crate) const COUNTERS: usize = 2 * size_of::<usize>();

/// So many receivers are brought near together.
pub(crate) const FEW: usize = 16;

/// Has the processor fetch the first `lines` cache lines of what is shared in an `Arc`, from its counters on.
/// Elsewhere than on x86-64 it does nothing.
#[inline]
pub(crate) fn prefetch<T: ?Sized>(shared: *const T, lines: usize) {
    let begin = shared.cast::<i8>().wrapping_sub(COUNTERS);
    for line in 0..lines {
        fetch(begin.wrapping_add(line * LINE));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the one instruction for it has no safe function")]
fn fetch(place: *const i8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: it is a hint. Nothing is read or written as far as the program can tell, and no address is wrong for
    // it (Intel SDM vol. 2, PREFETCHh: it does not cause exceptions). Every x86-64 processor has it (SSE).
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_: *const i8) {}
