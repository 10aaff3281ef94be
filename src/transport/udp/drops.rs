//! The number of datagrams that Linux dropped at a socket, mostly because its buffer was full.
//!
//! `/proc/net/udp` has a line for each socket, with its inode and its drops. Other systems have no such list.

use std::fs;
use std::os::fd::BorrowedFd;

/// The lists of sockets, of both families. They are those of the thread's network namespace.
const LISTS: [&str; 2] = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
/// The columns of a line.
const INODE: usize = 9;
const DROPS: usize = 12;

/// Returns the datagrams that were dropped at a socket since it was opened; none if that is unknown.
pub(super) fn of(socket: BorrowedFd<'_>) -> Option<u64> {
    let inode = rustix::fs::fstat(socket).ok()?.st_ino;
    let lists = LISTS.map(|list| fs::read_to_string(list).unwrap_or_default());
    lists.iter().flat_map(|list| list.lines()).find_map(|line| on(line, inode))
}

/// Returns the drops on this line, if it is that of the socket with this inode.
fn on(line: &str, inode: u64) -> Option<u64> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if fields.get(INODE)?.parse() == Ok(inode) { fields.get(DROPS)?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_by_inode() {
        let line = " 4031: 0100007F:15E0 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 \
                    4711 2 0000000000000000 96";
        assert_eq!(on(line, 4711), Some(96));
        assert_eq!(on(line, 471), None);
        assert_eq!(on("   sl  local_address rem_address   st", 4711), None);
    }
}
