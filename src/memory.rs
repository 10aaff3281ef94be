//! The allocator's treatment of freed memory.
//!
//! Packets of 64 KiB are received, delivered and freed thousands of times a second. The allocator of glibc would return
//! their memory to the system at once and request it again, which costs a twentieth of all work.

/// Most free memory that is kept for later packets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 16 << 20;
/// The size from which a block has memory of its own, which is returned when it is freed; larger than any packet.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 20;

/// Makes this process keep some free memory. Does nothing without glibc.
pub(crate) fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "it only sets two numbers, before there is another thread")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
