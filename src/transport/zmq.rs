//! All uses of ZeroMQ in this crate, with its traps closed: sockets that linger for ever at exit, reads that return on
//! a signal, messages that pin their receive buffer or alias another socket's, sizes without a limit, heartbeats off by
//! default.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};

use super::address::{MAX_PORT_BASE, Port, Site};
use super::curve::PublicKey;
use super::holder;
use super::keyring::Keyring;
use super::link::Link;
use super::listener::Listener;
use super::monitor::{Handshake, Monitor};
use super::options::{
    self, BACKLOG, MAX_FRAME, MAX_SUBSCRIPTION, PUBLISHED_PACKETS, SYNC_HEARTBEAT_TIMEOUT_MILLIS,
    SYNC_RECONNECT_MAX_MILLIS,
};
use super::resolve::{Names, Trouble};
use super::wakeup::{Waker, Wakeup, timespec, wakeup};
use super::zap::{Admit, Zap};
use crate::exit::{Exit, Failure};
use crate::wire::control::{MAX_REPLY, MAX_REQUEST};
use crate::wire::{Frames, Header, Malformed};

/// Pairs of free ports that are tried.
const FREE_PORTS_TRIED: usize = 16;

/// The context of all sockets, one for each process. Dropping it waits for queued packets, for a limited time.
///
/// Without keys by default.
#[derive(Clone)]
pub struct Context {
    // It has to end before the context, which waits for all sockets.
    _zap: Option<Arc<Zap>>,
    pub(super) raw: zmq::Context,
    names: Arc<Names>,
    pub(super) keys: Option<Arc<Keyring>>,
}

impl Default for Context {
    fn default() -> Self {
        Self { _zap: None, raw: zmq::Context::new(), names: Arc::default(), keys: None }
    }
}

/// A socket with its limits set. Owned by one thread.
pub struct Socket {
    pub(super) raw: zmq::Socket,
    /// The descriptor that signals input.
    descriptor: RawFd,
    /// Whether nothing was left at the last read, and nothing was sent since: then the descriptor signals new input.
    pub(super) is_drained: Cell<bool>,
    /// The addresses on which it listens.
    pub(super) listeners: Vec<Listener>,
    /// The sites to which it connects.
    links: RefCell<Vec<Link>>,
    /// Wakes the loop on news about a name.
    bell: Option<(Wakeup, Arc<Waker>)>,
    /// Its handshakes, if they are watched.
    monitor: Option<Monitor>,
    /// Whether ZeroMQ tells the user of each connection: those of a listener with keys.
    pub(super) has_users: bool,
}

/// The result of sending to one peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sent {
    /// Handed to ZeroMQ.
    Handed,
    /// No such peer is connected.
    Unreachable,
    /// The peer's queue is full.
    Full,
}

impl Context {
    /// Returns a context whose sockets connect with keys.
    #[must_use]
    pub fn with_keys(keys: Keyring) -> Self {
        Self { keys: Some(Arc::new(keys)), ..Self::default() }
    }

    /// Returns a context in which so many threads send, receive and encrypt.
    ///
    /// # Errors
    /// [`Exit::Bug`] if ZeroMQ refuses, which it has no reason to.
    pub fn with_threads(number: u16) -> Result<Self, Failure> {
        let context = Self::default();
        let set = context.raw.set_io_threads(number.into());
        set.map_err(|error| failed("use several threads", error))?;
        Ok(context)
    }

    /// Lets its sockets also listen with keys, and let in those that `admit` names. It has no socket yet.
    ///
    /// # Errors
    /// [`Exit::Bug`] or [`Exit::Io`] if the thread cannot be started that answers for them.
    pub fn with_keys_of_others(self, keys: Keyring, admit: Arc<Admit>) -> Result<Self, Failure> {
        let zap = Zap::start(&self.raw, admit)?;
        Ok(Self { _zap: Some(Arc::new(zap)), keys: Some(Arc::new(keys)), ..self })
    }

