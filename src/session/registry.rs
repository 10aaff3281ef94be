//! The forwarder's side of the exchange on the sync port: a start barrier and a finish for every group. The state of
//! one group is in `group`, the state shared by all is here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::actions::{Actions, Asker, Incoming, Rules, ended, refused};
use super::attendants::{Attendants, Vacancy};
use super::group::Group;
use super::group::status::{RateLimit, report};
use super::{
    FIRST_LATECOMERS, LATECOMERS, LATECOMERS_FACTOR, MAX_GROUPS, MAX_POSTPONED, RESUMABLE, RUNS_KEPT, clients,
};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::script::{check_client_id, check_id};
use crate::units;
use crate::wire::control::{Ask, GroupEntry, Identity, Request, Role, Say, Seat, run_from_text};
use crate::wire::header::{Header, RUN_LIMIT, VERSION};
use crate::wire::topic;

/// All groups and processes at this forwarder.
#[derive(Debug)]
pub struct Registry {
    rules: Rules,
    /// The numbers of clients of single groups, if they differ from that of the rules.
    clients: BTreeMap<String, usize>,
    groups: BTreeMap<String, Group>,
    attendants: Attendants,
    /// Requests that are kept waiting, because the holder of the wanted place may be gone.
    postponed: Vec<Incoming>,
    runs: u64,
    /// Runs about which members of another forwarder have asked: they may be taken up here.
    announced: VecDeque<u64>,
    /// Whether a run of another forwarder was taken up: its router and sequencer come when they connect again.
    is_heir: bool,
    /// The time of the last request of a member.
    asked: Time,
    /// The time at which the last process came.
    came: Time,
    /// The last runs that ended here, for members that did not hear of it.
    ended: VecDeque<(u64, Result<(), Failure>)>,
    failure: Option<Failure>,
    /// The reason why the last group that did not start lost its clients, for people.
    deserted: Option<String>,
    served: usize,
    reports: RateLimit,
}

impl Registry {
    /// Returns an empty registry. `runs` is any number that another forwarder process is unlikely to have: the run
    /// numbers are counted from it.
    #[must_use]
    pub fn new(rules: Rules, runs: u64) -> Self {
        Self {
            rules,
            clients: BTreeMap::new(),
            groups: BTreeMap::new(),
            attendants: Attendants::default(),
            postponed: Vec::new(),
            runs: runs % RUN_LIMIT,
            announced: VecDeque::new(),
            is_heir: false,
            asked: Time::ZERO,
            came: Time::ZERO,
            ended: VecDeque::new(),
            failure: None,
            deserted: None,
            served: 0,
            reports: RateLimit::default(),
        }
    }

    /// Sets the numbers of clients of single groups.
    #[must_use]
    pub fn with_clients(self, clients: &[(String, usize)]) -> Self {
        Self { clients: clients.iter().cloned().collect(), ..self }
    }

