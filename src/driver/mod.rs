//! The event loop of a process: wait, take one input, perform the effects.
//!
//! [`node`] is one member: the protocol engines, its sockets, which watch the [`data_path`], and a [`meter`]. It starts at
//! the [`barrier`] and, if the group is running already, passes [`admission`]. [`forwarder_links`] connect a process to
//! its forwarders, each by one `forwarder_link`. A client uses its member as an [`endpoint`]. A router and a sequencer
//! are a [`service`]. [`clock`] is the only reader of the clock.

pub mod admission;
pub mod barrier;
pub mod clock;
mod config;
pub mod data_path;
pub mod door;
pub mod endpoint;
mod forwarder_link;
pub mod forwarder_links;
pub mod meter;
pub mod node;
pub mod service;
pub mod several;
mod sockets;
pub mod words;

pub use clock::Clock;
pub use forwarder_links::ForwarderLinks;
pub use node::Node;
