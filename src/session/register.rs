//! The forwarder's side of the talk on the sync port: a start barrier and a finish for every group.
//!
//! A group passes through `Gathering` (members join and become ready), `Running` (all were ready and were told
//! to start) and `Over` (all were done, or one was lost or left). PROTOCOL.md draws the diagrams.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{LOST_AFTER, SILENT_AFTER};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::order::Order;
use crate::script::check_id;
use crate::talk::list;
use crate::wire::control::{Ask, GroupEntry, HOLD_MILLIS, Identity, Reply, Request, Role, Say, Seat};
use crate::wire::header::VERSION;

/// Most groups that a forwarder serves at one time.
pub const MAX_GROUPS: usize = 1024;

/// A newcomer with the name of a member is kept waiting for this long, to see whether that member is still there.
pub const CHALLENGE: Duration = Duration::from_millis(HOLD_MILLIS + 500);
const HOLD: Duration = Duration::from_millis(HOLD_MILLIS);
/// A member that is not yet ready and whose connection is closed gives up its seat after this long.
pub const GONE_BEFORE_START: Duration = Duration::from_secs(2);

/// The end of a run is kept for a member that asks nothing for this long.
pub const END_KEPT: Duration = Duration::from_secs(5);

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
struct Group {
    run: u64,
    order: &'static Order,
    since: Time,
    seats: BTreeMap<String, Member>,
    incarnations: BTreeMap<String, u32>,
    next_slot: u16,
    challengers: Vec<(Held, Request)>,
    phase: Phase,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Phase {
    Gathering,
    Running,
    Over(Result<(), Failure>),
}

#[derive(Debug)]
struct Member {
    role: Role,
    slot: u16,
    incarnation: u32,
    presence: Presence,
    ready: bool,
    done: bool,
}

#[derive(Debug)]
struct Attendant {
    id: String,
    presence: Presence,
    /// The groups it was last told of.
    told: Vec<GroupEntry>,
}

/// A process at the other end: is it there, and what does it wait to hear?
#[derive(Debug)]
struct Presence {
    nonce: u64,
    asker: Asker,
    heard: Time,
    gone: Option<Time>,
    held: Option<Held>,
    told_end: bool,
}

#[derive(Debug)]
struct Held {
    asker: Asker,
    seq: u64,
    since: Time,
    /// It wants to be told to start, and nothing less.
    wants_start: bool,
}

impl Presence {
    fn new(now: Time, nonce: u64, asker: Asker) -> Self {
        Self { nonce, asker, heard: now, gone: None, held: None, told_end: false }
    }

    /// It has asked something: that is what it waits for now.
    fn hears(&mut self, now: Time, asker: Asker, seq: u64, ask: &Ask) {
        self.heard = now;
        self.gone = None;
        self.asker.clone_from(&asker);
        self.held = Some(Held { asker, seq, since: now, wants_start: *ask == Ask::Ready });
    }

    fn answer(&mut self, say: Say, actions: &mut Actions) {
        if let Some(held) = self.held.take() {
            self.told_end |= matches!(say, Say::End | Say::Abort { .. });
            actions.replies.push((held.asker, Reply::new(held.seq, say)));
        }
    }

    fn is_overdue(&self, now: Time) -> bool {
        self.held.as_ref().is_some_and(|held| now >= held.since.after(HOLD))
    }

    /// Why it is to be given up, if it is.
    fn lost(&self, now: Time) -> Option<String> {
        if self.gone.is_some_and(|gone| now >= gone.after(LOST_AFTER)) {
            let seconds = LOST_AFTER.as_secs();
            return Some(format!("its connection closed and it has not come back within {seconds} s"));
        }
        let seconds = SILENT_AFTER.as_secs();
        (now >= self.heard.after(SILENT_AFTER)).then(|| format!("it has said nothing for {seconds} s"))
    }

