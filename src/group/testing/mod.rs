//! In-memory groups: members of one process on a simulated network, for tests without processes, sockets and waiting.
//!
//! Every member has the real protocol engines. The network loses nothing and has no clock: packets take microseconds of a
//! simulated time, which passes only inside the calls of the groups. A call returns when nothing more happens by itself. So
//! after a call everything that follows from it can be received, [`try_recv`](super::Receiver::try_recv) that returns
//! nothing means that nothing will come, and a test with one thread always takes the same course.
//!
//! ```
//! use groupcast::testing::Network;
//! use groupcast::{Error, Event, Group, Start};
//!
//! // Two replicas of a list, and one that joins later.
//! let network = Network::new();
//! let founders = ["a", "b"].map(|id| Group::builder(id).gives_state(true));
//! let [mut a, mut b] = network.start(founders)?;
//! a.multicast("x")?;
//! b.multicast("y")?;
//!
//! let mut c = network.join(Group::builder("c").start(Start::WithState))?;
//! a.multicast("z")?;
//!
//! let mut list = Vec::new();
//! while let Some(event) = a.try_recv()? {
//!     match event {
//!         Event::Delivery(it) => list.extend(it.payload),
//!         Event::StateRequest(request) => request.reply(list.clone())?,
//!         _ => {}
//!     }
//! }
//! assert_eq!(list, b"xyz");
//!
//! let mut copy = Vec::new();
//! while let Some(event) = c.try_recv()? {
//!     match event {
//!         Event::State(state) => copy = state.to_vec(),
//!         Event::Delivery(it) => copy.extend(it.payload),
//!         _ => {}
//!     }
//! }
//! assert_eq!(copy, list);
//!
//! // A dropped member is gone at once.
//! drop(c);
//! while let Some(event) = b.try_recv()? {
//!     if let Event::View(view) = event {
//!         println!("view {}: {:?}", view.number, view.members);
//!     }
//! }
//! assert_eq!(b.view().unwrap().gone, ["c"]);
//! # Ok::<(), Error>(())
//! ```
//!
//! Several threads may use the groups, too; then the threads decide who comes first.
//!
//! # Limits
//!
//! No member is ever suspected, since no time passes while the test does something else:
//! [`suspect_after`](super::Builder::suspect_after) has no effect, and neither have the settings of forwarders and the name of the
//! group. The sequencer, where the order needs one, is part of the network and never fails. A newcomer waits for the state of the
//! first member that [gives one](super::Builder::gives_state), until that member replies, refuses or is gone. Earlier deliveries
//! ([`Start::FromStart`](super::Start::FromStart)) are nowhere kept.

mod member;
mod world;

use std::sync::{Arc, Mutex};

use super::builder::Builder;
use super::error::Error;
use super::handle::{Access, Group, Membership};
use super::shared::Shared;
use crate::lock::lock;
use world::World;

/// A network inside this process, with at most one group. Clones are the same network.
#[derive(Clone, Default)]
pub struct Network {
    world: Arc<Mutex<World>>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").finish_non_exhaustive()
    }
}

impl Group {
    /// Starts an in-memory group of these members, in total order, for tests: a [`Network`] with nothing else on it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an id that is none, or that is used twice.
    pub fn in_memory<const N: usize>(ids: [&str; N]) -> Result<[Self; N], Error> {
        Network::new().start(ids.map(Self::builder))
    }
}

impl Network {
    /// Creates a network on which each packet takes 100 µs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a network on which each packet takes 0.1 to 10 ms, drawn from `seed`: packets overtake each other.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { world: Arc::new(Mutex::new(World::seeded(seed))) }
    }

    /// Starts the group with these members, in the first view.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the group has started already, an id is wrong or used twice, or the members disagree about the
    /// order.
    pub fn start<B: Into<Builder>, const N: usize>(&self, members: [B; N]) -> Result<[Group; N], Error> {
        let members = members.map(Into::into);
        let access = self.accesses(&members)?;
        let shared: Vec<_> = access.iter().map(|access| Arc::clone(&access.shared)).collect();
        lock(&self.world).start(&members, &shared)?;
        let mut groups = members.iter().zip(access).map(|(member, access)| {
            Membership { access: Arc::new(access), thread: Mutex::default() }.join(member.timeout)
        });
        let groups: Vec<Group> = groups.by_ref().collect::<Result<_, _>>()?;
        Ok(groups.try_into().expect("each member makes a group"))
    }

    /// Joins the group, in a view of its own. The first member starts it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the id or the order is wrong; [`Error::CannotJoin`] if a member with this id is in the group, or
    /// the group has ended; [`Error::TimedOut`] if other members do not receive their events meanwhile.
    pub fn join(&self, member: impl Into<Builder>) -> Result<Group, Error> {
        let member = [member.into()];
        if !lock(&self.world).has_started() {
            let [group] = self.start(member)?;
            return Ok(group);
        }
        let [access] = <[Access; 1]>::try_from(self.accesses(&member)?).map_err(|_| Error::Ended)?;
        let [member] = member;
        let timeout = member.timeout;
        lock(&self.world).join(member, Arc::clone(&access.shared))?;
        Membership { access: Arc::new(access), thread: Mutex::default() }.join(timeout)
    }

    fn accesses(&self, members: &[Builder]) -> Result<Vec<Access>, Error> {
        let access = |member: &Builder| {
            let world = Arc::clone(&self.world);
            Ok(Access {
                id: member.checked_id()?,
                timeout: member.timeout,
                shared: Arc::new(Shared::new()?),
                waker: Box::new(move || lock(&world).run()),
            })
        };
        members.iter().map(access).collect()
    }
}
