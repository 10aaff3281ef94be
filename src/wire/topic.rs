//! Under which topics packets are published and subscribed to: the first frame of every packet.
//!
//! A member publishes under its group's name, a slash, a letter that says who is to hear it, and its slot in sixteen binary
//! digits. Whoever wants everything but what it says itself subscribes to sixteen beginnings: for each digit the ones before
//! it as they are in its own slot, and this one turned round. Every other slot has exactly one of these beginnings, whoever
//! joins later.

use crate::engine::MemberId;

const DIGITS: u32 = u16::BITS;

/// Who is to hear a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Audience {
    /// All members.
    All = b'a',
    /// The clients, who read texts.
    Clients = b'c',
    /// Those who only number messages: an outline of what the clients are sent.
    Sequencers = b's',
    /// The member itself: the probes that it publishes when it hears nothing.
    Own = b'p',
}

/// What a group's topics begin with. No name has a slash, so that what is for `redder` does not begin like `red/`.
#[must_use]
pub fn of_group(group: &str) -> Vec<u8> {
    format!("{group}/").into_bytes()
}

/// What this member publishes under.
#[must_use]
pub fn of_member(group: &str, audience: Audience, member: MemberId) -> Vec<u8> {
    format!("{group}/{}{:016b}", audience as u8 as char, member.0).into_bytes()
}

/// How everything begins that others than this member publish for this audience.
pub fn of_others(group: &str, audience: Audience, member: MemberId) -> impl Iterator<Item = Vec<u8>> {
    let own = of_member(group, audience, member);
    let before = own.len() - DIGITS as usize;
    (before..own.len()).map(move |digit| {
        let mut topic = own[..=digit].to_vec();
        topic[digit] ^= b'0' ^ b'1';
        topic
    })
}

/// The group that a packet is for; nothing if its topic is none.
#[must_use]
pub fn group(topic: &[u8]) -> Option<&str> {
    let end = topic.iter().position(|&byte| byte == b'/')?;
    std::str::from_utf8(&topic[..end]).ok()
}

/// Whether what is published under this topic is for clients only.
#[must_use]
pub fn is_for_clients(topic: &[u8]) -> bool {
    let end = topic.iter().position(|&byte| byte == b'/');
    end.is_some_and(|end| topic.get(end + 1) == Some(&(Audience::Clients as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the subscriptions of `member` of the group `red` what is published under `topic` is for.
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
    fn a_topic_says_for_whom_it_is() {
        let topic = of_member("red", Audience::Clients, MemberId(5));
        assert_eq!(topic, b"red/c0000000000000101");
        assert_eq!(
            (group(&topic), group(b"red/"), group(b"red"), group(b"\xff/")),
            (Some("red"), Some("red"), None, None)
        );
        let is_for_clients = [&topic[..], b"red/a1", b"red/", b"red", b""].map(is_for_clients);
        assert_eq!(is_for_clients, [true, false, false, false, false]);
    }
}
