//! The boundaries of messages in the bytes of a ZeroMQ connection (ZMTP 3.x without encryption). Pure.
//!
//! Each direction begins with a greeting of 64 bytes; then frames follow: flags, a length of one byte or eight, and the
//! body. A message is all frames up to the first without MORE. The handshake, heartbeats and subscriptions are commands
//! or messages of one frame; packets always have more.

/// The length of a greeting.
const GREETING: usize = 64;
/// The length of its beginning, which a peer sends before it receives anything, and by which ZMTP is recognized.
const MARK: usize = 11;
/// The part that names the mechanism, padded with zeros.
const MECHANISM: std::ops::Range<usize> = 12..32;

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The longest message that is buffered, in bytes. Packets are much shorter.
const LONGEST: u64 = 2 << 20;

/// A unit of bytes that pass together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// A whole message of several frames.
    Packet(Vec<u8>),
    /// Any other bytes: they end where a frame ends, unless the bytes are not understood.
    Other(Vec<u8>),
}

/// Splits the bytes of one direction.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    place: Place,
    /// The greeting as far as it has arrived; later, the bytes of an incomplete frame.
    unread: Vec<u8>,
    /// The frames of an incomplete message.
    message: Vec<u8>,
}

/// The state of a direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Place {
    #[default]
    Greeting,
    Frames,
    /// The bytes are not ZMTP 3 without encryption, or a message is too long.
    Strange,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug)]
struct Head {
    flags: u8,
    /// The length of the frame, including the head.
    whole: usize,
}

impl Splitter {
    /// Returns true if the bytes are not understood, so that no more packets will be found.
    pub(super) fn is_lost(&self) -> bool {
        self.place == Place::Strange
    }

    /// Takes bytes and returns the pieces that they complete. All bytes come out unchanged and in order; only a command
    /// between the frames of a message comes out before the message.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let rest = if self.place == Place::Greeting { self.greet(bytes, &mut pieces) } else { bytes };
        if self.place == Place::Frames {
            self.unread.extend_from_slice(rest);
            self.frames(&mut pieces);
        } else if !rest.is_empty() {
            pieces.push(Piece::Other(rest.to_vec()));
        }
        pieces
    }

    /// Passes the greeting on as it arrives, because each side waits for the beginning of the other's. Returns the
    /// bytes after it.
    fn greet<'a>(&mut self, bytes: &'a [u8], pieces: &mut Vec<Piece>) -> &'a [u8] {
        let (greeting, rest) = bytes.split_at(bytes.len().min(GREETING - self.unread.len()));
        self.unread.extend_from_slice(greeting);
        pieces.push(Piece::Other(greeting.to_vec()));
        if !may_be_greeting(&self.unread) {
            self.place = Place::Strange;
            self.unread.clear();
        } else if self.unread.len() == GREETING {
            self.place = Place::Frames;
            self.unread.clear();
        }
        rest
    }

    fn frames(&mut self, pieces: &mut Vec<Piece>) {
        let mut from = 0;
        loop {
            let rest = &self.unread[from..];
            let Ok(head) = head(rest) else { return self.give_up(from, pieces) };
            let Some(Head { flags, whole }) = head else { break };
            if whole + self.message.len() > LONGEST as usize {
                return self.give_up(from, pieces);
            }
            let Some(frame) = rest.get(..whole) else { break };
            from += whole;
            if flags & COMMAND != 0 || (flags & MORE == 0 && self.message.is_empty()) {
                pieces.push(Piece::Other(frame.to_vec()));
                continue;
            }
            self.message.extend_from_slice(frame);
            if flags & MORE == 0 {
                pieces.push(Piece::Packet(std::mem::take(&mut self.message)));
            }
        }
        self.unread.drain(..from);
    }

    /// Passes everything on unchanged from here on.
    fn give_up(&mut self, from: usize, pieces: &mut Vec<Piece>) {
        let mut rest = std::mem::take(&mut self.message);
        rest.extend_from_slice(&self.unread[from..]);
        self.unread = Vec::new();
        self.place = Place::Strange;
        pieces.push(Piece::Other(rest));
    }
}

/// Returns true if a greeting of ZMTP 3 without encryption may begin like this.
fn may_be_greeting(bytes: &[u8]) -> bool {
    let mark = &bytes[..bytes.len().min(MARK)];
    let is_marked = mark.iter().enumerate().all(|(place, &byte)| match place {
        0 => byte == 0xff,
        9 => byte == 0x7f,
        10 => byte == 3,
        _ => true,
    });
    let mechanism = bytes.get(MECHANISM.start..bytes.len().min(MECHANISM.end)).unwrap_or_default();
    let null = b"NULL".iter().chain(std::iter::repeat(&0));
    is_marked && mechanism.iter().zip(null).all(|(found, expected)| found == expected)
}

