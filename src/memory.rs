//! The memory of the programs: what is freed is kept, and pages are small.
//!
//! Packets of 64 KiB are received, delivered and freed thousands of times a second. The allocator of glibc, which libzmq
//! uses, would return their memory to the system at once and request it again, which costs a twentieth of all work. The
//! allocator of the programs asks for pages of 2 MiB, which the system fills with zeros for a few packets: without them a
//! member of a cluster takes a quarter less memory, and less time.

/// Most free memory that is kept for later packets.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 16 << 20;
/// The size from which a block has memory of its own, which is returned when it is freed; larger than any packet.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 4 << 20;

/// Prepares the memory of this process.
pub(crate) fn prepare() {
    // A system that does not know of it has none of these pages.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code, reason = "it only sets two numbers, before there is another thread")]
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}
