//! The reasons for which datagrams are lost or ignored, in words, each told once.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;

use crate::ids::MemberId;

/// A reason.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Trouble {
    /// The system does not take them; with its number of the cause.
    System(i32),
    /// Another address speaks for a member.
    Address(MemberId),
    /// A member has another key.
    Key(MemberId),
}

/// All reasons.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Those that [`Troubles::take`] takes next.
    new: BTreeMap<Trouble, String>,
    told: Vec<Trouble>,
}

impl Troubles {
    /// Returns whether a reason was told.
    pub(super) fn are_told(&self, trouble: Trouble) -> bool {
        self.told.contains(&trouble)
    }

    /// Adds a reason, if it was not told.
    pub(super) fn add(&mut self, trouble: Trouble, words: String) {
        if !self.are_told(trouble) {
            self.new.insert(trouble, words);
        }
    }

    /// Takes the new reasons, in words.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.told.extend(self.new.keys());
        std::mem::take(&mut self.new).into_values().collect()
    }
}

/// Words why the system does not take datagrams.
pub(super) fn not_taken(error: &io::Error, destination: SocketAddr) -> String {
    let remedy = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::MSGSIZE) => "; choose a smaller mtu in the cluster file",
        Some(Errno::PERM | Errno::ACCESS) => "; a packet filter of this machine keeps them back",
        _ => "",
    };
    format!("cannot send datagrams to {destination}: {error}{remedy}")
}

/// Words why datagrams of the member at an address have another key than this one, which `has_key` or not; they are
/// sealed or not.
pub(super) fn other_key(address: SocketAddr, has_key: bool, is_sealed: bool) -> String {
    let difference = match (has_key, is_sealed) {
        (false, _) => "have a key, and this member has none: all members of a cluster need the same --keys",
        (true, true) => {
            "have another key, or are forged: do all members of the cluster have the same --keys?"
        }
        (true, false) => "have no key, or are forged: was that member started without --keys?",
    };
    format!("ignored: datagrams of the member at {address} {difference}")
}
