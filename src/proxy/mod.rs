//! Beside the path: a bad network that can be ordered, between members and what stands in the middle.
//!
//! Members connect to the proxy's four ports as if they were those of the forwarder and the router; the proxy passes
//! every byte on, and does to the connections what a script says: `fault` is what there is, `script` how it is
//! written, `dice` draws it instead, `timeline` knows what acts when and counts what it did. `zmtp` finds packets among
//! the bytes, `packets` loses, doubles and delays them. These are pure. `relay` has the connections, `pump` moves their bytes, [`tool`] is `groupcast proxy`.

use crate::place::Flaw;

pub(crate) use fault::time;

mod dice;
mod fault;
mod packets;
mod pump;
mod relay;
mod script;
mod timeline;
pub mod tool;
mod zmtp;

/// Checks one fault; gives it back as it is shown.
///
/// # Errors
/// The mistake in it, or that it is not one.
pub(crate) fn checked(line: &str) -> Result<String, Flaw> {
    match &script::parse(line)?[..] {
        [fault] => Ok(fault.to_string()),
        _ => Err(Flaw::new(0..0, "expected one fault").help("write for example link = \"2s cut for 3s\"")),
    }
}

pub(crate) use script::said_again;

/// The ports between members and the middle, in the order of their numbers.
const PORTS: [&str; 4] = ["in", "out", "sync", "router"];
/// The one of them that carries no packets.
const SYNC: usize = 2;
