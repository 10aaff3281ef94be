//! One group at the forwarder, from the first member that joins to the last one that knows the end. PROTOCOL.md draws
//! the diagram of its phases.
//!
//! `join` seats members or refuses them, `requests` handles what members ask later, `missing` words the processes it
//! waits for, `posts` hands texts of authors to members, `status` is the report for `groupcast members`.

mod join;
mod missing;
mod posts;
mod requests;
pub(super) mod status;

use std::collections::BTreeMap;

pub(super) use missing::without;
use posts::Posts;

use super::actions::{Actions, Rules, ended};
use super::member::Member;
use super::peer::HeldRequest;
use super::{EMPTY_KEPT, LOST_AFTER};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::talk::list;
use crate::units;
use crate::wire::control::{GroupEntry, Identity, LogStart, MAX_TOLD, Role, Say, Seat, run_as_text};

#[derive(Debug)]
pub(super) struct Group {
    name: String,
    pub(super) run: u64,
    order: &'static Order,
    rules: Rules,
    /// The member that opened the group; its order is the group's.
    opened_by: String,
    since: Time,
    pub(super) members: BTreeMap<String, Member>,
    incarnations: BTreeMap<String, u32>,
    /// The seats of this run by slot, also of members that are gone: no slot is given twice.
    given: BTreeMap<u16, Seat>,
    /// The seats of all newcomers, in the order in which this forwarder gave or learnt them: members receive them,
    /// since they admit no process without a seat.
    newcomers: Vec<Seat>,
    posts: Posts,
    /// The log of its sequencer, and the place at which the run begins.
    log: Option<LogStart>,
    pub(super) phase: Phase,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Members join and become ready.
    Gathering(Gathering),
    /// All were ready and were started.
    Running(Running),
    /// All were done, or one was lost or left. The group lasts until its members know.
    Over(Result<(), Failure>),
}

#[derive(Debug)]
pub(super) struct Gathering {
    /// Clients that were refused or left, each with the reason, for people.
    absent: BTreeMap<String, String>,
    /// Whether it was reported that members name different forwarders.
    is_parted: bool,
    /// The last time at which the group had a client.
    inhabited: Time,
    /// Whether all are ready and are being called once more.
    is_called: bool,
}

#[derive(Debug, Default)]
pub(super) struct Running {
    /// The time at which the run was taken up from another forwarder.
    taken_up: Option<Time>,
    /// The reason of the first loss of a client.
    first_loss: Option<String>,
    /// Whether any member was lost.
    has_losses: bool,
}

impl Group {
    /// Opens a group for its first member.
    pub(super) fn new(now: Time, run: u64, opener: &Identity, order: &'static Order, rules: Rules) -> Self {
        let gathering =
            Gathering { absent: BTreeMap::new(), is_parted: false, inhabited: now, is_called: false };
        Self {
            name: opener.group.clone(),
            run,
            order,
            rules,
            opened_by: opener.id.clone(),
            since: now,
            members: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            given: BTreeMap::new(),
            newcomers: Vec::new(),
            posts: Posts::default(),
            log: None,
            phase: Phase::Gathering(gathering),
        }
    }

    pub(super) fn is_gathering(&self) -> bool {
        matches!(self.phase, Phase::Gathering(_))
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    pub(super) fn entry(&self) -> GroupEntry {
        GroupEntry {
            group: self.name.clone(),
            run: run_as_text(self.run),
            order: self.order.name.to_owned(),
            method: self.order.method.unwrap_or_default().to_owned(),
        }
    }

    fn clients(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_client())
    }

