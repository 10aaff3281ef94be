//! Host names, looked up outside ZeroMQ: a silent name server would block its one I/O thread, and all connections with
//! it.
//!
//! A `Name` belongs to one [`Site`]. Its thread looks the name up while an address is wanted, and tries the addresses
//! of both families. Each lookup has a thread of its own, because it cannot be cancelled: it is never joined, and the
//! process ends without it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::address::{Port, Site};
use super::signals::{Signals, interruption};
use super::wakeup::{Waker, wait, wakeup};
use crate::exit::{Exit, Failure};
use crate::lock::{lock, unpoisoned};
use crate::units;

/// Shortest pause between two attempts to find an address; it doubles each time …
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// … up to this maximum.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Interval between two lookups while an address is wanted.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(2);
/// Longest wait for a connection to one of several addresses.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// The answer to a lookup.
type Answer = io::Result<Vec<IpAddr>>;

/// Begins a lookup of `host`; `ring` is called with the answer.
fn begin_lookup(host: &str, ring: impl FnOnce() + Send + 'static) -> Receiver<Answer> {
    let (sender, receiver) = channel();
    let name = host.to_owned();
    let answer = sender.clone();
    let work = move || {
        let _ = answer.send(look_up(&name));
        ring();
    };
    if let Err(error) = thread::Builder::new().name("lookup".into()).spawn(work) {
        let _ = sender.send(Err(error));
    }
    receiver
}

/// Looks `host` up, however long that takes.
fn look_up(host: &str) -> Answer {
    let mut found: Vec<IpAddr> = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        // The zone of a link-local address is lost here; other machines cannot use it either.
        if !found.contains(&address.ip()) {
            found.push(address.ip());
        }
    }
    if found.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(found) }
}

/// Returns the reason in the words of the system alone.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").map_or(text.clone(), str::to_owned)
}

fn cannot_look_up(host: &str, reason: &str) -> Failure {
    Failure::new(Exit::Unavailable, format!("cannot look up {host}: {reason}"))
        .help("is the name spelt as this machine knows it? an address needs no name server")
}

/// Looks `host` up, for no longer than `limit` and not beyond a signal.
///
/// # Errors
/// [`Exit::Unavailable`] if it is not found, and interruption.
pub fn look_up_within(
    host: &str,
    signals: Option<&Signals>,
    limit: Duration,
) -> Result<Vec<IpAddr>, Failure> {
    let (wakeup, waker) = wakeup()?;
    let lookup = begin_lookup(host, move || waker.wake());
    loop {
        let fds = signals.iter().flat_map(|signals| signals.fds()).chain([wakeup.fd()]);
        let has_come = wait(fds, limit);
        if let Some(exit) = signals.and_then(Signals::received) {
            return Err(interruption(exit));
        }
        match lookup.try_recv() {
            Ok(answer) => return answer.map_err(|error| cannot_look_up(host, &reason(&error))),
            Err(_) if has_come => {}
            Err(_) => {
                return Err(cannot_look_up(host, &format!("no answer within {}", units::duration(limit))));
            }
        }
    }
}

/// Returns the sites with numeric hosts: all addresses of each name.
///
/// # Errors
/// As [`look_up_within`].
pub fn numbered(sites: &[Site], signals: Option<&Signals>, limit: Duration) -> Result<Vec<Site>, Failure> {
    let mut all = Vec::new();
    for site in sites {
        match site.name() {
            None => all.push(site.clone()),
            Some(name) => {
                let found = look_up_within(name, signals, limit)?;
                all.extend(found.into_iter().map(|ip| Site { host: as_host(ip), ..*site }));
            }
        }
    }
    Ok(all)
}

/// Returns the sites to listen on: of a name only the addresses that this machine has, if it has any of them.
///
/// # Errors
/// As [`look_up_within`].
pub fn listening(sites: &[Site], signals: Option<&Signals>, limit: Duration) -> Result<Vec<Site>, Failure> {
    let mut all = Vec::new();
    for site in sites {
        let mut found = numbered(std::slice::from_ref(site), signals, limit)?;
        let is_ours = |site: &Site| TcpListener::bind(format!("{}:0", site.host)).is_ok();
        if site.name().is_some() && found.iter().any(is_ours) {
            found.retain(is_ours);
        }
        all.append(&mut found);
    }
    Ok(all)
}

/// Formats an address as the host of an endpoint.
fn as_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The names that the sockets of a process use, each with one thread.
#[derive(Default)]
pub(super) struct Names(Mutex<Vec<(Site, Weak<Name>)>>);

impl Names {
    /// Returns the name of a site, if it has one.
    pub(super) fn of(&self, site: &Site) -> Option<Arc<Name>> {
        let host = site.name()?;
        let mut names = lock(&self.0);
        names.retain(|(_, name)| name.strong_count() > 0);
        let known = names.iter().find(|(known, _)| known == site).and_then(|(_, name)| name.upgrade());
        Some(known.unwrap_or_else(|| {
            let name = Arc::new(Name::new(host, Port::Sync.number(site.port_base)));
            names.push((site.clone(), Arc::downgrade(&name)));
            name
        }))
    }
}