    /// Returns the public key of this process, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<PublicKey> {
        self.keys.as_ref().map(|keys| keys.own().public)
    }

    fn socket(&self, kind: zmq::SocketType, max_frame: i64) -> Result<Socket, zmq::Error> {
        let mut socket = self.raw.socket(kind)?;
        options::set(
            &mut socket,
            if self.keys.is_some() { options::encrypted(max_frame) } else { max_frame },
        )?;
        Socket::new(socket)
    }

    /// Listens on a port of each site, on a socket with options of its own, set before it is bound: most have no effect
    /// later. It keeps nothing for peers that have gone: ZeroMQ would wait for them when the socket is closed.
    fn listen(
        &self,
        kind: zmq::SocketType,
        max_frame: i64,
        port: Port,
        at: &[Site],
        set_options: impl FnOnce(&mut zmq::Socket) -> Result<(), zmq::Error>,
    ) -> Result<Socket, Failure> {
        let mut socket = self.socket(kind, max_frame).map_err(|error| failed("create a socket", error))?;
        socket.linger(Duration::ZERO);
        let set_up = socket.raw.set_backlog(BACKLOG).and_then(|()| set_options(&mut socket.raw));
        set_up
            .and_then(|()| self.accept_keys(&mut socket))
            .map_err(|error| failed("set up a socket", error))?;
        socket.has_users = self.keys.is_some();
        for site in at {
            let endpoint = site.endpoint(port);
            let listener = Listener::open(&socket.raw, &endpoint);
            socket.listeners.push(listener.map_err(|error| cannot_listen(&endpoint, error))?);
        }
        Ok(socket)
    }

    /// Lets a socket that is about to listen accept only those that are admitted, if this process has keys.
    fn accept_keys(&self, socket: &mut Socket) -> Result<(), zmq::Error> {
        self.keys.as_ref().map_or(Ok(()), |keys| options::accept_keys(&mut socket.raw, &keys.own()))
    }

    /// Returns the socket on which members publish. The hosts of `at` are numbers, as from
    /// [`super::resolve::listening`].
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the port is taken; the same for the functions below.
    pub fn listen_in(&self, at: &[Site]) -> Result<Socket, Failure> {
        self.listen(zmq::SUB, MAX_FRAME, Port::In, at, |socket| socket.set_subscribe(b""))
    }

    /// Returns the socket to which members subscribe.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the port is taken.
    pub fn listen_out(&self, at: &[Site]) -> Result<Socket, Failure> {
        self.listen(zmq::PUB, MAX_SUBSCRIPTION, Port::Out, at, |_| Ok(()))
    }

    /// Returns the socket at which members join.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the port is taken.
    pub fn listen_sync(&self, at: &[Site]) -> Result<Socket, Failure> {
        let mut monitor = None;
        let socket = self.listen(zmq::ROUTER, MAX_REQUEST as i64, Port::Sync, at, |socket| {
            monitor = Some(Monitor::of(&self.raw, socket)?);
            socket.set_router_mandatory(true)
        })?;
        Ok(Socket { monitor, ..socket })
    }

    /// Returns the router's socket. Without keys, a member that connects again takes its route over from its old
    /// connection. The router sends no heartbeats then: libzmq 4.3 aborts the process when it sends one into a connection
    /// whose routing id was taken over, that had bytes queued, and that was then reset.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the port is taken.
    pub fn listen_router(&self, at: &[Site]) -> Result<Socket, Failure> {
        self.listen(zmq::ROUTER, MAX_FRAME, Port::Router, at, |socket| {
            socket.set_router_mandatory(true)?;
            if self.keys.is_none() {
                socket.set_router_handover(true)?;
                socket.set_heartbeat_ivl(0)?;
            }
            socket.set_tcp_keepalive(1)
        })
    }

    /// Returns a socket on which members publish and one to which they subscribe, on two ports of loopback that are free,
    /// and the first of these; nothing if none are found.
    #[must_use]
    pub fn listen_on_free_ports(&self) -> Option<(u16, Socket, Socket)> {
        let attempt = |_| {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).ok()?;
            let port_base = Some(free.port()).filter(|&port| port <= MAX_PORT_BASE)?;
            let at = [Site { host: "127.0.0.1".to_owned(), port_base }];
            Some((port_base, self.listen_in(&at).ok()?, self.listen_out(&at).ok()?))
        };
        (0..FREE_PORTS_TRIED).find_map(attempt)
    }

    /// Returns a socket that connects to a port of each site: at once, or when its host name is resolved.
    fn connect(
        &self,
        kind: zmq::SocketType,
        max_frame: i64,
        port: Port,
        sites: &[Site],
        set_options: impl FnOnce(&mut zmq::Socket) -> Result<(), zmq::Error>,
    ) -> Result<Socket, Failure> {
        let mut socket = self.socket(kind, max_frame).map_err(|error| failed("create a socket", error))?;
        set_options(&mut socket.raw).map_err(|error| failed("set up a socket", error))?;
        for site in sites {
            let mut link = Link::new(site, port, &self.names, self.keys.as_ref());
            link.follow(&socket.raw).map_err(|error| {
                Failure::new(Exit::Unavailable, format!("cannot connect to {}: {error}", link.endpoint()))
                    .help("is the host in --connect a name or an address?")
            })?;
            socket.links.borrow_mut().push(link);
        }
        Ok(socket)
    }

    /// Returns the socket by which a member publishes through every forwarder. It queues nothing for one that is not
    /// connected: the queue could grow without end, and packets are resent if no other forwarder passes them on.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if an address is invalid; a missing listener shows later.
    pub fn publisher(&self, sites: &[Site]) -> Result<Socket, Failure> {
        self.connect(zmq::PUB, MAX_FRAME, Port::In, sites, |socket| {
            socket.set_sndhwm(PUBLISHED_PACKETS)?;
            socket.set_immediate(true)
        })
    }

    /// Returns the socket by which a member receives through every forwarder, once it has
    /// [subscribed](Socket::subscribe).
    ///
    /// # Errors
    /// As [`Context::publisher`].
    pub fn subscriber(&self, sites: &[Site]) -> Result<Socket, Failure> {
        // Subscriptions need not reach a forwarder when the socket is closed: it may have ended by then.
        self.connect(zmq::SUB, MAX_FRAME, Port::Out, sites, |socket| socket.set_linger(0))
    }

    /// Returns the socket by which a member sends through one router, with the route by which others reach it.
    ///
    /// # Errors
    /// As [`Context::publisher`].
    pub fn dealer(&self, site: &Site, route: &[u8]) -> Result<Socket, Failure> {
        self.connect(zmq::DEALER, MAX_FRAME, Port::Router, std::slice::from_ref(site), |socket| {
            socket.set_immediate(true)?;
            if self.keys.is_none() { socket.set_identity(route) } else { options::announce(socket, route) }
        })
    }

    /// Returns the socket for the forwarder's sync port.
    ///
    /// # Errors
    /// As [`Context::publisher`].
    pub fn asker(&self, site: &Site) -> Result<Socket, Failure> {
        let sites = std::slice::from_ref(site);
        let mut monitor = None;
        let mut socket = self.connect(zmq::DEALER, MAX_REPLY as i64, Port::Sync, sites, |socket| {
            monitor = Some(Monitor::of(&self.raw, socket)?);
            socket.set_heartbeat_timeout(SYNC_HEARTBEAT_TIMEOUT_MILLIS)?;
            socket.set_reconnect_ivl_max(SYNC_RECONNECT_MAX_MILLIS)
        })?;
        socket.monitor = monitor;
        if socket.links.get_mut().iter().any(|link| link.name().is_some()) {
            let (wakeup, waker) = wakeup()?;
            let bell = Arc::new(waker);
            socket.links.get_mut().iter().filter_map(Link::name).for_each(|name| name.ring(&bell));
            socket.bell = Some((wakeup, bell));
            // Catch up on news from before the bell was there.
            socket.follow();
        }
        Ok(socket)
    }
}

