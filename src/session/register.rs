//! The forwarder's side of the talk on the sync port: a start barrier and a finish for every group.
//! What happens to one group is in `group`; here is what they share.

use std::collections::BTreeMap;
use std::time::Duration;

use super::group::{Group, Phase};
use super::presence::Presence;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::script::check_id;
use crate::talk::list;
use crate::wire::control::{Ask, GroupEntry, Identity, Reply, Request, Role, Say};
use crate::wire::header::VERSION;

/// Most groups that a forwarder serves at one time.
pub const MAX_GROUPS: usize = 1024;

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
    runs: u64,
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
        Self { rules, groups: BTreeMap::new(), attendants: BTreeMap::new(), runs, outcome: None, served: 0 }
    }

    /// Whether the forwarder passes packets of this group on.
    #[must_use]
    pub fn serves(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// A request has arrived; `Err` carries the version of one that we do not speak.
    pub fn asked(
        &mut self,
        now: Time,
        asker: Asker,
        request: Result<Request, Option<u64>>,
        actions: &mut Actions,
    ) {
        match request {
            Ok(request) if request.who.group.is_empty() => self.attendant_asks(now, asker, request, actions),
            Ok(request) => self.member_asks(now, asker, request, actions),
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
        self.tick(now, actions);
    }

    fn attendant_asks(&mut self, now: Time, asker: Asker, request: Request, actions: &mut Actions) {
        let (id, nonce, role) = (request.who.id, request.who.nonce, request.who.role);
        if role == Role::Client {
            return refuse(asker, request.seq, Exit::Usage, "a client joins a group", actions);
        }
        let attendant = self.attendants.entry(role).or_insert_with(|| {
            actions.notices.push(format!("{role} {id} is here"));
            Attendant { id: id.clone(), presence: Presence::new(now, nonce, asker.clone()), told: Vec::new() }
        });
        if attendant.presence.nonce != nonce {
            if attendant.presence.gone.is_none() {
                let reason = format!("there is already a {role} here ({})", attendant.id);
                return refuse(asker, request.seq, Exit::Unavailable, reason, actions);
            }
            *attendant =
                Attendant { id, presence: Presence::new(now, nonce, asker.clone()), told: Vec::new() };
        }
        attendant.presence.hears(now, asker, request.seq, &request.ask);
        if let Ask::Leave { code, reason } = request.ask {
            attendant.presence.answer(Say::Bye, actions);
            let why = format!("the {role} left the run: {reason} (exit {code})");
            self.attendant_is_gone(role, &why, actions);
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

    fn member_asks(&mut self, now: Time, asker: Asker, request: Request, actions: &mut Actions) {
        // A slash in a name would let the packets of one group pass for those of another.
        if let Err(reason) = check_id(&request.who.group).and_then(|()| check_id(&request.who.id)) {
            return refuse(asker, request.seq, Exit::Usage, reason, actions);
        }
        if !self.groups.contains_key(&request.who.group) {
            let (Ask::Join, Role::Client) = (&request.ask, request.who.role) else {
                let reason = format!("there is no group {} here", request.who.group);
                return refuse(asker, request.seq, Exit::Unavailable, reason, actions);
            };
            let Some(order) = Order::find(&request.who.order, &request.who.method) else {
                let Identity { order, method, .. } = &request.who;
                let reason = format!("this forwarder knows no order `{order}` with method `{method}`");
                return refuse(asker, request.seq, Exit::Config, reason, actions);
            };
            if self.groups.len() >= MAX_GROUPS {
                return refuse(asker, request.seq, Exit::Unavailable, "too many groups", actions);
            }
            self.runs = self.runs.wrapping_add(1);
            self.groups.insert(request.who.group.clone(), Group::new(now, self.runs, order));
        }
        let group = self.groups.get_mut(&request.who.group).expect("found or made above");
        group.asked(now, &self.rules, asker, request, actions);
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
        let lost = self.attendants.iter().find_map(|(role, attendant)| {
            attendant
                .presence
                .lost(now)
                .map(|why| (*role, format!("the {role} {} is lost: {why}", attendant.id)))
        });
        if let Some((role, why)) = lost {
            self.attendant_is_gone(role, &why, actions);
        }
        for (name, group) in &mut self.groups {
            group.tick(now, name, &self.rules, actions);
        }
        self.retire(now);
        self.answer_attendants(now, actions);
    }

    /// Groups that are over, and whose members all know it, make room.
    fn retire(&mut self, now: Time) {
        let Self { groups, outcome, served, .. } = self;
        groups.retain(|_, group| {
            let Phase::Over(result) = &group.phase else { return true };
            if !group.seats.values().all(|seat| seat.presence.knows_the_end(now)) {
                return true;
            }
            *served += 1;
            if let Err(failure) = result {
                outcome.get_or_insert_with(|| failure.clone());
            }
            false
        });
    }

    fn answer_attendants(&mut self, now: Time, actions: &mut Actions) {
        let over = self.is_over();
        let live = self.groups.iter().filter(|(_, group)| !matches!(group.phase, Phase::Over(_)));
        let groups: Vec<GroupEntry> = live.map(|(name, group)| group.entry(name)).collect();
        for attendant in self.attendants.values_mut() {
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
        (self.is_over() && known).then(|| self.outcome.clone().map_or(Ok(()), Err))
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
        self.groups.iter().filter_map(describe).collect()
    }
}

pub(super) fn refuse(asker: Asker, seq: u64, exit: Exit, reason: impl Into<String>, actions: &mut Actions) {
    actions.replies.push((asker, Reply::new(seq, Say::Refused { code: exit.code(), reason: reason.into() })));
}

pub(super) fn abort(failure: &Failure) -> Say {
    Say::Abort { code: failure.exit.code(), reason: failure.message.clone() }
}
