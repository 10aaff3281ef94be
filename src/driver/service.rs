//! The loop of a router or a sequencer, which serve every group of their forwarders.

use std::time::Duration;

use super::{Clock, ForwarderLinks, clock};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::CONNECT_LIMIT;
use crate::session::attendance::News;
use crate::talk::Talk;
use crate::transport::address::Site;
use crate::transport::signals::{Signals, interruption};
use crate::transport::zmq::{self, Context, Socket};
use crate::wire::control::{Ask, GroupEntry, Identity, Role};

/// The work of a process that serves every group.
pub trait Service {
    /// Returns the socket at which it serves, if it has one.
    fn socket(&self) -> Option<&Socket> {
        None
    }

    /// Handles all waiting input.
    ///
    /// # Errors
    /// A failure that ends the process.
    fn turn(&mut self, now: Time) -> Result<(), Failure>;

    /// Serves these groups, which are those of the forwarder `at`.
    ///
    /// # Errors
    /// A failure that ends the process, unless it stays.
    fn serve(&mut self, at: usize, groups: Vec<GroupEntry>) -> Result<(), Failure>;

    /// Returns whether it serves no group.
    fn is_idle(&self) -> bool;

    /// Stops serving groups until a forwarder names some again.
    fn pause(&mut self) {}

    /// Leaves all groups, because the process has to end.
    fn leave(&mut self) {}

    /// Returns the outcome, once the forwarder has reported the end.
    ///
    /// # Errors
    /// The failure of a group.
    fn finish(&mut self) -> Result<(), Failure>;
}

/// A router or a sequencer, with its links to the forwarders.
pub struct Server<'a> {
    forwarders: ForwarderLinks,
    clock: Clock,
    /// Whether it serves one run after the other.
    stays: bool,
    talk: &'a Talk,
}

impl<'a> Server<'a> {
    /// Begins to ask the forwarders at these sites for groups.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if an address is invalid.
    pub fn connect(
        context: &Context,
        sites: &[Site],
        (role, id): (Role, &str),
        stays: bool,
        talk: &'a Talk,
    ) -> Result<Self, Failure> {
        let mut clock = Clock::start();
        let who = Identity::new("", id, role, clock::nonce());
        let limit = (!stays).then_some(CONNECT_LIMIT);
        let forwarders = ForwarderLinks::new(context, sites, clock.now(), &who, &Ask::Attend, limit)?;
        Ok(Self { forwarders, clock, stays, talk })
    }

    /// Sets the time after which a forwarder that has fallen silent is given up.
    pub fn wait_for_lost(&mut self, limit: Duration) {
        self.forwarders.wait_for_lost(limit);
    }

    /// Serves until the forwarder reports the end of the run.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the forwarder is lost, failures of the service, and interruption.
    pub fn run(mut self, signals: &Signals, service: &mut impl Service) -> Result<Exit, Failure> {
        loop {
            let now = self.clock.now();
            let limit = self.forwarders.next_deadline().since(now).min(clock::LONGEST_WAIT);
            let sockets: Vec<&Socket> = self.forwarders.sockets().chain(service.socket()).collect();
            zmq::wait(&sockets, signals.fds(), limit);
            let now = self.clock.now();
            if let Some(exit) = signals.received() {
                let failure = interruption(exit);
                // First tell the forwarder why a group ends that has no other candidate.
                self.forwarders.leave(now, &failure);
                let is_idle = self.stays && service.is_idle();
                service.leave();
                return if is_idle { Ok(Exit::Ok) } else { Err(failure) };
            }
            service.turn(now)?;
            match self.attend(now, service) {
                Ok(false) => continue,
                Ok(true) if !self.stays => return service.finish().map(|()| Exit::Ok),
                // The forwarder, or the next one, may have another run.
                Ok(true) => {}
                Err(failure) if self.stays && !matches!(failure.exit, Exit::Config | Exit::Denied) => {
                    self.talk.warn(&failure.message);
                }
                Err(failure) => {
                    // Its own failure, as that of its disk, tells more than the end of the run that followed from it.
                    let own = service.finish().err().filter(|own| own.exit != Exit::Unavailable);
                    return Err(own.unwrap_or(failure));
                }
            }
            service.pause();
            self.forwarders.rest(now);
        }
    }

    /// Handles the answers of the forwarders; returns whether everything is over.
    fn attend(&mut self, now: Time, service: &mut impl Service) -> Result<bool, Failure> {
        for (from, news) in self.forwarders.turn(now, self.talk)? {
            match news {
                News::Groups(groups) => service.serve(from, groups)?,
                News::End => {
                    self.forwarders.over(now, "");
                    return Ok(true);
                }
                News::Failed(failure) => self.forwarders.lose(from, failure, now, self.talk)?,
                _ => {}
            }
        }
        Ok(false)
    }
}
