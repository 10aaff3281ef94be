//! The sockets of a member and their options.

use std::fs;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::sockopt;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Type};

use super::{Group, drops};
use crate::exit::{Exit, Failure};
use crate::transport::holder;

/// The receive and send buffers that are asked for, in bytes. The system doubles what it grants.
const BUFFER: usize = 4 << 20;

/// A socket.
#[derive(Debug)]
pub(super) struct Socket {
    inner: socket2::Socket,
    state: UdpSocketState,
    /// The size of the receive buffer, in bytes.
    room: usize,
    /// The datagrams that the system had dropped when it was asked last.
    dropped: u64,
}

/// Returns the bytes of a receive buffer that a datagram of this length takes. Linux counts the memory that it reserves
/// for a packet, and its own data on it.
pub(super) const fn cost_of(size: usize) -> usize {
    const HEADERS: usize = 128;
    const SHARED: usize = 320;
    const OWN_DATA: usize = 256;
    (size + HEADERS + SHARED).next_power_of_two() + OWN_DATA
}

impl Socket {
    /// Opens the socket from which a member sends.
    pub(super) fn own(address: SocketAddr) -> Result<Self, Failure> {
        let opened = new(address, false).and_then(|socket| Self::bound(socket, address));
        opened.map_err(|error| cannot_listen(address, &error))
    }

    /// Opens the socket on which a member receives multicasts to `address`, and joins the group.
    pub(super) fn of_group(address: SocketAddr, group: &Group, own: SocketAddr) -> Result<Self, Failure> {
        let cannot = |error: io::Error| cannot_listen(address, &error);
        // Other members on this machine receive the same multicasts.
        let socket = new(address, true).map_err(cannot)?;
        receive_no_other_groups(&socket, address.ip()).map_err(cannot)?;
        let socket = Self::bound(socket, address).map_err(cannot)?;
        let joined = socket.join(group, own).and_then(|()| find_way(address, own, index(group, own.ip())?));
        joined.map_err(|error| cannot_join(group, own, &error))?;
        Ok(socket)
    }

    fn bound(inner: socket2::Socket, address: SocketAddr) -> io::Result<Self> {
        let room = enlarge(&inner)?;
        inner.bind(&SockAddr::from(address))?;
        let state = UdpSocketState::new(UdpSockRef::from(&inner))?;
        Ok(Self { inner, state, room, dropped: 0 })
    }

    /// Sets the interface of multicasts that are sent, and how far they go. Members on this machine receive them, too.
    pub(super) fn send_to_group(&self, group: &Group, own: SocketAddr) -> Result<(), Failure> {
        let ttl = group.ttl.unwrap_or_else(|| u32::from(!own.ip().is_loopback()));
        let set = || {
            set_interface(&self.inner, own.ip(), index(group, own.ip())?)?;
            if own.is_ipv4() {
                self.inner.set_multicast_ttl_v4(ttl)?;
                self.inner.set_multicast_loop_v4(true)
            } else {
                self.inner.set_multicast_hops_v6(ttl)?;
                self.inner.set_multicast_loop_v6(true)
            }
        };
        set().map_err(|error: io::Error| cannot_join(group, own, &error))
    }

    fn join(&self, group: &Group, own: SocketAddr) -> io::Result<()> {
        match (group.address.ip(), index(group, own.ip())?, own.ip()) {
            (IpAddr::V6(ip), index, _) => self.inner.join_multicast_v6(&ip, index.unwrap_or_default()),
            (IpAddr::V4(ip), Some(index), _) => {
                self.inner.join_multicast_v4_n(&ip, &InterfaceIndexOrAddress::Index(index))
            }
            (IpAddr::V4(ip), None, IpAddr::V4(own)) => self.inner.join_multicast_v4(&ip, &own),
            (IpAddr::V4(_), None, IpAddr::V6(_)) => Err(Errno::AFNOSUPPORT.into()),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }

    pub(super) const fn room(&self) -> usize {
        self.room
    }

    /// Returns the number of datagrams that the system has dropped since the last call; 0 if that is unknown.
    pub(super) fn new_drops(&mut self) -> u64 {
        let dropped = drops::of(self.fd()).unwrap_or(self.dropped);
        dropped.saturating_sub(std::mem::replace(&mut self.dropped, dropped))
    }

    /// Returns the number of datagrams that the system takes as one: one after it has refused that.
    pub(super) fn most_together(&self) -> usize {
        self.state.max_gso_segments()
    }

    pub(super) fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.state.try_send(UdpSockRef::from(&self.inner), transmit)
    }

