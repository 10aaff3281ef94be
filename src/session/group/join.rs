//! Joining: the seat of a process in its group, or the reason for which it is refused. Some reasons may pass.

use super::Group;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::{Order, Reliability};
use crate::session::MAX_STANDBYS;
use crate::session::actions::{Actions, Incoming};
use crate::session::member::Member;
use crate::talk::list;
use crate::wire::control::{Identity, LogHead, LogStart, Request, Role, Say, run_as_text};

/// The reason for which a process may not join.
enum JoinRefusal {
    Taken,
    Started,
    Ending,
    OtherOrder,
    Full,
    WornOut,
    HasSequencer(String),
    EnoughStandbys,
    NotAMember,
    NoLog,
    NoStandby,
}

impl Group {
    /// Seats a process that wants to join, or refuses it. Returns the request if the reason may pass and it `can_wait`.
    pub(in crate::session) fn join(
        &mut self,
        now: Time,
        incoming: Incoming,
        can_wait: bool,
        actions: &mut Actions,
    ) -> Option<Incoming> {
        let request = &incoming.request;
        self.end_if_alone(&request.who, actions);
        let refusal = match self.may_join(request) {
            Ok(()) => {
                self.welcome(now, &incoming, actions);
                return None;
            }
            Err(refusal) => refusal,
        };
        let may_pass = match refusal {
            JoinRefusal::Ending => true,
            JoinRefusal::Taken | JoinRefusal::Full => incoming.may_wait(now),
            _ => false,
        };
        if may_pass && can_wait {
            return Some(incoming);
        }
        if let Some(absence) = refusal.absence(request).filter(|_| request.who.role == Role::Client) {
            self.misses(&request.who.id, absence);
        }
        let failure = self.explain(&refusal, &request.who);
        if matches!(refusal, JoinRefusal::NoLog) {
            self.end(Err(failure.clone()), actions);
        }
        if self.is_without_numbers(request.who.role) {
            let why = "the sequencer was started again and does not know which numbers it gave";
            self.end(Err(Failure::new(Exit::Unavailable, why)), actions);
        }
        actions.notice(format!("{}: refused {}: {}", self.name, request.who.id, failure.message));
        actions.refuse(incoming, &failure);
        None
    }