/// A host name, with the address in use.
pub(super) struct Name(Arc<Shared>);

struct Shared {
    host: String,
    /// The number of changes of the address.
    version: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    chosen: Option<IpAddr>,
    trouble: Option<Trouble>,
    demand: Demand,
    bells: Vec<Weak<Waker>>,
}

/// The wish of the users of a name.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum Demand {
    /// An address, or another one.
    #[default]
    Address,
    /// Nothing: the address in use is right.
    Nothing,
    /// Nothing any more: the name is not used.
    End,
}

/// The reason why a name has no address, or none that answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trouble {
    /// For people, in one line.
    pub message: String,
    /// Whether the name server has given a definite answer.
    pub is_definite: bool,
}

impl Name {
    fn new(host: &str, port: u16) -> Self {
        let shared = Arc::new(Shared {
            host: host.to_owned(),
            version: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let search = Search {
            shared: Arc::clone(&shared),
            port,
            addresses: Vec::new(),
            lookup: Lookup::Ended(LOOK_UP_AGAIN),
            failed: None,
        };
        if let Err(error) = thread::Builder::new().name("names".into()).spawn(move || search.run()) {
            shared.update(None, Some(Trouble::unknown(host, &reason(&error))));
        }
        Self(shared)
    }

    /// Begins to look for an address that answers, if that is not under way.
    pub(super) fn seek(&self) {
        self.0.look().demand = Demand::Address;
        self.0.changed.notify_all();
    }

    /// Returns the number of changes of the address.
    pub(super) fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Returns the address in use.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.0.look().chosen
    }

    /// Returns the present problem with the name, if there is one.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.0.look().trouble.clone()
    }

