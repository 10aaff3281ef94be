//! The member's side of a chat server: the state of the chat follows the events of the node, requests are answered from
//! it, and commands become operations.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::Options;
use super::desk::{Answer, Command, Question, Refusal, Reply, Request, Requests};
use super::entries::{Past, count, operations};
use super::feed::Feed;
use super::queue::{BUSY, Queue};
use super::sessions::Uses;
use super::view::{self, View};
use crate::chat::operation::{self, Operation, Post, PostKey};
use crate::chat::place::OperationId;
use crate::chat::state::State;
use crate::chat::view::GroupView;
use crate::cli;
use crate::cluster::file::Cluster;
use crate::cluster::ledger::Ledger;
use crate::cluster::node::{Event, Node};
use crate::cluster::petition;
use crate::cluster::status::Status;
use crate::driver::clock::calendar;
use crate::exit::{Exit, Failure};
use crate::ids::Time;
use crate::replica::Recovered;
use crate::replica::entry::Entry;
use crate::replica::epoch::{Change, Request as EpochRequest};
use crate::session::SAY_EVERY;
use crate::talk::{self, Talk};
use crate::transport::key;

/// The time between two tellings of groups.
const TELL_GROUPS_EVERY: Duration = Duration::from_millis(500);
/// The time between two looks at the others, and between two writings of the status.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Posts in one turn above which clients load a group again, instead of being told of each.
const MANY: usize = 200;

/// Longest wait of a server that is to end for what is not confirmed.
const LONGEST_END: Duration = Duration::from_secs(2);
/// The time for which a server at rest still tells the others what they need to confirm as much.
const LINGER: Duration = Duration::from_millis(200);

/// Most commands and questions that are answered before the member looks after the cluster again.
const MOST_IN_A_TURN: usize = 64;

/// A chat server between its start and its end.
pub(super) struct Service<'a> {
    options: &'a Options,
    talk: &'a Talk,
    cluster: &'a str,
    webs: Vec<Option<String>>,
    node: Node,
    ledger: Ledger,
    state: State,
    queue: Queue,
    feed: Feed,
    requests: Requests,
    /// The operations from before this server was added; none if there are none.
    earlier: Option<PathBuf>,
    life: u32,
    /// True until the operation that ends the sessions of earlier lives is stored.
    is_starting: bool,
    uses: Uses,
    told: Time,
    told_groups: Time,
    said: Time,
    /// The number of confirmed operations, and the time since which others wait.
    progress: (u64, Time),
    /// The view that clients were told of last.
    view: View,
}

impl<'a> Service<'a> {
    pub(super) fn new(
        options: &'a Options,
        talk: &'a Talk,
        cluster: &'a Cluster,
        mut node: Node,
        ledger: Ledger,
        requests: Requests,
        recovered: &Recovered,
    ) -> Self {
        let me = usize::from(node.me().0);
        let state = State::new(node.names().to_vec());
        let webs: Vec<Option<String>> = cluster.all().map(|server| server.web.clone()).collect();
        let now = node.now();
        let view = View::of(&node, &state, &cluster.name, &webs, now);
        Self {
            options,
            talk,
            cluster: &cluster.name,
            webs,
            ledger,
            state,
            queue: Queue::new(recovered.forgotten.origins[me].multicasts + 1),
            feed: Feed::default(),
            requests,
            earlier: None,
            life: recovered.life,
            is_starting: recovered.life > 1,
            uses: Uses::default(),
            told: Time::ZERO,
            told_groups: Time::ZERO,
            said: now,
            progress: (0, now),
            view,
            node,
        }
    }

    /// Shows what the files and the journal have. `earlier` is the file with the operations from before this server was
    /// added, if there were any.
    pub(super) fn begin(&mut self, recovered: &Recovered, earlier: Option<PathBuf>) -> Result<(), Failure> {
        self.earlier = earlier;
        let state = &mut self.state;
        let mut past = Past::begin(self.earlier.as_deref(), state)?;
        self.ledger.start(&self.node, self.cluster, recovered, |from, text| past.apply(from, text, state))?;
        if let Some(path) = &self.earlier {
            past.check(&recovered.forgotten.origins, path)?;
        }
        let events = self.node.events();
        self.ledger.replay(&self.node, &events)?;
        for event in &events {
            self.apply(event)?;
        }
        self.rebuild_after(&events)?;
        if self.is_starting {
            let now = self.node.now();
            self.queue.push(Operation::Life, None, now);
        }
        let life = match recovered.life {
            1 => String::new(),
            life => format!(", life {life}: {} posts and other operations", self.state.confirmed()),
        };
        self.talk.say(format!("start of {} with {}{life}", self.cluster, talk::list(self.node.names())));
        Ok(())
    }

