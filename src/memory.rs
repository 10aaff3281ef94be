//! How the system's allocator treats memory that was freed.
//!
//! A packet of 64 KiB comes, is delivered and is freed, thousands of times a second. The allocator of glibc gives such
//! memory back to the system at once and asks for it again at once, which costs a twentieth of all work.

/// So much free memory is kept for what comes next.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 16 << 20;
/// What is larger has memory of its own, which is given back when it is freed. Larger than any packet.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 20;

/// Lets this process keep some free memory. Elsewhere than on glibc it does nothing.
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "it only sets two numbers, before there is another thread")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