/// Parses the head of a frame; `None` if it is incomplete, an error if no frame begins like this.
fn head(bytes: &[u8]) -> Result<Option<Head>, ()> {
    let Some((&flags, rest)) = bytes.split_first() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 || flags & (MORE | COMMAND) == MORE | COMMAND {
        return Err(());
    }
    let (length, head) = if flags & LONG == 0 {
        (rest.first().map(|&length| u64::from(length)), 2)
    } else {
        (rest.first_chunk().map(|&length| u64::from_be_bytes(length)), 9)
    };
    match length {
        None => Ok(None),
        Some(length) if length > LONGEST => Err(()),
        Some(length) => Ok(Some(Head { flags, whole: head + length as usize })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Vec<u8> {
        let mut greeting = vec![0; GREETING];
        (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
        greeting[MECHANISM.start..MECHANISM.start + 4].copy_from_slice(b"NULL");
        greeting
    }

    fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
        [&[flags, body.len() as u8], body].concat()
    }

    fn long(flags: u8, body: &[u8]) -> Vec<u8> {
        [&[flags | LONG][..], &(body.len() as u64).to_be_bytes(), body].concat()
    }

    fn bytes(pieces: &[Piece]) -> Vec<u8> {
        let bytes = pieces.iter().flat_map(|(Piece::Packet(bytes) | Piece::Other(bytes))| bytes);
        bytes.copied().collect()
    }

    fn packets(pieces: &[Piece]) -> Vec<Vec<u8>> {
        let packet = |piece: &Piece| match piece {
            Piece::Packet(bytes) => Some(bytes.clone()),
            Piece::Other(_) => None,
        };
        pieces.iter().filter_map(packet).collect()
    }

    /// Returns a handshake, a subscription, two packets and a heartbeat, and the packets.
    fn conversation() -> (Vec<u8>, [Vec<u8>; 2]) {
        let first = [frame(MORE, b"main/"), frame(MORE, b"header"), frame(0, b"")].concat();
        let second = [frame(MORE, b"main/"), long(0, &[7; 300])].concat();
        let (ready, ping) = (frame(COMMAND, b"\x05READY"), frame(COMMAND, b"\x04PING\0\0"));
        let all = [greeting(), ready, frame(0, b"\x01main/"), first.clone(), ping, second.clone()].concat();
        (all, [first, second])
    }

    #[test]
    fn packets_are_found_however_the_bytes_come() {
        let (all, expected) = conversation();
        for step in [1, 2, 3, 11, 64, 65, 100, all.len()] {
            let mut splitter = Splitter::default();
            let pieces: Vec<Piece> = all.chunks(step).flat_map(|bytes| splitter.feed(bytes)).collect();
            assert_eq!(packets(&pieces), expected, "{step}");
            assert_eq!(bytes(&pieces), all, "{step}");
            assert!(!splitter.is_lost());
        }
    }

    #[test]
    fn a_greeting_is_not_kept_waiting() {
        let mut splitter = Splitter::default();
        for byte in greeting() {
            assert_eq!(splitter.feed(&[byte]), [Piece::Other(vec![byte])]);
        }
    }

    #[test]
    fn a_heartbeat_between_the_frames_of_a_packet_comes_first() {
        let (begin, ping, end) = (frame(MORE, b"a"), frame(COMMAND, b"\x04PING\0\0"), frame(0, b"b"));
        let mut splitter = Splitter::default();
        splitter.feed(&greeting());
        let pieces = splitter.feed(&[&*begin, &ping, &end].concat());
        assert_eq!(pieces, [Piece::Other(ping), Piece::Packet([begin, end].concat())]);
    }

    #[test]
    fn what_is_not_understood_passes_as_it_is() {
        let mut curve = greeting();
        curve[MECHANISM.start..MECHANISM.start + 5].copy_from_slice(b"CURVE");
        let mut old = greeting();
        old[10] = 1;
        let endless = [&[MORE | LONG][..], &u64::MAX.to_be_bytes()].concat();
        let (begin, odd) = (frame(MORE, b"a"), frame(0x80, b"b"));
        for strange in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            curve,
            old,
            [greeting(), endless].concat(),
            [greeting(), begin, odd].concat(),
            [greeting(), frame(MORE | COMMAND, b"b")].concat(),
        ] {
            for step in [1, 7, strange.len()] {
                let mut splitter = Splitter::default();
                let mut pieces: Vec<Piece> =
                    strange.chunks(step).flat_map(|bytes| splitter.feed(bytes)).collect();
                assert!(splitter.is_lost(), "{strange:?}");
                pieces.extend(splitter.feed(b"more"));
                assert_eq!(bytes(&pieces), [&*strange, b"more"].concat());
                assert!(packets(&pieces).is_empty());
            }
        }
    }

    #[test]
    fn a_message_without_an_end_is_not_gathered() {
        let mut splitter = Splitter::default();
        splitter.feed(&greeting());
        let part = long(MORE, &vec![0; 900 << 10]);
        for _ in 0..2 {
            assert!(splitter.feed(&part).is_empty());
        }
        assert_eq!(bytes(&splitter.feed(&part)).len(), 3 * part.len());
        assert!(splitter.is_lost());
    }
}