    /// Serves until something fails or a signal comes.
    pub(super) fn run(&mut self) -> Result<Infallible, Failure> {
        loop {
            self.turn(self.told_groups.after(TELL_GROUPS_EVERY))?;
        }
    }

    /// Runs one round, which waits for input until `until` at most.
    fn turn(&mut self, until: Time) -> Result<(), Failure> {
        self.take_requests();
        self.queue.submit(&mut self.node, &mut self.ledger)?;
        self.take_events()?;
        self.look_around()?;
        self.node.turn(Some(until))?;
        self.take_events()
    }

    /// Goes on until the web has closed its connections and everything is confirmed here and at the servers that are heard,
    /// but not for long: servers that end together leave nothing open that a moment settles.
    pub(super) fn come_to_rest(&mut self, web_is_over: impl Fn() -> bool) -> Result<(), Failure> {
        let begun = self.node.now();
        let mut at_rest = None;
        loop {
            let now = self.node.now();
            at_rest = at_rest.or(Some(now)).filter(|_| self.is_at_rest(now));
            let is_settled = at_rest.is_some_and(|since| now.since(since) >= LINGER);
            if (is_settled && web_is_over()) || now.since(begun) >= LONGEST_END {
                return Ok(());
            }
            self.turn(now.after(LINGER / 10))?;
        }
    }

    fn is_at_rest(&self, now: Time) -> bool {
        let mut behind = self.node.replica().behind();
        let is_idle = self.queue.is_empty() && self.state.tentative() == 0;
        is_idle && behind.all(|member| view::is_away(&self.node, member, now))
    }

    fn take_events(&mut self) -> Result<(), Failure> {
        let now = self.node.elapsed_micros();
        let events = self.node.events();
        if events.iter().map(count).sum::<usize>() > MANY {
            self.feed.let_go_above(self.state.confirmed());
        }
        for event in &events {
            self.ledger.record(&self.node, event, now)?;
            self.apply(event)?;
        }
        self.rebuild_after(&events)?;
        self.ledger.keep(&mut self.node)
    }

