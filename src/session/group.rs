//! One group at the forwarder, from the first member that joins to the last one that knows the end.
//!
//! Its phases are `Gathering` (members join and become ready), `Running` (all were ready and were started)
//! and `Over` (all were done, or one was lost or left). PROTOCOL.md draws the diagram.

use std::collections::BTreeMap;

use super::missing::without;
use super::objection::Objection;
use super::presence::{Held, Presence};
use super::register::{Actions, Rules, abort, answer, refuse};
use super::seated::Member;
use super::{LOST_AFTER, MAX_STANDBYS};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::talk::list;
use crate::wire::control::{
    Ask, GroupEntry, Identity, MAX_TOLD, Request, Role, Say, Seat, run_as_text, run_from_text,
};

#[derive(Debug)]
pub(super) struct Group {
    pub(super) run: u64,
    pub(super) order: &'static Order,
    /// The member that opened the group; its order is the group's.
    pub(super) opened_by: String,
    /// Clients that were refused or left before the start, each with the reason, for people.
    pub(super) absent: BTreeMap<String, String>,
    /// Whether it was reported that members name different forwarders.
    pub(super) is_parted: bool,
    pub(super) since: Time,
    /// The last time at which it had a client.
    pub(super) inhabited: Time,
    pub(super) seats: BTreeMap<String, Member>,
    incarnations: BTreeMap<String, u32>,
    next_slot: u16,
    /// The seats of all newcomers, in the order in which this forwarder gave or learnt them: members receive them,
    /// since they admit no process without a seat.
    newcomers: Vec<Seat>,
    /// Whether all are ready and are being called once more.
    roll_call: bool,
    /// The time at which the run was taken up from another forwarder.
    pub(super) resumed: Option<Time>,
    pub(super) phase: Phase,
    /// The reason of the first loss of a client after the start.
    first_loss: Option<String>,
    /// Whether any member was lost after the start.
    has_losses: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Gathering,
    Running,
    Over(Result<(), Failure>),
}

impl Group {
    pub(super) fn new(now: Time, run: u64, order: &'static Order, opened_by: &str) -> Self {
        Self {
            run,
            order,
            opened_by: opened_by.to_owned(),
            absent: BTreeMap::new(),
            is_parted: false,
            since: now,
            inhabited: now,
            seats: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            next_slot: 0,
            newcomers: Vec::new(),
            roll_call: false,
            resumed: None,
            phase: Phase::Gathering,
            first_loss: None,
            has_losses: false,
        }
    }