    /// Returns the clients with which the group starts.
    fn founders(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|member| member.is_founder())
    }

    /// Returns the slot of the next newcomer; [`u16::MAX`] if there is none left.
    fn next_slot(&self) -> u16 {
        self.given.last_key_value().map_or(0, |(slot, _)| slot.saturating_add(1))
    }

    /// Returns the seat of a slot, if it was given to a process.
    pub(super) fn seat_at(&self, slot: u16) -> Option<&Seat> {
        self.given.get(&slot)
    }

    fn seats(&self) -> impl Iterator<Item = Seat> {
        self.members.values().map(|member| member.seat.clone())
    }

    /// Handles the passage of time.
    pub(super) fn tick(&mut self, now: Time, actions: &mut Actions) {
        match self.phase {
            Phase::Gathering(_) => self.gather(now, actions),
            Phase::Running(_) => self.supervise(now, actions),
            Phase::Over(_) => {}
        }
        self.tick_posts(now, actions);
        self.answer(now, actions);
    }

    /// Starts the group once all are ready and still present, or gives up.
    fn gather(&mut self, now: Time, actions: &mut Actions) {
        self.drop_absent(now);
        let (is_ready, has_clients) = (self.is_ready(), self.clients().next().is_some());
        let Phase::Gathering(gathering) = &mut self.phase else { return };
        if has_clients {
            gathering.inhabited = now;
        }
        let was_called = std::mem::replace(&mut gathering.is_called, is_ready);
        if is_ready && !was_called {
            // A ready member may be gone by now: all are called once more, and answer by asking again.
            for member in self.members.values_mut() {
                member.peer.present = false;
                member.peer.answer(Say::CarryOn, actions);
            }
        }
        if is_ready && self.members.values().all(|member| member.seat.late || member.peer.present) {
            self.start(now, actions);
        } else if now >= self.since.after(self.rules.start_timeout) {
            self.time_out(actions);
        }
    }

    /// Removes members that are gone, and waits no longer for a standby that is not ready.
    fn drop_absent(&mut self, now: Time) {
        let is_gone = |member: &Member| member.peer.is_gone_for_good(now) || member.peer.lost(now).is_some();
        let gone = self.members.iter().filter(|(_, member)| is_gone(member)).map(|(id, _)| id.clone());
        for id in gone.collect::<Vec<_>>() {
            if self.members.remove(&id).is_some_and(|member| member.is_client()) {
                self.misses(&id, format!("{id} is gone"));
            }
        }
        for member in self.members.values_mut().filter(|member| member.delays_the_start(now)) {
            member.seat.late = true;
        }
    }

    fn is_ready(&self) -> bool {
        let ready = self.founders().filter(|member| member.ready && member.peer.gone.is_none()).count();
        let of_role = |role: Role| self.members.values().filter(move |member| member.seat.role == role);
        let sequencer = of_role(Role::Sequencer).any(|member| member.ready);
        let standbys = of_role(Role::Standby).all(|member| member.ready || member.seat.late);
        ready == self.rules.clients && standbys && (sequencer || !self.order.sequencer)
    }

    fn start(&mut self, now: Time, actions: &mut Actions) {
        self.phase = Phase::Running(Running::default());
        self.newcomers
            .extend(self.members.values().map(|member| &member.seat).filter(|seat| seat.late).cloned());
        let waited = units::duration(now.since(self.since));
        actions.notice(format!("{}: start, {} after {waited}", self.name, self.progress()));
    }

    fn time_out(&mut self, actions: &mut Actions) {
        let why = format!(
            "group {} did not start within {}: {}, waiting for {}",
            self.name,
            units::duration(self.rules.start_timeout),
            self.progress(),
            list(&self.missing())
        );
        let help = "start what is missing, or give the start more time with --start-timeout";
        self.end(Err(Failure::new(Exit::TimedOut, why).help(help)), actions);
    }

    /// Ends a group that has not started and that all clients left some time ago. Returns the reason.
    pub(super) fn end_if_deserted(&mut self, now: Time, actions: &mut Actions) -> Option<String> {
        let Phase::Gathering(gathering) = &self.phase else { return None };
        if now < gathering.inhabited.after(EMPTY_KEPT) {
            return None;
        }
        let why = format!("all clients of group {} have left{}", self.name, gathering.absences());
        self.end(Err(Failure::new(Exit::Unavailable, &*why)), actions);
        Some(why)
    }

    /// Ends the run once it is complete, or if the members of a run that was taken up do not come.
    fn supervise(&mut self, now: Time, actions: &mut Actions) {
        let lost = self.members.iter().find_map(|(id, member)| Some((id.clone(), member.peer.lost(now)?)));
        if let Some((id, why)) = lost {
            return self.go_on_without(&id, format!("{id} is lost: {why}"), actions);
        }
        let Phase::Running(running) = &self.phase else { return };
        let taken_up = running.taken_up.filter(|_| !running.has_losses);
        let unheard = if taken_up.is_some() { self.empty_seats() } else { Vec::new() };
        if unheard.is_empty() {
            if self.is_done(now) {
                actions.notice(format!("{}: {}; the run is complete", self.name, self.progress()));
                self.end(Ok(()), actions);
            }
        } else if taken_up.is_some_and(|at| now >= at.after(LOST_AFTER)) {
            let (seconds, unheard) = (LOST_AFTER.as_secs(), list(&unheard));
            let why = format!(
                "the forwarder was started again in the middle of the run, and in {seconds} s did not hear of {unheard}"
            );
            self.end(Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    /// Removes a member that is lost or has left. The members decide how a running group goes on, as long as there are
    /// any.
    fn go_on_without(&mut self, id: &str, why: String, actions: &mut Actions) {
        let was_client = self.members.remove(id).is_some_and(|member| member.is_client());
        actions.notice(why.clone());
        let is_empty = self.is_empty();
        let Phase::Running(running) = &mut self.phase else { return };
        running.has_losses = true;
        if was_client {
            running.first_loss.get_or_insert_with(|| why.clone());
        }
        if is_empty {
            let why = running.first_loss.clone().unwrap_or(why);
            self.end(Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    /// Removes a member that has left after completing all its operations.
    fn is_left_by(&mut self, id: &str, actions: &mut Actions) {
        self.members.remove(id);
        actions.notice(format!("{id} has left the group"));
        if let Phase::Running(running) = &self.phase
            && self.is_empty()
        {
            let lost = running.first_loss.clone().map(|why| Failure::new(Exit::Unavailable, why));
            self.end(lost.map_or(Ok(()), Err), actions);
        }
    }

    /// Returns whether no client is left that could go on or admit newcomers.
    fn is_empty(&self) -> bool {
        self.clients().all(Member::is_newcomer)
    }

    /// Ends a running group without its last router or sequencer, if it cannot go on.
    pub(super) fn lacks(&mut self, role: Role, why: &str, actions: &mut Actions) {
        if self.is_running() && self.ends_without(role) {
            self.end(Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    /// Returns whether the group ends without this role: no process replaces a router, and the sequencer is replaced
    /// only by a standby or a client that offered it.
    fn ends_without(&self, role: Role) -> bool {
        match role {
            Role::Sequencer => {
                self.order.sequencer && !self.members.values().any(|member| member.seat.can_sequence)
            }
            Role::Standby => false,
            Role::Router | Role::Client => true,
        }
    }

    /// Returns whether all clients of the newest view are done, and no other client is present: a client that was left
    /// behind leaves by itself, and so does one side of a split. A client that is lost here may be present elsewhere;
    /// the next view shows whether it is.
    fn is_done(&self, now: Time) -> bool {
        let Some((newest, slots)) = self.newest().filter(|(_, slots)| !slots.is_empty()) else {
            return false;
        };
        // Being done in an earlier view is not enough.
        let is_done = |client: &Member| client.done.as_ref().is_some_and(|(number, _)| number >= newest);
        slots.iter().all(|slot| self.clients().any(|client| client.seat.slot == *slot && is_done(client)))
            && !self.clients().any(|client| !slots.contains(&client.seat.slot) && client.is_here(now))
    }

    /// Returns the newest view in which a client was done.
    fn newest(&self) -> Option<&(u64, Vec<u16>)> {
        self.clients().filter_map(|client| client.done.as_ref()).max_by_key(|(number, _)| *number)
    }

    pub(super) fn end(&mut self, result: Result<(), Failure>, actions: &mut Actions) {
        if self.is_over() {
            return;
        }
        let say = ended(&result);
        self.phase = Phase::Over(result);
        for member in self.members.values_mut() {
            member.peer.answer(say.clone(), actions);
        }
    }

    /// Returns the result of a run that is over, once every reachable member has been told. A client whose connection
    /// has closed may come back, unless the newest view excludes it; for other roles a closed connection is final.
    pub(super) fn known_end(&self, now: Time) -> Option<&Result<(), Failure>> {
        let Phase::Over(result) = &self.phase else { return None };
        // A failure shows by itself, and a forwarder that stays can report the outcome later.
        let may_ask_later = result.is_err() || self.rules.stay;
        let newest = self.newest();
        let may_be_told_nothing = |member: &Member| match member.seat.role {
            Role::Client => {
                let is_left_behind = newest.is_some_and(|(_, slots)| !slots.contains(&member.seat.slot));
                member.peer.gone.is_some() && is_left_behind
            }
            _ => member.peer.is_gone_for_good(now),
        };
        let knows =
            |member: &Member| member.peer.knows_the_end(now, may_ask_later) || may_be_told_nothing(member);
        self.members.values().all(knows).then_some(result)
    }

    /// Answers the members for which there is news, and those that have waited long enough.
    fn answer(&mut self, now: Time, actions: &mut Actions) {
        self.members.values_mut().for_each(|member| member.peer.nudge(now, actions));
        let is_due = |member: &Member| {
            member.peer.is_overdue(now) || member.peer.held.as_ref().is_some_and(|held| self.has_news(held))
        };
        let due = self.members.iter().filter(|(_, member)| is_due(member)).map(|(id, _)| id.clone());
        let due: Vec<String> = due.collect();
        if due.is_empty() {
            return;
        }
        let (seats, missing): (Vec<Seat>, _) = (self.seats().collect(), self.missing());
        let left = self.rules.start_timeout.saturating_sub(now.since(self.since)).as_millis() as u64;
        for id in due {
            let wait = |gives_up_in_ms| Say::Wait { missing: without(&id, &missing), gives_up_in_ms };
            let member = &self.members[&id];
            let untold = member.peer.held.as_ref().and_then(|held| self.untold(held));
            let say = match &self.phase {
                Phase::Over(result) => ended(result),
                Phase::Gathering(_) if member.ready => wait(Some(left)),
                Phase::Running(_) if member.peer.held.as_ref().is_some_and(|held| held.wants_start) => {
                    let (run, log) = (run_as_text(self.run), self.log.clone());
                    Say::Start { run, members: seats.clone(), log }
                }
                Phase::Running(_) if untold.is_some() => {
                    Say::Seated { members: untold.unwrap_or_default().to_vec() }
                }
                Phase::Running(_) if member.done.is_some() => wait(None),
                _ => Say::CarryOn,
            };
            if let Some(member) = self.members.get_mut(&id) {
                member.peer.answer(say, actions);
            }
        }
    }

    fn has_news(&self, held: &HeldRequest) -> bool {
        match self.phase {
            Phase::Gathering(_) => false,
            Phase::Running(_) => held.wants_start || self.untold(held).is_some(),
            Phase::Over(_) => true,
        }
    }

    /// Returns the next seats that a waiting member has not been told of, as many as an answer holds.
    fn untold(&self, held: &HeldRequest) -> Option<&[Seat]> {
        let untold = self.newcomers.get(held.told?..).filter(|untold| !untold.is_empty())?;
        Some(&untold[..untold.len().min(MAX_TOLD)])
    }
}
