//! The start of a member that was added to a running cluster: it asks the others for what it needs, and puts that into
//! its journal.

use std::time::Duration;

use super::faults::Watch;
use super::file::Cluster;
use super::records::check_own;
use crate::driver::clock::{Clock, LONGEST_WAIT};
use crate::exit::{Exit, Failure};
use crate::ids::{MemberId, To};
use crate::journal::{Commit, Journal, Recovered};
use crate::replica::message::Message;
use crate::replica::newcomer::Newcomer;
use crate::session::SAY_EVERY;
use crate::talk::Talk;
use crate::transport::signals::{Signals, interruption};
use crate::transport::udp::{Counts, Udp};
use crate::transport::wakeup::wait;
use crate::wire::datagram::{Head, Packer};

/// The settings of a new member.
pub(super) struct Join<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) me: MemberId,
    pub(super) head: Head,
    pub(super) size: usize,
    pub(super) signals: &'a Signals,
    pub(super) talk: &'a Talk,
    /// The time for which it waits.
    pub(super) limit: Duration,
}

impl Join<'_> {
    /// Waits until the others have told everything, and makes it durable. Returns the content of the journal.
    ///
    /// # Errors
    /// Exit 69 if no member has answered in time, interruption, and the failure of the journal.
    pub(super) fn run(
        &self,
        udp: &mut Udp,
        mut faults: Option<&mut Watch>,
        clock: &mut Clock,
        journal: &mut impl Journal,
    ) -> Result<Recovered, Failure> {
        let start = clock.now();
        let (members, others) = (self.cluster.servers.len(), udp.servers().len());
        let names = self.cluster.ids();
        let mut newcomer = Newcomer::new(start, self.me, members, others);
        self.talk.say(format!("new: asking the others for the state of the cluster, as {}", self.own()));
        let mut said = start;
        loop {
            let now = clock.now();
            if let Some((to, message)) = newcomer.wake(now) {
                let mut packer = Packer::new(Head { epoch: newcomer.epoch(), ..self.head }, self.size);
                let is_packed = packer.push(&message.bytes());
                debug_assert!(is_packed, "a request is short");
                udp.send(To::Member(to), &packer.take());
            }
            let limit = newcomer.next_deadline().since(now).min(LONGEST_WAIT);
            wait(udp.fds().chain(self.signals.fds()), limit);
            if let Some(exit) = self.signals.received() {
                return Err(interruption(exit));
            }
            let now = clock.now();
            if let Some(faults) = &mut faults {
                faults.look(now, &names[..others], udp, self.talk);
            }
            udp.receive(|from, _, message| {
                if let Ok(message) = Message::parse(message) {
                    newcomer.receive(now, from, message);
                }
            });
            for change in newcomer.changes() {
                check_own(change, self.cluster, self.me)?;
                // The cluster file may be wrong about members that were added before.
                if let Some((slot, _, address)) = change.added() {
                    udp.set(slot, address);
                }
            }
            if let Some(records) = newcomer.records() {
                let append: Vec<_> = records.iter().map(crate::replica::record::Record::bytes).collect();
                journal.commit(Commit { append: append.clone(), remove: Vec::new() })?;
                let next = append.len() as u64 + 1;
                return Ok(Recovered { records: (1..).zip(append).collect(), next });
            }
            if now.since(said) >= SAY_EVERY {
                said = now;
                self.talk.say(format!("waiting for the members to let {} in", self.own()));
            }
            if now.since(start) >= self.limit {
                return Err(self.not_let_in(udp.counts()));
            }
        }
    }

    /// Words this member, as the cluster file has it.
    fn own(&self) -> String {
        let own = self.cluster.all().nth(usize::from(self.me.0));
        own.map_or_else(String::new, |own| format!("{} at {}", own.id, own.udp))
    }

    fn not_let_in(&self, counts: Counts) -> Failure {
        let why =
            format!("cannot join the cluster: no member has let {} in{}", self.own(), counts.objection());
        let own = self.cluster.all().nth(usize::from(self.me.0)).map_or("ID", |own| &own.id);
        Failure::new(Exit::Unavailable, why).help(format!(
            "run `groupcast cluster add DIR {own} HOST:PORT` first, with the folder of a running member. The cluster file \
             needs the same id and address, and the servers in the order in which they were added. If `add` was given a \
             wrong address, remove {own} and add another id; so, too, if the journal of {own} was lost"
        ))
    }
}