    /// Returns whether the forwarder passes packets of this group on.
    #[must_use]
    pub fn serves(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Returns the seat of the member that publishes a packet with this topic and header, if the group runs here.
    #[must_use]
    pub fn publisher(&self, topic: &[u8], header: &Header) -> Option<&Seat> {
        let group = self.groups.get(topic::group(topic)?).filter(|group| group.run == header.run)?;
        group.seat_at(header.sender.0).filter(|seat| topic::slot(topic) == Some(seat.slot))
    }

    /// Handles a request; `Err` carries the protocol version of one that this build does not speak. The effects on the
    /// group follow at the next [`Registry::tick`], which is due when all waiting requests have been handled.
    pub fn asked(
        &mut self,
        now: Time,
        asker: Asker,
        request: Result<Request, Option<u64>>,
        actions: &mut Actions,
    ) {
        match request {
            Ok(Request { ask: Ask::Members { skip }, who, seq, .. }) => {
                if self.reports.admits(now) {
                    actions.reply(asker, seq, report(now, &self.groups, &who.group, skip));
                }
            }
            Ok(request) if matches!(request.ask, Ask::Post { .. }) => {
                self.post(now, Incoming { asker, since: now, request }, actions);
            }
            Ok(request) => {
                if request.ask == Ask::Join
                    || !self.attendants.knows(&request.who) && request.ask == Ask::Attend
                {
                    self.came = now;
                }
                self.handle(now, Incoming { asker, since: now, request }, actions);
            }
            Err(theirs) => {
                let reason = theirs.map_or_else(
                    || "this is not a request".to_owned(),
                    |theirs| {
                        format!(
                            "this forwarder speaks protocol version {VERSION}, the request version {theirs}"
                        )
                    },
                );
                actions.reply(asker, 0, refused(&Failure::new(Exit::Config, reason)));
            }
        }
    }

    /// Handles the request of an author, which is no member. A group that is not there may come.
    fn post(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        let who = &incoming.request.who;
        if let Err(reason) = check_id(&who.group).and_then(|()| check_client_id(&who.id)) {
            return actions.refuse(incoming, &Failure::new(Exit::Usage, reason));
        }
        match self.groups.get_mut(&who.group) {
            Some(group) => group.post(now, incoming, actions),
            None => actions.answer(incoming, Say::Unknown),
        }
    }

    fn handle(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        if incoming.request.who.group.is_empty() {
            self.attendant_asks(now, incoming, actions);
        } else if let Err(say) = self.member_asks(now, &incoming, actions) {
            actions.answer(incoming, say);
        } else {
            self.group_handles(now, incoming, actions);
        }
    }

    fn attendant_asks(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        let who = &incoming.request.who;
        if who.role == Role::Client {
            return actions.refuse(incoming, &Failure::new(Exit::Usage, "a client must name its group"));
        }
        if let Some(other) = self.attendants.taken_by(who) {
            if incoming.may_wait(now) && self.postponed.len() < MAX_POSTPONED {
                return self.postponed.push(incoming);
            }
            let reason = format!("there is already a {} here ({other})", who.role);
            return actions.refuse(incoming, &Failure::new(Exit::Unavailable, reason));
        }
        let vacancy = self.attendants.asked(now, &incoming, actions);
        self.go_on_without(vacancy, actions);
    }

    /// Ends the groups that cannot go on. Without a router no group can; without the sequencer, only a group with a
    /// candidate.
    fn go_on_without(&mut self, vacancy: Option<Vacancy>, actions: &mut Actions) {
        let Some((role, why)) = vacancy else { return };
        for group in self.groups.values_mut() {
            group.lacks(role, &why, actions);
        }
    }

    /// Checks the request of a member, and opens its group if need be.
    ///
    /// # Errors
    /// The answer, if its group has none to give.
    fn member_asks(&mut self, now: Time, incoming: &Incoming, actions: &mut Actions) -> Result<(), Say> {
        self.asked = now;
        let Request { who, ask, .. } = &incoming.request;
        // With a slash in its name, the packets of one group could pass for those of another.
        let check_name = if who.role == Role::Client { check_client_id } else { check_id };
        check_id(&who.group)
            .and_then(|()| check_name(&who.id))
            .map_err(|reason| refused(&Failure::new(Exit::Usage, reason)))?;
        if self.has_another_seat(&incoming.asker, who) {
            let reason =
                "this connection belongs to another member: each member needs a connection of its own";
            return Err(refused(&Failure::new(Exit::Unavailable, reason)));
        }
        if let Ask::Resume { run, members, .. } = ask {
            // Also if a group of the same name is in its next run by now.
            if let Some((_, result)) = self.ended.iter().find(|(ended, _)| Some(*ended) == run_from_text(run))
            {
                return Err(ended(result));
            }
            self.make_way(now, &who.group, run, members);
        }
        if self.groups.contains_key(&who.group) { Ok(()) } else { self.open(now, &incoming.request, actions) }
    }

    fn group_handles(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        let Some(group) = self.groups.get_mut(&incoming.request.who.group) else { return };
        if incoming.request.ask == Ask::Join {
            let can_wait = self.postponed.len() < MAX_POSTPONED;
            self.postponed.extend(group.join(now, incoming, can_wait, actions));
        } else {
            group.asked(now, incoming, actions);
        }
    }

    /// Returns whether this connection belongs to another member: a connection serves one seat.
    fn has_another_seat(&self, asker: &Asker, who: &Identity) -> bool {
        self.groups.iter().any(|(name, group)| {
            let is_other = |id: &String| *name != who.group || *id != who.id;
            group.members.iter().any(|(id, member)| member.peer.asker == *asker && is_other(id))
        })
    }

    /// Opens the group that a request names, or returns the refusal.
    fn open(&mut self, now: Time, request: &Request, actions: &mut Actions) -> Result<(), Say> {
        let who @ Identity { group, id, order, method, reliability, role, .. } = &request.who;
        let resumed = match (&request.ask, role) {
            (Ask::Join, Role::Client) => None,
            (Ask::Resume { members, .. }, _) if members.is_empty() => return Err(Say::Unknown),
            (Ask::Resume { run, members, .. }, _) => {
                Some((self.resumable(now, run).map_err(|why| refused(&why))?, members))
            }
            (Ask::Leave { .. } | Ask::Withdraw | Ask::Over { .. }, _) => return Err(Say::Bye),
            (Ask::Alive | Ask::Ready | Ask::Post { .. } | Ask::Members { .. } | Ask::Done { .. }, _) => {
                return Err(Say::Unknown);
            }
            _ => return Err(cannot_join(group, "no client has opened it at this forwarder")),
        };
        if self.is_over() {
            return Err(cannot_join(group, "the run of this forwarder is over"));
        }
        let Some(order) = Order::named(order, method, reliability) else {
            let reason = format!(
                "this forwarder knows no order `{order}` with method `{method}` and reliability `{reliability}`"
            );
            return Err(refused(&Failure::new(Exit::Config, reason)));
        };
        if self.groups.len() >= MAX_GROUPS {
            return Err(refused(&Failure::new(Exit::Unavailable, "too many groups")));
        }
        let clients = self.clients.get(group).copied().unwrap_or(self.rules.clients);
        let rules = Rules { clients, ..self.rules };
        let opened = if let Some((run, members)) = resumed {
            let mut opened = Group::new(now, run, who, order, rules);
            opened.take_up(now, members).map_err(|why| refused(&why))?;
            self.is_heir = true;
            actions.notice(format!("{group}: {id} goes on with a run that another forwarder began"));
            opened
        } else {
            self.runs = (self.runs + 1) % RUN_LIMIT;
            Group::new(now, self.runs, who, order, rules)
        };
        self.groups.insert(group.clone(), opened);
        Ok(())
    }

    /// Returns the number of a run that may be taken up from another forwarder.
    fn resumable(&self, now: Time, run: &str) -> Result<u64, Failure> {
        // Later, members have given up the silent forwarder.
        let is_young = now < Time::ZERO.after(RESUMABLE);
        let number = run_from_text(run).filter(|run| is_young || self.announced.contains(run));
        let unknown = || format!("this forwarder knows nothing of run {run}");
        number.ok_or_else(|| Failure::new(Exit::Unavailable, unknown()))
    }

    /// Handles a member that resumes a run of another forwarder, or asks whether it has begun. The run is remembered;
    /// once it has begun, a group that gathers here under the same name is dropped, and its members join that run.
    fn make_way(&mut self, now: Time, group: &str, run: &str, members: &[Seat]) {
        let Some(number) = run_from_text(run) else { return };
        if members.is_empty() {
            if !self.announced.contains(&number) {
                remember(&mut self.announced, number);
            }
            return;
        }
        let is_gathering = |group: &Group| group.is_gathering() && group.run != number;
        if self.groups.get(group).is_some_and(is_gathering) && self.resumable(now, run).is_ok() {
            self.groups.remove(group);
        }
    }

    /// Records that an answer could not be delivered: the process has closed its connection.
    pub fn unreachable(&mut self, now: Time, asker: &Asker) {
        let groups = self.groups.values_mut();
        let members = groups.flat_map(|group| group.members.values_mut().map(|member| &mut member.peer));
        members.chain(self.attendants.peers()).for_each(|peer| peer.unreachable(now, asker));
    }

    /// Handles the passage of time.
    pub fn tick(&mut self, now: Time, actions: &mut Actions) {
        for incoming in std::mem::take(&mut self.postponed) {
            self.handle(now, incoming, actions);
        }
        let vacancy = self.attendants.drop_lost(now, actions);
        self.go_on_without(vacancy, actions);
        self.groups.values_mut().for_each(|group| group.tick(now, actions));
        self.retire(now, actions);
        let (groups, end) = (self.entries(), self.is_over().then(|| self.result()));
        self.attendants.answer(now, &groups, end.as_ref(), actions);
    }

    /// Removes groups whose members all know that they are over, and groups that all clients left before the start.
    fn retire(&mut self, now: Time, actions: &mut Actions) {
        let Self { groups, ended, failure, deserted, served, .. } = self;
        groups.retain(|_, group| {
            if let Some(why) = group.end_if_deserted(now, actions) {
                *deserted = Some(why);
                return false;
            }
            let Some(result) = group.known_end(now) else { return true };
            *served += 1;
            remember(ended, (group.run, result.clone()));
            if let Err(why) = result {
                failure.get_or_insert_with(|| why.clone());
            }
            false
        });
    }

    /// Returns the groups that are being served.
    #[must_use]
    pub fn entries(&self) -> Vec<GroupEntry> {
        self.groups.values().filter(|group| !group.is_over()).map(Group::entry).collect()
    }

    fn is_over(&self) -> bool {
        !self.rules.stay && self.served > 0 && self.groups.is_empty()
    }

    /// Returns the result of all runs that are over: the first failure, if there is one.
    fn result(&self) -> Result<(), Failure> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// Returns the outcome of all runs, once all are over and all processes know it.
    #[must_use]
    pub fn outcome(&self, now: Time) -> Option<Result<(), Failure>> {
        let known = self.attendants.know_the_end(now, self.failure.is_some());
        // With another forwarder, there may be another router.
        let is_alone = self.announced.is_empty();
        let is_here = |role: Role| self.attendants.is_here(role);
        let sequencer_came = is_here(Role::Sequencer) || !self.rules.sequencer_may_come;
        let all_came =
            (is_alone && is_here(Role::Router) && sequencer_came) || now >= self.awaits_latecomers_until();
        let all_answered = known && self.postponed.is_empty();
        (self.is_over() && all_answered && all_came).then(|| self.result())
    }

    /// Returns when the end comes without further input, once everything else is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        self.is_over().then(|| self.awaits_latecomers_until())
    }

