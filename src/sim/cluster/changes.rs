//! Changes of the members of a simulated cluster: an operator asks for them, again and again until they are made.

use std::net::SocketAddr;
use std::time::Duration;

use super::Incident;
use super::world::World;
use crate::engine::{MemberId, To};
use crate::replica::entry::EntryId;
use crate::replica::epoch::{Change, Request};
use crate::replica::{Input, Replica};

/// The time after which an operator asks again, maybe another member.
const AGAIN_AFTER: Duration = Duration::from_millis(700);

/// The port of slot 0.
const FIRST_PORT: u16 = 1;

/// Returns the request to add the member of a slot.
pub(super) fn add(slot: u16) -> Request {
    let udp = SocketAddr::from(([10, 0, 0, 1], FIRST_PORT + slot));
    Request::Add { name: MemberId(slot).to_string(), udp }
}

impl World<'_> {
    /// Has an operator ask a member for a change, until one has made it.
    pub(super) fn ask(&mut self, request: Request) {
        let is_made = |replica: &Replica| match request {
            Request::Add { ref name, .. } => {
                (0..replica.width()).any(|slot| MemberId(slot as u16).to_string() == *name)
            }
            Request::Remove(slot) => !replica.is_member(slot),
        };
        if self.replicas().any(is_made) {
            return;
        }
        // Members are added in the order of their slots, as an operator has the last one in the list before the next.
        let is_next = |replica: &Replica| match &request {
            Request::Add { udp, .. } => replica.width() == usize::from(udp.port() - FIRST_PORT),
            Request::Remove(_) => true,
        };
        let askable = |replica: &Replica, slot: MemberId| {
            request != Request::Remove(slot) && !replica.is_removed() && is_next(replica)
        };
        let up: Vec<MemberId> = self
            .members
            .iter()
            .filter(|member| {
                member.replica.as_ref().is_some_and(|replica| askable(replica, member.config.me))
            })
            .map(|member| member.config.me)
            .collect();
        if !up.is_empty() {
            let at = up[self.disks.below(up.len() as u64) as usize];
            self.trace.line(self.now, &at, "ask", &"", format_args!("{request:?}"));
            self.input(at, Input::Propose(Some(request.clone())));
        }
        self.schedule(self.now.after(AGAIN_AFTER), Incident::Ask(request));
    }

    fn replicas(&self) -> impl Iterator<Item = &Replica> {
        self.members.iter().filter_map(|member| member.replica.as_ref())
    }

    /// Takes note of the epoch that begins at a member. The first one that knows of a new member starts it.
    pub(super) fn begin_epoch(&mut self, at: MemberId, number: u16, change: &Change) {
        self.trace.line(self.now, &at, "epoch", &"", format_args!("{number}: {change:?}"));
        self.counters.changed += 1;
        self.check_change(at, number, change);
        let member = self.member(at);
        member.begin_epoch(number, change);
        if let Request::Remove(slot) = change.request {
            self.removed.insert(slot);
            return;
        }
        let slot = MemberId(change.stored.len() as u16);
        if self.members.get(usize::from(slot.0)).is_some_and(|new| new.life == 0) {
            self.schedule(self.now, Incident::Restart(slot));
        }
    }

    /// Checks that an epoch begins with one change everywhere, and that the disks of a majority of the members of the
    /// epoch before hold all entries that it names.
    fn check_change(&mut self, at: MemberId, number: u16, change: &Change) {
        if let Some(known) = self.changes.get(&number) {
            if known != change {
                self.breach =
                    Some(format!("{at} begins epoch {number} with {change:?}, another with {known:?}"));
            }
            return;
        }
        self.changes.insert(number, change.clone());
        let Some(replica) = &self.members[usize::from(at.0)].replica else { return };
        let was_member = |slot: &usize| {
            let slot = MemberId(*slot as u16);
            replica.is_member(slot) || change.request == Request::Remove(slot)
        };
        let voters: Vec<usize> = (0..change.stored.len()).filter(was_member).collect();
        let holds = |slot: &&usize| {
            let mut last = (0..).map(MemberId).zip(&change.stored).filter(|(_, number)| **number > 0);
            last.all(|(origin, &number)| self.members[**slot].disk.holds(EntryId { origin, number }))
        };
        let holders = voters.iter().filter(holds).count();
        if holders <= voters.len() / 2 {
            let all = voters.len();
            self.breach =
                Some(format!("{holders} of {all} disks hold what {change:?} names at epoch {number}"));
        }
    }

    /// Starts a member that has no journal, and was not there from the beginning.
    pub(super) fn start_newcomer(&mut self, at: MemberId) {
        let (now, others) = (self.now, self.members.len());
        let is_known = self.replicas().any(|replica| replica.is_member(at));
        if is_known && self.member(at).begin_newcomer(now, others) {
            self.trace.line(now, &at, "start", &"", format_args!("new"));
            self.step_newcomer(at);
        }
    }

    /// Sends the request of a new member that is due, and starts it when all that it needs has come.
    pub(super) fn step_newcomer(&mut self, at: MemberId) {
        let now = self.now;
        let member = self.member(at);
        let Some(newcomer) = &mut member.newcomer else { return };
        if let Some(records) = newcomer.records() {
            member.newcomer = None;
            member.disk.begin(records);
            self.wakes[usize::from(at.0)] = None;
            return self.start(at);
        }
        member.epoch = newcomer.epoch();
        let asked = newcomer.wake(now);
        let due = newcomer.next_deadline();
        let life = member.life;
        if let Some((to, message)) = asked {
            self.send(at, To::Member(to), &message);
            self.wakes[usize::from(at.0)] = Some(due);
            self.push(due, super::world::Event::Wake(at, life));
        }
    }
}
