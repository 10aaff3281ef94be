//! UDP: the datagrams of a cluster, by IP multicast or to each member.
//!
//! A member sends from one socket, which has the address that the cluster file gives it, so that the others know a
//! datagram's sender by its source. A second socket, bound to the group's address, receives multicasts: one that is
//! bound to every address would receive those of all groups of the machine. `socket` sets their options, `drops` reads
//! how many datagrams the system dropped. `sieve` drops some on purpose, for tests. In a cluster with a key, all datagrams
//! pass the `guard`, which knows by `replays` what came before.
//!
//! A datagram that cannot be sent is lost, as one that the network loses, and counted. No socket is ever connected: the
//! system would report the end of a peer as a failure to send to it.

mod drops;
mod guard;
mod replays;
mod sieve;
mod socket;
mod troubles;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use bytes::Bytes;
use quinn_udp::{RecvMeta, Transmit};
use rustix::event::{PollFd, PollFlags, poll};

use super::wakeup::timespec;
use crate::exit::{Exit, Failure};
use crate::ids::{MemberId, To};
use crate::wire::Malformed;
use crate::wire::datagram::{self, Head, MOST_TOGETHER, MOST_TOGETHER_BYTES, Messages, unpack};
use crate::wire::sealed::{self, Key};
use guard::{Guard, Refusal};
pub use replays::NUMBERS_KEPT;
pub use sieve::Sieve;
use socket::Socket;
use troubles::{Trouble, Troubles, not_taken, other_key};

/// Length of a buffer for received datagrams, in bytes: the system joins as many as fit.
const BUFFER: usize = 1 << 16;
/// Buffers that are filled with one system call.
const BUFFERS: usize = 8;
/// Datagrams after which [`Udp::receive`] returns, so that a flood does not keep its caller from other work.
const AT_ONCE: usize = 256;
/// Longest wait for room in the queue of outgoing datagrams, once in a call.
const ROOM_WAIT: Duration = Duration::from_millis(2);

/// The addresses of a cluster, and the place of one member in it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The head of the first datagrams; its sender is this member. Others may be of another epoch.
    pub head: Head,
    /// The address of each member, by slot. All are of one family.
    pub servers: Vec<SocketAddr>,
    /// Length of the longest datagram, in bytes.
    pub size: usize,
    /// The group of IP multicast; without it, each member is sent a datagram of its own.
    pub group: Option<Group>,
    /// The key of the cluster; without it, anybody can speak for a member.
    pub key: Option<Key>,
}

impl Settings {
    /// Returns the same settings with a key, or without one.
    #[must_use]
    pub fn with_key(self, key: Option<Key>) -> Self {
        Self { key, ..self }
    }

    /// Returns the length of the longest datagram that may be handed over to be sent, in bytes: a key makes it longer.
    #[must_use]
    pub fn packed(&self) -> usize {
        self.size.saturating_sub(if self.key.is_some() { sealed::EXTRA } else { 0 })
    }
}

/// A group of IP multicast.
#[derive(Clone, Debug)]
pub struct Group {
    /// The address and the port, of the family of the servers.
    pub address: SocketAddr,
    /// The network interface; otherwise the one with the member's own address.
    pub interface: Option<String>,
    /// The number of networks that a multicast passes; otherwise 1, or 0 on loopback.
    pub ttl: Option<u32>,
}

/// Counts of datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Handed to the system; a multicast counts once.
    pub sent: u64,
    /// Not taken by the system.
    pub lost: u64,
    /// Received from another member.
    pub received: u64,
    /// Received, and not from a member: from another address, of another cluster, or with another sender's slot.
    pub strangers: u64,
    /// Received from a member's address, and no datagram of this version, or damaged.
    pub malformed: u64,
    /// Received from a member's address with another key than this member's, or with one where the other has none. One that
    /// is damaged looks so, too, where there is a key.
    pub other_keys: u64,
    /// Received a second time, or of a life of the sender that did not answer: an old one, or one that has just begun.
    pub repeated: u64,
    /// Dropped by the system since the sockets were opened, mostly because their buffers were full. [`Udp::overflow`]
    /// counts them.
    pub overflow: u64,
    /// Received from another member, and dropped on purpose: [`Udp::sift`].
    pub sifted: u64,
}

