//! Ordered, reliable group communication over ZeroMQ.
//!
//! A [`Group`] is one member of a group, as the program `client` is one. All members, in whatever process, receive the same
//! messages in the same order (unless a weaker [`Order`] is chosen), and between them the same [views](View): the members from
//! there on. A program that applies each delivery to its state, and nothing else, and does so in every process, has replicas
//! that are always in step.
//!
//! ```no_run
//! use groupcast::{Error, Event, Group};
//!
//! fn main() -> Result<(), Error> {
//!     // Needs `forwarder --clients 2`, `router` and `sequencer`, and another member, such as `client --id c2 --interactive`.
//!     let group = Group::builder("c1").forwarders(["127.0.0.1:5559"]).join()?;
//!     let (sender, mut receiver) = group.split();
//!     sender.multicast("hello")?;
//!     loop {
//!         match receiver.recv()? {
//!             Event::Delivery(it) => println!("{}: {}", it.from, String::from_utf8_lossy(&it.payload)),
//!             Event::View(view) => println!("view {}: {:?}", view.number, view.members),
//!             Event::End => return Ok(()),
//!             _ => {}
//!         }
//!     }
//! }
//! ```
//!
//! Tests need no processes: [`testing::Network`] has groups in memory.
//!
//! ```
//! use groupcast::{Error, Event, Group};
//!
//! let [a, mut b] = Group::in_memory(["a", "b"])?;
//! a.multicast("hello")?;
//! assert!(matches!(b.recv()?, Event::View(view) if view.members == ["a", "b"]));
//! assert!(matches!(b.recv()?, Event::Delivery(it) if it.from == "a" && it.payload == "hello"));
//! # Ok::<(), Error>(())
//! ```
//!
//! # Promises
//!
//! * Every member delivers the same messages of the total order, once each, under the same numbers. A message of a
//!   member that stays is delivered by all that stay; a message of a member that fails, by all of them or by none.
//! * Views are part of the order: members that install two views in sequence deliver the same messages between them.
//! * A direct message ([`Sender::send`]) is received once, in the order of sending, but at no agreed place. If its receiver leaves
//!   or is lost first, its sender receives [`Event::Undeliverable`].
//! * A newcomer with [`Start::WithState`] receives the state of a member at the beginning of the newcomer's first view, then
//!   that view, then every later delivery, once each.
//!
//! # Threads, blocking, limits
//!
//! [`Builder::join`] starts a thread that takes part for the program and ends with the [`Group`], so the program need not call
//! anything at any time. But when about 4 MiB of events wait, the member receives no more packets, and before long the others
//! wait for it: let one thread call [`Receiver::recv`] in a loop, or poll the descriptor of the [`Receiver`].
//! [`Sender`]s are for any thread. Apart from [`Receiver::recv`] and [`Receiver::recv_timeout`], no call blocks longer than
//! [`Builder::timeout`].
//! A payload has at most [`MAX_PAYLOAD`] bytes, a state at most [`MAX_STATE`].
//!
//! After the membership has ended, for whatever reason, earlier events can still be received; then every call returns the
//! [`Error`] that says why it ended.

// Public only because the programs, tests and benchmarks of this package are crates of their own; no part of the interface, and
// free to change at any time. docs/ARCHITECTURE.md has the map.

#[doc(hidden)]
pub mod chat;
#[doc(hidden)]
pub mod check;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod client;
#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod cluster;
#[doc(hidden)]
pub mod cost;
#[doc(hidden)]
pub mod defect;
#[doc(hidden)]
pub mod diagram;
#[doc(hidden)]
pub mod driver;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod exit;
#[doc(hidden)]
pub mod explain;
#[doc(hidden)]
pub mod forwarder;
#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod ids;
#[doc(hidden)]
pub mod journal;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod member;
#[doc(hidden)]
pub mod order;
#[doc(hidden)]
pub mod participant;
#[doc(hidden)]
pub mod prefix_set;
#[doc(hidden)]
pub mod prng;
#[doc(hidden)]
pub mod programs;
#[doc(hidden)]
pub mod reliable;
#[doc(hidden)]
pub mod replica;
#[doc(hidden)]
pub mod results;
#[doc(hidden)]
pub mod router;
#[doc(hidden)]
pub mod script;
#[doc(hidden)]
pub mod sequencer;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod sim;
#[doc(hidden)]
pub mod talk;
#[cfg(feature = "web")]
#[doc(hidden)]
pub mod talker;
#[doc(hidden)]
pub mod transport;
#[doc(hidden)]
pub mod waiting;
#[cfg(feature = "web")]
#[doc(hidden)]
pub mod web;
#[doc(hidden)]
pub mod wire;

mod bench;
mod board;
mod chaos;
mod doctor;
mod embedded;
mod fault;
mod group;
mod keys;
mod lock;
mod members;
mod memory;
mod nearest;
mod operator;
mod place;
mod post;
mod processes;
mod proxy;
mod run;
mod shell;
mod terminal;
mod units;

pub use bytes::Bytes;
pub use group::{
    Builder, Delivery, Direct, Error, Event, Group, MAX_PAYLOAD, MAX_STATE, Method, Order, Receiver, Sender,
    SlowMember, Start, StateRequest, Undeliverable, Undelivered, View, Window, testing,
};

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
