//! One direction of one connection: a thread reads, a bounded queue holds what is under way, a thread writes.
//!
//! The queue is the cable: what is delayed is in it. When nothing moves it fills up, and then nothing is read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::fault::Place;
use super::packets::Packets;
use super::relay::{Connection, Relay};
use crate::engine::Time;
use crate::prng::Prng;

/// Bytes read at once, at most.
const CHUNK: usize = 16 << 10;
/// Chunks under way in one direction, at most.
const QUEUE: usize = 64;
/// Where bytes are slowed down they go in pieces of so many a second.
const PIECES: u64 = 50;

/// Bytes under way.
struct Chunk {
    due: Time,
    bytes: Vec<u8>,
}

/// Moves what comes in one direction, until that ends.
pub(super) fn start(relay: &Arc<Relay>, connection: &Arc<Connection>, is_up: bool) -> io::Result<()> {
    let (sender, receiver) = sync_channel(QUEUE);
    let ours = || (Arc::clone(relay), Arc::clone(connection));
    let (relay, connection) = ours();
    thread::Builder::new().spawn(move || {
        read(&relay, &connection, is_up, &sender);
        relay.ended(&connection);
    })?;
    let (relay, connection) = ours();
    thread::Builder::new().spawn(move || write(&relay, &connection, is_up, &receiver)).map(drop)
}

fn read(relay: &Relay, connection: &Connection, is_up: bool, queue: &SyncSender<Chunk>) {
    let (place, mut source) = (connection.place(is_up), connection.source(is_up));
    let (mut jitters, mut last) = (relay.jitters(place), Time::ZERO);
    let mut packets = relay.packets(place);
    let mut buffer = vec![0; CHUNK];
    loop {
        let (bytes, is_end) = match source.read(&mut buffer) {
            Ok(count) => (&buffer[..count], count == 0),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        // What is delayed less must not overtake.
        last = last.max(relay.arrived(place, bytes.len() as u64, &mut jitters));
        let bytes = match &mut packets {
            Some(packets) => sort(relay, place, packets, bytes),
            None => bytes.to_vec(),
        };
        let mut parts = bytes.chunks(CHUNK);
        if parts.any(|part| queue.send(Chunk { due: last, bytes: part.to_vec() }).is_err()) || is_end {
            return;
        }
    }
}

/// What passes on of `bytes` when some packets do not, or not yet; nothing comes after no bytes.
fn sort(relay: &Relay, place: Place, (packets, chances): &mut (Packets, Prng), bytes: &[u8]) -> Vec<u8> {
    let was_lost = packets.is_lost();
    let mut out = packets.feed(bytes, || relay.fate(place, chances));
    if packets.is_lost() && !was_lost {
        relay.cannot_read(place);
    }
    if bytes.is_empty() {
        packets.rest(&mut out);
    }
    out
}

fn write(relay: &Relay, connection: &Connection, is_up: bool, queue: &Receiver<Chunk>) {
    let mut free = Time::ZERO;
    for Chunk { due, bytes } in queue {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let Some(weather) = relay.clearance(connection, is_up, due.max(free)) else { return };
            let most = weather.rate.map_or(rest.len(), |rate| piece(rate).min(rest.len()));
            match write_some(connection, is_up, &rest[..most]) {
                Ok(count) => {
                    rest = &rest[count..];
                    free = relay.now().after(weather.rate.map_or(Duration::ZERO, |rate| takes(count, rate)));
                }
                // One side has gone, so the other has nobody to talk to.
                Err(_) if !connection.is_over(is_up) => return connection.close(),
                Err(_) => return,
            }
        }
    }
    // The source has ended, and that, too, moves only where something moves.
    if relay.clearance(connection, is_up, free).is_some() {
        let _ = connection.target(is_up).shutdown(Shutdown::Write);
    }
}

/// Writes something of `bytes`, or nothing if the target is busy.
fn write_some(connection: &Connection, is_up: bool, bytes: &[u8]) -> io::Result<usize> {
    let mut target: &TcpStream = connection.target(is_up);
    match target.write(bytes) {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
            ) =>
        {
            Ok(0)
        }
        written => written,
    }
}

fn piece(rate: u64) -> usize {
    usize::try_from((rate / PIECES).max(1)).unwrap_or(usize::MAX)
}

fn takes(bytes: usize, rate: u64) -> Duration {
    Duration::from_secs_f64(bytes as f64 / rate as f64)
}