impl Counts {
    /// Words the datagrams that came and were not heard, and what that may mean; empty if there are none.
    #[must_use]
    pub fn objection(&self) -> String {
        match *self {
            Self { other_keys: 1.., .. } => format!(
                ", and {} datagrams with another key, or none, came: have all members the same --keys?",
                self.other_keys
            ),
            Self { strangers: 1.., .. } => format!(
                ", and {} datagrams of no member came: is the cluster file the same everywhere?",
                self.strangers
            ),
            _ => String::new(),
        }
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { sent, lost, received, strangers, malformed, other_keys, repeated, overflow, sifted } =
            self;
        write!(
            f,
            "{sent} sent, {lost} not taken by the system, {received} received, {strangers} of no member, {malformed} \
             malformed, {overflow} dropped by the system"
        )?;
        let rare = [
            (other_keys, "with other keys"),
            (repeated, "repeated or of old lives"),
            (sifted, "dropped by faults"),
        ];
        let mut rare = rare.iter().filter(|(count, _)| **count > 0);
        rare.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// The sockets of a member.
#[derive(Debug)]
pub struct Udp {
    settings: Settings,
    /// The members by their addresses.
    slots: BTreeMap<(IpAddr, u16), MemberId>,
    /// The members that were removed: nothing that is for all is sent to them.
    removed: BTreeSet<MemberId>,
    /// The socket with the member's address.
    own: Socket,
    joined: Option<Joined>,
    guard: Option<Guard>,
    /// Faults on purpose.
    sieve: Option<Sieve>,
    counts: Counts,
    troubles: Troubles,
    buffer: Vec<u8>,
    /// Datagrams that are handed over together.
    together: Vec<u8>,
}

impl Udp {
    /// Opens the sockets of a member, and joins the group.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the member's address is taken or not this machine's, or if the group cannot be joined;
    /// [`Exit::Io`] if there is a key, and the system has no randomness.
    ///
    /// # Panics
    /// If the head's sender has no address.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        let address = settings.servers[usize::from(settings.head.sender.0)];
        let own = Socket::own(address)?;
        let joined = settings.group.as_ref().map(|group| Joined::join(group, address, &own)).transpose()?;
        let guard = settings.key.clone().map(|key| Guard::new(key, settings.head)).transpose();
        let guard = guard
            .map_err(|error| Failure::new(Exit::Io, format!("cannot draw the mark of this life: {error}")))?;
        Ok(Self {
            slots: slots(&settings.servers),
            removed: BTreeSet::new(),
            settings,
            own,
            joined,
            guard,
            sieve: None,
            counts: Counts::default(),
            troubles: Troubles::default(),
            buffer: vec![0; BUFFER * BUFFERS],
            together: Vec::new(),
        })
    }

    /// Sets the address of a member, perhaps that of the next slot. One whose address is of another family or taken cannot
    /// be reached.
    pub fn set(&mut self, member: MemberId, address: SocketAddr) {
        match self.settings.servers.get_mut(usize::from(member.0)) {
            Some(known) if *known == address => return,
            Some(known) => *known = address,
            None => self.settings.servers.push(address),
        }
        self.slots = slots(&self.settings.servers);
    }

    /// Removes a member: it is sent only what is for it alone.
    pub fn remove(&mut self, member: MemberId) {
        self.removed.insert(member);
    }

    /// Returns the address of each member, by slot.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.settings.servers
    }

    /// Drops from now on what `sieve` says of the datagrams that members send; without one, nothing.
    pub fn sift(&mut self, sieve: Option<Sieve>) {
        self.sieve = sieve;
    }

