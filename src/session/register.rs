//! The forwarder's side of the talk on the sync port: a start barrier and a finish for every group.
//! What happens to one group is in `group`; here is what they share.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::LOST_AFTER;
use super::group::{CHALLENGE, Group, Phase};
use super::presence::{Held, Presence};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::script::check_id;
use crate::talk::list;
use crate::wire::control::{Ask, GroupEntry, Identity, Reply, Request, Role, Say, run_from_text};
use crate::wire::header::VERSION;

/// Most groups that a forwarder serves at one time.
pub const MAX_GROUPS: usize = 1024;
/// Most newcomers that are kept waiting at one time.
const MAX_CHALLENGERS: usize = 256;
/// A group that has not started and has no client any more is forgotten after this long.
pub const EMPTY_KEPT: Duration = Duration::from_secs(5);
/// A forwarder is not over before it is this old, if a router or a sequencer may still be on its way: those that
/// were started together with it are to hear of the end, however short the run was.
pub const LATECOMERS: Duration = Duration::from_secs(2);
/// A run that another forwarder began is taken up only by one that is not older than this.
pub const RESUMABLE: Duration = Duration::from_secs(2 * LOST_AFTER.as_secs());
/// The outcomes of so many runs are remembered.
const ENDED_KEPT: usize = 64;

/// Where to send an answer: the address of the connection on which the question came.
pub type Asker = Vec<u8>;

/// What the register wants done; appended to, in order.
#[derive(Debug, Default)]
pub struct Actions {
    /// Answers to send.
    pub replies: Vec<(Asker, Reply)>,
    /// What people want to know.
    pub notices: Vec<String>,
}

/// What a register is told once.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How many clients each group has.
    pub clients: usize,
    /// How long a group may gather.
    pub start_timeout: Duration,
    /// Serve one run after the other instead of ending after the first.
    pub stay: bool,
}

/// Everybody that talks to this forwarder.
#[derive(Debug)]
pub struct Register {
    rules: Rules,
    groups: BTreeMap<String, Group>,
    /// Routers and sequencers, which serve every group.
    attendants: BTreeMap<Role, Attendant>,
    /// Newcomers that are kept waiting, because whoever has their place may be gone.
    challengers: Vec<(Held, Request)>,
    runs: u64,
    /// The last runs that ended here, for members that did not hear of it.
    ended: VecDeque<(u64, Result<(), Failure>)>,
    outcome: Option<Failure>,
    served: usize,
}

#[derive(Debug)]
struct Attendant {
    id: String,
    presence: Presence,
    /// The groups it was last told of.
    told: Vec<GroupEntry>,
}

impl Register {
    /// An empty register. `runs` is any number that another forwarder process is unlikely to have: the first
    /// run's number, from which those of later runs are counted.
    #[must_use]
    pub fn new(rules: Rules, runs: u64) -> Self {
        let (groups, attendants) = (BTreeMap::new(), BTreeMap::new());
        let (challengers, ended) = (Vec::new(), VecDeque::new());
        Self { rules, groups, attendants, challengers, runs, ended, outcome: None, served: 0 }
    }

