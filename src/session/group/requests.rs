//! The requests of a group's members after they have joined, here or at another forwarder.

use super::{Group, Phase, Running};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::actions::{Actions, Incoming};
use crate::session::member::Member;
use crate::wire::control::{Ask, Request, Say, Seat, run_from_text};

impl Group {
    /// Handles a request of a member that has joined.
    pub(in crate::session) fn asked(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        let (who, ask) = (&incoming.request.who, &incoming.request.ask);
        if let Ask::Resume { members, .. } = ask {
            if members.is_empty() && !self.members.contains_key(&who.id) {
                self.compare_forwarders(&incoming.request, actions);
            }
            return self.resume(now, incoming, actions);
        }
        let is_same = |member: &&mut Member| member.peer.nonce == Some(who.nonce);
        let Some(member) = self.members.get_mut(&who.id).filter(is_same) else {
            let is_going = matches!(ask, Ask::Withdraw | Ask::Over { .. });
            return actions.answer(incoming, if is_going { Say::Bye } else { Say::Unknown });
        };
        member.peer.hears(now, &incoming);
        let Request { who, ask, status, awaits_router, posts, receipts, .. } = incoming.request;
        member.tells(status);
        member.awaits_router = awaits_router;
        member.posts = posts;
        if !receipts.is_empty() {
            let slot = member.seat.slot;
            self.note_receipts(slot, receipts, actions);
        }
        let Some(member) = self.members.get_mut(&who.id) else { return };
        match ask {
            Ask::Ready => member.ready = true,
            Ask::Done { view, clients } => member.is_done(view, clients),
            Ask::Leave { code, reason } => {
                member.peer.say_bye(actions);
                self.leaves(&who.id, code, &reason, actions);
            }
            Ask::Over { run } => {
                member.peer.say_bye(actions);
                if self.is_running() && run_from_text(&run) == Some(self.run) {
                    let (group, id) = (&who.group, &who.id);
                    actions.notice(format!("{group}: the run is complete, as {id} heard elsewhere"));
                    self.end(Ok(()), actions);
                }
            }
            Ask::Withdraw if matches!(self.phase, Phase::Gathering(_)) => {
                member.peer.answer(Say::Bye, actions);
                self.members.remove(&who.id);
                actions.notice(format!("{} joins at another forwarder", who.id));
            }
            Ask::Alive
            | Ask::Join
            | Ask::Attend
            | Ask::Withdraw
            | Ask::Post { .. }
            | Ask::Members { .. }
            | Ask::Resume { .. } => {}
        }
    }

    fn leaves(&mut self, id: &str, code: u8, reason: &str, actions: &mut Actions) {
        if code == Exit::Ok.code() && self.is_running() {
            return self.is_left_by(id, actions);
        }
        if self.members.get(id).is_some_and(Member::is_client) {
            self.misses(id, format!("{id} left: {reason}"));
        }
        self.go_on_without(id, format!("{id} left the run: {reason} (exit {code})"), actions);
    }

    /// Handles a member of a run that connects again, or to this forwarder too.
    fn resume(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        let who = &incoming.request.who;
        let Ask::Resume { run, slot, members } = &incoming.request.ask else { return };
        let is_here = run_from_text(run) == Some(self.run) && !self.is_gathering();
        let is_told = !members.is_empty();
        let is_whole = is_here && self.empty_seats().is_empty();
        if let Some(log) = incoming.request.log.as_ref().filter(|_| is_here && is_told) {
            self.resume_log(log);
        }
        if !is_told && !is_whole {
            return actions.answer(incoming, Say::Unknown);
        }
        if is_here && let Phase::Running(Running { taken_up, .. }) = self.phase {
            // In a run that began here, only members that joined later elsewhere are new.
            let news = members.iter().filter(|seat| taken_up.is_some() || seat.late);
            if let Err(failure) = self.learn(now, news) {
                return actions.refuse(incoming, &failure);
            }
        }
        let is_same = |member: &&mut Member| member.seat.slot == *slot && member.peer.may_be(who.nonce);
        let Some(member) = self.members.get_mut(&who.id).filter(is_same).filter(|_| is_here) else {
            let reason = format!("{} is not a member of group {}", who.id, who.group);
            return actions.refuse(incoming, &Failure::new(Exit::Unavailable, reason));
        };
        member.peer.nonce = Some(who.nonce);
        member.peer.hears(now, &incoming);
        if is_told && matches!(self.phase, Phase::Running(_)) {
            member.peer.answer(Say::CarryOn, actions);
        }
    }

    /// Takes up a run of another forwarder, with these members, which come one by one.
    ///
    /// # Errors
    /// The reason why these members cannot form a group here.
    pub(in crate::session) fn take_up(&mut self, now: Time, members: &[Seat]) -> Result<(), Failure> {
        self.phase = Phase::Running(Running { taken_up: Some(now), ..Running::default() });
        self.learn(now, members)
    }

    /// Records members of a run that another forwarder began.
    fn learn<'a>(&mut self, now: Time, seats: impl IntoIterator<Item = &'a Seat>) -> Result<(), Failure> {
        for seat in seats {
            let id = &seat.id;
            if let Some(other) = self.given.get(&seat.slot).filter(|other| other.id != *id) {
                let why = format!("{id} is told to have the place of {}", other.id);
                return Err(Failure::new(Exit::Unavailable, why));
            }
            let newest = self.incarnations.entry(id.clone()).or_default();
            let is_news = *newest < seat.incarnation || !self.members.contains_key(id);
            if *newest > seat.incarnation || !is_news {
                continue;
            }
            *newest = seat.incarnation;
            self.given.insert(seat.slot, seat.clone());
            self.members.insert(id.clone(), Member::named(now, seat));
            if seat.late {
                self.newcomers.push(seat.clone());
            }
        }
        let (count, expected) = (self.founders().count(), self.rules.clients);
        if count > expected {
            let why =
                format!("the run has {count} clients, but this forwarder was told of {expected} (--clients)");
            return Err(Failure::new(Exit::Config, why));
        }
        Ok(())
    }
}
