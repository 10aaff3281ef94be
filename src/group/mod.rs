//! Groups for programs: join, multicast, take what is delivered, keep replicas in step, leave.
//!
//! A [`Group`] is one member of a group, as the program `client` is one. All members, in whatever process, are given the same
//! messages in the same order (unless a weaker order is chosen), and between them the same **views**: who is in the group
//! from there on. A program that does with each delivery what follows from it and from nothing else, and does it in every
//! process, has replicas that are always in step.
//!
//! ```no_run
//! use std::time::Duration;
//! use groupcast::group::{Event, Join};
//!
//! fn main() -> Result<(), groupcast::Failure> {
//!     // Needs `forwarder --clients 2`, `router` and `sequencer`, and another member, such as `client --id c2 --interactive`.
//!     let mut group = Join::new("c1").forwarders("127.0.0.1").join()?;
//!     group.multicast(b"hello")?;
//!     loop {
//!         match group.next(Duration::from_secs(10))? {
//!             Some(Event::Delivery(it)) => println!("{}: {}", it.from, String::from_utf8_lossy(&it.text)),
//!             Some(Event::View(view)) => println!("view {}: {:?}", view.number, view.members),
//!             Some(Event::End) => return Ok(()),
//!             Some(_) => {}
//!             None => return group.leave(),
//!         }
//!     }
//! }
//! ```
//!
//! # What is promised
//!
//! * What one member is given of the total order, every member is given, once, at the same place. What a member multicast
//!   that lives is given to all who go on; what a dead one had multicast, to all of them or to none.
//! * Views are part of the order: whoever goes from one view to the next was given the same messages before it.
//! * A message to one member ([`Group::send`]) comes once, in the order of sending, but at no agreed place. If the receiver leaves
//!   or is lost first, its sender is given [`Event::Undeliverable`].
//! * A newcomer with [`Start::WithState`] is given, first of all, the state that a member had at the beginning of the
//!   newcomer's first view, then that view, then every delivery after it, once each.
//!
//! # Threads, blocking, limits
//!
//! `join` starts a thread that takes part for the program; it ends with the `Group`. The program need not call anything at
//! any time: signs of life go out by themselves. But who does not take what is delivered is sent nothing more as soon as about 4 MiB
//! of it wait here, and before long everybody waits for it; a thread of the program's own that calls [`Group::next`]
//! in a loop is never wrong. No call blocks longer than its limit, which is that of [`Join::limit`] where it has no own.
//! A text has at most 1 MiB, a state at most [`MAX_STATE`] bytes.
//!
//! # Errors
//!
//! A [`Failure`] says what happened in [`message`](Failure::message), what to do in [`help`](Failure::help), and in
//! [`exit`](Failure::exit) which kind it is. After the group has ended, for whatever reason, what was delivered
//! before can still be taken; then every call returns why it ended.

mod desk;
mod state;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli;
use crate::defect::Defects;
use crate::driver::node::Joining;
use crate::exit::{Exit, Failure};
pub use crate::member::Undelivered;
use crate::member::{Keeping, Patience};
use crate::order::Order;
use crate::session::LOST_AFTER;
use crate::talk::{Color, Level, Talk};
use crate::transport::address::addresses;
use crate::transport::limits;
use crate::transport::wakeup::{Waker, wakeup};
use crate::wire::Window;
use crate::wire::batch::MAX_TEXT;
use crate::wire::control::Role;
use desk::{Desk, Job, Phase, Wish};

/// Longest state that a newcomer is given, in bytes.
pub const MAX_STATE: usize = 256 << 20;
/// How much later than its limit a thread may say why it could not join.
const GRACE: Duration = Duration::from_millis(300);
/// How long a `Group` that is dropped takes to say so, at most.
const DROPPED: Duration = Duration::from_secs(2);