    /// Returns the descriptors to poll for reading.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets().map(Socket::fd)
    }

    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        std::iter::once(&self.own).chain(self.joined.iter().map(|joined| &joined.socket))
    }

    /// Returns the size of the receive buffer in bytes, as the system counts: with its own data on each datagram.
    #[must_use]
    pub fn room(&self) -> usize {
        self.sockets().map(Socket::room).min().unwrap_or_default()
    }

    /// Returns the number of datagrams of the longest length that the receive buffer holds.
    #[must_use]
    pub fn room_for(&self) -> usize {
        room_for(self.room(), self.settings.size)
    }

    /// Returns the counts so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes the reasons for which datagrams were lost: in words, each once.
    pub fn troubles(&mut self) -> Vec<String> {
        self.troubles.take()
    }

    /// Reads how many datagrams the system has dropped at the sockets, and returns how many are new. To be called a few
    /// times a second at most: it reads a list of all UDP sockets of the machine.
    pub fn overflow(&mut self) -> u64 {
        let joined = self.joined.iter_mut().map(|joined| &mut joined.socket);
        let new: u64 = [&mut self.own].into_iter().chain(joined).map(Socket::new_drops).sum();
        self.counts.overflow += new;
        new
    }

    /// Joins the group again, which is needed after its interface was removed and came back. To be called when no
    /// datagram has come for about ten seconds. If it fails, that is one of the [`Udp::troubles`].
    pub fn rejoin(&mut self) {
        let Some(group) = &self.settings.group else { return };
        let address = self.settings.servers[usize::from(self.settings.head.sender.0)];
        match Joined::join(group, address, &self.own) {
            Ok(joined) => {
                // The socket that is closed now has counted drops of its own.
                self.overflow();
                self.joined = Some(joined);
            }
            Err(failure) => self.troubles.add(Trouble::System(0), failure.message),
        }
    }

    /// Sends datagrams in order: to all other members, or to one. Without the group, each member is sent each. With a key,
    /// they are sealed here.
    pub fn send(&mut self, to: To, datagrams: &[Bytes]) {
        let own = self.settings.head.sender;
        let servers = self.settings.servers.iter().enumerate();
        let is_other = |&(slot, _): &(usize, &SocketAddr)| {
            slot != usize::from(own.0) && !self.removed.contains(&MemberId(slot as u16))
        };
        let others = servers.filter(is_other).map(|(_, address)| *address);
        let destinations: Vec<SocketAddr> = match (to, &self.joined) {
            (To::Group, Some(joined)) => vec![joined.address],
            (To::Group, None) => others.collect(),
            (To::Member(member), _) => {
                self.settings.servers.get(usize::from(member.0)).copied().into_iter().collect()
            }
        };
        let mut may_wait = true;
        let mut rest = datagrams;
        while !rest.is_empty() {
            let longer = if self.guard.is_some() { sealed::EXTRA } else { 0 };
            let (run, others) = rest.split_at(together(rest, longer, self.own.most_together()));
            self.together.clear();
            for datagram in run {
                match &mut self.guard {
                    Some(guard) => guard.close(to, datagram, &mut self.together),
                    None => self.together.extend_from_slice(datagram),
                }
            }
            let size = run.first().map_or(0, |first| first.len() + longer);
            for &destination in &destinations {
                self.send_run(destination, size, run.len(), &mut may_wait);
            }
            rest = others;
        }
    }

    /// Sends the datagrams that `self.together` has, `count` of this size of which the last may be shorter, to one address.
    fn send_run(&mut self, destination: SocketAddr, size: usize, count: usize, may_wait: &mut bool) {
        let mut sent = self.transmit(destination, &self.together, size, may_wait);
        // The network card does not take several as one: then one by one from now on.
        if count > 1 && sent.is_err() && self.own.most_together() == 1 {
            let run = std::mem::take(&mut self.together);
            for datagram in run.chunks(size.max(1)) {
                sent = self.transmit(destination, datagram, datagram.len(), may_wait);
                self.count(destination, 1, &sent);
            }
            self.together = run;
            return;
        }
        self.count(destination, count, &sent);
    }

    fn transmit(
        &self,
        destination: SocketAddr,
        contents: &[u8],
        size: usize,
        may_wait: &mut bool,
    ) -> io::Result<()> {
        let segment_size = if contents.len() > size { Some(size) } else { None };
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
        let socket = &self.own;
        match socket.send(&transmit) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && *may_wait => {
                *may_wait = false;
                let mut polled = [PollFd::from_borrowed_fd(socket.fd(), PollFlags::OUT)];
                let _ = poll(&mut polled, Some(&timespec(ROOM_WAIT)));
                socket.send(&transmit)
            }
            sent => sent,
        }
    }

    fn count(&mut self, destination: SocketAddr, datagrams: usize, sent: &io::Result<()>) {
        match sent {
            Ok(()) => self.counts.sent += datagrams as u64,
            Err(error) => {
                self.counts.lost += datagrams as u64;
                let code = error.raw_os_error().unwrap_or_default();
                self.troubles.add(Trouble::System(code), not_taken(error, destination));
            }
        }
    }

    /// Receives what has come, up to a bound, and gives `sink` each message with its sender and its epoch.
    /// Returns whether more may have come.
    pub fn receive(&mut self, mut sink: impl FnMut(MemberId, u16, Bytes)) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut is_more = false;
        for is_own in [true, false] {
            is_more |= self.receive_at(is_own, &mut buffer, &mut sink);
        }
        self.buffer = buffer;
        self.greet();
        is_more
    }

    /// Asks members whether they are what they seem, and answers those that have asked.
    fn greet(&mut self) {
        let Some(guard) = &mut self.guard else { return };
        for (member, greeting) in guard.greetings() {
            if let Some(&address) = self.settings.servers.get(usize::from(member.0)) {
                let sent = self.transmit(address, &greeting, greeting.len(), &mut false);
                self.count(address, 1, &sent);
            }
        }
    }

    /// Receives at the own socket, or at that of the group.
    fn receive_at(
        &mut self,
        is_own: bool,
        buffer: &mut [u8],
        sink: &mut impl FnMut(MemberId, u16, Bytes),
    ) -> bool {
        let mut count = 0;
        while count < AT_ONCE {
            let joined = self.joined.as_ref().map(|joined| &joined.socket);
            let Some(socket) = (if is_own { Some(&self.own) } else { joined }) else { return false };
            let mut parts = buffer.chunks_exact_mut(BUFFER).map(IoSliceMut::new);
            let mut parts: [IoSliceMut<'_>; BUFFERS] =
                std::array::from_fn(|_| parts.next().expect("the buffer has as many parts"));
            let mut metas = [RecvMeta::default(); BUFFERS];
            // Nothing is there; or an error of an ICMP packet, which is none of the socket's own.
            let Ok(filled) = socket.receive(&mut parts, &mut metas) else { return false };
            for (part, meta) in parts.iter().zip(&metas).take(filled) {
                count += self.accept_all(&part[..meta.len], meta, sink);
            }
            if filled < BUFFERS {
                return false;
            }
        }
        true
    }

    /// Takes the datagrams of one buffer apart. Returns how many they are.
    fn accept_all(
        &mut self,
        joined: &[u8],
        meta: &RecvMeta,
        sink: &mut impl FnMut(MemberId, u16, Bytes),
    ) -> usize {
        if joined.is_empty() {
            self.accept(joined, meta.addr, sink);
            return 1;
        }
        let datagrams = joined.chunks(meta.stride.max(1));
        datagrams.map(|datagram| self.accept(datagram, meta.addr, sink)).count()
    }

    fn accept(&mut self, datagram: &[u8], source: SocketAddr, sink: &mut impl FnMut(MemberId, u16, Bytes)) {
        let own = self.settings.head;
        let Some(&sender) = self.slots.get(&(source.ip(), source.port())) else {
            self.counts.strangers += 1;
            self.look_for_name(datagram, source);
            return;
        };
        if sender == own.sender {
            // Its own multicast, which comes back so that other members on this machine receive it.
            return;
        }
        if self.sieve.as_mut().is_some_and(|sieve| sieve.drops(sender)) {
            self.counts.sifted += 1;
            return;
        }
        let (head, messages) = match self.opened(sender, datagram) {
            Ok(opened) => opened,
            Err(refusal) => return self.refuse(sender, refusal, datagram),
        };
        if head != (Head { sender, epoch: head.epoch, ..own }) {
            return self.refuse(sender, Refusal::Stranger, datagram);
        }
        self.counts.received += 1;
        messages.for_each(|message| sink(sender, head.epoch, message));
    }

    /// Returns the head and the messages of a datagram from the address of `sender`.
    fn opened(&mut self, sender: MemberId, datagram: &[u8]) -> Result<(Head, Messages), Refusal> {
        // Copies of their own: a message that is kept keeps no other datagrams.
        match &mut self.guard {
            Some(guard) => {
                let (head, content) = guard.open(sender, datagram)?;
                let messages = Messages::parse(Bytes::copy_from_slice(content));
                messages.map(|messages| (head, messages)).map_err(|Malformed| Refusal::Malformed)
            }
            None if sealed::is_sealed(datagram) => Err(Refusal::Key),
            None => unpack(Bytes::copy_from_slice(datagram)).map_err(|Malformed| Refusal::Malformed),
        }
    }

    /// Counts a datagram from the address of `sender` that is not let in.
    fn refuse(&mut self, sender: MemberId, refusal: Refusal, datagram: &[u8]) {
        match refusal {
            Refusal::Malformed => self.counts.malformed += 1,
            Refusal::Stranger => self.counts.strangers += 1,
            Refusal::Repeated => self.counts.repeated += 1,
            Refusal::Greeting => self.counts.received += 1,
            Refusal::Key => {
                self.counts.other_keys += 1;
                let address = self.settings.servers[usize::from(sender.0)];
                let words = other_key(address, self.guard.is_some(), sealed::is_sealed(datagram));
                self.troubles.add(Trouble::Key(sender), words);
            }
        }
    }

    /// Notes that a datagram of no member's address names a member of this cluster, once for each member: mostly the member
    /// has another address in its own cluster file.
    fn look_for_name(&mut self, datagram: &[u8], source: SocketAddr) {
        let version = if self.guard.is_some() { sealed::VERSION } else { datagram::VERSION };
        let Some(head) =
            Head::peek(version, datagram).filter(|head| head.cluster == self.settings.head.cluster)
        else {
            return;
        };
        let slot = usize::from(head.sender.0);
        let Some(address) = self.settings.servers.get(slot).filter(|_| !self.removed.contains(&head.sender))
        else {
            return;
        };
        let trouble = Trouble::Address(head.sender);
        let words = format!(
            "ignored: a datagram from {source} says that it is of the member at {address}; does its own cluster file \
             have that address?"
        );
        let is_genuine = || match &self.guard {
            Some(guard) => guard.head(datagram).is_some(),
            None => unpack(Bytes::copy_from_slice(datagram)).is_ok(),
        };
        if !self.troubles.are_told(trouble) && is_genuine() {
            self.troubles.add(trouble, words);
        }
    }
}