    /// Rings `bell` on each change, as long as it is kept.
    pub(super) fn ring(&self, bell: &Arc<Waker>) {
        let mut state = self.0.look();
        state.bells.retain(|bell| bell.strong_count() > 0);
        state.bells.push(Arc::downgrade(bell));
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.0.look().demand = Demand::End;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn look(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Records the address to use, if one was found, and the problem.
    fn update(&self, found: Option<IpAddr>, trouble: Option<Trouble>) {
        let mut state = self.look();
        let is_other = found.is_some() && state.chosen != found;
        if is_other {
            state.chosen = found;
            self.version.fetch_add(1, Ordering::Release);
        }
        if is_other || state.trouble != trouble {
            state.trouble = trouble;
            Self::ring(&state);
        }
    }

    fn ring(state: &State) {
        state.bells.iter().filter_map(Weak::upgrade).for_each(|bell| bell.wake());
    }

    /// Waits until an address is wanted. Returns whether none was wanted for long, or `None` if the name is not used
    /// any more.
    fn wait_for_demand(&self) -> Option<bool> {
        let is_idle = |state: &mut State| state.demand == Demand::Nothing;
        let waited = self.changed.wait_timeout_while(self.look(), LOOK_UP_AGAIN, is_idle);
        let (state, waited) = unpoisoned(waited);
        let mut state = unpoisoned(self.changed.wait_while(state, is_idle));
        if state.demand == Demand::End {
            return None;
        }
        state.demand = Demand::Nothing;
        Some(waited.timed_out())
    }

    /// Waits, unless the name is not used any more.
    fn rest(&self, pause: Duration) {
        let is_used = |state: &mut State| state.demand != Demand::End;
        drop(self.changed.wait_timeout_while(self.look(), pause, is_used));
    }
}

impl Trouble {
    fn unknown(host: &str, reason: &str) -> Self {
        Self { message: format!("cannot look up {host}: {reason}"), is_definite: true }
    }

    fn no_answer(host: &str) -> Self {
        Self { message: format!("cannot look up {host}: no answer from a name server"), is_definite: false }
    }

    fn none_answers(host: &str, addresses: &[SocketAddr]) -> Self {
        let addresses: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let message = format!("cannot reach {host}: none of its addresses answers: {}", addresses.join(", "));
        Self { message, is_definite: false }
    }
}

/// The search for an address of one name.
struct Search {
    shared: Arc<Shared>,
    /// The port at which an address must answer, if there are several.
    port: u16,
    addresses: Vec<SocketAddr>,
    lookup: Lookup,
    /// The failure of the last lookup.
    failed: Option<Trouble>,
}

/// The state of the lookups of one name.
enum Lookup {
    /// None is under way; the last one ended about so long ago.
    Ended(Duration),
    /// One is under way.
    Begun(Receiver<Answer>),
}

impl Search {
    fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        while let Some(is_new) = self.shared.wait_for_demand() {
            if is_new {
                pause = FIRST_PAUSE;
            }
            if let Lookup::Ended(ago) = self.lookup
                && (is_new || ago >= LOOK_UP_AGAIN)
            {
                self.lookup = Lookup::Begun(begin_lookup(&self.shared.host, || {}));
            }
            self.await_answer(pause);
            let (found, trouble) = self.choose();
            self.shared.update(found, trouble);
            self.shared.rest(pause);
            if let Lookup::Ended(ago) = &mut self.lookup {
                *ago += pause;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for the answer of a lookup, but no longer than `limit`; without it, the addresses known before are tried
    /// again.
    fn await_answer(&mut self, limit: Duration) {
        let Lookup::Begun(lookup) = &self.lookup else { return };
        match lookup.recv_timeout(limit) {
            Ok(Ok(found)) => {
                self.addresses = found.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
                self.failed = None;
            }
            Ok(Err(error)) => self.failed = Some(Trouble::unknown(&self.shared.host, &reason(&error))),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => {}
        }
        self.lookup = Lookup::Ended(Duration::ZERO);
    }

    /// Returns the address to use, and the problem: the only address, or the first that accepts a connection. The one
    /// in use comes last, since another is wanted.
    fn choose(&self) -> (Option<IpAddr>, Option<Trouble>) {
        let (host, used) = (&self.shared.host, self.shared.look().chosen);
        match &self.addresses[..] {
            [] => (None, Some(self.failed.clone().unwrap_or_else(|| Trouble::no_answer(host)))),
            [only] => (Some(only.ip()), self.failed.clone()),
            several => {
                let mut candidates = several.to_vec();
                candidates.sort_by_key(|address| Some(address.ip()) == used);
                let found = first_to_answer(&candidates, ANSWER_LIMIT);
                let silent = || found.is_none().then(|| Trouble::none_answers(host, several));
                (found.map(|address| address.ip()), self.failed.clone().or_else(silent))
            }
        }
    }
}

/// Returns the first address that accepts a connection; all are tried at the same time.
fn first_to_answer(addresses: &[SocketAddr], limit: Duration) -> Option<SocketAddr> {
    let begin = |address: &SocketAddr| Some((*address, begin_to_connect(address)?));
    let mut open: Vec<(SocketAddr, OwnedFd)> = addresses.iter().filter_map(begin).collect();
    let limit = Timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos().into() };
    while !open.is_empty() {
        let mut polled: Vec<PollFd<'_>> =
            open.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
        if poll(&mut polled, Some(&limit)).ok()? == 0 {
            return None;
        }
        let is_ready: Vec<bool> = polled.iter().map(|polled| !polled.revents().is_empty()).collect();
        let is_connected = |socket: &OwnedFd| matches!(sockopt::socket_error(socket), Ok(Ok(())));
        let ready = || open.iter().zip(&is_ready).filter(|(_, is_ready)| **is_ready);
        if let Some(((address, _), _)) = ready().find(|((_, socket), _)| is_connected(socket)) {
            return Some(*address);
        }
        let mut is_ready = is_ready.into_iter();
        open.retain(|_| is_ready.next() == Some(false));
    }
    None
}

/// Returns a socket that begins to connect; none if that fails at once.
fn begin_to_connect(address: &SocketAddr) -> Option<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None).ok()?;
    match connect(&socket, address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Some(socket),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn the_first_address_that_accepts_a_connection_is_used() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let nobody = SocketAddr::new("127.0.0.2".parse().unwrap(), there.port());
        assert_eq!(first_to_answer(&[nobody, there], LIMIT), Some(there));
        assert_eq!(first_to_answer(&[nobody], LIMIT), None);
        assert_eq!(first_to_answer(&[], LIMIT), None);
    }

    #[test]
    fn a_name_has_an_address_as_soon_as_it_is_looked_up() {
        let names = Names::default();
        let site = Site { host: "localhost".to_owned(), port_base: 1 };
        let (wakeup, waker) = wakeup().unwrap();
        let bell = Arc::new(waker);
        let name = names.of(&site).unwrap();
        name.ring(&bell);
        assert!(Arc::ptr_eq(&name, &names.of(&site).unwrap()));
        while name.address().is_none() && name.trouble().is_none() {
            wait([wakeup.fd()], FIRST_PAUSE);
        }
        assert!(name.address().is_none_or(|address| address.is_loopback()));
        assert!(names.of(&Site { host: "127.0.0.1".to_owned(), port_base: 1 }).is_none());
    }

    #[test]
    fn a_name_to_listen_on_becomes_numbers() {
        let sites = ["127.0.0.1", "localhost", "ipc:///tmp/x"];
        let sites = sites.map(|host| Site { host: host.to_owned(), port_base: 7 });
        let found = listening(&sites, None, LIMIT).unwrap();
        assert!(found.len() >= 3 && found.iter().all(|site| site.name().is_none()), "{found:?}");
    }
}
