//! Options of the sockets: limits on time, queues and frames.

use super::curve::KeyPair;
use super::keyring::Credential;
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
/// Bytes that encryption adds to a frame: a name, a number, a flag and a seal.
const ENCRYPTION: i64 = 64;
/// Largest frame of the handshake of CURVE, with room for what ZeroMQ tells of a socket.
const CURVE_HANDSHAKE: i64 = 1024;
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
/// … up to this maximum, …
pub const RECONNECT_MAX_MILLIS: i32 = 500;
/// … on the connection to the sync port to this one: a forwarder that was started last may end after 200 ms, and tells its
/// end only to those that have reached it.
pub const SYNC_RECONNECT_MAX_MILLIS: i32 = RECONNECT_MILLIS;

/// The domain of our sockets in questions about keys.
pub(super) const DOMAIN: &str = "groupcast";

/// Returns the largest frame of a connection with keys whose largest frame is `max_frame` before encryption.
pub(super) const fn encrypted(max_frame: i64) -> i64 {
    if max_frame + ENCRYPTION > CURVE_HANDSHAKE { max_frame + ENCRYPTION } else { CURVE_HANDSHAKE }
}

/// Sets the options that all sockets share, before the socket listens or connects.
pub(super) fn set(socket: &mut zmq::Socket, max_frame: i64) -> Result<(), zmq::Error> {
    set_number(socket, zmq_sys::ZMQ_TCP_MAXRT.cast_signed(), TCP_TIMEOUT_MILLIS)?;
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

/// Lets a socket that is about to listen accept only peers whose keys ZAP accepts, and prove the key `own`.
///
/// It sends no heartbeats: when it [listens again](super::zmq::Context::listen_again), connections end that still have
/// bytes under way. libzmq 4.3 aborts the process at the next heartbeat into one of those that is then reset. Members send
/// heartbeats, and notice a silent peer.
pub(super) fn accept_keys(socket: &mut zmq::Socket, own: &KeyPair) -> Result<(), zmq::Error> {
    socket.set_curve_server(true)?;
    socket.set_curve_secretkey(&own.secret.0)?;
    socket.set_zap_domain(DOMAIN)?;
    socket.set_heartbeat_ivl(0)?;
    socket.set_tcp_keepalive(1)?;
    // Without it, everybody is let in when nobody answers.
    set_number(socket, ZAP_ENFORCE_DOMAIN, 1)
}

/// Lets a socket that is about to connect prove its key, and accept only a peer that proves the other one.
pub(super) fn prove_key(
    socket: &zmq::Socket,
    Credential { own, forwarder }: &Credential,
) -> Result<(), zmq::Error> {
    socket.set_curve_serverkey(&forwarder.0)?;
    socket.set_curve_publickey(&own.public.0)?;
    socket.set_curve_secretkey(&own.secret.0)
}

/// Lets a socket that is about to connect to a router announce its route on each connection.
pub(super) fn announce(socket: &mut zmq::Socket, route: &[u8]) -> Result<(), zmq::Error> {
    socket.set_probe_router(true)?;
    set_bytes(socket, METADATA, &[ROUTE.as_bytes(), b":", route].concat())
}

/// The property of a connection that names the route of a member.
pub(super) const ROUTE: &str = "X-route";

/// `ZMQ_METADATA`, which `zmq-sys` does not have.
const METADATA: i32 = 95;

/// `ZMQ_ZAP_ENFORCE_DOMAIN`, which `zmq-sys` does not have.
const ZAP_ENFORCE_DOMAIN: i32 = 93;

fn set_number(socket: &mut zmq::Socket, option: i32, value: i32) -> Result<(), zmq::Error> {
    set_bytes(socket, option, &value.to_ne_bytes())
}

/// Sets an option for which the `zmq` crate has no method.
#[allow(unsafe_code, reason = "ZeroMQ copies as many bytes as it is told, from a socket that is open")]
fn set_bytes(socket: &mut zmq::Socket, option: i32, value: &[u8]) -> Result<(), zmq::Error> {
    let outcome =
        unsafe { zmq_sys::zmq_setsockopt(socket.as_mut_ptr(), option, value.as_ptr().cast(), value.len()) };
    if outcome == 0 { Ok(()) } else { Err(zmq::Error::EINVAL) }
}