    /// Whether there is no use in keeping the end of the run for it any longer.
    fn knows_the_end(&self, now: Time) -> bool {
        self.told_end || self.gone.is_some() || now >= self.heard.after(END_KEPT)
    }
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
        match request.ask {
            Ask::Join => group.join(
                now,
                &self.rules,
                Held { asker, seq: request.seq, since: now, wants_start: false },
                request,
                actions,
            ),
            _ => group.asked(now, asker, request, actions),
        }
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

impl Group {
    fn new(now: Time, run: u64, order: &'static Order) -> Self {
        Self {
            run,
            order,
            since: now,
            seats: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            next_slot: 0,
            challengers: Vec::new(),
            phase: Phase::Gathering,
        }
    }

    fn entry(&self, name: &str) -> GroupEntry {
        let method = self.order.method.unwrap_or_default().to_owned();
        let (group, order) = (name.to_owned(), self.order.name.to_owned());
        GroupEntry { group, run: self.run_text(), order, method }
    }

    fn run_text(&self) -> String {
        format!("{:016x}", self.run)
    }

    fn join(&mut self, now: Time, rules: &Rules, held: Held, request: Request, actions: &mut Actions) {
        match self.may_join(&request, rules) {
            Ok(()) => self.welcome(now, held, &request, actions),
            Err(Objection::Taken) if held.since.after(CHALLENGE) > now => {
                self.challengers.push((held, request));
            }
            Err(objection) => {
                let (exit, reason) = objection.explain(self, &request);
                refuse(held.asker, held.seq, exit, reason, actions);
            }
        }
    }

    fn may_join(&self, request: &Request, rules: &Rules) -> Result<(), Objection> {
        let who = &request.who;
        let same_order =
            Order::find(&who.order, &who.method).is_some_and(|order| order.title() == self.order.title());
        let there = self.seats.get(&who.id);
        let role_taken = |role: Role| {
            self.seats.iter().find(|(id, seat)| seat.role == role && **id != who.id).map(|(id, _)| id.clone())
        };
        match who.role {
            Role::Router => return Err(Objection::NotAMember),
            _ if there.is_some_and(|seat| seat.presence.nonce == who.nonce) => return Ok(()),
            _ if there.is_some_and(|seat| seat.presence.gone.is_none()) => return Err(Objection::Taken),
            _ if self.phase != Phase::Gathering => return Err(Objection::Started),
            Role::Client if !same_order => return Err(Objection::OtherOrder),
            Role::Sequencer if !self.order.sequencer => return Err(Objection::NotAMember),
            Role::Sequencer => {
                if let Some(id) = role_taken(Role::Sequencer) {
                    return Err(Objection::HasSequencer(id));
                }
            }
            Role::Client => {}
        }
        // The last slot stands for the whole group in packets.
        if self.next_slot == u16::MAX {
            return Err(Objection::WornOut);
        }
        let clients = self.seats.values().filter(|seat| seat.role == Role::Client).count();
        if who.role == Role::Client && there.is_none() && clients >= rules.clients {
            return Err(Objection::Full);
        }
        Ok(())
    }

    fn welcome(&mut self, now: Time, held: Held, request: &Request, actions: &mut Actions) {
        let who = &request.who;
        if self.seats.get(&who.id).is_none_or(|seat| seat.presence.nonce != who.nonce) {
            let incarnation = self.incarnations.entry(who.id.clone()).or_default();
            *incarnation += 1;
            let seat = Member {
                role: who.role,
                slot: self.next_slot,
                incarnation: *incarnation,
                presence: Presence::new(now, who.nonce, held.asker.clone()),
                ready: false,
                done: false,
            };
            self.next_slot += 1;
            self.seats.insert(who.id.clone(), seat);
        }
        let seat = self.seats.get_mut(&who.id).expect("there, or seated above");
        seat.presence.hears(now, held.asker, held.seq, &request.ask);
        let (slot, incarnation) = (seat.slot, seat.incarnation);
        let run = format!("{:016x}", self.run);
        seat.presence.answer(Say::Welcome { run, slot, incarnation }, actions);
    }

