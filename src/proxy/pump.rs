//! One direction of one connection: a thread reads, a bounded queue holds the bytes in transit, and a thread writes.
//!
//! The queue is the cable: it holds delayed bytes. If nothing moves it fills up, and the reader stops.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::packets::Packets;
use super::relay::{Connection, Relay};
use crate::engine::Time;
use crate::fault::link::Place;
use crate::prng::Prng;

/// The most bytes read at once.
const CHUNK: usize = 16 << 10;
/// The most chunks in transit in one direction.
const QUEUE: usize = 64;
/// The number of pieces per second in which bytes with a limited rate are written.
const PIECES: u64 = 50;

/// Bytes in transit.
struct Chunk {
    due: Time,
    bytes: Vec<u8>,
}

/// Moves the bytes of one direction until it ends.
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
        // A chunk with a shorter delay must not overtake the one before.
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

/// Applies the fates of packets to `bytes`, and returns the bytes to pass on now. No bytes mean the end of the
/// direction.
fn sort(relay: &Relay, place: Place, (packets, chances): &mut (Packets, Prng), bytes: &[u8]) -> Vec<u8> {
    let was_lost = packets.is_lost();
    let mut out = packets.feed(bytes, |packet| relay.fate(place, packet, chances));
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
            let Some(restrictions) = relay.clearance(connection, is_up, due.max(free)) else { return };
            let most = restrictions.rate.map_or(rest.len(), |rate| piece(rate).min(rest.len()));
            match write_some(connection, is_up, &rest[..most]) {
                Ok(count) => {
                    rest = &rest[count..];
                    free = relay
                        .now()
                        .after(restrictions.rate.map_or(Duration::ZERO, |rate| takes(count, rate)));
                }
                // One side has gone, so the other is closed, too.
                Err(_) if !connection.is_over(is_up) => return connection.close(),
                Err(_) => return,
            }
        }
    }
    // The end of the source, too, passes only when bytes may pass.
    if relay.clearance(connection, is_up, free).is_some() {
        let _ = connection.target(is_up).shutdown(Shutdown::Write);
    }
}

/// Writes a part of `bytes`, or nothing if the target is busy.
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