/// What a member is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Somebody has multicast this, perhaps this member itself.
    Delivery(Delivery),
    /// Somebody has sent this to this member alone.
    Direct(Direct),
    /// A message that this member has sent to another alone is undeliverable: that one is not in the group any more.
    Undeliverable(Undeliverable),
    /// From here on the group is this one. The first event of a member that was there from the start.
    View(View),
    /// The first event of a newcomer that joined [with a state](Start::WithState): what another member gave
    /// with [`Group::give_state`].
    State(Vec<u8>),
    /// The view before has newcomers, and this member [gives its state](Join::gives_state): to be answered with
    /// [`Group::give_state`] before the next [`Group::next`].
    StateWanted,
    /// All members have finished, and all have been given everything.
    End,
}

/// A message that was multicast.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Who multicast it.
    pub from: String,
    /// What it says.
    pub text: Vec<u8>,
    /// Its place in the total order, where the order has numbers: 1, 2, 3 …, the same at every member.
    pub number: Option<u64>,
    /// Which of the sender's multicasts it is: 1, 2, 3 …
    pub own_number: u64,
}

/// A message to one member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Direct {
    /// Who sent it.
    pub from: String,
    /// What it says.
    pub text: Vec<u8>,
    /// Which of the sender's messages to this member it is: 1, 2, 3 …
    pub own_number: u64,
}

/// A message to one member that is undeliverable.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undeliverable {
    /// The member it was for.
    pub to: String,
    /// What it says.
    pub text: Vec<u8>,
    /// Which of the messages of this member to that one it is: 1, 2, 3 …
    pub own_number: u64,
    /// Why it is undeliverable.
    pub reason: Undelivered,
}

/// Who is in the group from one place of the order on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// 1 for the view with which the group starts.
    pub number: u64,
    /// The members.
    pub members: Vec<String>,
    /// Those of them that are new. Empty in the first view that a member is given.
    pub joined: Vec<String>,
    /// Those that were in the view before and are not in this one. Empty in the first view that a member is given.
    pub gone: Vec<String>,
    /// Who numbers messages, where the order needs somebody.
    pub sequencer: Option<String>,
}

/// From where on a member is given what the group delivers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Start {
    /// The member is one of those with which the group starts, and waits for the others.
    #[default]
    Together,
    /// It joins a group that may be running: from the view on in which it is taken in. With a group that has not started
    /// it starts.
    FromNow,
    /// The same, and from a group that runs it is given the state from which the deliveries go on.
    WithState,
}

/// How to become a member; [`join`](Self::join) does it.
pub struct Join {
    id: String,
    group: String,
    forwarders: String,
    order: (String, String),
    window: Window,
    keeping: Keeping,
    limit: Duration,
    forwarder_timeout: Duration,
    can_sequence: bool,
    gives_state: bool,
    start: Start,
    listener: Arc<dyn Fn(&str) + Send + Sync>,
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("id", &self.id).field("group", &self.group).finish_non_exhaustive()
    }
}