    /// Receives into `buffers`. Returns how many are filled; their datagrams have the lengths in `metas`.
    pub(super) fn receive(
        &self,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        self.state.recv(UdpSockRef::from(&self.inner), buffers, metas)
    }
}

fn new(address: SocketAddr, is_shared: bool) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(is_shared)?;
    Ok(socket)
}

/// Sets the interface of the multicasts that a socket sends: that with its own address if there is no index.
fn set_interface(socket: &socket2::Socket, own: IpAddr, index: Option<u32>) -> io::Result<()> {
    match (own, index) {
        (IpAddr::V4(own), None) => socket.set_multicast_if_v4(&own),
        (IpAddr::V4(own), Some(index)) => {
            Ok(sockopt::set_ip_multicast_if_with_ifindex(socket, &Ipv4Addr::UNSPECIFIED, &own, index)?)
        }
        (IpAddr::V6(_), index) => socket.set_multicast_if_v6(index.unwrap_or_default()),
    }
}

/// Checks that the system has a way from an address to a group. The loopback interface has none for IPv6.
fn find_way(to: SocketAddr, own: SocketAddr, index: Option<u32>) -> io::Result<()> {
    let socket = new(own, false)?;
    set_interface(&socket, own.ip(), index)?;
    socket.bind(&SocketAddr::new(own.ip(), 0).into())?;
    socket.connect(&to.into())
}

/// Limits a socket to the groups that it has joined itself.
fn receive_no_other_groups(socket: &socket2::Socket, group: IpAddr) -> io::Result<()> {
    if group.is_ipv4() { socket.set_multicast_all_v4(false) } else { socket.set_multicast_all_v6(false) }
}

/// Asks for large buffers, beyond the limit of the system if the process may. Returns the size of the receive buffer.
fn enlarge(socket: &socket2::Socket) -> io::Result<usize> {
    if sockopt::set_socket_recv_buffer_size_force(socket, BUFFER).is_err() {
        socket.set_recv_buffer_size(BUFFER)?;
    }
    socket.set_send_buffer_size(BUFFER)?;
    socket.recv_buffer_size()
}

/// Returns the address of multicasts to a group. Of IPv6, it has the interface: an address that is valid on one network
/// only is not complete without.
pub(super) fn destination(group: &Group, own: SocketAddr) -> Result<SocketAddr, Failure> {
    let mut address = group.address;
    if let SocketAddr::V6(address) = &mut address {
        let index = index(group, own.ip()).map_err(|error| cannot_join(group, own, &error))?;
        address.set_scope_id(index.unwrap_or_default());
    }
    Ok(address)
}

/// Returns the index of the interface of multicasts; none if the own address of IPv4 tells it.
fn index(group: &Group, own: IpAddr) -> io::Result<Option<u32>> {
    match (&group.interface, own) {
        (Some(name), _) => {
            let any = socket2::Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            Ok(Some(name_to_index(any, name)?))
        }
        (None, IpAddr::V4(_)) => Ok(None),
        (None, IpAddr::V6(ip)) => Ok(Some(index_with(ip)?)),
    }
}

/// Returns the index of the interface with an IPv6 address, as Linux lists them.
fn index_with(ip: Ipv6Addr) -> io::Result<u32> {
    let list = fs::read_to_string("/proc/thread-self/net/if_inet6")?;
    let wanted: String = ip.octets().iter().map(|octet| format!("{octet:02x}")).collect();
    let on = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let index = fields.next().filter(|address| *address == wanted).and(fields.next())?;
        u32::from_str_radix(index, 16).ok()
    };
    list.lines().find_map(on).ok_or_else(|| Errno::ADDRNOTAVAIL.into())
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let failure = holder::cannot_listen(&format!("udp://{address}"), error);
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            failure.help("another program has this address: is this server running already?")
        }
        io::ErrorKind::AddrNotAvailable => {
            failure.help("this machine does not have the address that the cluster file gives this server")
        }
        io::ErrorKind::PermissionDenied => failure.help("ports below 1024 are for root"),
        _ => failure,
    }
}

fn cannot_join(group: &Group, own: SocketAddr, error: &io::Error) -> Failure {
    let by = group.interface.as_ref().map_or_else(|| own.ip().to_string(), String::clone);
    let message = format!("cannot join the group {} at {by}: {error}", group.address.ip());
    let help = if own.ip().is_loopback() && own.is_ipv6() {
        "the loopback interface has no IPv6 multicast: use 127.0.0.1, or do without `multicast` (--unicast)"
    } else {
        "`interface` in the cluster file names another network interface; --unicast does without the group"
    };
    Failure::new(Exit::Unavailable, message).help(help)
}
