//! The connections and the clock of the proxy, shared by all threads under one lock.
//!
//! One thread per port accepts (`accept.rs`), two per direction of a connection move bytes (`pump.rs`), and the main
//! thread begins and ends faults. All of them end with the process.

use std::collections::BTreeMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::packets::{Fate, Packets};
use super::timeline::{Restrictions, Timeline};
use crate::driver::Clock;
use crate::driver::clock::LONGEST_WAIT;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::fault::link::{Direction, Fault, Kind, PORTS, Place, SYNC};
use crate::lock::{lock, unpoisoned};
use crate::prng::Prng;
use crate::talk::{self, Talk};
use crate::units;

/// The time within which a server must accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The time after which members whose connections are all gone have ended: a member reconnects every half second.
const QUIET: Duration = Duration::from_secs(2);
/// The time without any byte after which all members have gone: their sockets send heartbeats far more often, and the
/// members give up earlier.
const STANDSTILL: Duration = Duration::from_secs(15);
/// The time after which a waiting write looks whether the connection is still open.
const WRITE_LIMIT: Duration = Duration::from_millis(200);

/// The state that all threads share.
pub(super) struct Relay {
    clock: Clock,
    /// The four ports of the servers, each at all addresses of the host.
    to: [Vec<SocketAddr>; 4],
    seed: u64,
    talk: Talk,
    state: Mutex<State>,
    changed: Condvar,
}

/// The part of the state under the lock.
struct State {
    timeline: Timeline,
    /// The time at which the first connection reached a server, which is time 0 of the script.
    began: Option<Time>,
    open: BTreeMap<(usize, u64), Arc<Connection>>,
    /// The time at which a connection last began or ended.
    stirred: Time,
    /// The time at which bytes last arrived.
    moved: Time,
    totals: Totals,
    interrupted: Option<Exit>,
}

/// The traffic of the whole run, with faults or without.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// The connections of members that reached a server, at each port.
    pub(super) connections: [u64; 4],
    /// The connections that were closed because no server accepted them.
    pub(super) unreachable: u64,
    /// The directions of connections in which no packets were found, because they are not ZMTP.
    pub(super) strange: u64,
    /// The bytes that members sent.
    pub(super) up: u64,
    /// The bytes that servers sent.
    pub(super) down: u64,
}

/// A member's connection, and the proxy's own connection to the server that belongs to it.
pub(super) struct Connection {
    port: usize,
    number: u64,
    member: TcpStream,
    middle: TcpStream,
    /// Whether both directions are closed.
    is_closed: AtomicBool,
    /// Whether each direction is closed: up, down.
    is_half_closed: [AtomicBool; 2],
    /// The number of directions that have ended.
    ended: AtomicU8,
}

impl State {
    /// Returns true if the next connection of this port must be closed at once.
    fn refuses(&mut self, port: usize) -> bool {
        let connection = self.totals.connections[port] + 1;
        self.timeline.refuses(Place { port, connection, is_up: true })
    }

    /// Returns true if all members have gone.
    fn is_quiet(&self, now: Time) -> bool {
        let limit = if self.open.is_empty() { QUIET } else { STANDSTILL };
        now.since(self.stirred.max(self.moved)) >= limit
    }
}

impl Connection {
    pub(super) const fn place(&self, is_up: bool) -> Place {
        Place { port: self.port, connection: self.number, is_up }
    }

    pub(super) const fn source(&self, is_up: bool) -> &TcpStream {
        if is_up { &self.member } else { &self.middle }
    }

    pub(super) const fn target(&self, is_up: bool) -> &TcpStream {
        self.source(!is_up)
    }

    /// Returns true if no more bytes may pass in this direction.
    pub(super) fn is_over(&self, is_up: bool) -> bool {
        self.is_closed.load(Ordering::Relaxed)
            || self.is_half_closed[usize::from(!is_up)].load(Ordering::Relaxed)
    }

    /// Closes both sides. A side that has gone already cannot be shut down, which is no failure.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        for side in [&self.member, &self.middle] {
            let _ = side.shutdown(Shutdown::Both);
        }
    }

    /// Resets both sides. A socket without lingering sends RST when the last thread closes it. Shutting down the read
    /// side sends nothing to the peer, but wakes the thread that reads.
    fn reset(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        for side in [&self.member, &self.middle] {
            let _ = set_socket_linger(side, Some(Duration::ZERO));
            let _ = side.shutdown(Shutdown::Read);
        }
    }

    /// Tells the target of this direction that no more bytes follow.
    fn half_close(&self, is_up: bool) {
        self.is_half_closed[usize::from(!is_up)].store(true, Ordering::Relaxed);
        let _ = self.target(is_up).shutdown(Shutdown::Write);
    }

    fn apply(&self, fault: &Fault) {
        match fault.kind {
            Kind::Cut => self.close(),
            Kind::Reset => self.reset(),
            Kind::HalfClose => self.half_close(fault.direction == Direction::Up),
            _ => {}
        }
    }
}