impl Join {
    /// A member with this name, which nobody else in the group may have.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            group: "main".to_owned(),
            forwarders: "127.0.0.1".to_owned(),
            order: ("total".to_owned(), crate::order::DEFAULT_METHOD.to_owned()),
            window: Window::default(),
            keeping: Keeping {
                patience: Some(Patience::with_silence(Duration::from_secs(10))),
                ..Keeping::default()
            },
            limit: Duration::from_secs(60),
            forwarder_timeout: LOST_AFTER,
            can_sequence: false,
            gives_state: false,
            start: Start::Together,
            listener: Arc::new(|_| {}),
        }
    }

    /// Where the forwarders and their routers listen: `HOST` or `HOST:PORT`, several with commas between, as
    /// `client --connect` has it. If it is not said, on this machine.
    #[must_use]
    pub fn forwarders(self, addresses: &str) -> Self {
        Self { forwarders: addresses.to_owned(), ..self }
    }

    /// The group; if it is not said, `main`.
    #[must_use]
    pub fn group(self, name: &str) -> Self {
        Self { group: name.to_owned(), ..self }
    }

    /// The order of delivery, and its method where it has one, else `""`: `client --help` lists them. All members must choose the same; if
    /// it is not said, `total` by `bb`.
    #[must_use]
    pub fn order(self, name: &str, method: &str) -> Self {
        Self { order: (name.to_owned(), method.to_owned()), ..self }
    }

    /// Sends nothing more while so much of its own is not yet at all members; if it is not said, 4 MiB.
    #[must_use]
    pub fn window(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// A member that is silent for so long, and not heard of when it is asked for, is lost; if it is not said, ten
    /// seconds. To be the same at all members.
    #[must_use]
    pub fn suspect_after(mut self, silence: Duration) -> Self {
        self.keeping.patience = Some(Patience::with_silence(silence));
        self
    }

    /// When members are lost, only more than half of a view may go on. To be the same at all members.
    #[must_use]
    pub fn majority(mut self) -> Self {
        self.keeping.majority = true;
        self
    }

    /// This member is given only what every member of the view has, so that, should it die, it was not given what others
    /// never will be. It costs the time that acknowledgements take.
    #[must_use]
    pub fn safe(mut self) -> Self {
        self.keeping.safe = true;
        self
    }

    /// How long `join`, `multicast`, `send` and `leave` wait at most; if it is not said, a minute.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// How long forwarders that do not answer any more are waited for in mid-run, at least three seconds; if it is not said,
    /// ten. Members take each other for lost meanwhile unless [`suspect_after`](Self::suspect_after) is longer.
    #[must_use]
    pub fn forwarder_timeout(self, limit: Duration) -> Self {
        Self { forwarder_timeout: limit.max(cli::LEAST_FORWARDER_TIMEOUT), ..self }
    }

    /// This member takes the place of a sequencer that is lost, if it is its turn.
    #[must_use]
    pub fn can_sequence(self) -> Self {
        Self { can_sequence: true, ..self }
    }

    /// This member gives its state to newcomers: whenever somebody joins, it is asked by [`Event::StateWanted`]. Two members
    /// that do it are enough for one to die meanwhile.
    #[must_use]
    pub fn gives_state(self) -> Self {
        Self { gives_state: true, ..self }
    }

    /// From where on it is given what the group delivers; if it is not said, from the common start.
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Who gets what there is to say to people: lines such as `c1: waiting for c2`. If it is not said, nobody.
    #[must_use]
    pub fn notices(self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { listener: Arc::new(listener), ..self }
    }

    /// Becomes a member: waits until the group starts or takes this member in.
    ///
    /// # Errors
    /// A name or an address is wrong, nobody is there, the forwarder refuses, or the limit is reached.
    pub fn join(self) -> Result<Group, Failure> {
        self.joining()?;
        limits::prepare();
        let (wakeup, waker) = wakeup()?;
        let (id, limit) = (self.id.clone(), self.limit);
        let desk = Arc::new(Desk::default());
        let theirs = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name(format!("groupcast {id}"))
            .spawn(move || worker::run(&self, &theirs, wakeup))
            .map_err(|error| Failure::new(Exit::Io, format!("cannot start a thread: {error}")))?;
        let mut group = Group { id, desk, waker, limit, view: None, owes_state: false, thread: Some(thread) };
        // It has a limit of its own, and tells the forwarder when that is reached.
        let phase =
            group.desk.wait(limit + GRACE, |papers| !matches!(papers.phase, Phase::Joining)).phase.clone();
        match phase {
            Phase::Running => Ok(group),
            Phase::Over(outcome) => {
                group.thread.take().map(JoinHandle::join);
                Err(outcome.err().unwrap_or_else(over))
            }
            Phase::Joining => {
                group.abandon();
                Err(timed_out("it was not in the group", limit))
            }
        }
    }

    fn joining(&self) -> Result<Joining, Failure> {
        let wrong = |what: String| Failure::new(Exit::Usage, what);
        let (order, method) = (self.order.0.as_str(), self.order.1.as_str());
        Order::find(order, method)
            .ok_or_else(|| wrong(format!("there is no order '{order}' by '{method}'")))?;
        let order = Order::chosen(order, (!method.is_empty()).then_some(method))?;
        Ok(Joining {
            sites: addresses(&self.forwarders).map_err(wrong)?.sites("forwarders", cli::DEFAULT_PORT_BASE)?,
            only_at: None,
            group: cli::id(&self.group).map_err(wrong)?,
            id: cli::client_id(&self.id).map_err(wrong)?,
            role: Role::Client,
            order,
            // States go to single members.
            needs_router: true,
            timeout: Some(self.limit),
            forwarder_timeout: self.forwarder_timeout,
            window: self.window,
            defects: Defects::NONE,
            keeping: self.keeping,
            can_sequence: self.can_sequence && order.sequencer,
            late: self.start != Start::Together,
            leaves: Arc::default(),
        })
    }

    fn talk(&self) -> Talk {
        let (talk, listener) = (Talk::new(&self.id, Level::Normal, Color::Never), Arc::clone(&self.listener));
        talk.divert(Some(Box::new(move |line| listener(line.trim_end()))));
        talk
    }
}

