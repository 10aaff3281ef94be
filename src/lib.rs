//! Ordered, reliable group communication over ZeroMQ.
//!
//! Programs that want to be members of a group use [`Group`], which [`group`] explains; everything else here is what it and the
//! programs of the package are made of.
//!
//! # The path of a message
//!
//! 1. [`script`]: what the user asked for: parse, validate, replay
//! 2. [`client`]: one member: script in, engines in the middle, results out; [`group`]: one for programs
//! 3. [`engine`]: the contract of every engine
//! 4. [`order`]: may it be delivered yet?
//! 5. [`reliable`]: does every member have it, exactly once?
//! 6. [`member`]: who is in the group, and who has finished?
//! 7. [`wire`]: the bytes of every packet
//! 8. [`transport`]: the only I/O; [`driver`]: the loop, and the only reader of the clock
//! 9. [`forwarder`], [`router`], [`sequencer`]: what stands in the middle; [`session`]: start and finish
//! 10. [`results`]: deliveries to result file and history
//!
//! Beside the path: [`run`] does a whole run in one command, [`check`] judges what was delivered, [`diagram`] draws it
//! and [`explain`] says what a message waited for; [`sim`] runs the same engines on a simulated network, [`proxy`] is a
//! bad network for real ones and [`chaos`] lets many of them meet it; [`mod@bench`] says how fast all of it is; [`shell`] and
//! [`doctor`] help people at a prompt.

pub mod script;

pub mod client;
pub mod group;

pub mod engine;

pub mod order;

pub mod reliable;

pub mod member;
pub mod members;

pub mod wire;

pub mod transport;

pub mod driver;

pub mod forwarder;
mod inside;
pub mod router;
pub mod sequencer;
pub mod session;

pub mod results;

pub mod bench;
pub mod chaos;
pub mod check;
pub mod diagram;
pub mod explain;
pub mod proxy;
pub mod run;
pub mod sim;

pub mod doctor;
pub mod programs;
pub mod shell;

pub mod cli;
pub mod clock;
pub mod cost;
pub mod defect;
pub mod exit;
#[doc(hidden)]
pub mod fuzzing;
mod lock;
mod memory;
mod nearest;
mod place;
pub mod prng;
pub mod talk;
pub mod waiting;

pub use exit::Failure;
pub use group::Group;