impl Socket {
    pub(super) fn new(raw: zmq::Socket) -> Result<Self, zmq::Error> {
        let (is_drained, links, listeners) = (Cell::new(false), RefCell::default(), Vec::new());
        let (bell, monitor, has_users, descriptor) = (None, None, false, raw.get_fd()?);
        Ok(Self { descriptor, raw, is_drained, listeners, links, bell, monitor, has_users })
    }

    /// Connects to the present addresses of its host names, with the keys that are in use there, instead of earlier ones.
    /// Returns whether any connection is new.
    pub fn follow(&self) -> bool {
        let mut has_moved = false;
        for link in self.links.borrow_mut().iter_mut() {
            // ZeroMQ accepts every numeric address.
            has_moved |= link.follow(&self.raw).unwrap_or(false);
        }
        if has_moved {
            self.is_drained.set(false);
        }
        has_moved
    }

    /// Has its host names looked up again, because no answer comes from there.
    pub fn seek(&self) {
        self.links.borrow().iter().filter_map(Link::name).for_each(|name| name.seek());
    }

    /// Has this socket and all others use other keys for its sites, if there are others, because handshakes break off.
    pub fn leave_keys(&self) {
        self.links.borrow().iter().for_each(Link::leave_keys);
    }

    /// Returns the number of keys of which its sites may have any.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.links.borrow().iter().map(Link::keys).max().unwrap_or(1)
    }

    /// Returns the next outcome of a handshake at a sync port.
    #[must_use]
    pub fn handshake(&self) -> Option<Handshake> {
        self.monitor.as_ref()?.next()
    }

    /// Returns the problem with its host name, if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.links.borrow().iter().filter_map(Link::name).find_map(|name| name.trouble())
    }

    /// Returns whether no input is waiting, as far as is known without asking ZeroMQ.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.is_drained.get()
    }

    /// Returns whether input is waiting. If not, ZeroMQ has been asked, so that the descriptor signals the next input.
    fn has_input(&self) -> bool {
        if !self.is_drained.get() {
            let has_input = self.raw.get_events().is_ok_and(|events| events.contains(zmq::POLLIN));
            self.is_drained.set(!has_input);
        }
        !self.is_drained.get()
    }

    #[allow(unsafe_code, reason = "the socket has its descriptor for as long as it is borrowed")]
    fn descriptor(&self) -> BorrowedFd<'_> {
        unsafe { BorrowedFd::borrow_raw(self.descriptor) }
    }

    /// Returns the frames of the next message, if one is waiting. It is malformed unless they are as many.
    pub(super) fn receive<const N: usize>(&self) -> Option<Result<[zmq::Message; N], Malformed>> {
        self.receive_some().map(|(frames, count)| if count == N { Ok(frames) } else { Err(Malformed) })
    }

    /// Returns the first frames of the next message, if one is waiting, and the number of all its frames.
    pub(super) fn receive_some<const N: usize>(&self) -> Option<([zmq::Message; N], usize)> {
        if self.is_drained.get() {
            return None;
        }
        let mut frames = std::array::from_fn(|_| zmq::Message::new());
        self.receive_frame(&mut frames[0])?;
        let mut count = 1;
        let mut rest = zmq::Message::new();
        while self.raw.get_rcvmore().unwrap_or(false) {
            self.receive_frame(frames.get_mut(count).unwrap_or(&mut rest))?;
            count += 1;
        }
        Some((frames, count))
    }

    fn receive_frame(&self, into: &mut zmq::Message) -> Option<()> {
        loop {
            match self.raw.recv(into, zmq::DONTWAIT) {
                Ok(()) => return Some(()),
                Err(zmq::Error::EINTR) => {}
                // EAGAIN: no message. Any other error: no message either.
                Err(_) => {
                    self.is_drained.set(true);
                    return None;
                }
            }
        }
    }

    /// Sends frames as one message; never blocks.
    pub(super) fn send<F: Into<zmq::Message>>(&self, frames: impl IntoIterator<Item = F>) -> Sent {
        // Sending makes ZeroMQ take note of input, which the descriptor then does not signal any more.
        self.is_drained.set(false);
        let mut frames = frames.into_iter().peekable();
        while let Some(frame) = frames.next() {
            let more = if frames.peek().is_some() { zmq::SNDMORE } else { 0 };
            match self.raw.send(frame, zmq::DONTWAIT | more) {
                Ok(()) => {}
                Err(zmq::Error::EHOSTUNREACH) => return Sent::Unreachable,
                Err(_) => return Sent::Full,
            }
        }
        Sent::Handed
    }

    /// Subscribes to topics that begin like this.
    ///
    /// # Errors
    /// [`Exit::Bug`] if ZeroMQ refuses, which it has no reason to.
    pub fn subscribe(&self, topic: &[u8]) -> Result<(), Failure> {
        self.raw.set_subscribe(topic).map_err(|error| failed("subscribe", error))
    }

    /// Takes back one subscription; packets under way still come.
    ///
    /// # Errors
    /// As [`Socket::subscribe`].
    pub fn unsubscribe(&self, topic: &[u8]) -> Result<(), Failure> {
        self.raw.set_unsubscribe(topic).map_err(|error| failed("unsubscribe", error))
    }

    /// Publishes a packet. If ZeroMQ drops it, the reliable layer resends it.
    pub fn publish(&self, topic: &[u8], frames: &Frames) {
        self.send([topic, &frames.header, &frames.body]);
    }

    /// Returns the next packet of a subscription, if one is waiting.
    #[must_use]
    pub fn hear(&self) -> Option<Result<Frames, Malformed>> {
        let message = self.receive()?;
        Some(message.map(|[_topic, header, body]| kept(&header, body)))
    }

    /// Passes the next waiting packet on to `out`, if it is well-formed and `passes` accepts its topic, its header and the
    /// user of the connection on which it came. Returns whether it did, or `None` if none was waiting. `listen` gets topic,
    /// header and body.
    #[must_use]
    pub fn forward(
        &self,
        out: &Self,
        passes: impl FnOnce(&[u8], &Header, Option<&str>) -> bool,
        listen: impl FnOnce(&[u8], &[u8], &[u8]),
    ) -> Option<bool> {
        let Ok([topic, header, mut body]) = self.receive()? else { return Some(false) };
        // ZeroMQ tells the user with each frame.
        let user = if self.has_users { body.gets(USER) } else { None };
        if !Header::peek(&header).is_ok_and(|header| passes(&topic, &header, user)) {
            return Some(false);
        }
        listen(&topic, &header, &body);
        out.send([topic, header, body]);
        Some(true)
    }

    /// Sends a packet to the member with this name, through the router.
    pub fn send_to(&self, name: &[u8], topic: &[u8], frames: &Frames) {
        self.send([name, topic, &frames.header, &frames.body]);
    }

    /// Returns the next packet from the router, if one is waiting, with the route of its sender; one of another topic is
    /// malformed.
    #[must_use]
    pub fn hear_routed(&self, topic: &[u8]) -> Option<Result<(Vec<u8>, Frames), Malformed>> {
        let message = self.receive()?;
        Some(message.and_then(|[from, name, header, body]| {
            if *name == *topic { Ok((from.to_vec(), kept(&header, body))) } else { Err(Malformed) }
        }))
    }

    /// Drops what it has not sent `limit` after it is closed or, to a peer that goes, after that.
    pub fn linger(&self, limit: Duration) {
        // An error does no harm: the socket is about to be closed.
        let _ = self.raw.set_linger(i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
    }
}