    fn asked(&mut self, now: Time, asker: Asker, request: Request, actions: &mut Actions) {
        let who = &request.who;
        let Some(seat) = self.seats.get_mut(&who.id).filter(|seat| seat.presence.nonce == who.nonce) else {
            let reason = format!("{} is not a member of group {}", who.id, who.group);
            return refuse(asker, request.seq, Exit::Unavailable, reason, actions);
        };
        seat.presence.hears(now, asker, request.seq, &request.ask);
        match request.ask {
            Ask::Ready => seat.ready = true,
            Ask::Done => seat.done = true,
            Ask::Leave { code, reason } => {
                seat.presence.answer(Say::Bye, actions);
                seat.presence.told_end = true;
                let why = format!("{} left the run: {reason} (exit {code})", who.id);
                if self.phase == Phase::Gathering {
                    self.seats.remove(&who.id);
                    actions.notices.push(why);
                } else {
                    self.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
                }
            }
            Ask::Alive | Ask::Join | Ask::Attend => {}
        }
    }

    fn tick(&mut self, now: Time, name: &str, rules: &Rules, actions: &mut Actions) {
        if self.phase == Phase::Gathering {
            self.seats
                .retain(|_, seat| seat.presence.gone.is_none_or(|gone| now < gone.after(GONE_BEFORE_START)));
        }
        for (held, request) in std::mem::take(&mut self.challengers) {
            self.join(now, rules, held, request, actions);
        }
        match self.phase {
            Phase::Gathering if self.is_ready(rules) => {
                self.phase = Phase::Running;
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
                self.end(&Err(Failure::new(Exit::TimedOut, why)), actions);
            }
            Phase::Running => self.supervise(now, name, actions),
            _ => {}
        }
        for id in self.seats.keys().cloned().collect::<Vec<_>>() {
            self.answer(&id, now, rules, actions);
        }
    }

    fn supervise(&mut self, now: Time, name: &str, actions: &mut Actions) {
        let lost = self.seats.iter().find_map(|(id, seat)| Some((id, seat.presence.lost(now)?)));
        if let Some((id, why)) = lost {
            let why = format!("{id} is lost: {why}");
            self.end(&Err(Failure::new(Exit::Unavailable, why)), actions);
        } else if self.clients().all(|seat| seat.done) {
            actions.notices.push(format!("{name}: done, {}", self.progress()));
            self.end(&Ok(()), actions);
        }
    }

    /// Answers a member that waits for something that has come, or has waited long enough.
    fn answer(&mut self, id: &str, now: Time, rules: &Rules, actions: &mut Actions) {
        let members = self.member_list();
        let missing = self.missing(rules);
        let phase = self.phase.clone();
        let left = rules.start_timeout.saturating_sub(now.since(self.since));
        let seat = self.seats.get_mut(id).expect("the caller took it from the list");
        let presence = &mut seat.presence;
        match phase {
            Phase::Over(Ok(())) => presence.answer(Say::End, actions),
            Phase::Over(Err(failure)) => presence.answer(abort(&failure), actions),
            Phase::Running if presence.held.as_ref().is_some_and(|held| held.wants_start) => {
                presence.answer(Say::Start { members }, actions);
            }
            _ if !presence.is_overdue(now) => {}
            Phase::Gathering if seat.ready => {
                let gives_up_in_ms = Some(left.as_millis() as u64);
                presence.answer(Say::Wait { missing, gives_up_in_ms }, actions);
            }
            Phase::Running if seat.done => {
                presence.answer(Say::Wait { missing, gives_up_in_ms: None }, actions);
            }
            _ => presence.answer(Say::CarryOn, actions),
        }
    }

    fn end(&mut self, result: &Result<(), Failure>, actions: &mut Actions) {
        if matches!(self.phase, Phase::Over(_)) {
            return;
        }
        self.phase = Phase::Over(result.clone());
        for (held, _) in self.challengers.drain(..) {
            refuse(held.asker, held.seq, Exit::Unavailable, "the run is over", actions);
        }
        for seat in self.seats.values_mut() {
            seat.presence.answer(result.as_ref().err().map_or(Say::End, abort), actions);
        }
    }

    fn clients(&self) -> impl Iterator<Item = &Member> {
        self.seats.values().filter(|seat| seat.role == Role::Client)
    }