impl Relay {
    pub(super) fn new(to: [Vec<SocketAddr>; 4], seed: u64, timeline: Timeline, talk: Talk) -> Arc<Self> {
        let state = State {
            timeline,
            began: None,
            open: BTreeMap::new(),
            stirred: Time::ZERO,
            moved: Time::ZERO,
            totals: Totals::default(),
            interrupted: None,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Arc::new(Self { clock: Clock::start(), to, seed, talk, state, changed })
    }

    /// Asks the proxy to end; returns false if it was already asked.
    pub(super) fn interrupt(&self, exit: Exit) -> bool {
        let is_first = self.lock().interrupted.replace(exit).is_none();
        self.changed.notify_all();
        is_first
    }

    /// Begins and ends faults at their times, until the proxy ends: when all members have gone, unless it is to `stay`,
    /// or when it is interrupted.
    ///
    /// # Errors
    /// [`Exit::TimedOut`] if no member connected in time.
    pub(super) fn conduct(&self, start_timeout: Duration, stay: bool) -> Result<Exit, Failure> {
        let mut state = self.lock();
        loop {
            let now = self.now();
            self.advance(&mut state, now);
            if let Some(exit) = state.interrupted {
                let is_idle = stay && (state.began.is_none() || state.is_quiet(now));
                return Ok(if is_idle { Exit::Ok } else { exit });
            }
            let Some(began) = state.began else {
                if now.since(Time::ZERO) >= start_timeout {
                    return Err(self.nobody(state.totals.unreachable > 0, start_timeout));
                }
                let left = start_timeout.saturating_sub(now.since(Time::ZERO));
                state = self.wait(state, left.min(LONGEST_WAIT));
                continue;
            };
            if state.is_quiet(now) && !stay {
                return Ok(Exit::Ok);
            }
            let until = state.timeline.next_change().map(|change| began.after(change).since(now));
            state = self.wait(state, until.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT));
        }
    }

    fn nobody(&self, members_came: bool, limit: Duration) -> Failure {
        let (who, help) = if members_came {
            (format!("nobody listened on {}", self.named(0)), "is `forwarder` running, at the ports of --to?")
        } else {
            let help = "members connect to the proxy: their --port-base is that of --listen";
            ("nobody connected".to_owned(), help)
        };
        Failure::new(Exit::TimedOut, format!("{who} within {}", units::duration(limit))).help(help)
    }

    /// Formats the addresses of a server's port for people.
    fn named(&self, port: usize) -> String {
        let addresses: Vec<String> = self.to[port].iter().map(SocketAddr::to_string).collect();
        talk::list(&addresses)
    }

    /// Returns the result of `tell` for the timeline and the totals.
    pub(super) fn sum<T>(&self, tell: impl FnOnce(&Timeline, &Totals) -> T) -> T {
        let state = self.lock();
        tell(&state.timeline, &state.totals)
    }

    /// Returns true if a new connection of this port need not be closed at once.
    pub(super) fn admits(&self, port: usize) -> bool {
        let mut state = self.lock();
        let now = self.now();
        self.advance(&mut state, now);
        state.stirred = now;
        !state.refuses(port)
    }

    /// Connects a member's connection with its server; `None` closes it.
    pub(super) fn connect(&self, port: usize, member: TcpStream) -> Option<Arc<Connection>> {
        let connect = |address| TcpStream::connect_timeout(address, CONNECT_LIMIT).ok();
        let Some(middle) = self.to[port].iter().find_map(connect) else {
            self.talk.detail(format!("nobody listens on {} ({})", self.named(port), PORTS[port]));
            self.lock().totals.unreachable += 1;
            return None;
        };
        for side in [&member, &middle] {
            // Without these options the connection is only slower.
            let _ = side.set_nodelay(true);
            let _ = side.set_write_timeout(Some(WRITE_LIMIT));
        }
        let mut state = self.lock();
        let now = self.now();
        state.began.get_or_insert(now);
        self.advance(&mut state, now);
        if state.refuses(port) {
            return None;
        }
        state.totals.connections[port] += 1;
        let number = state.totals.connections[port];
        let connection = Arc::new(Connection {
            port,
            number,
            member,
            middle,
            is_closed: AtomicBool::new(false),
            is_half_closed: [AtomicBool::new(false), AtomicBool::new(false)],
            ended: AtomicU8::new(0),
        });
        state.open.insert((port, number), Arc::clone(&connection));
        Some(connection)
    }

