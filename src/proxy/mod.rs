//! The proxy: an unreliable network between members and servers, with faults as a script or a seed has them.
//!
//! Members connect to the proxy's four ports as if they were those of the forwarder and the router. The proxy passes
//! every byte on, and applies faults to the connections. `dice` draws random faults, and `timeline` knows which faults
//! act and counts their effects. `zmtp` finds packets among the bytes; `packets` loses, duplicates and delays them. These
//! modules are pure. `accept` takes connections, `relay` keeps them, `pump` moves their bytes, and [`tool`] is `groupcast
//! proxy`.

mod accept;
mod dice;
mod packets;
mod pump;
mod relay;
mod timeline;
pub(crate) mod tool;
mod zmtp;
