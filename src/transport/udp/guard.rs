//! The guard of a member with the key of its cluster: it seals what leaves, and lets in what others of this run have
//! sealed, each datagram once.
//!
//! Each member draws a *mark* at its start, and numbers its datagrams. A mark that is not known may be that of a new life,
//! or of an old one whose datagrams somebody has recorded. Therefore the member asks: its *question*, newly drawn, comes
//! back in an answer only from a process that runs now. The member takes nothing that was sent before the answer.

use std::collections::BTreeMap;
use std::io;

use super::replays::Numbers;
use crate::ids::{MemberId, To};
use crate::transport::key;
use crate::wire::datagram::{self, Head};
use crate::wire::sealed::{self, Greeting, Key, Seal};

/// The reason for which a datagram from a member's address is not let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// It is no datagram of this version, or damaged.
    Malformed,
    /// It has another key than this member, or one of the two has none.
    Key,
    /// It is of another cluster or member than its address says, or for another member.
    Stranger,
    /// It came before, or is of a life that has not answered.
    Repeated,
    /// It was a greeting.
    Greeting,
}

/// The guard.
#[derive(Debug)]
pub(super) struct Guard {
    key: Key,
    own: Head,
    mark: u64,
    /// The number of the last datagram that was sealed.
    number: u64,
    peers: BTreeMap<MemberId, Peer>,
}

/// Another member.
#[derive(Debug, Default)]
struct Peer {
    /// The mark of the life that has answered last, and the numbers of its datagrams.
    life: Option<(u64, Numbers)>,
    /// The question that it has not answered yet.
    question: Option<u64>,
    /// Whether it is to be asked, and its own question that is to be answered.
    is_asked: bool,
    answer: u64,
}

impl Guard {
    /// Returns the guard of the member that is the sender of `own`.
    ///
    /// # Errors
    /// That of a system without randomness.
    pub(super) fn new(key: Key, own: Head) -> io::Result<Self> {
        let mark = u64::from_le_bytes(key::bytes()?);
        Ok(Self { key, own, mark, number: 0, peers: BTreeMap::new() })
    }

    /// Appends a datagram to `out`, sealed.
    pub(super) fn close(&mut self, to: To, datagram: &[u8], out: &mut Vec<u8>) {
        let Some(head) = Head::peek(datagram::VERSION, datagram) else { return };
        self.number += 1;
        let seal = Seal { to, mark: self.mark, number: self.number };
        sealed::close(&self.key, head, seal, &datagram[datagram::HEAD_LEN..], out);
    }

    /// Returns the head of a datagram that was sealed with the key, whoever sends it now.
    pub(super) fn head(&self, datagram: &[u8]) -> Option<Head> {
        sealed::open(&self.key, datagram).map(|(head, ..)| head)
    }

    /// Returns the head and the content of a datagram from the address of `sender`.
    ///
    /// # Errors
    /// The reason for which it is not let in.
    pub(super) fn open<'d>(
        &mut self,
        sender: MemberId,
        datagram: &'d [u8],
    ) -> Result<(Head, &'d [u8]), Refusal> {
        let Some((head, seal, content)) = sealed::open(&self.key, datagram) else {
            return Err(Refusal::Key);
        };
        let is_for_me = seal.to == To::Group || seal.to == To::Member(self.own.sender);
        if !is_for_me || head != (Head { sender, epoch: head.epoch, ..self.own }) {
            return Err(Refusal::Stranger);
        }
        let peer = self.peers.entry(sender).or_default();
        if seal.number == 0 {
            let greeting = Greeting::parse(content).ok_or(Refusal::Malformed)?;
            peer.greeted(seal.mark, greeting);
            return Err(Refusal::Greeting);
        }
        match &mut peer.life {
            Some((mark, numbers)) if *mark == seal.mark => {
                if numbers.is_new(seal.number) {
                    Ok((head, content))
                } else {
                    Err(Refusal::Repeated)
                }
            }
            _ => {
                peer.is_asked = true;
                Err(Refusal::Repeated)
            }
        }
    }

    /// Returns the greetings that are due: to each member one at most, however many of its datagrams came.
    pub(super) fn greetings(&mut self) -> Vec<(MemberId, Vec<u8>)> {
        let mut all = Vec::new();
        for (&member, peer) in &mut self.peers {
            let is_asked = std::mem::take(&mut peer.is_asked);
            let greeting = Greeting {
                question: if is_asked { peer.question() } else { 0 },
                answer: std::mem::take(&mut peer.answer),
                sent: self.number,
            };
            if greeting.question != 0 || greeting.answer != 0 {
                let seal = Seal { to: To::Member(member), mark: self.mark, number: 0 };
                let mut datagram = Vec::new();
                sealed::close(&self.key, self.own, seal, &greeting.bytes(), &mut datagram);
                all.push((member, datagram));
            }
        }
        all
    }
}