/// Returns the slot of each address; of two members with one address, that of the first.
fn slots(servers: &[SocketAddr]) -> BTreeMap<(IpAddr, u16), MemberId> {
    let mut slots = BTreeMap::new();
    for (address, slot) in servers.iter().zip(0..) {
        slots.entry((address.ip(), address.port())).or_insert(MemberId(slot));
    }
    slots
}

/// Returns the size of a receive buffer on this machine, in bytes, as [`Udp::room`] has it; none if there is no UDP.
#[must_use]
pub fn room_here() -> Option<usize> {
    Socket::own(SocketAddr::from(([127, 0, 0, 1], 0))).ok().map(|socket| socket.room())
}

/// Returns the number of datagrams of a length that a receive buffer holds.
#[must_use]
pub const fn room_for(room: usize, size: usize) -> usize {
    room / socket::cost_of(size)
}

/// The group that a member has joined.
#[derive(Debug)]
struct Joined {
    /// The address of multicasts, with the interface if it is an IPv6 address.
    address: SocketAddr,
    socket: Socket,
}

impl Joined {
    /// Joins a group, and has the socket `own` send to it.
    fn join(group: &Group, own_address: SocketAddr, own: &Socket) -> Result<Self, Failure> {
        let address = socket::destination(group, own_address)?;
        own.send_to_group(group, own_address)?;
        Ok(Self { address, socket: Socket::of_group(address, group, own_address)? })
    }
}

/// Returns the number of the first datagrams that can be handed over as one: all but the last have one length, and the
/// last is no longer. Each becomes `longer` bytes longer before.
fn together(datagrams: &[Bytes], longer: usize, most: usize) -> usize {
    let size = datagrams.first().map_or(0, Bytes::len);
    let most = most.min(MOST_TOGETHER).min(MOST_TOGETHER_BYTES / (size + longer).max(1)).max(1);
    let equal = datagrams.iter().take(most).take_while(|datagram| datagram.len() == size).count();
    let is_shorter = |last: &Bytes| !last.is_empty() && last.len() < size;
    let last = datagrams.get(equal).filter(|last| equal < most && is_shorter(last));
    equal.max(1) + usize::from(last.is_some())
}
