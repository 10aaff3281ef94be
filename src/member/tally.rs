//! The tally: the announcement of a client that it sends nothing more.

use std::collections::BTreeMap;

use crate::engine::MemberId;
use crate::wire::{Malformed, Reader, Wire, Writer};

/// The messages of a client in the whole run, counted. Travels in the client's own stream, after everything else.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// The number of messages it multicast.
    pub multicasts: u64,
    /// The number of direct messages to each receiver that got any.
    pub sent: BTreeMap<MemberId, u64>,
}

impl Wire for Tally {
    fn write(&self, out: &mut Writer) {
        out.u64(self.multicasts);
        out.length(self.sent.len());
        for (&member, &count) in &self.sent {
            out.member(member);
            out.u64(count);
        }
    }

    fn read(from: &mut Reader) -> Result<Self, Malformed> {
        let multicasts = from.u64()?;
        let mut sent = BTreeMap::new();
        for _ in 0..from.length(10)? {
            let (member, count) = (from.member()?, from.u64()?);
            // Ascending: no member is named twice, and every tally has one form.
            if sent.last_key_value().is_some_and(|(&last, _)| last >= member) {
                return Err(Malformed);
            }
            sent.insert(member, count);
        }
        Ok(Self { multicasts, sent })
    }
}