impl Peer {
    /// Takes a greeting of the life with this mark.
    fn greeted(&mut self, mark: u64, greeting: Greeting) {
        let is_known = |peer: &Self| peer.life.as_ref().is_some_and(|(known, _)| *known == mark);
        if greeting.answer != 0 && self.question == Some(greeting.answer) {
            // Nobody can use the answer again.
            self.question = None;
            if !is_known(self) {
                self.life = Some((mark, Numbers::above(greeting.sent)));
            }
        }
        if greeting.question != 0 {
            self.answer = greeting.question;
            // A member that asks has just begun, most likely.
            self.is_asked |= !is_known(self);
        }
    }

    /// Returns the question: the same until it is answered. It is 0, which asks nothing, if none can be drawn now.
    fn question(&mut self) -> u64 {
        let drawn = || key::bytes().map(u64::from_le_bytes).unwrap_or_default();
        *self.question.get_or_insert_with(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::datagram::of_content;

    const KEY: Key = Key([7; 32]);

    const fn head(slot: u16) -> Head {
        Head { cluster: 0x1234, epoch: 1, sender: MemberId(slot) }
    }

    fn guard(slot: u16) -> Guard {
        Guard::new(KEY, head(slot)).unwrap()
    }

    fn message(guard: &mut Guard, to: To) -> Vec<u8> {
        let mut out = Vec::new();
        guard.close(to, &of_content(guard.own, b"\x01\0x"), &mut out);
        out
    }

    /// Lets greetings travel between the first two of these until there are no more.
    fn greet(one: &mut Guard, other: &mut Guard) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let before = all.len();
            for (member, greeting) in one.greetings() {
                assert_eq!(member, other.own.sender);
                assert_eq!(other.open(one.own.sender, &greeting), Err(Refusal::Greeting));
                all.push(greeting);
            }
            for (_, greeting) in other.greetings() {
                assert_eq!(one.open(other.own.sender, &greeting), Err(Refusal::Greeting));
                all.push(greeting);
            }
            if all.len() == before {
                return all;
            }
        }
    }

    #[test]
    fn guard_takes_each_datagram_of_a_life_that_has_answered_once() {
        let (mut one, mut two) = (guard(1), guard(2));
        let first = message(&mut one, To::Group);
        assert_eq!(two.open(MemberId(1), &first), Err(Refusal::Repeated), "nobody knows this life yet");
        assert_eq!(greet(&mut one, &mut two).len(), 3, "a question, an answer with a question, an answer");
        for to in [To::Group, To::Member(MemberId(2))] {
            let datagram = message(&mut one, to);
            assert_eq!(two.open(MemberId(1), &datagram), Ok((head(1), &b"\x01\0x"[..])));
            assert_eq!(two.open(MemberId(1), &datagram), Err(Refusal::Repeated));
        }
        assert_eq!(two.open(MemberId(1), &first), Err(Refusal::Repeated), "it was there before the answer");
        let back = message(&mut two, To::Group);
        assert!(one.open(MemberId(2), &back).is_ok(), "the other way is open, too");
        assert!(one.greetings().is_empty() && two.greetings().is_empty());
        // The receiver has forgotten what came, and the other life is the same.
        let recorded = message(&mut one, To::Group);
        let mut two = guard(2);
        let _ = two.open(MemberId(1), &recorded);
        greet(&mut two, &mut one);
        assert_eq!(two.open(MemberId(1), &recorded), Err(Refusal::Repeated));
        assert!(two.open(MemberId(1), &message(&mut one, To::Group)).is_ok());
    }

