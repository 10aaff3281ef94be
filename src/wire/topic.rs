//! The topics of packets: the first frame of each, by which members subscribe.
//!
//! A topic is the group's name, a slash, a letter for the audience, and the sender's slot in sixteen binary digits. A
//! member that wants all packets but its own subscribes to sixteen prefixes: for each digit, the digits before it as in
//! its own slot, and this one inverted. Every other slot has exactly one of these prefixes, also those of later
//! newcomers.

use crate::ids::MemberId;

const DIGITS: u32 = u16::BITS;

/// The audience of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Audience {
    /// All members.
    All = b'a',
    /// The clients, which need the payload.
    Clients = b'c',
    /// Sequencers that are not clients: they receive outlines.
    Sequencers = b's',
    /// The member itself: the probes that it publishes when it receives nothing.
    Own = b'p',
}

/// Returns the prefix of a group's topics. No name has a slash, so a topic of `redder` does not begin with `red/`.
#[must_use]
pub fn of_group(group: &str) -> Vec<u8> {
    format!("{group}/").into_bytes()
}

/// Returns the topic of this member for this audience.
#[must_use]
pub fn of_member(group: &str, audience: Audience, member: MemberId) -> Vec<u8> {
    format!("{group}/{}{:016b}", audience as u8 as char, member.0).into_bytes()
}

/// Returns the prefixes of the topics of all other members for this audience.
pub fn of_others(group: &str, audience: Audience, member: MemberId) -> impl Iterator<Item = Vec<u8>> {
    let own = of_member(group, audience, member);
    let before = own.len() - DIGITS as usize;
    (before..own.len()).map(move |digit| {
        let mut topic = own[..=digit].to_vec();
        topic[digit] ^= b'0' ^ b'1';
        topic
    })
}

/// Returns the group of a topic; nothing if it is malformed.
#[must_use]
pub fn group(topic: &[u8]) -> Option<&str> {
    let end = topic.iter().position(|&byte| byte == b'/')?;
    std::str::from_utf8(&topic[..end]).ok()
}

/// Returns the slot of the member that publishes under a topic; nothing if it is malformed.
#[must_use]
pub fn slot(topic: &[u8]) -> Option<u16> {
    let digits = topic.last_chunk::<{ DIGITS as usize }>()?;
    let audience = topic.len().checked_sub(digits.len() + 2)?;
    if topic[audience] != b'/' || group(topic)?.len() != audience {
        return None;
    }
    digits.iter().try_fold(0, |slot, digit| match digit {
        b'0' | b'1' => Some(slot << 1 | u16::from(digit - b'0')),
        _ => None,
    })
}

/// Returns whether these topics are of one group and one audience.
#[must_use]
pub fn are_alike(one: &[u8], other: &[u8]) -> bool {
    let before = |topic: &[u8]| topic.len().checked_sub(DIGITS as usize);
    before(one).is_some_and(|end| before(other) == Some(end) && one[..end] == other[..end])
}

/// Returns whether this topic is for clients only.
#[must_use]
pub fn is_for_clients(topic: &[u8]) -> bool {
    let end = topic.iter().position(|&byte| byte == b'/');
    end.is_some_and(|end| topic.get(end + 1) == Some(&(Audience::Clients as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many subscriptions of `member` of group `red` match `topic`.
    fn heard(member: u16, topic: &[u8]) -> usize {
        of_others("red", Audience::All, MemberId(member)).filter(|wanted| topic.starts_with(wanted)).count()
    }

    #[test]
    fn each_hears_all_others_once_and_never_itself() {
        let some = [0, 1, 2, 3, 5, 255, 256, 32_768, 65_534];
        for me in some {
            for other in some.into_iter().chain(0..2000) {
                let topic = of_member("red", Audience::All, MemberId(other));
                assert_eq!(heard(me, &topic), usize::from(other != me), "{me} of {other}");
            }
            assert_eq!(of_others("red", Audience::All, MemberId(me)).count(), 16);
            let neighbour = MemberId(me ^ 1);
            assert_eq!(heard(me, &of_member("redder", Audience::All, neighbour)), 0);
            assert_eq!(heard(me, &of_member("red", Audience::Clients, neighbour)), 0);
            assert_eq!(heard(me, &of_group("red")), 0);
        }
    }

    #[test]
    fn topics_of_one_group_and_audience_are_alike() {
        let of = |group, audience, slot| of_member(group, audience, MemberId(slot));
        let own = of("red", Audience::All, 3);
        assert!(are_alike(&own, &of("red", Audience::All, 700)));
        for other in
            [of("blue", Audience::All, 3), of("red", Audience::Clients, 3), own[..5].to_vec(), Vec::new()]
        {
            assert!(!are_alike(&own, &other) && !are_alike(&other, &own), "{other:?}");
        }
        assert!(!are_alike(b"", b""));
    }

    #[test]
    fn a_topic_says_for_whom_it_is() {
        let topic = of_member("red", Audience::Clients, MemberId(5));
        assert_eq!(topic, b"red/c0000000000000101");
        assert_eq!(
            (group(&topic), group(b"red/"), group(b"red"), group(b"\xff/")),
            (Some("red"), Some("red"), None, None)
        );
        let slots = [
            &topic[..],
            b"red/0000000000000101",
            b"redc0000000000000101",
            b"red/c000000000000010",
            b"red/c0000000000000102",
        ];
        assert_eq!(slots.map(slot), [Some(5), None, None, None, None]);
        assert_eq!([&b"red/x1111111111111111"[..], b"0101", b""].map(slot), [Some(u16::MAX), None, None]);
        let is_for_clients = [&topic[..], b"red/a1", b"red/", b"red", b""].map(is_for_clients);
        assert_eq!(is_for_clients, [true, false, false, false, false]);
    }
}