    /// Applies an event to the state, and tells the clients. After a withdrawal the state is built anew.
    fn apply(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Insert(entry) => self.insert(entry),
            Event::Confirm(_, confirmed) => {
                let numbered = self.state.confirm(confirmed.upto);
                self.feed.tell_numbers(&numbered, &self.state);
            }
            Event::Withdraw(_) => {}
            Event::Epoch(number, change) => self.begin_epoch(*number, change)?,
        }
        Ok(())
    }

    fn insert(&mut self, entry: &Entry) {
        for (id, at, text) in operations(entry) {
            let changes = self.state.apply(id, at, Operation::parse(text));
            changes.iter().for_each(|change| self.feed.tell(change, &self.state));
            if id.origin == self.node.me() {
                self.answer_stored(id);
            }
        }
    }

    /// Answers those that wait for an operation that is stored now.
    fn answer_stored(&mut self, id: OperationId) {
        let Some(pending) = self.queue.stored(id.number) else { return };
        let answer = match &pending.operation {
            Operation::Life => {
                self.is_starting = false;
                String::new()
            }
            Operation::Session { session, .. } => {
                let now = self.node.now();
                self.uses.note(session, now);
                json!({ "session": session }).to_string()
            }
            Operation::Post(post) => {
                let id = self.state.posted(&post.key).unwrap_or(id);
                json!({ "id": self.state.written(id) }).to_string()
            }
            _ => "{}".to_owned(),
        };
        for reply in pending.replies {
            // A client that is gone asks again.
            let _ = reply.send(Ok(answer.clone()));
        }
    }

    /// Builds the state anew, without what was withdrawn, if anything was.
    fn rebuild_after(&mut self, events: &[Event]) -> Result<(), Failure> {
        if !events.iter().any(|event| matches!(event, Event::Withdraw(_))) {
            return Ok(());
        }
        let mut state = State::new(self.state.server_names().to_vec());
        self.state.removed_servers().for_each(|server| drop(state.remove_server(server)));
        let mut past = Past::begin(self.earlier.as_deref(), &mut state)?;
        self.ledger.confirmed_texts(|from, text| past.apply(from, text, &mut state))?;
        for (id, at, text) in self.ledger.tentative_entries().flat_map(operations) {
            state.apply(id, at, Operation::parse(text));
        }
        self.state = state;
        self.feed.let_go_above(0);
        self.feed.note_all(&self.state);
        Ok(())
    }

    fn begin_epoch(&mut self, number: u16, change: &Change) -> Result<(), Failure> {
        match &change.request {
            EpochRequest::Add { name, udp } => {
                self.state.add_server(change.stored.len(), name.clone());
                self.talk.say(format!("epoch {number}: {name} at {udp} was added"));
            }
            EpochRequest::Remove(member) => {
                let name = self.node.name(*member).to_owned();
                self.state.remove_server(*member);
                self.feed.note_all(&self.state);
                self.talk.say(format!("epoch {number}: {name} was removed"));
                if *member == self.node.me() && self.node.replica().is_removed() {
                    let why = format!("{name} was removed from the cluster in epoch {number}");
                    return Err(Failure::new(Exit::Unavailable, why));
                }
            }
        }
        Ok(())
    }

    fn take_requests(&mut self) {
        let mut left = MOST_IN_A_TURN;
        while left > 0 {
            let Ok(request) = self.requests.try_recv() else { return };
            left -= 1;
            match request {
                Request::Commands(commands) => {
                    left = left.saturating_sub(commands.len());
                    self.commands(commands);
                }
                Request::Question(question, reply) => {
                    // A client that is gone needs no answer.
                    let _ = reply.send(self.question(question));
                }
                Request::Lacks(seen, reply) => drop(reply.send(self.lacks(&seen))),
                Request::Subscribe(asked) => {
                    let view = self.view_now();
                    let groups = self.groups(asked.session.as_deref());
                    self.feed.begin(asked, &self.state, &view, &groups);
                }
            }
        }
        // More may wait.
        self.node.waker().wake();
    }

    /// Takes in the commands of one client, in their order. After one that is refused, none is taken in: a post never
    /// overtakes another one.
    fn commands(&mut self, commands: Vec<(Command, Reply)>) {
        let now = self.node.now();
        let mut refused: Option<Refusal> = None;
        for (command, reply) in commands {
            match refused.clone().map_or_else(|| self.plan(command), Err) {
                Ok(Plan::Done(answer)) => drop(reply.send(Ok(answer))),
                Ok(Plan::Submit(operation)) => {
                    if let Some(reply) = self.queue.wait_for(&operation, reply)
                        && !self.queue.push(operation, Some(reply), now)
                    {
                        refused = Some(Refusal::new(503, BUSY));
                    }
                }
                Err(refusal) => {
                    refused = Some(refusal.clone());
                    drop(reply.send(Err(refusal)));
                }
            }
        }
    }

    /// Returns the operation of a command, or its answer if it needs none.
    fn plan(&mut self, command: Command) -> Result<Plan, Refusal> {
        if self.is_starting {
            let why = refusal(&self.node);
            return Err(Refusal::new(503, format!("the server starts: {why}")));
        }
        let operation = match command {
            Command::Session { user, client } => {
                if self.uses.is_full() {
                    return Err(Refusal::new(503, "this server has too many sessions: try another server"));
                }
                let session = key::random();
                Operation::Session { session, user, client }
            }
            Command::Logout(asked) => {
                self.user(&asked.session)?;
                Operation::End { session: asked.session }
            }
            Command::Join(asked) => {
                let user = self.user(&asked.session)?;
                let will_be_in = self.queue.will_be_in(&user, &asked.group, Some(&asked.session));
                if will_be_in.is_none() && self.state.is_in_by(&asked.session, &user, &asked.group) {
                    return Ok(Plan::Done("{}".to_owned()));
                }
                let new = !self.state.has_group(&asked.group);
                Operation::Join { session: asked.session, user, group: asked.group, new }
            }
            Command::Leave(asked) => {
                let user = self.user(&asked.session)?;
                if self.queue.will_be_in(&user, &asked.group, None).is_none() {
                    self.check_group(&asked.group)?;
                    if !self.state.is_in(&user, &asked.group) {
                        return Ok(Plan::Done("{}".to_owned()));
                    }
                }
                Operation::Leave { user, group: asked.group }
            }
            Command::Post { session, group, n, text } => return self.post(&session, group, n, text),
            Command::Like { session, id, on } => {
                let user = self.user(&session)?;
                let known = self.state.parse_id(&id).filter(|id| self.state.item(*id).is_some());
                if known.is_none() {
                    return Err(Refusal::new(404, format!("there is no post {id}")));
                }
                Operation::Like { user, id, on }
            }
            Command::Read { session, group, number } => {
                let user = self.user(&session)?;
                self.check_group(&group)?;
                let number = number.min(self.state.confirmed());
                if self.state.has_read(&user, &group, number) {
                    return Ok(Plan::Done("{}".to_owned()));
                }
                Operation::Read { user, group, number }
            }
        };
        match operation.check() {
            Ok(()) => Ok(Plan::Submit(operation)),
            Err(why) => Err(Refusal::new(400, why)),
        }
    }

    fn post(&mut self, session: &str, group: String, n: u64, text: String) -> Result<Plan, Refusal> {
        let user = self.user(session)?;
        let client = self.state.client(session).unwrap_or_default().to_owned();
        operation::check_group(&group).map_err(|why| Refusal::new(400, why))?;
        let key = PostKey { user, client, group, n };
        if let Some(id) = self.state.posted(&key) {
            return Ok(Plan::Done(json!({ "id": self.state.written(id) }).to_string()));
        }
        if !self.is_in(&key.user, &key.group) {
            return Err(Refusal::new(
                409,
                format!("{} is not in the group {}: join it first", key.user, key.group),
            ));
        }
        let time_ms = calendar().as_millis() as u64;
        let operation = Operation::Post(Post { key, text, time_ms });
        operation.check().map_err(|why| Refusal::new(400, why))?;
        Ok(Plan::Submit(operation))
    }

    /// Returns the user of a session, which is used now.
    fn user(&mut self, session: &str) -> Result<String, Refusal> {
        let Some(user) = self.state.user(session).map(str::to_owned) else {
            return Err(Refusal::new(401, "there is no such session: begin a new one"));
        };
        let now = self.node.now();
        self.uses.note(session, now);
        Ok(user)
    }

    /// Returns whether a user is in a group when all that is on its way has come.
    fn is_in(&self, user: &str, group: &str) -> bool {
        let will_be_in = self.queue.will_be_in(user, group, None);
        will_be_in.unwrap_or_else(|| self.state.is_in(user, group))
    }

    fn check_group(&self, group: &str) -> Result<(), Refusal> {
        let is_there = self.state.has_group(group);
        if is_there { Ok(()) } else { Err(Refusal::new(404, format!("there is no group {group}"))) }
    }

    fn question(&mut self, question: Question) -> Answer {
        match question {
            Question::History { group, part, limit, lacks } => {
                operation::check_group(&group).map_err(|why| Refusal::new(400, why))?;
                let (items, more) = self.state.history(&group, part, limit);
                Ok(json!({"items": items, "more": more, "lacks": lacks}).to_string())
            }
            Question::Groups { session } => {
                let groups = self.groups(session.as_deref());
                Ok(json!({ "groups": groups }).to_string())
            }
            Question::View => {
                let view = self.view_now();
                Ok(json!(view).to_string())
            }
            Question::Health if self.is_starting => Err(Refusal::new(503, "the server starts")),
            Question::Health => Ok(json!({"server": self.options.id, "state": "ok"}).to_string()),
            Question::Metrics => Ok(view::metrics(&self.node, &self.state, self.feed.len())),
        }
    }

    /// Returns how many multicasts this server lacks of those up to these. Of a server that it does not know, it lacks all.
    fn lacks(&self, seen: &[(String, u64)]) -> u64 {
        let lacks = |(server, number): &(String, u64)| {
            number.saturating_sub(self.state.server(server).map_or(0, |it| self.state.multicasts_of(it)))
        };
        seen.iter().map(lacks).fold(0, u64::saturating_add)
    }

    fn groups(&mut self, session: Option<&str>) -> Vec<GroupView> {
        let now = self.node.now();
        let user = session.and_then(|session| self.state.user(session));
        let is_away = |member| view::is_away(&self.node, member, now);
        let names = self.state.group_names();
        names.filter_map(|name| self.state.group_view(name, user, is_away)).collect()
    }

    fn view_now(&mut self) -> View {
        let now = self.node.now();
        View::of(&self.node, &self.state, self.cluster, &self.webs, now)
    }

    /// Tells clients what has changed, writes the status, and says what is waited for.
    fn look_around(&mut self) -> Result<(), Failure> {
        let now = self.node.now();
        self.ledger.flush(now)?;
        let node = &self.node;
        self.queue.expire(now, || refusal(node));
        self.feed.tidy();
        if now.since(self.told_groups) >= TELL_GROUPS_EVERY {
            self.told_groups = now;
            self.feed.load_again(&self.state);
            let (state, node) = (&self.state, &self.node);
            self.feed.tell_groups(|group, session| {
                let user = session.and_then(|session| state.user(session));
                state.group_view(group, user, |member| view::is_away(node, member, now))
            });
        }
        if now.since(self.told) >= TELL_EVERY {
            self.told = now;
            self.tell_view();
            self.tell_status(now, None);
            self.end_idle_sessions(now);
            petition::attend(&mut self.node, &self.options.data, self.talk)?;
        }
        self.say_waits(now);
        Ok(())
    }

    /// Says for whom operations have waited for a while.
    fn say_waits(&mut self, now: Time) {
        let confirmed = self.state.confirmed();
        if self.state.tentative() == 0 || confirmed != self.progress.0 {
            self.progress = (confirmed, now);
        }
        if now.since(self.progress.1) >= SAY_EVERY && now.since(self.said) >= SAY_EVERY {
            self.said = now;
            let waits = self.node.replica().waits_for().into_iter();
            let waits: Vec<String> = waits.map(|member| self.node.name(member).to_owned()).collect();
            let tentative = self.state.tentative();
            self.talk.say(format!("{tentative} operations are not final without {}", talk::list(&waits)));
        }
    }

    fn tell_view(&mut self) {
        let view = self.view_now();
        let earlier = std::mem::replace(&mut self.view, view);
        if self.view.has_other_servers(&earlier) {
            // Users of a server that is away show as unreachable.
            self.feed.note_all(&self.state);
        }
        if self.view.is_news(&earlier) {
            self.feed.tell_view(&self.view);
        }
    }

    fn end_idle_sessions(&mut self, now: Time) {
        self.feed.sessions().for_each(|session| self.uses.note(session, now));
        for session in self.uses.idle(&self.state, self.node.me(), now) {
            self.queue.push(Operation::End { session }, None, now);
        }
        self.state.forget_ended_sessions();
    }

    fn tell_status(&self, now: Time, end: Option<&str>) {
        let status = Status::of(&self.node, self.cluster, self.life, now);
        status.ended(end).tell(&self.options.data, self.talk);
    }

    /// Ends the files. A signal is the way in which a server is to end.
    pub(super) fn conclude(mut self, failure: Failure) -> anyhow::Result<Exit> {
        let now = self.node.now();
        let is_asked_for = failure.exit.is_asked_for();
        let reason = if is_asked_for { "interrupted" } else { "failed" };
        self.tell_status(now, Some(reason));
        let written = self.ledger.end(&self.node, reason);
        let closed = self.node.finish();
        if !is_asked_for {
            return Err(failure.into());
        }
        closed?;
        written?;
        let (id, confirmed) = (&self.options.id, self.state.confirmed());
        cli::print(&format!("{id}: {confirmed} operations are confirmed"))?;
        Ok(failure.exit)
    }
}

/// The consequence of a command.
enum Plan {
    Done(String),
    Submit(Operation),
}

/// Returns the reason why no operation is taken in now.
fn refusal(node: &Node) -> String {
    let replica = node.replica();
    if replica.is_full() {
        let lacking: Vec<String> = replica.lacking().map(|member| node.name(member).to_owned()).collect();
        return format!(
            "the journal is full until {} have everything: try again later",
            talk::list(&lacking)
        );
    }
    "it takes nothing in yet: try again in a moment".to_owned()
}
