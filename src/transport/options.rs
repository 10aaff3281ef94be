//! Options of the sockets: limits on time, queues and frames.

use crate::wire::batch::MAX_BODY;
use crate::wire::header::MAX_HEADER;

/// Longest time in which a closing socket hands over its queued packets.
pub const LINGER_MILLIS: i32 = 500;
/// Packets that a socket queues for one peer before it drops; windows keep the packets in flight far below.
pub const QUEUE_PACKETS: i32 = 10_000;
/// Packets that a member queues for one forwarder: while another one carries the group, windows do not keep this small.
pub const PUBLISHED_PACKETS: i32 = 1000;
/// Largest frame a socket accepts; the peer that sends a larger one is cut off.
pub const MAX_FRAME: i64 = if MAX_BODY > MAX_HEADER { MAX_BODY as i64 } else { MAX_HEADER as i64 };
/// Largest frame on a port for subscriptions only: a group's name and a few digits.
pub const MAX_SUBSCRIPTION: i64 = 256;
/// Longest handshake of ZeroMQ; after it, the connection is closed, and its member makes a new one.
pub const HANDSHAKE_MILLIS: i32 = 3000;
/// Most connections that wait to be accepted: many members that come at once must not cost any of them a second.
pub const BACKLOG: i32 = 1024;
/// Interval of ZeroMQ's heartbeats on a connection …
pub const HEARTBEAT_MILLIS: i32 = 1000;
/// … and the wait for an answer, after which it replaces the connection. A stopped process gives no answer, either.
pub const HEARTBEAT_TIMEOUT_MILLIS: i32 = 10_000;
/// … on the connection to the sync port sooner: a member that is silent for ten seconds is excluded.
pub const SYNC_HEARTBEAT_TIMEOUT_MILLIS: i32 = 4000;
/// Longest time in which the peer's kernel acknowledges nothing; after it, the connection is replaced. TCP that has lost
/// packets doubles its pauses, up to more than the ten seconds after which a member is excluded; a new connection starts
/// again with short ones.
pub const TCP_TIMEOUT_MILLIS: i32 = 3000;
/// Longest wait for a TCP connection before it is tried again: TCP starts slowly after a lost first packet.
pub const CONNECT_TIMEOUT_MILLIS: i32 = 1000;
/// Shortest wait before a lost connection is tried again; it doubles each time …
pub const RECONNECT_MILLIS: i32 = 50;
/// … up to this maximum.
pub const RECONNECT_MAX_MILLIS: i32 = 500;

/// Sets the options that all sockets share, before the socket listens or connects.
pub(super) fn set(socket: &mut zmq::Socket, max_frame: i64) -> Result<(), zmq::Error> {
    set_tcp_timeout(socket)?;
    socket.set_linger(LINGER_MILLIS)?;
    socket.set_sndhwm(QUEUE_PACKETS)?;
    socket.set_rcvhwm(QUEUE_PACKETS)?;
    socket.set_maxmsgsize(max_frame)?;
    socket.set_handshake_ivl(HANDSHAKE_MILLIS)?;
    socket.set_heartbeat_ivl(HEARTBEAT_MILLIS)?;
    socket.set_heartbeat_timeout(HEARTBEAT_TIMEOUT_MILLIS)?;
    socket.set_connect_timeout(CONNECT_TIMEOUT_MILLIS)?;
    socket.set_reconnect_ivl(RECONNECT_MILLIS)?;
    socket.set_reconnect_ivl_max(RECONNECT_MAX_MILLIS)
}

/// Sets `ZMQ_TCP_MAXRT`, for which the `zmq` crate has no method.
#[allow(
    unsafe_code,
    reason = "ZeroMQ copies a number of the size that it is told, from a socket that is open"
)]
fn set_tcp_timeout(socket: &mut zmq::Socket) -> Result<(), zmq::Error> {
    let (option, value) = (zmq_sys::ZMQ_TCP_MAXRT.cast_signed(), TCP_TIMEOUT_MILLIS);
    let outcome = unsafe {
        zmq_sys::zmq_setsockopt(socket.as_mut_ptr(), option, (&raw const value).cast(), size_of_val(&value))
    };
    if outcome == 0 { Ok(()) } else { Err(zmq::Error::EINVAL) }
}