    fn is_ready(&self, rules: &Rules) -> bool {
        let ready = self.clients().filter(|seat| seat.ready && seat.presence.gone.is_none()).count();
        let sequencer = self.seats.values().any(|seat| seat.role == Role::Sequencer && seat.ready);
        ready == rules.clients && (sequencer || !self.order.sequencer)
    }

    fn member_list(&self) -> Vec<Seat> {
        let seat = |(id, seat): (&String, &Member)| Seat {
            slot: seat.slot,
            id: id.clone(),
            incarnation: seat.incarnation,
            role: seat.role,
        };
        self.seats.iter().map(seat).collect()
    }

    /// Whom the group waits for, for people.
    fn missing(&self, rules: &Rules) -> Vec<String> {
        if self.phase != Phase::Gathering {
            let late = self.seats.iter().filter(|(_, seat)| seat.role == Role::Client && !seat.done);
            return late.map(|(id, _)| id.clone()).collect();
        }
        let mut missing: Vec<String> = self
            .seats
            .iter()
            .filter(|(_, seat)| !seat.ready)
            .map(|(id, _)| format!("{id} (joined, not ready)"))
            .collect();
        match rules.clients.saturating_sub(self.clients().count()) {
            0 => {}
            1 => missing.push("1 more client".to_owned()),
            more => missing.push(format!("{more} more clients")),
        }
        if self.order.sequencer && !self.seats.values().any(|seat| seat.role == Role::Sequencer) {
            missing.push("a sequencer".to_owned());
        }
        missing
    }

    fn progress(&self) -> String {
        let names = |wanted: fn(&Member) -> bool| {
            self.seats.iter().filter(|(_, seat)| wanted(seat)).map(|(id, _)| id.as_str()).collect::<Vec<_>>()
        };
        match self.phase {
            Phase::Gathering => format!("ready: {}", list(&names(|seat| seat.ready))),
            Phase::Running if self.clients().any(|seat| seat.done) => {
                format!("done: {}", list(&names(|seat| seat.done)))
            }
            _ => format!("all ready: {}", list(&names(|_| true))),
        }
    }
}

/// Why a process may not join.
enum Objection {
    Taken,
    Started,
    OtherOrder,
    Full,
    WornOut,
    HasSequencer(String),
    NotAMember,
}

impl Objection {
    fn explain(self, group: &Group, request: &Request) -> (Exit, String) {
        let who = &request.who;
        let names = || list(&group.seats.keys().collect::<Vec<_>>());
        match self {
            Self::Taken => (
                Exit::Unavailable,
                format!("the id {} is taken: a process with this id is in the group", who.id),
            ),
            Self::Started => (
                Exit::Unavailable,
                format!("the run of group {} has already started with {}", who.group, names()),
            ),
            Self::OtherOrder => {
                let theirs =
                    Order::find(&who.order, &who.method).map_or_else(|| who.order.clone(), Order::title);
                let ours = group.order.title();
                (
                    Exit::Config,
                    format!("{} wants order {theirs}, but group {} has order {ours}", who.id, who.group),
                )
            }
            Self::Full => (
                Exit::Unavailable,
                format!("group {} is complete without {}: it has {}", who.group, who.id, names()),
            ),
            Self::WornOut => {
                (Exit::Unavailable, format!("group {} has seen too many members come and go", who.group))
            }
            Self::HasSequencer(id) => {
                (Exit::Unavailable, format!("group {} has a sequencer: {id}", who.group))
            }
            Self::NotAMember => {
                (Exit::Config, format!("group {} has no place for a {}", who.group, who.role))
            }
        }
    }
}

fn refuse(asker: Asker, seq: u64, exit: Exit, reason: impl Into<String>, actions: &mut Actions) {
    actions.replies.push((asker, Reply::new(seq, Say::Refused { code: exit.code(), reason: reason.into() })));
}

fn abort(failure: &Failure) -> Say {
    Say::Abort { code: failure.exit.code(), reason: failure.message.clone() }
}