/// A member of a group. Dropped, it is gone at once, and what it has multicast last may be lost; see [`Group::leave`] and
/// [`Group::finish`].
pub struct Group {
    id: String,
    desk: Arc<Desk>,
    waker: Waker,
    limit: Duration,
    /// The last view that was taken.
    view: Option<View>,
    /// The last event asked for the state.
    owes_state: bool,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("id", &self.id).field("view", &self.view).finish_non_exhaustive()
    }
}

impl Group {
    /// The name of this member.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The last view that [`next`](Self::next) has returned.
    #[must_use]
    pub const fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Multicasts a text to all members, this one among them. Waits while there is no room for it.
    ///
    /// # Errors
    /// The text is longer than 1 MiB; the group has ended, or this member has finished; there is no room within the limit, or
    /// none before the program has taken what was delivered: then [`next`](Self::next) is to be called first.
    pub fn multicast(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.put(text, Job::Multicast)
    }

    /// Sends a text to one member of the last [view](Self::view). If that one leaves or is lost before it has acknowledged the
    /// text, [`Event::Undeliverable`] comes.
    ///
    /// # Errors
    /// As [`multicast`](Self::multicast); or there is no such member.
    pub fn send(&mut self, to: &str, text: &[u8]) -> Result<(), Failure> {
        let is_there = |view: &View| view.members.iter().any(|member| member == to);
        if !self.view.as_ref().is_some_and(is_there) {
            return Err(Failure::new(Exit::Unavailable, format!("{to} is not in the group")));
        }
        self.put(text, |text| Job::Send(to.to_owned(), text))
    }

    fn put(&mut self, text: &[u8], job: impl FnOnce(Vec<u8>) -> Job) -> Result<(), Failure> {
        if text.len() > MAX_TEXT {
            let message = format!("a text of {} bytes; at most {MAX_TEXT} are possible", text.len());
            return Err(Failure::new(Exit::BadData, message));
        }
        let goes_on = |papers: &desk::Papers| papers.is_over() || papers.has_room() || papers.is_full();
        let mut papers = self.desk.wait(self.limit, goes_on);
        if let Phase::Over(outcome) = &papers.phase {
            return Err(outcome.clone().err().unwrap_or_else(over));
        }
        if papers.wish != Wish::Stay {
            return Err(Failure::new(Exit::Usage, "this member has finished: it sends nothing more"));
        }
        if !papers.has_room() {
            return Err(if papers.is_full() {
                Failure::new(Exit::Unavailable, "there is no room before what was delivered has been taken")
                    .help("call `Group::next` until it returns nothing, then try again")
            } else {
                timed_out("there was no room", self.limit)
            });
        }
        papers.put_job(job(text.to_vec()));
        drop(papers);
        self.waker.wake();
        Ok(())
    }

