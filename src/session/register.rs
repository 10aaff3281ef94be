//! The forwarder's side of the exchange on the sync port: a start barrier and a finish for every group. The state of
//! one group is in `group`, the state shared by all is here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::group::{Group, Phase};
use super::objection::CHALLENGE;
use super::presence::{Held, Presence};
use super::shown::Shown;
use super::{LOST_AFTER, MAX_STANDBYS};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::script::{check_client_id, check_id};
use crate::talk::list;
use crate::wire::control::{Ask, GroupEntry, Identity, Reply, Request, Role, Say, Seat, run_from_text};
use crate::wire::header::{RUN_LIMIT, VERSION};

/// Most groups that a forwarder serves at one time.
pub const MAX_GROUPS: usize = 1024;
/// Most routers that attend one forwarder.
pub const MAX_ROUTERS: usize = 16;
/// Most processes that are kept waiting at one time.
const MAX_CHALLENGERS: usize = 256;
/// Time after which a group that has not started and has no client is dropped.
pub const EMPTY_KEPT: Duration = Duration::from_secs(5);
/// Shortest life of a forwarder whose router or sequencer may still be starting: processes that were started together
/// with it must hear of the end, however short the run was.
pub const LATECOMERS: Duration = Duration::from_secs(2);
/// Oldest age at which a forwarder takes up a run that another one began.
pub const RESUMABLE: Duration = Duration::from_secs(2 * LOST_AFTER.as_secs());
/// The number of ended runs, and of runs that may be taken up, that are remembered.
pub const RUNS_KEPT: usize = 64;

/// The receiver of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Asker {
    /// A process: the address of the connection on which it asked.
    Connection(Vec<u8>),
    /// The sequencer inside the forwarder, for this run.
    Inside(String),
    /// No process: a member that another one has named, and that has not asked yet.
    Nobody,
}

/// The effects of the register; appended to, in order.
#[derive(Debug, Default)]
pub struct Actions {
    /// Answers to send.
    pub replies: Vec<(Asker, Reply)>,
    /// Notices for people.
    pub notices: Vec<String>,
}

/// The configuration of a register.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The number of clients of each group.
    pub clients: usize,
    /// The longest time until a start.
    pub start_timeout: Duration,
    /// True to serve one run after the other instead of ending after the first.
    pub stay: bool,
}

/// All groups and processes at this forwarder.
#[derive(Debug)]
pub struct Register {
    pub(super) rules: Rules,
    pub(super) groups: BTreeMap<String, Group>,
    /// Routers and sequencers, which serve every group.
    attendants: Vec<Attendant>,
    /// Processes that are kept waiting, because the holder of their place may be gone.
    challengers: Vec<(Held, Request)>,
    runs: u64,
    /// Runs about which members of another forwarder have asked: they may be taken up here.
    announced: VecDeque<u64>,
    /// The time of the last request of a member.
    asked: Time,
    /// The last runs that ended here, for members that did not hear of it.
    ended: VecDeque<(u64, Result<(), Failure>)>,
    outcome: Option<Failure>,
    /// The reason why the last group that did not start lost its clients, for people.
    deserted: Option<String>,
    served: usize,
    pub(super) shown: Shown,
}

#[derive(Debug)]
struct Attendant {
    role: Role,
    id: String,
    presence: Presence,
    /// The groups that it was last sent.
    told: Vec<GroupEntry>,
}

impl Register {
    /// Returns an empty register. `runs` is any number that another forwarder process is unlikely to have: the run
    /// numbers are counted from it.
    #[must_use]
    pub fn new(rules: Rules, runs: u64) -> Self {
        Self {
            rules,
            groups: BTreeMap::new(),
            attendants: Vec::new(),
            challengers: Vec::new(),
            runs: runs % RUN_LIMIT,
            announced: VecDeque::new(),
            asked: Time::ZERO,
            ended: VecDeque::new(),
            outcome: None,
            deserted: None,
            served: 0,
            shown: Shown::default(),
        }
    }