/// The property of a message that names the user of its connection, as ZAP has answered.
pub(super) const USER: &str = "User-Id";

/// Bytes that ZeroMQ reads from a connection at a time. A longer message has memory of its own.
const READ_AT_ONCE: usize = 8192;

/// Returns the frames of a message. A short body is copied, because it shares, and would keep, the memory of everything
/// read with it; a long one is kept as it is.
fn kept(header: &[u8], body: zmq::Message) -> Frames {
    let body = if body.len() > READ_AT_ONCE {
        Bytes::from_owner(Owned(body))
    } else {
        Bytes::copy_from_slice(&body)
    };
    Frames { header: Bytes::copy_from_slice(header), body }
}

/// A message as the owner of its bytes.
struct Owned(zmq::Message);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Waits for input at a socket or descriptor, for no longer than `limit`. Returns whether a descriptor may have input.
pub fn wait<'a>(
    sockets: &[&'a Socket],
    fds: impl IntoIterator<Item = BorrowedFd<'a>>,
    limit: Duration,
) -> bool {
    let has_input = sockets.iter().any(|socket| socket.has_input());
    let limit = if has_input { Duration::ZERO } else { limit };
    let watched = |fd| PollFd::from_borrowed_fd(fd, PollFlags::IN);
    let mut polled: Vec<PollFd<'_>> = Vec::with_capacity(sockets.len() + 4);
    polled.extend(sockets.iter().map(|socket| watched(socket.descriptor())));
    let with_bells = || sockets.iter().filter_map(|socket| Some((socket, &socket.bell.as_ref()?.0)));
    polled.extend(with_bells().map(|(_, bell)| watched(bell.fd())));
    let others_from = polled.len();
    polled.extend(fds.into_iter().map(watched));
    if poll(&mut polled, Some(&timespec(limit))).is_err() {
        // A signal: its handler has written to one of the descriptors.
        return true;
    }
    let (of_ours, of_others) = polled.split_at(others_from);
    let (of_sockets, of_bells) = of_ours.split_at(sockets.len());
    for (socket, polled) in sockets.iter().zip(of_sockets) {
        if !polled.revents().is_empty() {
            socket.is_drained.set(false);
        }
    }
    for ((socket, bell), polled) in with_bells().zip(of_bells) {
        if !polled.revents().is_empty() {
            bell.clear();
            socket.is_drained.set(false);
        }
    }
    of_others.iter().any(|polled| !polled.revents().is_empty())
}