    /// Returns until when a router or sequencer may come that was started together with this forwarder. Where all that
    /// has come came soon, the machine has little to do, and another process has come as soon.
    fn awaits_latecomers_until(&self) -> Time {
        let others_came = self.came.since(Time::ZERO);
        let is_first = self.announced.is_empty() && !self.is_heir;
        let usual = others_came.saturating_mul(LATECOMERS_FACTOR).clamp(FIRST_LATECOMERS, LATECOMERS);
        Time::ZERO.after(if is_first { usual } else { LATECOMERS })
    }

    /// Returns whether no client has ever joined.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.groups.is_empty() && self.served == 0
    }

    /// Returns the failure of a forwarder at which no group has formed within the limit.
    #[must_use]
    pub fn overdue(&self, now: Time) -> Option<Failure> {
        if !self.is_untouched() || self.rules.stay || self.idle(now) < self.rules.start_timeout {
            return None;
        }
        let deserted = self.deserted.as_ref().map_or_else(String::new, |why| format!("{why}; "));
        let limit = units::duration(self.rules.start_timeout);
        let waited = clients(self.rules.clients);
        let message = format!("{deserted}nobody came within {limit}: waited for {waited}");
        let help = "start the clients, or give the start more time with --start-timeout";
        Some(Failure::new(Exit::TimedOut, message).help(help))
    }

    /// Returns the time since the last request of a member; members that join elsewhere ask here, too.
    fn idle(&self, now: Time) -> Duration {
        now.since(self.asked)
    }

    /// Ends every group, because the forwarder itself has to end.
    pub fn close(&mut self, failure: &Failure, actions: &mut Actions) {
        for group in self.groups.values_mut() {
            group.end(Err(failure.clone()), actions);
        }
        for peer in self.attendants.peers() {
            peer.answer(ended(&Err(failure.clone())), actions);
        }
    }

    /// Returns a text for each group that waits, with the missing processes.
    #[must_use]
    pub fn waiting(&self, now: Time) -> Vec<String> {
        if self.is_untouched() && !self.rules.stay {
            let left = self.rules.start_timeout.saturating_sub(self.idle(now)).as_secs();
            return vec![format!("waiting for {} (gives up in {left} s)", clients(self.rules.clients))];
        }
        self.groups.values().filter_map(|group| group.waiting(now)).collect()
    }
}

fn cannot_join(group: &str, why: &str) -> Say {
    refused(&Failure::new(Exit::Unavailable, format!("cannot join group {group}: {why}")))
}

/// Keeps the last [`RUNS_KEPT`].
fn remember<T>(runs: &mut VecDeque<T>, run: T) {
    if runs.len() == RUNS_KEPT {
        runs.pop_front();
    }
    runs.push_back(run);
}