    #[test]
    fn guard_takes_nothing_of_an_earlier_run() {
        let (mut one, mut two) = (guard(1), guard(2));
        let mut recorded = vec![message(&mut one, To::Group)];
        let _ = two.open(MemberId(1), &recorded[0]);
        recorded.extend(greet(&mut one, &mut two));
        recorded.extend((0..5).map(|_| message(&mut one, To::Member(MemberId(2)))));
        let mut two = guard(2);
        for datagram in recorded.iter().cycle().take(3 * recorded.len()) {
            assert!(matches!(
                two.open(MemberId(1), datagram),
                Err(Refusal::Repeated | Refusal::Greeting | Refusal::Stranger)
            ));
            assert!(two.greetings().len() <= 1, "no more leaves than comes");
        }
        assert!(two.peers[&MemberId(1)].life.is_none());
    }

    #[test]
    fn guard_goes_over_to_a_new_life_and_never_back() {
        let (mut one, mut two) = (guard(1), guard(2));
        let _ = two.open(MemberId(1), &message(&mut one, To::Group));
        let recorded = greet(&mut one, &mut two);
        let unused = message(&mut one, To::Group);
        let mut again = guard(1);
        assert_eq!(two.open(MemberId(1), &message(&mut again, To::Group)), Err(Refusal::Repeated));
        assert!(two.open(MemberId(1), &unused).is_ok(), "a claim alone does not end the life before");
        greet(&mut again, &mut two);
        assert!(two.open(MemberId(1), &message(&mut again, To::Group)).is_ok());
        let unused = message(&mut one, To::Group);
        assert_eq!(two.open(MemberId(1), &unused), Err(Refusal::Repeated));
        recorded.iter().for_each(|datagram| assert!(two.open(MemberId(1), datagram).is_err()));
        assert_eq!(two.open(MemberId(1), &unused), Err(Refusal::Repeated));
        assert!(two.open(MemberId(1), &message(&mut again, To::Group)).is_ok());
    }

    #[test]
    fn guard_takes_nothing_that_is_of_or_for_another() {
        let (mut one, mut two, mut three) = (guard(1), guard(2), guard(3));
        let _ = two.open(MemberId(1), &message(&mut one, To::Group));
        greet(&mut one, &mut two);
        let _ = three.open(MemberId(1), &message(&mut one, To::Group));
        greet(&mut one, &mut three);
        let for_two = message(&mut one, To::Member(MemberId(2)));
        assert_eq!(three.open(MemberId(1), &for_two), Err(Refusal::Stranger));
        assert_eq!(two.open(MemberId(3), &for_two), Err(Refusal::Stranger), "its address is another's");
        let back = message(&mut two, To::Group);
        assert_eq!(two.open(MemberId(1), &back), Err(Refusal::Stranger), "its own comes back");
        let mut elsewhere = Guard::new(KEY, Head { cluster: 1, ..head(1) }).unwrap();
        assert_eq!(two.open(MemberId(1), &message(&mut elsewhere, To::Group)), Err(Refusal::Stranger));
        let mut other = Guard::new(Key([8; 32]), head(1)).unwrap();
        let datagram = message(&mut other, To::Group);
        assert_eq!(two.open(MemberId(1), &datagram), Err(Refusal::Key));
        assert_eq!(two.open(MemberId(1), &of_content(head(1), b"\x01\0x")), Err(Refusal::Key));
        assert!(two.open(MemberId(1), &for_two).is_ok());
    }
}