    /// Returns whether the forwarder passes packets of this group on.
    #[must_use]
    pub fn serves(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Handles a request; `Err` carries the protocol version of one that this build does not speak. The effects on the
    /// group follow at the next [`Register::tick`], which is due when all waiting requests have been handled.
    pub fn asked(
        &mut self,
        now: Time,
        asker: Asker,
        request: Result<Request, Option<u64>>,
        actions: &mut Actions,
    ) {
        match request {
            Ok(Request { ask: Ask::Members { skip }, who, seq, .. }) => {
                self.show(now, (asker, seq), &who.group, skip, actions);
            }
            Ok(request) => self.consider(now, Held::new(now, asker, &request), request, actions),
            Err(version) => {
                let reason = version.map_or_else(
                    || "this is not a request".to_owned(),
                    |theirs| {
                        format!(
                            "this forwarder speaks protocol version {VERSION}, the request version {theirs}"
                        )
                    },
                );
                actions
                    .replies
                    .push((asker, Reply::new(0, Say::Refused { code: Exit::Config.code(), reason })));
            }
        }
    }

    fn consider(&mut self, now: Time, held: Held, request: Request, actions: &mut Actions) {
        if request.who.group.is_empty() {
            self.attendant_asks(now, held, request, actions);
        } else {
            self.member_asks(now, held, request, actions);
        }
    }

    fn attendant_asks(&mut self, now: Time, held: Held, request: Request, actions: &mut Actions) {
        let (id, nonce, role) = (&request.who.id, request.who.nonce, request.who.role);
        if role == Role::Client {
            return refuse(held, Exit::Usage, "a client must name its group", actions);
        }
        let place = self.attendants.iter().position(|there| there.presence.nonce == Some(nonce));
        let place = match place {
            Some(place) => place,
            None => {
                let most = match role {
                    Role::Router => MAX_ROUTERS,
                    Role::Standby => MAX_STANDBYS,
                    Role::Sequencer | Role::Client => 1,
                };
                let is_there = |there: &&Attendant| there.role == role && there.presence.gone.is_none();
                if self.attendants.iter().filter(is_there).count() >= most {
                    if now < held.since.after(CHALLENGE) && self.challengers.len() < MAX_CHALLENGERS {
                        return self.challengers.push((held, request));
                    }
                    let other = self.attendants.iter().find(is_there).map_or("", |there| &there.id);
                    let reason = format!("there is already a {role} here ({other})");
                    return refuse(held, Exit::Unavailable, reason, actions);
                }
                // The new process replaces one that is gone.
                self.attendants.retain(|there| there.role != role || there.presence.gone.is_none());
                actions.notices.push(format!("{} is here", attendant_name(role, id)));
                let presence = Presence::new(now, nonce, held.asker.clone());
                self.attendants.push(Attendant { role, id: id.clone(), presence, told: Vec::new() });
                self.attendants.len() - 1
            }
        };
        let attendant = &mut self.attendants[place];
        attendant.presence.hears(now, held);
        match &request.ask {
            Ask::Leave { code, reason } => {
                attendant.presence.answer(Say::Bye, actions);
                let name = attendant_name(role, id);
                let why = format!("{name} left the run: {reason} (exit {code})");
                self.attendant_is_gone(place, &why, actions);
            }
            Ask::Over { .. } => {
                attendant.presence.answer(Say::Bye, actions);
                attendant.presence.told_end = true;
            }
            _ => {}
        }
    }

    /// Removes a router or sequencer. Without a router no group can go on; without the sequencer, only a group with a
    /// candidate.
    fn attendant_is_gone(&mut self, place: usize, why: &str, actions: &mut Actions) {
        let role = self.attendants.remove(place).role;
        actions.notices.push(why.to_owned());
        if self.attendants.iter().any(|other| other.role == role) {
            return;
        }
        let ends = |group: &&mut Group| group.phase == Phase::Running && group.ends_without(role);
        for group in self.groups.values_mut().filter(ends) {
            group.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    fn member_asks(&mut self, now: Time, held: Held, request: Request, actions: &mut Actions) {
        self.asked = now;
        let who = &request.who;
        // With a slash in its name, the packets of one group could pass for those of another.
        let check_name = if who.role == Role::Client { check_client_id } else { check_id };
        if let Err(reason) = check_id(&who.group).and_then(|()| check_name(&who.id)) {
            return refuse(held, Exit::Usage, reason, actions);
        }
        if self.has_another_seat(&held.asker, who) {
            return refuse(
                held,
                Exit::Unavailable,
                "this connection belongs to another member: each member needs a connection of its own",
                actions,
            );
        }
        // Also if a group of the same name is in its next run by now.
        if let Some(say) = self.how_it_ended(&request.ask) {
            return answer(held, say, actions);
        }
        if let Ask::Resume { run, members, .. } = &request.ask {
            self.make_way(now, &who.group, run, members);
        }
        if !self.groups.contains_key(&who.group)
            && let Err(say) = self.open(now, &request, actions)
        {
            return answer(held, say, actions);
        }
        let group = self.groups.get_mut(&who.group).expect("found or opened above");
        if request.ask != Ask::Join {
            return group.asked(now, held, request, &self.rules, actions);
        }
        group.is_deserted_by(&request.who, actions);
        match group.may_join(&request, &self.rules) {
            Ok(()) => group.welcome(now, held, &request, &self.rules, actions),
            Err(objection)
                if objection.may_pass(now, held.since) && self.challengers.len() < MAX_CHALLENGERS =>
            {
                self.challengers.push((held, request));
            }
            Err(objection) => {
                if let Some(absence) = objection.absence(&request).filter(|_| who.role == Role::Client) {
                    group.misses(&who.id, absence);
                }
                let (exit, reason) = objection.explain(group, &request);
                if group.is_without_numbers(&request) {
                    let why = "the sequencer was started again and does not know which numbers it gave";
                    group.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
                }
                actions.notices.push(format!("{}: refused {}: {reason}", who.group, who.id));
                refuse(held, exit, reason, actions);
            }
        }
    }

    /// Returns whether this connection belongs to another member: a connection serves one seat.
    fn has_another_seat(&self, asker: &Asker, who: &Identity) -> bool {
        self.groups.iter().any(|(name, group)| {
            let is_other = |id: &String| *name != who.group || *id != who.id;
            group.seats.iter().any(|(id, seat)| seat.presence.asker == *asker && is_other(id))
        })
    }

    /// Opens the group that a request names, or returns the refusal.
    fn open(&mut self, now: Time, request: &Request, actions: &mut Actions) -> Result<(), Say> {
        let Identity { group, id, order, method, role, .. } = &request.who;
        let refusal = |exit: Exit, reason: String| Say::Refused { code: exit.code(), reason };
        let resumed = match (&request.ask, role) {
            (Ask::Join, Role::Client) => None,
            (Ask::Resume { members, .. }, _) if members.is_empty() => return Err(Say::Unknown),
            (Ask::Resume { run, members, .. }, _) => Some((self.resumable(now, run)?, members)),
            (Ask::Leave { .. } | Ask::Withdraw | Ask::Over { .. }, _) => return Err(Say::Bye),
            (Ask::Alive | Ask::Ready | Ask::Members { .. } | Ask::Done { .. }, _) => {
                return Err(Say::Unknown);
            }
            _ => {
                return Err(refusal(
                    Exit::Unavailable,
                    format!("cannot join group {group}: no client has opened it at this forwarder"),
                ));
            }
        };
        if self.is_over() {
            return Err(refusal(
                Exit::Unavailable,
                format!("cannot join group {group}: the run of this forwarder is over"),
            ));
        }
        let Some(order) = Order::find(order, method) else {
            let reason = format!("this forwarder knows no order `{order}` with method `{method}`");
            return Err(refusal(Exit::Config, reason));
        };
        if self.groups.len() >= MAX_GROUPS {
            return Err(refusal(Exit::Unavailable, "too many groups".to_owned()));
        }
        let opened = if let Some((run, members)) = resumed {
            let taken_up = Group::resumed(now, run, (order, id), members, &self.rules)
                .map_err(|(exit, reason)| refusal(exit, reason))?;
            actions.notices.push(format!("{group}: {id} goes on with a run that another forwarder began"));
            taken_up
        } else {
            self.runs = (self.runs + 1) % RUN_LIMIT;
            Group::new(now, self.runs, order, id)
        };
        self.groups.insert(group.clone(), opened);
        Ok(())
    }

    /// Returns the outcome for a member that resumes a run which has ended here.
    fn how_it_ended(&self, ask: &Ask) -> Option<Say> {
        let Ask::Resume { run, .. } = ask else { return None };
        let number = run_from_text(run)?;
        let (_, result) = self.ended.iter().find(|(ended, _)| *ended == number)?;
        Some(result.as_ref().err().map_or(Say::End, abort))
    }

    /// Returns the number of a run that may be taken up from another forwarder.
    fn resumable(&self, now: Time, run: &str) -> Result<u64, Say> {
        // Later, members have given up the silent forwarder.
        let is_young = now < Time::ZERO.after(RESUMABLE);
        let number = run_from_text(run).filter(|run| is_young || self.announced.contains(run));
        number.ok_or_else(|| Say::Refused {
            code: Exit::Unavailable.code(),
            reason: format!("this forwarder knows nothing of run {run}"),
        })
    }

    /// Handles a member that resumes a run of another forwarder, or asks whether it has begun. The run is remembered;
    /// once it has begun, a group that gathers here under the same name is dropped, and its members join that run.
    fn make_way(&mut self, now: Time, group: &str, run: &str, members: &[Seat]) {
        let Some(number) = run_from_text(run) else { return };
        let is_gathering = |group: &Group| group.phase == Phase::Gathering && group.run != number;
        if members.is_empty() && !self.announced.contains(&number) {
            remember(&mut self.announced, number);
        }
        let is_told = !members.is_empty() && self.resumable(now, run).is_ok();
        if is_told && self.groups.get(group).is_some_and(is_gathering) {
            self.groups.remove(group);
        }
    }

    /// Records that an answer could not be delivered: the process has closed its connection.
    pub fn unreachable(&mut self, now: Time, asker: &Asker) {
        let members = self
            .groups
            .values_mut()
            .flat_map(|group| group.seats.values_mut().map(|seat| &mut seat.presence));
        let attendants = self.attendants.iter_mut().map(|attendant| &mut attendant.presence);
        for presence in members.chain(attendants) {
            if presence.asker == *asker && presence.gone.is_none() {
                presence.gone = Some(now);
            }
        }
    }

    /// Handles the passage of time.
    pub fn tick(&mut self, now: Time, actions: &mut Actions) {
        for (held, request) in std::mem::take(&mut self.challengers) {
            self.consider(now, held, request, actions);
        }
        let lost = self.attendants.iter().enumerate().find_map(|(place, attendant)| {
            let name = attendant_name(attendant.role, &attendant.id);
            attendant.presence.lost(now).map(|why| (place, format!("{name} is lost: {why}")))
        });
        if let Some((place, why)) = lost {
            self.attendant_is_gone(place, &why, actions);
        }
        for (name, group) in &mut self.groups {
            group.tick(now, name, &self.rules, actions);
        }
        self.retire(now, actions);
        self.answer_attendants(now, actions);
    }

    /// Removes groups whose members all know that they are over, and groups that all clients left before the start.
    fn retire(&mut self, now: Time, actions: &mut Actions) {
        let Self { groups, ended, outcome, deserted, served, rules, .. } = self;
        groups.retain(|name, group| {
            if group.phase == Phase::Gathering && now >= group.inhabited.after(EMPTY_KEPT) {
                let why = format!("all clients of group {name} have left{}", group.absences());
                *deserted = Some(why.clone());
                group.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
                return false;
            }
            let Phase::Over(result) = &group.phase else { return true };
            // A failure shows by itself, and a forwarder that stays can report the outcome later.
            let may_ask_later = result.is_err() || rules.stay;
            if !group.is_known_to_be_over(now, may_ask_later) {
                return true;
            }
            *served += 1;
            remember(ended, (group.run, result.clone()));
            if let Err(failure) = result {
                outcome.get_or_insert_with(|| failure.clone());
            }
            false
        });
    }

    /// Returns the groups that are being served.
    #[must_use]
    pub fn entries(&self) -> Vec<GroupEntry> {
        let live = self.groups.iter().filter(|(_, group)| !matches!(group.phase, Phase::Over(_)));
        live.map(|(name, group)| group.entry(name)).collect()
    }

    fn answer_attendants(&mut self, now: Time, actions: &mut Actions) {
        let over = self.is_over();
        let groups = self.entries();
        for attendant in &mut self.attendants {
            attendant.presence.nudge(now, actions);
            let say = match (&over, &self.outcome) {
                (true, None) => Say::End,
                (true, Some(failure)) => abort(failure),
                (false, _) if attendant.told != groups || attendant.presence.is_overdue(now) => {
                    Say::Groups { groups: groups.clone() }
                }
                (false, _) => continue,
            };
            if attendant.presence.held.is_some() {
                attendant.told.clone_from(&groups);
                attendant.presence.answer(say, actions);
            }
        }
    }

    fn is_over(&self) -> bool {
        !self.rules.stay && self.served > 0 && self.groups.is_empty()
    }

    /// Returns the outcome of all runs, once all are over and all processes know it.
    #[must_use]
    pub fn outcome(&self, now: Time) -> Option<Result<(), Failure>> {
        let may_ask_later = self.outcome.is_some();
        let known = self.attendants.iter().all(|Attendant { presence, .. }| {
            presence.knows_the_end(now, may_ask_later) || presence.is_gone_for_good(now)
        });
        let is_here = |role: Role| self.attendants.iter().any(|there| there.role == role);
        // With another forwarder, there may be another router.
        let is_alone = self.announced.is_empty();
        let all_came = (is_alone && is_here(Role::Router) && is_here(Role::Sequencer))
            || now >= Time::ZERO.after(LATECOMERS);
        let all_answered = known && self.challengers.is_empty();
        (self.is_over() && all_answered && all_came).then(|| self.outcome.clone().map_or(Ok(()), Err))
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
        let limit = crate::talk::duration(self.rules.start_timeout);
        let waited = clients(self.rules.clients);
        let message = format!("{deserted}nobody came within {limit}: waited for {waited}");
        let help = "start the clients, or give the start more time with --start-timeout";
        Some(Failure::new(Exit::TimedOut, message).help(help))
    }

    /// Returns the time since the last request of a member; members that join elsewhere ask here, too.
    #[must_use]
    pub fn idle(&self, now: Time) -> Duration {
        now.since(self.asked)
    }

    /// Ends every group, because the forwarder itself has to end.
    pub fn close(&mut self, failure: &Failure, actions: &mut Actions) {
        for group in self.groups.values_mut() {
            group.end(&Err(failure.clone()), actions);
        }
        for attendant in &mut self.attendants {
            attendant.presence.answer(abort(failure), actions);
        }
    }

    /// Returns a text for each group that waits, with the missing processes.
    #[must_use]
    pub fn waiting(&self, now: Time) -> Vec<String> {
        let describe = |(name, group): (&String, &Group)| {
            let gives_up = match group.phase {
                Phase::Gathering => {
                    let left = self.rules.start_timeout.saturating_sub(now.since(group.since));
                    format!(" (gives up in {} s)", left.as_secs())
                }
                Phase::Running if group.seats.values().any(|seat| seat.done.is_some()) => String::new(),
                _ => return None,
            };
            let missing = group.missing(&self.rules);
            (!missing.is_empty())
                .then(|| format!("{name}: {}; waiting for {}{gives_up}", group.progress(), list(&missing)))
        };
        if self.is_untouched() && !self.rules.stay {
            let left = self.rules.start_timeout.saturating_sub(self.idle(now)).as_secs();
            return vec![format!("waiting for {} (gives up in {left} s)", clients(self.rules.clients))];
        }
        self.groups.iter().filter_map(describe).collect()
    }
}

/// Keeps the last [`RUNS_KEPT`].
fn remember<T>(runs: &mut VecDeque<T>, run: T) {
    if runs.len() == RUNS_KEPT {
        runs.pop_front();
    }
    runs.push_back(run);
}

pub(super) fn answer(held: Held, say: Say, actions: &mut Actions) {
    actions.replies.push((held.asker, Reply::new(held.seq, say)));
}

pub(super) fn refuse(held: Held, exit: Exit, reason: impl Into<String>, actions: &mut Actions) {
    answer(held, Say::Refused { code: exit.code(), reason: reason.into() }, actions);
}

pub(super) fn abort(failure: &Failure) -> Say {
    Say::Abort { code: failure.exit.code(), reason: failure.message.clone() }
}

/// Names a router or sequencer for people: its id alone, if that is its role.
fn attendant_name(role: Role, id: &str) -> String {
    if id == role.to_string() { format!("the {role}") } else { format!("the {role} {id}") }
}

/// Formats a number of clients: `1 client`, `2 clients`.
#[must_use]
pub fn clients(count: usize) -> String {
    format!("{count} client{}", if count == 1 { "" } else { "s" })
}