/// Returns the version of the ZeroMQ library that this program runs on.
#[must_use]
pub fn library_version() -> String {
    let (major, minor, patch) = zmq::version();
    format!("{major}.{minor}.{patch}")
}

pub(super) fn failed(what: &str, error: zmq::Error) -> Failure {
    Failure::new(Exit::Bug, format!("ZeroMQ cannot {what}: {error}"))
}

pub(super) fn cannot_listen(endpoint: &str, error: zmq::Error) -> Failure {
    let failure = holder::cannot_listen(endpoint, &error.into());
    match error {
        zmq::Error::EADDRINUSE => {
            failure.help("another program has this port: end it, or choose other ports with --port-base")
        }
        zmq::Error::EACCES => failure.help("ports below 1024 are for root: choose others with --port-base"),
        _ => failure.help("is --bind an address of this machine? 127.0.0.1 always is"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket takes the time that it is closed with over to a connection that ends before: later, it is too late.
    #[test]
    fn a_socket_that_listens_keeps_nothing_for_peers_that_go() {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port_base = address.unwrap().port() - Port::Sync.number(0);
        let context = Context::default();
        let listens = context.listen_sync(&[Site { host: "127.0.0.1".to_owned(), port_base }]).unwrap();
        assert_eq!(listens.raw.get_linger(), Ok(0));
        listens.linger(Duration::from_millis(20));
        assert_eq!(listens.raw.get_linger(), Ok(20), "its last answers leave");
    }
}