    /// Takes up a run of another forwarder, with these members, which come one by one.
    ///
    /// # Errors
    /// The reason why these members cannot form a group here.
    pub(super) fn resumed(
        now: Time,
        run: u64,
        (order, opened_by): (&'static Order, &str),
        members: &[Seat],
        rules: &Rules,
    ) -> Result<Self, (Exit, String)> {
        let begun = Self::new(now, run, order, opened_by);
        let mut group = Self { resumed: Some(now), phase: Phase::Running, ..begun };
        group.learn(now, members, rules).map(|()| group)
    }

    /// Records members of a run that another forwarder began.
    fn learn(&mut self, now: Time, members: &[Seat], rules: &Rules) -> Result<(), (Exit, String)> {
        for told in members {
            if let Some((id, _)) =
                self.seats.iter().find(|(id, seat)| **id != told.id && seat.slot == told.slot)
            {
                return Err((Exit::Unavailable, format!("{} is told to have the place of {id}", told.id)));
            }
            let newest = self.incarnations.entry(told.id.clone()).or_default();
            let is_news = *newest < told.incarnation || !self.seats.contains_key(&told.id);
            if *newest > told.incarnation || !is_news {
                continue;
            }
            *newest = told.incarnation;
            self.next_slot = self.next_slot.max(told.slot.saturating_add(1));
            self.seats.insert(told.id.clone(), Member::told(now, told));
            self.announce(&told.id);
        }
        let (count, expected) = (self.founders().count(), rules.clients);
        if count > expected {
            let why =
                format!("the run has {count} clients, but this forwarder was told of {expected} (--clients)");
            return Err((Exit::Config, why));
        }
        Ok(())
    }

    pub(super) fn entry(&self, name: &str) -> GroupEntry {
        let method = self.order.method.unwrap_or_default().to_owned();
        let (group, order) = (name.to_owned(), self.order.name.to_owned());
        GroupEntry { group, run: run_as_text(self.run), order, method }
    }

    pub(super) fn may_join(&self, request: &Request, rules: &Rules) -> Result<(), Objection> {
        let who = &request.who;
        let same_order =
            Order::find(&who.order, &who.method).is_some_and(|order| order.title() == self.order.title());
        let there = self.seats.get(&who.id);
        let role_taken = |role: Role| {
            self.seats.iter().find(|(id, seat)| seat.role == role && **id != who.id).map(|(id, _)| id.clone())
        };
        match who.role {
            Role::Router => return Err(Objection::NotAMember),
            _ if rules.stay && matches!(self.phase, Phase::Over(_)) => return Err(Objection::Ending),
            _ if there.is_some_and(|seat| seat.presence.nonce == Some(who.nonce)) => return Ok(()),
            _ if there.is_some_and(|seat| seat.presence.gone.is_none()) => return Err(Objection::Taken),
            _ if self.phase != Phase::Gathering && !who.late => return Err(Objection::Started),
            Role::Client if !same_order => return Err(Objection::OtherOrder),
            Role::Sequencer | Role::Standby if !self.order.sequencer => return Err(Objection::NotAMember),
            Role::Sequencer if self.phase == Phase::Gathering => {
                if let Some(id) = role_taken(Role::Sequencer) {
                    return Err(Objection::HasSequencer(id));
                }
            }
            Role::Sequencer if self.is_without_numbers(request) => return Err(Objection::Started),
            // A sequencer that joins a running group becomes a standby.
            Role::Sequencer | Role::Standby => {
                let others =
                    self.seats.iter().filter(|(id, seat)| seat.role == Role::Standby && **id != who.id);
                if others.count() >= MAX_STANDBYS {
                    return Err(Objection::EnoughStandbys);
                }
            }
            Role::Client => {}
        }
        // The last slot stands for the whole group in packets.
        if self.next_slot == u16::MAX {
            return Err(Objection::WornOut);
        }
        let stays = |seat: &&Member| seat.presence.gone.is_none() && !seat.can_wait;
        let clients = self.founders().filter(stays).count();
        if who.role == Role::Client && !who.late && there.is_none() && clients >= rules.clients {
            return Err(Objection::Full);
        }
        Ok(())
    }

    pub(super) fn welcome(
        &mut self,
        now: Time,
        held: Held,
        request: &Request,
        rules: &Rules,
        actions: &mut Actions,
    ) {
        let who = &request.who;
        if who.role == Role::Client && !who.late && !self.seats.contains_key(&who.id) {
            self.make_room(rules);
        }
        if self.seats.get(&who.id).is_none_or(|seat| seat.presence.nonce != Some(who.nonce)) {
            let late = who.late && (self.phase != Phase::Gathering || self.is_complete_without(who, rules));
            let incarnation = self.incarnations.entry(who.id.clone()).or_default();
            *incarnation += 1;
            let mut seat = Member::new(now, who, (self.next_slot, *incarnation), late, &held);
            seat.connect.clone_from(&request.connect);
            self.next_slot += 1;
            self.absent.remove(&who.id);
            self.compare_forwarders(request, actions);
            self.seats.insert(who.id.clone(), seat);
            if self.phase == Phase::Running {
                self.announce(&who.id);
            }
        }
        let seat = self.seats.get_mut(&who.id).expect("there, or seated above");
        seat.presence.hears(now, held);
        let (slot, incarnation) = (seat.slot, seat.incarnation);
        let run = run_as_text(self.run);
        seat.presence.answer(Say::Welcome { run, slot, incarnation }, actions);
    }

    /// Returns whether the group can start without this client, which can join later.
    fn is_complete_without(&self, who: &Identity, rules: &Rules) -> bool {
        let others = self.seats.iter().filter(|(id, seat)| {
            **id != who.id && seat.role == Role::Client && !seat.late && seat.presence.gone.is_none()
        });
        who.role == Role::Client && others.count() >= rules.clients
    }

    /// Adds the seat of a newcomer to those that the members receive.
    fn announce(&mut self, id: &str) {
        if let Some(seat) = self.seats.get(id).filter(|seat| seat.late) {
            self.newcomers.push(seat.seat(id));
        }
    }

    /// Makes room for a client at the start: removes one that is gone, or lets one join later that can.
    fn make_room(&mut self, rules: &Rules) {
        if self.founders().count() < rules.clients {
            return;
        }
        let is_founder = |seat: &Member| seat.role == Role::Client && !seat.late;
        let is_gone = |seat: &Member| is_founder(seat) && seat.presence.gone.is_some();
        if let Some(id) = self.seats.iter().find(|(_, seat)| is_gone(seat)).map(|(id, _)| id.clone()) {
            self.seats.remove(&id);
        } else if let Some(seat) = self.seats.values_mut().find(|seat| is_founder(seat) && seat.can_wait) {
            seat.late = true;
        }
    }

    /// Ends a running group whose only client was started again: no member could admit it.
    pub(super) fn is_deserted_by(&mut self, newcomer: &Identity, actions: &mut Actions) {
        let is_other_life = |seat: &Member| {
            seat.role == Role::Client
                && seat.presence.nonce != Some(newcomer.nonce)
                && seat.presence.gone.is_some()
        };
        let is_alone = || {
            self.seats
                .iter()
                .all(|(id, seat)| *id == newcomer.id || seat.role != Role::Client || seat.is_newcomer())
        };
        if self.phase == Phase::Running
            && self.seats.get(&newcomer.id).is_some_and(is_other_life)
            && is_alone()
        {
            let why = format!("{} was lost, and nobody is left in the group", newcomer.id);
            self.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    pub(super) fn asked(
        &mut self,
        now: Time,
        held: Held,
        request: Request,
        rules: &Rules,
        actions: &mut Actions,
    ) {
        let who = &request.who;
        if let Ask::Resume { run, slot, members } = &request.ask {
            if members.is_empty() && !self.seats.contains_key(&who.id) {
                self.compare_forwarders(&request, actions);
            }
            return self.resume(now, held, who, (run, *slot, members), rules, actions);
        }
        let is_same = |seat: &&mut Member| seat.presence.nonce == Some(who.nonce);
        let Some(seat) = self.seats.get_mut(&who.id).filter(is_same) else {
            let is_going = matches!(request.ask, Ask::Withdraw | Ask::Over { .. });
            return answer(held, if is_going { Say::Bye } else { Say::Unknown }, actions);
        };
        seat.presence.hears(now, held);
        seat.tells(request.status);
        seat.awaits_router = request.awaits_router;
        match request.ask {
            Ask::Ready => seat.ready = true,
            Ask::Done { view, clients } => seat.is_done(view, clients),
            Ask::Leave { code, reason } => {
                seat.presence.answer(Say::Bye, actions);
                seat.presence.told_end = true;
                if code == Exit::Ok.code() && self.phase == Phase::Running {
                    return self.is_left_by(&who.id, actions);
                }
                if seat.role == Role::Client {
                    self.misses(&who.id, format!("{} left: {reason}", who.id));
                }
                let why = format!("{} left the run: {reason} (exit {code})", who.id);
                self.go_on_without(&who.id, why, actions);
            }
            Ask::Withdraw if self.phase == Phase::Gathering => {
                seat.presence.answer(Say::Bye, actions);
                self.seats.remove(&who.id);
                actions.notices.push(format!("{} joins at another forwarder", who.id));
            }
            Ask::Over { run } => {
                seat.presence.answer(Say::Bye, actions);
                seat.presence.told_end = true;
                if self.phase == Phase::Running && run_from_text(&run) == Some(self.run) {
                    let (group, id) = (&who.group, &who.id);
                    actions.notices.push(format!("{group}: the run is complete, as {id} heard elsewhere"));
                    self.end(&Ok(()), actions);
                }
            }
            Ask::Alive
            | Ask::Join
            | Ask::Attend
            | Ask::Withdraw
            | Ask::Members { .. }
            | Ask::Resume { .. } => {}
        }
    }

    /// Handles a member of a run that connects again, or to this forwarder too.
    fn resume(
        &mut self,
        now: Time,
        held: Held,
        who: &Identity,
        (run, slot, members): (&str, u16, &[Seat]),
        rules: &Rules,
        actions: &mut Actions,
    ) {
        let is_here = run_from_text(run) == Some(self.run) && self.phase != Phase::Gathering;
        let is_told = !members.is_empty();
        let is_whole = self.empty_seats(rules).next().is_none();
        if !is_told && (!is_here || !is_whole) {
            return answer(held, Say::Unknown, actions);
        }
        // In a run that began here, only members that joined later elsewhere are new.
        let is_news = |seat: &&Seat| self.resumed.is_some() || seat.late;
        let news: Vec<Seat> = members.iter().filter(is_news).cloned().collect();
        if is_here
            && self.phase == Phase::Running
            && let Err((exit, reason)) = self.learn(now, &news, rules)
        {
            return refuse(held, exit, reason, actions);
        }
        let is_same = |seat: &&mut Member| seat.slot == slot && seat.presence.may_be(who.nonce);
        let Some(seat) = self.seats.get_mut(&who.id).filter(is_same).filter(|_| is_here) else {
            let reason = format!("{} is not a member of group {}", who.id, who.group);
            return refuse(held, Exit::Unavailable, reason, actions);
        };
        seat.presence.nonce = Some(who.nonce);
        seat.presence.hears(now, held);
        if is_told && self.phase == Phase::Running {
            seat.presence.answer(Say::CarryOn, actions);
        }
    }

    /// Returns whether the group has lost its numbers: a restarted sequencer does not know those it assigned, and no
    /// other member can become the sequencer.
    pub(super) fn is_without_numbers(&self, newcomer: &Request) -> bool {
        let is_gone = |seat: &Member| seat.role == Role::Sequencer && seat.presence.gone.is_some();
        newcomer.who.role == Role::Sequencer
            && self.phase == Phase::Running
            && self.seats.values().any(is_gone)
            && self.ends_without(Role::Sequencer)
    }

    /// Returns whether the group ends without this role: no process replaces a router, and the sequencer is replaced
    /// only by a standby or a client that offered it.
    pub(super) fn ends_without(&self, role: Role) -> bool {
        match role {
            Role::Sequencer => self.order.sequencer && !self.seats.values().any(|seat| seat.can_sequence),
            Role::Standby => false,
            Role::Router | Role::Client => true,
        }
    }

    pub(super) fn tick(&mut self, now: Time, name: &str, rules: &Rules, actions: &mut Actions) {
        let all_ready = self.phase == Phase::Gathering && self.gather(now, rules, actions);
        match self.phase {
            Phase::Gathering if all_ready => {
                self.phase = Phase::Running;
                let late = self.member_list().into_iter().filter(|seat| seat.late);
                self.newcomers.extend(late);
                let waited = crate::talk::duration(now.since(self.since));
                actions.notices.push(format!("{name}: start, {} after {waited}", self.progress()));
            }
            Phase::Gathering if now >= self.since.after(rules.start_timeout) => {
                let why = format!(
                    "group {name} did not start within {}: {}, waiting for {}",
                    crate::talk::duration(rules.start_timeout),
                    self.progress(),
                    list(&self.missing(rules))
                );
                let help = "start what is missing, or give the start more time with --start-timeout";
                self.end(&Err(Failure::new(Exit::TimedOut, why).help(help)), actions);
            }
            Phase::Running => self.supervise(now, name, rules, actions),
            _ => {}
        }
        self.answer(now, rules, actions);
    }

    /// Removes members that are gone; returns whether all are ready and still present.
    fn gather(&mut self, now: Time, rules: &Rules, actions: &mut Actions) -> bool {
        let is_gone =
            |seat: &Member| seat.presence.is_gone_for_good(now) || seat.presence.lost(now).is_some();
        let gone: Vec<String> =
            self.seats.iter().filter(|(_, seat)| is_gone(seat)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            if self.seats.remove(&id).is_some_and(|seat| seat.role == Role::Client) {
                self.misses(&id, format!("{id} is gone"));
            }
        }
        for seat in self.seats.values_mut().filter(|seat| seat.delays_the_start(now)) {
            seat.late = true;
        }
        if self.clients().next().is_some() {
            self.inhabited = now;
        }
        let is_ready = self.is_ready(rules);
        if is_ready && !self.roll_call {
            // A ready member may be gone by now: all are called once more, and answer by asking again.
            for seat in self.seats.values_mut() {
                seat.presence.present = false;
                seat.presence.answer(Say::CarryOn, actions);
            }
        }
        self.roll_call = is_ready;
        is_ready && self.seats.values().all(|seat| seat.late || seat.presence.present)
    }

    fn supervise(&mut self, now: Time, name: &str, rules: &Rules, actions: &mut Actions) {
        let lost = self.seats.iter().find_map(|(id, seat)| Some((id.clone(), seat.presence.lost(now)?)));
        if let Some((id, why)) = lost {
            let why = format!("{id} is lost: {why}");
            return self.go_on_without(&id, why, actions);
        }
        let is_told = self.resumed.is_none() || self.has_losses;
        let is_whole = is_told || self.empty_seats(rules).next().is_none();
        if self.resumed.is_some_and(|at| !is_whole && now >= at.after(LOST_AFTER)) {
            let seconds = LOST_AFTER.as_secs();
            let missing = list(&self.empty_seats(rules).collect::<Vec<_>>());
            let why = format!(
                "the forwarder was started again in the middle of the run, and in {seconds} s did not hear of {missing}"
            );
            self.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
        } else if is_whole && self.is_done(now) {
            actions.notices.push(format!("{name}: {}; the run is complete", self.progress()));
            self.end(&Ok(()), actions);
        }
    }

    /// Removes a member that is lost or has left. The members decide how a running group goes on, as long as there are
    /// any.
    fn go_on_without(&mut self, id: &str, why: String, actions: &mut Actions) {
        let was_client = self.seats.remove(id).is_some_and(|seat| seat.role == Role::Client);
        actions.notices.push(why.clone());
        if self.phase != Phase::Running {
            return;
        }
        self.has_losses = true;
        if was_client {
            self.first_loss.get_or_insert_with(|| why.clone());
        }
        if self.is_empty() {
            let why = self.first_loss.clone().unwrap_or(why);
            self.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    /// Removes a member that has left after completing all its operations.
    fn is_left_by(&mut self, id: &str, actions: &mut Actions) {
        self.seats.remove(id);
        actions.notices.push(format!("{id} has left the group"));
        if self.phase == Phase::Running && self.is_empty() {
            let lost = self.first_loss.clone().map(|why| Failure::new(Exit::Unavailable, why));
            self.end(&lost.map_or(Ok(()), Err), actions);
        }
    }

    /// Returns whether all clients of the newest view are done, and no other client is present: a client that was left
    /// behind leaves by itself, and so does one side of a split. A client that is lost here may be present elsewhere;
    /// the next view shows whether it is.
    fn is_done(&self, now: Time) -> bool {
        let Some((newest, members)) = self.newest().filter(|(_, members)| !members.is_empty()) else {
            return false;
        };
        // Being done in an earlier view is not enough.
        let is_done = |seat: &Member| seat.done.as_ref().is_some_and(|(number, _)| number >= newest);
        members.iter().all(|slot| self.clients().any(|seat| seat.slot == *slot && is_done(seat)))
            && !self.clients().any(|seat| !members.contains(&seat.slot) && seat.is_here(now))
    }

    /// Returns the newest view in which a client was done.
    fn newest(&self) -> Option<&(u64, Vec<u16>)> {
        self.clients().filter_map(|seat| seat.done.as_ref()).max_by_key(|(number, _)| *number)
    }

    /// Returns whether every reachable member has been told that the run is over. A client whose connection has closed
    /// may come back, unless the newest view excludes it; for other roles a closed connection is final.
    pub(super) fn is_known_to_be_over(&self, now: Time, may_ask_later: bool) -> bool {
        let newest = self.newest();
        let may_be_told_nothing = |seat: &Member| match seat.role {
            Role::Client => {
                let is_left_behind = newest.is_some_and(|(_, members)| !members.contains(&seat.slot));
                seat.presence.gone.is_some() && is_left_behind
            }
            _ => seat.presence.is_gone_for_good(now),
        };
        self.seats
            .values()
            .all(|seat| seat.presence.knows_the_end(now, may_ask_later) || may_be_told_nothing(seat))
    }

    /// Answers the members for which there is news, and those that have waited long enough.
    fn answer(&mut self, now: Time, rules: &Rules, actions: &mut Actions) {
        self.seats.values_mut().for_each(|seat| seat.presence.nudge(now, actions));
        let starts = self.phase == Phase::Running;
        let newcomers = &self.newcomers;
        let has_news = |held: &Held| held.wants_start || untold(newcomers, held).is_some();
        let is_due = |presence: &Presence| {
            presence.is_overdue(now) || presence.held.as_ref().is_some_and(|held| starts && has_news(held))
        };
        let is_over = matches!(self.phase, Phase::Over(_));
        if !self.seats.values().any(|seat| is_over || is_due(&seat.presence)) {
            return;
        }
        let (run, members, missing) = (run_as_text(self.run), self.member_list(), self.missing(rules));
        let left = rules.start_timeout.saturating_sub(now.since(self.since)).as_millis() as u64;
        for (id, seat) in self.seats.iter_mut().filter(|(_, seat)| is_over || is_due(&seat.presence)) {
            let wants_start = seat.presence.held.as_ref().is_some_and(|held| held.wants_start);
            let untold = seat.presence.held.as_ref().and_then(|held| untold(newcomers, held));
            let say = match &self.phase {
                Phase::Over(Ok(())) => Say::End,
                Phase::Over(Err(failure)) => abort(failure),
                Phase::Running if wants_start => Say::Start { run: run.clone(), members: members.clone() },
                Phase::Running if untold.is_some() => {
                    Say::Seated { members: untold.unwrap_or_default().to_vec() }
                }
                Phase::Gathering if seat.ready => {
                    Say::Wait { missing: without(id, &missing), gives_up_in_ms: Some(left) }
                }
                Phase::Running if seat.done.is_some() => {
                    Say::Wait { missing: without(id, &missing), gives_up_in_ms: None }
                }
                _ => Say::CarryOn,
            };
            seat.presence.answer(say, actions);
        }
    }

    pub(super) fn end(&mut self, result: &Result<(), Failure>, actions: &mut Actions) {
        if matches!(self.phase, Phase::Over(_)) {
            return;
        }
        self.phase = Phase::Over(result.clone());
        for seat in self.seats.values_mut() {
            seat.presence.answer(result.as_ref().err().map_or(Say::End, abort), actions);
        }
    }

    pub(super) fn clients(&self) -> impl Iterator<Item = &Member> {
        self.seats.values().filter(|seat| seat.role == Role::Client)
    }

    /// Returns the clients with which the group starts.
    pub(super) fn founders(&self) -> impl Iterator<Item = &Member> {
        self.clients().filter(|seat| !seat.late)
    }

    fn is_ready(&self, rules: &Rules) -> bool {
        let ready = self.founders().filter(|seat| seat.ready && seat.presence.gone.is_none()).count();
        let sequencer = self.seats.values().any(|seat| seat.role == Role::Sequencer && seat.ready);
        let standbys = self.seats.values().all(|seat| seat.role != Role::Standby || seat.ready || seat.late);
        ready == rules.clients && standbys && (sequencer || !self.order.sequencer)
    }

    /// Returns whether no client is left that could go on or admit newcomers.
    fn is_empty(&self) -> bool {
        self.clients().all(Member::is_newcomer)
    }

    fn member_list(&self) -> Vec<Seat> {
        self.seats.iter().map(|(id, seat)| seat.seat(id)).collect()
    }
}

/// Returns the next seats that a waiting member has not been told of, as many as an answer holds.
fn untold<'a>(newcomers: &'a [Seat], held: &Held) -> Option<&'a [Seat]> {
    let untold = newcomers.get(held.told?..).filter(|untold| !untold.is_empty())?;
    Some(&untold[..untold.len().min(MAX_TOLD)])
}
