//! The fates of the packets in one direction of a connection: lost, duplicated, overtaken or held. Pure.
//!
//! A late packet waits for others to overtake it, not for a time, so the effect of a seed depends only on the packets.
//! A sender that misses an acknowledgement announces its last number, so another packet always follows.

use super::zmtp::{Piece, Splitter};

/// The fate of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Fate {
    /// The number of its copies that arrive.
    pub(super) copies: usize,
    /// The number of later packets that arrive before it.
    pub(super) overtaken_by: u64,
    /// The number of the fault that holds it.
    pub(super) held_by: Option<usize>,
    /// The number of the fault whose packets it sets free when it has passed.
    pub(super) frees: Option<usize>,
}

/// The most packets that overtake one.
pub(super) const MOST_OVERTAKING: u64 = 8;
/// The most packets of one direction that are held; further ones pass.
const MOST_HELD: usize = 1024;

impl Fate {
    pub(super) const NONE: Self = Self { copies: 1, overtaken_by: 0, held_by: None, frees: None };
}

/// The packets of one direction.
#[derive(Debug, Default)]
pub(super) struct Packets {
    splitter: Splitter,
    /// The late packets, and the number of packets that have yet to overtake each.
    late: Vec<(u64, Vec<u8>)>,
    /// The held packets, each with the number of the fault that holds it.
    held: Vec<(usize, Vec<u8>)>,
}

impl Packets {
    /// Returns true if no more packets will be found; see [`Splitter::is_lost`].
    pub(super) fn is_lost(&self) -> bool {
        self.splitter.is_lost()
    }

    /// Takes bytes of the connection and returns those to pass on now. `fate` draws the fate of each packet.
    pub(super) fn feed(&mut self, bytes: &[u8], mut fate: impl FnMut(&[u8]) -> Fate) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in self.splitter.feed(bytes) {
            match piece {
                Piece::Packet(bytes) => self.packet(&bytes, fate(&bytes), &mut out),
                Piece::Other(bytes) => {
                    if self.is_lost() {
                        self.rest(&mut out);
                    }
                    out.extend_from_slice(&bytes);
                }
            }
        }
        out
    }

    fn packet(&mut self, bytes: &[u8], fate: Fate, out: &mut Vec<u8>) {
        let Fate { copies, overtaken_by, held_by, frees } = fate;
        if copies == 0 {
            return;
        }
        let bytes = bytes.repeat(copies);
        if let Some(fault) = held_by.filter(|_| self.held.len() < MOST_HELD) {
            return self.held.push((fault, bytes));
        }
        if overtaken_by == 0 {
            out.extend_from_slice(&bytes);
        }
        for (by, _) in &mut self.late {
            *by -= 1;
        }
        for (_, due) in self.late.extract_if(.., |(by, _)| *by == 0) {
            out.extend_from_slice(&due);
        }
        if overtaken_by > 0 {
            self.late.push((overtaken_by, bytes));
        }
        for (_, freed) in self.held.extract_if(.., |(fault, _)| Some(*fault) == frees) {
            out.extend_from_slice(&freed);
        }
    }

    /// Releases the late and the held packets at the end of the connection.
    pub(super) fn rest(&mut self, out: &mut Vec<u8>) {
        for bytes in
            self.late.drain(..).map(|(_, bytes)| bytes).chain(self.held.drain(..).map(|(_, bytes)| bytes))
        {
            out.extend_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Fate = Fate { overtaken_by: 2, ..Fate::NONE };
    const HELD: Fate = Fate { held_by: Some(0), ..Fate::NONE };
    const FREES: Fate = Fate { frees: Some(0), ..Fate::NONE };

    fn started() -> Packets {
        let mut packets = Packets::default();
        let mut greeting = [0; 64];
        (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
        greeting[12..16].copy_from_slice(b"NULL");
        assert_eq!(packets.feed(&greeting, |_| unreachable!("no packet")), greeting);
        packets
    }

    /// Returns the packets that arrive of packets numbered from 1 with these fates, and those that are still late at
    /// the end.
    fn arrive(fates: &[Fate]) -> (Vec<u8>, Vec<u8>) {
        let mut packets = started();
        let bytes: Vec<u8> = (1..=fates.len()).flat_map(|number| [1, 0, 0, 1, number as u8]).collect();
        let mut fates = fates.iter().copied();
        let passed = packets.feed(&bytes, |_| fates.next().unwrap());
        let mut rest = Vec::new();
        packets.rest(&mut rest);
        let numbers = |bytes: &[u8]| bytes.chunks(5).map(|packet| packet[4]).collect();
        (numbers(&passed), numbers(&rest))
    }

    #[test]
    fn packets_are_lost_doubled_and_overtaken() {
        let (lost, twice) = (Fate { copies: 0, ..LATE }, Fate { copies: 2, ..Fate::NONE });
        for (fates, passed, rest) in [
            (&[Fate::NONE, lost, Fate::NONE][..], &[1, 3][..], &[][..]),
            (&[Fate::NONE, twice, Fate::NONE], &[1, 2, 2, 3], &[]),
            (&[LATE, Fate::NONE, Fate::NONE, Fate::NONE], &[2, 3, 1, 4], &[]),
            (&[LATE, lost, Fate::NONE, twice], &[3, 4, 4, 1], &[]),
            (&[LATE, LATE, Fate::NONE], &[3, 1], &[2]),
            (&[LATE; 5], &[1, 2, 3], &[4, 5]),
            (&[HELD, Fate::NONE, HELD, FREES, Fate::NONE], &[2, 4, 1, 3, 5], &[]),
            (&[HELD, Fate { frees: Some(1), ..FREES }], &[2], &[1]),
        ] {
            assert_eq!(arrive(fates), (passed.to_vec(), rest.to_vec()), "{fates:?}");
        }
    }

    #[test]
    fn what_is_no_packet_passes_and_overtakes_nothing() {
        let mut packets = started();
        let (packet, ping) = ([1, 1, 7, 0, 1, 7], [4, 5, 4, b'P', b'I', b'N', b'G']);
        assert!(packets.feed(&packet, |_| LATE).is_empty());
        assert_eq!(packets.feed(&ping, |_| unreachable!("no packet")), ping);
        let odd = [0x80, 1, 2];
        assert_eq!(
            packets.feed(&odd, |_| LATE),
            [&packet[..], &odd].concat(),
            "before what is not understood"
        );
    }
}
