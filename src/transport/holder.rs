//! The process that holds a port which this one needs, as far as the system shows it.
//!
//! Linux lists listening sockets in `/proc/net`, each with an inode, and the open files of a process in its `fd`
//! folder, sockets by their inode. Processes of other users, and those of other systems, are not visible.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::exit::{Exit, Failure};

/// The state of a socket that listens, as `/proc/net` writes it.
const LISTENS: &str = "0A";
/// That of a socket of UDP that is bound.
const UNCONNECTED: &str = "07";

/// A process that holds a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holder {
    /// The process number.
    pub pid: u32,
    /// The name of its program, perhaps cut off by the system.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Returns the process that keeps others from listening on `endpoint`, like `tcp://127.0.0.1:5559` or
/// `udp://127.0.0.1:5600`; nothing if that is unknown.
#[must_use]
pub fn of(endpoint: &str) -> Option<Holder> {
    let (protocol, address) = endpoint.split_once("://")?;
    let state = match protocol {
        "tcp" => LISTENS,
        "udp" => UNCONNECTED,
        _ => return None,
    };
    let wanted = address.replace('*', "0.0.0.0").parse().ok()?;
    let lists = ["", "6"].map(|family| format!("/proc/net/{protocol}{family}"));
    let listed = lists.map(|path| fs::read_to_string(path).unwrap_or_default());
    let mut lines = listed.iter().flat_map(|list| list.lines());
    let inode = lines.find_map(|line| inode_in_the_way(line, state, wanted))?;
    process_with(&format!("socket:[{inode}]"))
}

/// Returns the failure of a program that cannot listen on `endpoint`; if it is taken, with the process that has it.
pub(crate) fn cannot_listen(endpoint: &str, error: &io::Error) -> Failure {
    let mut message = format!("cannot listen on {endpoint}: {error}");
    if error.kind() == io::ErrorKind::AddrInUse
        && let Some(holder) = of(endpoint)
    {
        message += &format!(" by {holder}");
    }
    Failure::new(Exit::Unavailable, message)
}

/// Returns the inode of the socket on this line of `/proc/net/tcp`, if it is in this state and keeps others from
/// listening on `wanted`.
fn inode_in_the_way<'l>(line: &'l str, state: &str, wanted: SocketAddr) -> Option<&'l str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    let is_port = u16::from_str_radix(port, 16) == Ok(wanted.port());
    if !is_port || *fields.get(3)? != state {
        return None;
    }
    let (taken, wanted) = (ip_address(address)?, wanted.ip());
    let clash = taken == wanted || taken.is_unspecified() || wanted.is_unspecified();
    if clash { fields.get(9).copied() } else { None }
}

/// Parses an address of `/proc/net`: words of four bytes in hexadecimal, each in the machine's byte order.
fn ip_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(8 * at..8 * at + 8)?, 16).ok().map(u32::to_ne_bytes);
    if hex.len() == 8 {
        return word(0).map(|bytes| Ipv4Addr::from(bytes).into());
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    let bytes: [u8; 16] = words.concat().try_into().ok()?;
    Some(Ipv6Addr::from(bytes).to_canonical())
}

/// Returns a process that has this file open.
fn process_with(file: &str) -> Option<Holder> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let has =
            files.flatten().any(|open| fs::read_link(open.path()).is_ok_and(|to| to.as_os_str() == file));
        if has {
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(Holder { pid, name: name.trim_end().to_owned() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_system_are_read() {
        let line = |address: &str, state: &str| {
            format!(
                "  1: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  0 0 4711 1 x"
            )
        };
        let local = if cfg!(target_endian = "little") { "0100007F:15B7" } else { "7F000001:15B7" };
        let all_v6 = "00000000000000000000000000000000:15B7";
        for (line, wanted, expected) in [
            (line(local, LISTENS), "127.0.0.1:5559", true),
            (line(local, LISTENS), "0.0.0.0:5559", true),
            (line(local, LISTENS), "127.0.0.1:5560", false),
            (line(local, LISTENS), "127.0.0.2:5559", false),
            (line(local, "01"), "127.0.0.1:5559", false),
            (line("00000000:15B7", LISTENS), "127.0.0.1:5559", true),
            (line(all_v6, LISTENS), "127.0.0.1:5559", true),
            ("sl local_address rem_address st".to_owned(), "127.0.0.1:5559", false),
        ] {
            let found = inode_in_the_way(&line, LISTENS, wanted.parse().unwrap());
            assert_eq!(found, expected.then_some("4711"), "{line} {wanted}");
        }
        assert_eq!(of("tcp://nowhere.invalid:5559"), None);
        assert_eq!(of("ipc:///tmp/x"), None);
        let socket = line(local, UNCONNECTED);
        assert_eq!(inode_in_the_way(&socket, UNCONNECTED, "127.0.0.1:5559".parse().unwrap()), Some("4711"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(of(&format!("tcp://{address}")).unwrap().pid, std::process::id());
        assert_eq!(of(&format!("tcp://*:{}", address.port())).unwrap().pid, std::process::id());
    }
}
