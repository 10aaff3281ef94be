//! Ordered, reliable group communication over ZeroMQ.
//!
//! Programs that want to be members of a group use [`Group`], which [`group`] explains; the other modules are the parts
//! of it and of this package's programs.
//!
//! # The path of a message
//!
//! 1. [`script`]: the user's operations: parse, validate, replay
//! 2. [`client`]: a member with a script as input and files as output; [`group`]: a member for programs
//! 3. [`engine`]: the contract of every engine
//! 4. [`order`]: the order in which messages are delivered
//! 5. [`reliable`]: the delivery to every member, exactly once
//! 6. [`member`]: the views of the group, and the finish
//! 7. [`wire`]: the bytes of every packet
//! 8. [`transport`]: the only I/O; [`driver`]: the loop, and the only reader of the clock
//! 9. [`forwarder`], [`router`], [`sequencer`]: the processes between members; [`session`]: start and finish
//! 10. [`results`]: the result file and the history
//!
//! Tools: [`run`] performs a whole run in one command, [`check`] judges its deliveries, [`diagram`] draws it, and
//! [`explain`] describes the waits of a message; [`sim`] runs the same engines on a simulated network, [`proxy`] is an
//! unreliable network for real processes, and [`chaos`] performs many runs with it; [`mod@bench`] measures the speed;
//! [`shell`] and [`doctor`] help people at a prompt.

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
