//! Station 8, the loop: wait, take one input, perform the effects.
//!
//! [`clock`] is the only reader of the clock, [`caller`] keeps a process in touch with the forwarder, [`node`] is
//! one member: engines in the middle, sockets around them, and a [`meter`] at them; it begins at the [`barrier`].

pub mod barrier;
pub mod caller;
pub mod clock;
pub mod meter;
pub mod node;

pub use caller::Caller;
pub use clock::Clock;
pub use node::Node;
