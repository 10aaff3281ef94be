//! Station 10: the author of a text in a history, who is no member.

use serde::{Serialize, Serializer};

/// The author of a text that a member multicast for somebody who is no member.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Authored<'a> {
    /// Its name.
    #[serde(rename = "author")]
    pub name: &'a str,
    /// The text among all: the key of the process that posted it, and the number there.
    #[serde(serialize_with = "write_post")]
    pub post: (u64, u64),
}

fn write_post<S: Serializer>((key, number): &(u64, u64), serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{key:016x}/{number}"))
}

/// Parses a key and a number as they are written.
pub(super) fn parse(text: &str) -> Option<(u64, u64)> {
    let (key, number) = text.split_once('/')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((u64::from_str_radix(key, 16).ok()?, number.parse().ok().filter(|_| is_number)?))
}