    /// Begins and ends faults, and applies those that begin to the connections.
    fn advance(&self, state: &mut State, now: Time) {
        let Some(began) = state.began else { return };
        for begun in state.timeline.advance(now.since(began)) {
            let is_up = begun.fault.direction != Direction::Down;
            let struck: Vec<_> = state
                .open
                .values()
                .filter(|connection| {
                    begun.fault.kind.strikes() && begun.fault.is_about(connection.place(is_up))
                })
                .cloned()
                .collect();
            for connection in &struck {
                connection.apply(&begun.fault);
                if begun.fault.kind != Kind::HalfClose {
                    state.open.remove(&(connection.port, connection.number));
                    state.stirred = now;
                }
            }
            state.timeline.struck(begun.number, struck.len() as u64);
            let count =
                if struck.is_empty() { String::new() } else { format!(" ({} connections)", struck.len()) };
            self.talk.say(format!("now: {}{count}", begun.fault));
        }
        self.changed.notify_all();
    }

    /// Counts bytes that arrived in this direction; returns the time at which they are due at the other side.
    pub(super) fn arrived(&self, place: Place, bytes: u64, jitters: &mut Prng) -> Time {
        let mut state = self.lock();
        let totals = &mut state.totals;
        *(if place.is_up { &mut totals.up } else { &mut totals.down }) += bytes;
        let delay = state.timeline.delay(place, bytes, jitters);
        state.moved = self.now();
        state.moved.after(delay)
    }

    /// Returns the parser and the random generator for the packets of this direction; `None` if no fault concerns them.
    pub(super) fn packets(&self, place: Place) -> Option<(Packets, Prng)> {
        let is_wanted = place.port != SYNC && self.lock().timeline.is_about_packets();
        is_wanted.then(|| (Packets::default(), self.jitters(place).fork()))
    }

    /// Draws the fate of a packet in this direction.
    pub(super) fn fate(&self, place: Place, packet: &[u8], chances: &mut Prng) -> Fate {
        self.lock().timeline.fate(place, packet, chances)
    }

    /// Warns that the bytes of this direction are not understood.
    pub(super) fn cannot_read(&self, Place { port, connection, is_up }: Place) {
        self.lock().totals.strange += 1;
        let (port, way) = (PORTS[port], if is_up { "up" } else { "down" });
        self.talk.warn(format!(
            "what goes {way} on {port} connection {connection} is not ZMTP 3 without encryption: it passes unchanged"
        ));
    }

    /// Waits until the time `due`, and until bytes may pass in this direction; returns their rate, or `None` if the
    /// direction is closed.
    pub(super) fn clearance(&self, connection: &Connection, is_up: bool, due: Time) -> Option<Restrictions> {
        let mut state = self.lock();
        loop {
            if connection.is_over(is_up) {
                return None;
            }
            let (now, restrictions) = (self.now(), state.timeline.restrictions(connection.place(is_up)));
            if !restrictions.is_still && now >= due {
                return Some(restrictions);
            }
            let wait = if restrictions.is_still { LONGEST_WAIT } else { due.since(now).min(LONGEST_WAIT) };
            state = self.wait(state, wait);
        }
    }

    /// Counts the end of one direction; the second end is that of the connection.
    pub(super) fn ended(&self, connection: &Connection) {
        if connection.ended.fetch_add(1, Ordering::Relaxed) == 1 {
            self.forget(connection);
        }
    }

    /// Removes a connection from those that are open.
    pub(super) fn forget(&self, connection: &Connection) {
        let mut state = self.lock();
        if state.open.remove(&(connection.port, connection.number)).is_some() {
            state.stirred = self.now();
        }
    }

    /// Returns a generator of this direction's own, so that the fate of one connection does not depend on the others.
    pub(super) fn jitters(&self, place: Place) -> Prng {
        let port = place.port as u64 * 2 + u64::from(place.is_up);
        Prng::new(self.seed ^ place.connection.rotate_left(32) ^ port.rotate_left(56))
    }

    /// Returns the time since the start, also while the process was stopped: the script goes on.
    pub(super) fn now(&self) -> Time {
        Time::from_micros(self.clock.elapsed_micros())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        unpoisoned(self.changed.wait_timeout(state, limit)).0
    }

    /// Waits a little.
    pub(super) fn rest(&self) {
        drop(self.wait(self.lock(), WRITE_LIMIT));
    }
}