    /// What comes next; `None` if nothing comes within `limit`. After [`Event::End`] there is nothing but that.
    ///
    /// # Errors
    /// Why this member is not in the group any more, after everything that was delivered before.
    pub fn next(&mut self, limit: Duration) -> Result<Option<Event>, Failure> {
        if std::mem::take(&mut self.owes_state) {
            self.put_state(None);
        }
        let mut papers = self.desk.wait(limit, |papers| papers.has_event() || papers.is_over());
        let was_full = papers.is_full();
        let event = match (papers.take_event(), &papers.phase) {
            (Some(event), _) => event,
            (None, Phase::Over(Ok(()))) => Event::End,
            (None, Phase::Over(Err(failure))) => return Err(failure.clone()),
            (None, _) => return Ok(None),
        };
        let has_room = !papers.is_full();
        drop(papers);
        if was_full && has_room {
            self.waker.wake();
        }
        match &event {
            Event::View(view) => self.view = Some(view.clone()),
            Event::StateWanted => self.owes_state = true,
            _ => {}
        }
        Ok(Some(event))
    }

    /// Answers [`Event::StateWanted`]: this is what follows from everything that [`next`](Self::next) has returned until now.
    /// Whoever does not answer before the next call of `next` cannot do it any more, and another member is asked.
    ///
    /// # Errors
    /// The last event was another one, or the state is longer than [`MAX_STATE`].
    pub fn give_state(&mut self, state: Vec<u8>) -> Result<(), Failure> {
        if !self.owes_state {
            let message = "a state is given when it is wanted, and before the next event is taken";
            return Err(Failure::new(Exit::Usage, message));
        }
        if state.len() > MAX_STATE {
            let message = format!("a state of {} bytes; at most {MAX_STATE} are possible", state.len());
            return Err(Failure::new(Exit::BadData, message));
        }
        self.owes_state = false;
        self.put_state(Some(state));
        Ok(())
    }

    fn put_state(&self, state: Option<Vec<u8>>) {
        if let Some(view) = &self.view {
            self.desk.look().states.push((view.number, state));
            self.waker.wake();
        }
    }

    /// Says that this member will send nothing more. It is still given everything; when all members have finished and been given
    /// everything, [`Event::End`] comes: then all have been given the same.
    pub fn finish(&mut self) {
        self.wish(Wish::Finish);
    }

    /// Leaves the group: waits until all members have been given what this one has sent, and have gone on without it.
    /// What it has not taken itself is let go.
    ///
    /// # Errors
    /// This member was not in the group any more, or nobody let it go within the limit. Or it has left, and messages to single
    /// members are undeliverable of which the program has taken no [`Event::Undeliverable`].
    pub fn leave(mut self) -> Result<(), Failure> {
        self.wish(Wish::Leave);
        let papers = self.desk.wait(self.limit, desk::Papers::is_over);
        let phase = papers.phase.clone();
        drop(papers);
        match phase {
            Phase::Over(outcome) => {
                self.thread.take().map(JoinHandle::join);
                match self.desk.look().untold {
                    0 => outcome,
                    count => outcome.and(Err(lost_messages(count))),
                }
            }
            _ => {
                self.abandon();
                Err(timed_out("the others did not have everything", self.limit))
            }
        }
    }

    /// Lets the thread end by itself: a limit has been reached, and nobody waits any longer.
    fn abandon(&mut self) {
        self.wish(Wish::Abandon);
        self.thread = None;
    }

    fn wish(&self, wish: Wish) {
        let mut papers = self.desk.look();
        papers.wish = wish;
        if wish != Wish::Finish {
            papers.clear_events();
        }
        drop(papers);
        self.waker.wake();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.wish(Wish::Abandon);
        // A thread that is not done by then ends later, by its own limits.
        let is_over = self.desk.wait(DROPPED, desk::Papers::is_over).is_over();
        if is_over {
            drop(thread.join());
        }
    }
}

fn lost_messages(count: u64) -> Failure {
    let what = if count == 1 { "a message".to_owned() } else { format!("{count} messages") };
    Failure::new(Exit::Unavailable, format!("the member has left; undeliverable: {what} to single members"))
}

fn over() -> Failure {
    Failure::new(Exit::Unavailable, "the group has ended")
}

fn timed_out(what: &str, limit: Duration) -> Failure {
    Failure::new(Exit::TimedOut, format!("{what} within {}", crate::talk::duration(limit)))
}
