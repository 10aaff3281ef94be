//! The proxy: an unreliable network between members and servers, with faults as a script or a seed has them.
//!
//! Members connect to the proxy's four ports as if they were those of the forwarder and the router. The proxy passes
//! every byte on, and applies faults to the connections. `fault` has the kinds of faults, `script` their syntax, `dice`
//! draws random ones, and `timeline` knows which faults act and counts their effects. `zmtp` finds packets among the
//! bytes; `packets` loses, duplicates and delays them. These modules are pure. `relay` has the connections, `pump`
//! moves their bytes, and [`tool`] is `groupcast proxy`.

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

/// Checks one fault, and returns it in its displayed form.
///
/// # Errors
/// The mistake in it; or that it is not one fault.
pub(crate) fn checked(line: &str) -> Result<String, Flaw> {
    match &script::parse(line)?[..] {
        [fault] => Ok(fault.to_string()),
        _ => Err(Flaw::new(0..0, "expected one fault").help("write for example link = \"2s cut for 3s\"")),
    }
}

pub(crate) use script::said_again;

/// The ports between members and servers, in the order of their numbers.
const PORTS: [&str; 4] = ["in", "out", "sync", "router"];
/// The port that carries no packets.
const SYNC: usize = 2;
