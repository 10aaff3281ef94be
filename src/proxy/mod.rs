//! Beside the path: a bad network that can be ordered, between members and what stands in the middle.
//!
//! Members connect to the proxy's four ports as if they were those of the forwarder and the router; the proxy passes
//! every byte on, and does to the connections what a script says: `fault` is what there is, `script` how it is
//! written, `dice` draws it instead, `timeline` knows what acts when and counts what it did. These are pure.
//! `relay` has the connections, `pump` moves their bytes, [`tool`] is `groupcast proxy`.

mod dice;
mod fault;
mod pump;
mod relay;
mod script;
mod timeline;
pub mod tool;

pub(crate) use script::said_again;

/// The ports between members and the middle, in the order of their numbers.
const PORTS: [&str; 4] = ["in", "out", "sync", "router"];