    /// Ends a running group whose only client was started again: no member could admit it.
    fn end_if_alone(&mut self, newcomer: &Identity, actions: &mut Actions) {
        let is_other_life = |member: &Member| {
            member.is_client() && member.peer.nonce != Some(newcomer.nonce) && member.peer.gone.is_some()
        };
        let is_alone = || {
            self.members
                .iter()
                .all(|(id, member)| *id == newcomer.id || !member.is_client() || member.is_newcomer())
        };
        if self.is_running() && self.members.get(&newcomer.id).is_some_and(is_other_life) && is_alone() {
            let why = format!("{} was lost, and nobody is left in the group", newcomer.id);
            self.end(Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    fn may_join(&self, request: &Request) -> Result<(), JoinRefusal> {
        let who = &request.who;
        let before = self.members.get(&who.id).map(|member| &member.peer);
        if who.role == Role::Router {
            return Err(JoinRefusal::NotAMember);
        }
        if self.rules.stay && self.is_over() {
            return Err(JoinRefusal::Ending);
        }
        if before.is_some_and(|peer| peer.nonce == Some(who.nonce)) {
            return Ok(());
        }
        if before.is_some_and(|peer| peer.gone.is_none()) {
            return Err(JoinRefusal::Taken);
        }
        if !self.is_gathering() && !who.late {
            return Err(JoinRefusal::Started);
        }
        self.may_have_role(who)?;
        if who.role == Role::Sequencer && self.order.is_logged() && request.log.is_none() {
            return Err(JoinRefusal::NoLog);
        }
        // The last slot stands for the whole group in packets.
        if self.next_slot() == u16::MAX {
            return Err(JoinRefusal::WornOut);
        }
        let stays = |member: &&Member| member.peer.gone.is_none() && !member.can_wait;
        let needs_place = who.role == Role::Client && !who.late && before.is_none();
        if needs_place && self.founders().filter(stays).count() >= self.rules.clients {
            return Err(JoinRefusal::Full);
        }
        Ok(())
    }

    fn may_have_role(&self, who: &Identity) -> Result<(), JoinRefusal> {
        let others =
            |role: Role| self.members.iter().filter(move |(id, it)| it.seat.role == role && **id != who.id);
        let order = Order::named(&who.order, &who.method, &who.reliability);
        match who.role {
            Role::Client if order.is_none_or(|order| order.title() != self.order.title()) => {
                Err(JoinRefusal::OtherOrder)
            }
            Role::Sequencer | Role::Standby if !self.order.sequencer => Err(JoinRefusal::NotAMember),
            Role::Standby if self.order.is_logged() => Err(JoinRefusal::NoStandby),
            Role::Sequencer if self.is_gathering() => match others(Role::Sequencer).next() {
                Some((id, _)) => Err(JoinRefusal::HasSequencer(id.clone())),
                None => Ok(()),
            },
            Role::Sequencer if self.order.is_logged() || self.is_without_numbers(who.role) => {
                Err(JoinRefusal::Started)
            }
            // A sequencer that joins a running group becomes a standby.
            Role::Sequencer | Role::Standby if others(Role::Standby).count() >= MAX_STANDBYS => {
                Err(JoinRefusal::EnoughStandbys)
            }
            _ => Ok(()),
        }
    }

    /// Returns whether a newcomer in this role shows that the group has lost its numbers: a restarted sequencer does
    /// not know those it assigned, and no other member can become the sequencer.
    fn is_without_numbers(&self, newcomer: Role) -> bool {
        let is_gone = |member: &Member| member.seat.role == Role::Sequencer && member.peer.gone.is_some();
        newcomer == Role::Sequencer
            && self.is_running()
            && self.members.values().any(is_gone)
            && self.ends_without(Role::Sequencer)
    }

    fn welcome(&mut self, now: Time, incoming: &Incoming, actions: &mut Actions) {
        let who = &incoming.request.who;
        if who.role == Role::Client && !who.late && !self.members.contains_key(&who.id) {
            self.make_room();
        }
        if self.members.get(&who.id).is_none_or(|member| member.peer.nonce != Some(who.nonce)) {
            self.seat(now, incoming, actions);
        }
        let (run, port_base) = (run_as_text(self.run), self.rules.port_base);
        let member = self.members.get_mut(&who.id).expect("there, or seated above");
        let (slot, incarnation) = (member.seat.slot, member.seat.incarnation);
        member.peer.hears(now, incoming);
        member.peer.answer(Say::Welcome { run, slot, incarnation, port_base }, actions);
    }

    fn seat(&mut self, now: Time, incoming: &Incoming, actions: &mut Actions) {
        let who = &incoming.request.who;
        let late = who.late && (!self.is_gathering() || self.is_complete_without(who));
        let slot = self.next_slot();
        if let Some(log) = &incoming.request.log {
            self.go_on_from(log);
        }
        let incarnation = self.incarnations.entry(who.id.clone()).or_default();
        *incarnation = incarnation.saturating_add(1);
        let mut member = Member::new(now, incoming, slot, *incarnation, late);
        // Only the process that has the log can number.
        member.seat.can_sequence &= !self.order.is_logged();
        self.given.insert(slot, member.seat.clone());
        self.is_here(&who.id);
        self.compare_forwarders(&incoming.request, actions);
        if self.is_running() && late {
            self.newcomers.push(member.seat.clone());
        }
        self.members.insert(who.id.clone(), member);
    }

    /// Begins behind the end of a log: no life of a client has the number of one that is in the log.
    fn go_on_from(&mut self, log: &LogHead) {
        self.log = Some(LogStart { run: log.run.clone(), place: log.place });
        for (id, &last) in &log.lives {
            let newest = self.incarnations.entry(id.clone()).or_default();
            if *newest > last {
                continue;
            }
            let member = self.members.get_mut(id);
            *newest = last.saturating_add(u32::from(member.is_some()));
            if let Some(member) = member {
                member.seat.incarnation = *newest;
                self.given.insert(member.seat.slot, member.seat.clone());
            }
        }
    }

    /// Takes up the log of a run that has begun: a client that comes later is a new life of what the log has.
    pub(super) fn resume_log(&mut self, log: &LogHead) {
        self.log.get_or_insert_with(|| LogStart { run: log.run.clone(), place: log.place });
        for (id, &last) in log.lives.iter().filter(|(id, _)| !self.members.contains_key(*id)) {
            let newest = self.incarnations.entry(id.clone()).or_default();
            *newest = last.max(*newest);
        }
    }

    /// Returns whether the group can start without this client, which can join later.
    fn is_complete_without(&self, who: &Identity) -> bool {
        let others = self.founders().filter(|client| client.seat.id != who.id && client.peer.gone.is_none());
        who.role == Role::Client && others.count() >= self.rules.clients
    }

    /// Makes room for a client at the start: removes one that is gone, or lets one join later that can.
    fn make_room(&mut self) {
        if self.founders().count() < self.rules.clients {
            return;
        }
        let gone = self.founders().find(|client| client.peer.gone.is_some()).map(|gone| gone.seat.id.clone());
        if let Some(id) = gone {
            self.members.remove(&id);
        } else if let Some(client) = self.members.values_mut().find(|it| it.is_founder() && it.can_wait) {
            client.seat.late = true;
        }
    }

    /// Returns whether a process wants the order of the group over another reliability.
    fn differs_in_reliability_alone(&self, who: &Identity) -> bool {
        let order = Order::find(&who.order, &who.method);
        order.is_some_and(|order| order.name == self.order.name && order.method == self.order.method)
    }

    fn explain(&self, refusal: &JoinRefusal, who: &Identity) -> Failure {
        let Identity { id, group, role, .. } = who;
        let members = || list(&self.members.keys().collect::<Vec<_>>());
        let title = self.order.title();
        let exit = match refusal {
            JoinRefusal::OtherOrder | JoinRefusal::NotAMember | JoinRefusal::NoLog => Exit::Config,
            _ => Exit::Unavailable,
        };
        let reason = match refusal {
            JoinRefusal::Taken => format!("the id {id} is taken: a process with this id is in the group"),
            JoinRefusal::Started => {
                let how = if *role == Role::Client { "; a client joins it with --join" } else { "" };
                format!("the run of group {group} has already started with {}{how}", members())
            }
            JoinRefusal::Ending => format!("the run of group {group} is over"),
            JoinRefusal::OtherOrder if self.differs_in_reliability_alone(who) => format!(
                "{id} wants --reliability {}, but group {group} has --reliability {}, set by {}; give all its clients \
                 the same",
                if who.reliability.is_empty() { Reliability::default().name() } else { &who.reliability },
                self.order.reliability.name(),
                self.opened_by
            ),
            JoinRefusal::OtherOrder => format!(
                "{id} wants order {}, but group {group} has order {title}, set by {}; give all its clients the same \
                 --order and --method",
                order_of(who),
                self.opened_by
            ),
            JoinRefusal::Full => format!("group {group} is complete without {id}: it has {}", members()),
            JoinRefusal::WornOut => format!("group {group} has seen too many members come and go"),
            JoinRefusal::HasSequencer(id) => format!("group {group} has a sequencer: {id}"),
            JoinRefusal::EnoughStandbys => {
                format!("{MAX_STANDBYS} processes stand by for group {group} already")
            }
            JoinRefusal::NotAMember => format!("group {group} has order {title}, which needs no {role}"),
            JoinRefusal::NoLog => {
                format!(
                    "group {group} has order {title}, and its sequencer has no log: give it one with --log DIR"
                )
            }
            JoinRefusal::NoStandby => {
                format!("group {group} has order {title}: nobody stands by for a sequencer with a log")
            }
        };
        Failure::new(exit, reason)
    }
}

impl JoinRefusal {
    /// Returns the text about this refusal for members that wait for one more client, if it matters to them.
    fn absence(&self, request: &Request) -> Option<String> {
        let who = &request.who;
        match self {
            Self::OtherOrder => Some(format!("{} was refused: it wants order {}", who.id, order_of(who))),
            Self::Taken => Some(format!("another {} was refused: the id is taken", who.id)),
            _ => None,
        }
    }
}

/// Names the order that a process wants.
fn order_of(who: &Identity) -> String {
    Order::named(&who.order, &who.method, &who.reliability).map_or_else(|| who.order.clone(), Order::title)
}