    /// Whether the forwarder passes packets of this group on.
    #[must_use]
    pub fn serves(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// A request has arrived; `Err` carries the version of one that we do not speak. What follows from it for the
    /// group shows at the next [`Register::tick`], which is due when all that has arrived has been told.
    pub fn asked(
        &mut self,
        now: Time,
        asker: Asker,
        request: Result<Request, Option<u64>>,
        actions: &mut Actions,
    ) {
        match request {
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
            return refuse(held, Exit::Usage, "a client joins a group", actions);
        }
        let is_other = |there: &&Attendant| there.presence.nonce != nonce;
        if let Some(other) = self.attendants.get(&role).filter(is_other)
            && other.presence.gone.is_none()
        {
            if now < held.since.after(CHALLENGE) && self.challengers.len() < MAX_CHALLENGERS {
                return self.challengers.push((held, request));
            }
            let reason = format!("there is already a {role} here ({})", other.id);
            return refuse(held, Exit::Unavailable, reason, actions);
        }
        if self.attendants.get(&role).is_none_or(|there| is_other(&there)) {
            actions.notices.push(format!("{} is here", attendant_name(role, id)));
            let presence = Presence::new(now, nonce, held.asker.clone());
            self.attendants.insert(role, Attendant { id: id.clone(), presence, told: Vec::new() });
        }
        let attendant = self.attendants.get_mut(&role).expect("there, or added above");
        attendant.presence.hears(now, held);
        if let Ask::Leave { code, reason } = &request.ask {
            attendant.presence.answer(Say::Bye, actions);
            let name = attendant_name(role, id);
            self.attendant_is_gone(role, &format!("{name} left the run: {reason} (exit {code})"), actions);
        }
    }

    /// Without it no group can go on.
    fn attendant_is_gone(&mut self, role: Role, why: &str, actions: &mut Actions) {
        self.attendants.remove(&role);
        actions.notices.push(why.to_owned());
        for group in self.groups.values_mut().filter(|group| group.phase == Phase::Running) {
            group.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
        }
    }

    fn member_asks(&mut self, now: Time, held: Held, request: Request, actions: &mut Actions) {
        let who = &request.who;
        // A slash in a name would let the packets of one group pass for those of another.
        if let Err(reason) = check_id(&who.group).and_then(|()| check_id(&who.id)) {
            return refuse(held, Exit::Usage, reason, actions);
        }
        if self.has_another_seat(&held.asker, who) {
            return refuse(held, Exit::Unavailable, "one connection is one member", actions);
        }
        // Also if a group of the same name is in its next run by now.
        if let Some(say) = self.how_it_ended(&request.ask) {
            return answer(held, say, actions);
        }
        if !self.groups.contains_key(&who.group)
            && let Err(say) = self.open(now, &request, actions)
        {
            return answer(held, say, actions);
        }
        let group = self.groups.get_mut(&who.group).expect("found or opened above");
        if request.ask != Ask::Join {
            return group.asked(now, held, request, actions);
        }
        match group.may_join(&request, &self.rules) {
            Ok(()) => group.welcome(now, held, &request, &self.rules, actions),
            Err(objection)
                if objection.may_pass(now, held.since) && self.challengers.len() < MAX_CHALLENGERS =>
            {
                self.challengers.push((held, request));
            }
            Err(objection) => {
                let (exit, reason) = objection.explain(group, &request);
                if group.is_without_numbers(&request) {
                    let why = "the sequencer was started again and does not know which numbers it gave";
                    group.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
                }
                refuse(held, exit, reason, actions);
            }
        }
    }

    /// Whether this connection is that of another member: nobody takes the places of many.
    fn has_another_seat(&self, asker: &Asker, who: &Identity) -> bool {
        self.groups.iter().any(|(name, group)| {
            let is_other = |id: &String| *name != who.group || *id != who.id;
            group.seats.iter().any(|(id, seat)| seat.presence.asker == *asker && is_other(id))
        })
    }

    /// Opens the group that a request names, or says why not.
    fn open(&mut self, now: Time, request: &Request, actions: &mut Actions) -> Result<(), Say> {
        let Identity { group, id, order, method, role, .. } = &request.who;
        let refused = |exit: Exit, reason: String| Err(Say::Refused { code: exit.code(), reason });
        let resumed = match (&request.ask, role) {
            (Ask::Join, Role::Client) => None,
            (Ask::Resume { run, .. }, _) => Some(Self::resumable(now, run)?),
            (Ask::Leave { .. }, _) => return Err(Say::Bye),
            (Ask::Alive | Ask::Ready | Ask::Done, _) => return Err(Say::Unknown),
            _ => return refused(Exit::Unavailable, format!("there is no group {group} here")),
        };
        if self.is_over() {
            return refused(Exit::Unavailable, format!("the run is over; {id} comes too late"));
        }
        let Some(order) = Order::find(order, method) else {
            let reason = format!("this forwarder knows no order `{order}` with method `{method}`");
            return refused(Exit::Config, reason);
        };
        if self.groups.len() >= MAX_GROUPS {
            return refused(Exit::Unavailable, "too many groups".to_owned());
        }
        let opened = if let Some(run) = resumed {
            actions.notices.push(format!("{group}: {id} goes on with a run that another forwarder began"));
            Group::resumed(now, run, order)
        } else {
            self.runs = self.runs.wrapping_add(1);
            Group::new(now, self.runs, order)
        };
        self.groups.insert(group.clone(), opened);
        Ok(())
    }

    /// What a member is to be told that goes on with a run which has ended here.
    fn how_it_ended(&self, ask: &Ask) -> Option<Say> {
        let Ask::Resume { run, .. } = ask else { return None };
        let number = run_from_text(run)?;
        let (_, result) = self.ended.iter().find(|(ended, _)| *ended == number)?;
        Some(result.as_ref().err().map_or(Say::End, abort))
    }

    /// The number of a run that may be taken up from another forwarder.
    fn resumable(now: Time, run: &str) -> Result<u64, Say> {
        // Later than this, members have given up a forwarder that fell silent.
        run_from_text(run).filter(|_| now < Time::ZERO.after(RESUMABLE)).ok_or_else(|| Say::Refused {
            code: Exit::Unavailable.code(),
            reason: format!("this forwarder knows nothing of run {run}"),
        })
    }

    /// An answer could not be delivered: whoever was there has closed its connection.
    pub fn unreachable(&mut self, now: Time, asker: &Asker) {
        let members = self
            .groups
            .values_mut()
            .flat_map(|group| group.seats.values_mut().map(|seat| &mut seat.presence));
        let attendants = self.attendants.values_mut().map(|attendant| &mut attendant.presence);
        for presence in members.chain(attendants) {
            if presence.asker == *asker && presence.gone.is_none() {
                presence.gone = Some(now);
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Time, actions: &mut Actions) {
        for (held, request) in std::mem::take(&mut self.challengers) {
            self.consider(now, held, request, actions);
        }
        let lost = self.attendants.iter().find_map(|(role, attendant)| {
            let name = attendant_name(*role, &attendant.id);
            attendant.presence.lost(now).map(|why| (*role, format!("{name} is lost: {why}")))
        });
        if let Some((role, why)) = lost {
            self.attendant_is_gone(role, &why, actions);
        }
        for (name, group) in &mut self.groups {
            group.tick(now, name, &self.rules, actions);
        }
        self.retire(now, actions);
        self.answer_attendants(now, actions);
    }

    /// Groups that are over, and whose members all know it, make room; so do those that all clients have left.
    fn retire(&mut self, now: Time, actions: &mut Actions) {
        let Self { groups, ended, outcome, served, .. } = self;
        groups.retain(|name, group| {
            if group.phase == Phase::Gathering && now >= group.inhabited.after(EMPTY_KEPT) {
                let why = format!("all clients of group {name} have left");
                group.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
                return false;
            }
            let Phase::Over(result) = &group.phase else { return true };
            if !group.seats.values().all(|seat| seat.presence.knows_the_end(now)) {
                return true;
            }
            *served += 1;
            if ended.len() == ENDED_KEPT {
                ended.pop_front();
            }
            ended.push_back((group.run, result.clone()));
            if let Err(failure) = result {
                outcome.get_or_insert_with(|| failure.clone());
            }
            false
        });
    }

    /// The groups that are being served.
    #[must_use]
    pub fn entries(&self) -> Vec<GroupEntry> {
        let live = self.groups.iter().filter(|(_, group)| !matches!(group.phase, Phase::Over(_)));
        live.map(|(name, group)| group.entry(name)).collect()
    }

    fn answer_attendants(&mut self, now: Time, actions: &mut Actions) {
        let over = self.is_over();
        let groups = self.entries();
        for attendant in self.attendants.values_mut() {
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

    /// The outcome of everything, once it is over and everybody knows it.
    #[must_use]
    pub fn outcome(&self, now: Time) -> Option<Result<(), Failure>> {
        let known = self.attendants.values().all(|attendant| attendant.presence.knows_the_end(now));
        let all_came = self.attendants.len() == 2 || now >= Time::ZERO.after(LATECOMERS);
        let all_answered = known && self.challengers.is_empty();
        (self.is_over() && all_answered && all_came).then(|| self.outcome.clone().map_or(Ok(()), Err))
    }

    /// Whether nobody has ever joined.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.groups.is_empty() && self.served == 0
    }

    /// Ends every group, because the forwarder itself must end.
    pub fn close(&mut self, failure: &Failure, actions: &mut Actions) {
        for group in self.groups.values_mut() {
            group.end(&Err(failure.clone()), actions);
        }
        for attendant in self.attendants.values_mut() {
            attendant.presence.answer(abort(failure), actions);
        }
    }

    /// For each group that waits: for whom, for people.
    #[must_use]
    pub fn waiting(&self, now: Time) -> Vec<String> {
        let describe = |(name, group): (&String, &Group)| {
            let gives_up = match group.phase {
                Phase::Gathering => {
                    let left = self.rules.start_timeout.saturating_sub(now.since(group.since));
                    format!(" (gives up in {} s)", left.as_secs())
                }
                Phase::Running if group.seats.values().any(|seat| seat.done) => String::new(),
                _ => return None,
            };
            let missing = group.missing(&self.rules);
            (!missing.is_empty())
                .then(|| format!("{name}: {}; waiting for {}{gives_up}", group.progress(), list(&missing)))
        };
        if self.is_untouched() && !self.rules.stay {
            let left = self.rules.start_timeout.saturating_sub(now.since(Time::ZERO)).as_secs();
            return vec![format!("waiting for {} (gives up in {left} s)", clients(self.rules.clients))];
        }
        self.groups.iter().filter_map(describe).collect()
    }
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

/// A router or sequencer for people: its name alone, if that says what it is.
fn attendant_name(role: Role, id: &str) -> String {
    if id == role.to_string() { format!("the {role}") } else { format!("the {role} {id}") }
}

/// `1 client`, `2 clients`.
#[must_use]
pub fn clients(count: usize) -> String {
    format!("{count} client{}", if count == 1 { "" } else { "s" })
}
