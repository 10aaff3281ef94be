//! Under which topics packets are published and subscribed to: the first frame of every packet.
//!
//! A member publishes under its group's name, a slash and its slot in sixteen binary digits. Whoever wants everything of
//! the group but what it says itself subscribes to sixteen beginnings: for each digit the ones before it as they are in
//! its own slot, and this one turned round. Every other slot has exactly one of these beginnings, whoever joins later.

use crate::engine::MemberId;

const DIGITS: u32 = u16::BITS;

/// How everything of a group begins. No name has a slash, so that what is for `redder` does not begin like `red/`.
#[must_use]
pub fn of_group(group: &str) -> Vec<u8> {
    format!("{group}/").into_bytes()
}

/// What this member publishes under.
#[must_use]
pub fn of_member(group: &str, member: MemberId) -> Vec<u8> {
    format!("{group}/{:016b}", member.0).into_bytes()
}

/// How everything of the group begins that another than this member publishes.
pub fn of_others(group: &str, member: MemberId) -> impl Iterator<Item = Vec<u8>> {
    let own = of_member(group, member);
    (1..=DIGITS as usize).map(move |digits| {
        let mut topic = own[..group.len() + 1 + digits].to_vec();
        if let Some(last) = topic.last_mut() {
            *last ^= b'0' ^ b'1';
        }
        topic
    })
}

/// The group that a packet is for; nothing if its topic is none.
#[must_use]
pub fn group(topic: &[u8]) -> Option<&str> {
    let end = topic.iter().position(|&byte| byte == b'/')?;
    std::str::from_utf8(&topic[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the subscriptions of `member` of the group `red` what is published under `topic` is for.
    fn heard(member: u16, topic: &[u8]) -> usize {
        of_others("red", MemberId(member)).filter(|wanted| topic.starts_with(wanted)).count()
    }

    #[test]
    fn each_hears_all_others_once_and_never_itself() {
        let some = [0, 1, 2, 3, 5, 255, 256, 32_768, 65_534];
        for me in some {
            for other in some.into_iter().chain(0..2000) {
                let topic = of_member("red", MemberId(other));
                assert_eq!(heard(me, &topic), usize::from(other != me), "{me} of {other}");
            }
            assert_eq!(of_others("red", MemberId(me)).count(), 16);
            assert_eq!(heard(me, &of_member("redder", MemberId(me ^ 1))), 0);
            assert_eq!(heard(me, &of_group("red")), 0);
        }
    }

    #[test]
    fn a_group_is_what_stands_before_the_slash() {
        assert_eq!(of_member("red", MemberId(5)), b"red/0000000000000101");
        assert_eq!(group(b"red/0000000000000101"), Some("red"));
        assert_eq!(group(b"red/"), Some("red"));
        assert_eq!((group(b"red"), group(b"\xff/")), (None, None));
    }
}
