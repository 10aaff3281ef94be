//! Station 8, the loop: wait, take one input, perform the effects.
//!
//! [`clock`] is the only reader of the clock, [`callers`] keep a process in touch with its forwarders, each a
//! [`caller`]; [`node`] is one member: engines in the middle, `wires` around them, which watch the [`data_path`], and a [`meter`] at them; it begins
//! at the [`barrier`] and, if the group runs already, goes through [`admission`].

pub mod admission;
pub mod barrier;
pub mod caller;
pub mod callers;
pub mod catch_up;
pub mod clock;
mod config;
pub mod data_path;
pub mod meter;
pub mod node;
mod wires;
pub mod words;

pub use caller::Caller;
pub use callers::Callers;
pub use clock::Clock;
pub use node::Node;
