//! Keeps a session at some server: begins with the first that answers, and goes on at another when one is lost.

use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use super::link::{Answer, Ask, Link, Opened, Purpose, open};
use super::outbox::Outbox;
use super::posting::stored;
use super::roster::Roster;
use super::server::Server;
use super::told::View;
use crate::driver::clock::{Clock, LONGEST_WAIT};
use crate::ids::Time;
use crate::talk::{self, on_one_line};
use crate::transport::wakeup::{Waker, Wakeup, wait};

/// The wait after the first round in which no server answered; it doubles from round to round.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest wait between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Longest wait for the end of the session.
const GRACE: Duration = Duration::from_millis(500);
/// The first rounds of no answer are not told one by one.
const TOLD_PAUSE: Duration = Duration::from_secs(1);

/// The session, or the way to the next one.
#[derive(Debug)]
enum State {
    Linked(Box<Link>),
    Trying(Receiver<Result<Opened, String>>),
    Resting(Time),
}

/// The session of a client at one of the servers.
#[derive(Debug)]
pub(super) struct Keeper {
    roster: Roster,
    user: String,
    client: String,
    /// The groups that are joined at each server.
    pub(super) groups: Vec<String>,
    state: State,
    pause: Duration,
    /// The moment since which there is no session.
    since: Time,
    last_failure: String,
    /// Commands that a lost server has not answered.
    left_over: Vec<Ask>,
    waker: Waker,
}

impl Keeper {
    /// Begins with the first of the servers.
    pub(super) fn new(addresses: &[String], user: &str, client: String, waker: Waker, now: Time) -> Self {
        Self {
            roster: Roster::new(addresses),
            user: user.to_owned(),
            client,
            groups: Vec::new(),
            state: State::Resting(now),
            pause: Duration::ZERO,
            since: now,
            last_failure: String::new(),
            left_over: Vec::new(),
            waker,
        }
    }

    /// Returns the key of this client, by which servers know its posts again.
    pub(super) fn client(&self) -> &str {
        &self.client
    }

    /// Returns the session.
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        match &mut self.state {
            State::Linked(link) => Some(link),
            _ => None,
        }
    }

    /// Returns the time without a session; none with one.
    pub(super) fn without(&self, now: Time) -> Option<Duration> {
        (!matches!(self.state, State::Linked(_))).then(|| now.since(self.since))
    }

    /// Returns the reason why there is no session, as a sentence.
    pub(super) fn failure(&self) -> String {
        let tried = talk::list(&self.roster.names());
        match &*self.last_failure {
            "" => format!("no server answers at {tried}"),
            last => format!("no server answers at {tried}: {last}"),
        }
    }

    /// Returns whether every server was tried.
    pub(super) const fn has_tried_all(&self) -> bool {
        !self.pause.is_zero()
    }

    /// Goes on. Returns the view of a server at which a session has just begun. `say` is given lines for a person.
    pub(super) fn turn(&mut self, now: Time, say: &mut dyn FnMut(String)) -> Option<View> {
        match &mut self.state {
            State::Linked(_) => None,
            State::Resting(until) => {
                if now >= *until {
                    self.try_current();
                }
                None
            }
            State::Trying(outcome) => match outcome.try_recv() {
                Ok(Ok(opened)) => Some(self.begin(opened, say)),
                Ok(Err(why)) => {
                    self.failed(&why, now, say);
                    None
                }
                Err(TryRecvError::Disconnected) => {
                    self.failed("cannot begin a session", now, say);
                    None
                }
                Err(TryRecvError::Empty) => None,
            },
        }
    }

    fn try_current(&mut self) {
        let (sender, outcome) = sync_channel(1);
        let server = Server::new(&self.roster.current().address);
        let (user, client, groups) = (self.user.clone(), self.client.clone(), self.groups.clone());
        let waker = self.waker.clone();
        thread::spawn(move || {
            // The loop may have chosen another server meanwhile.
            let _ = sender.send(open(server, &user, &client, &groups));
            waker.wake();
        });
        self.state = State::Trying(outcome);
    }

    fn begin(&mut self, opened: Opened, say: &mut dyn FnMut(String)) -> View {
        let view = opened.view.clone();
        self.roster.learn(&view);
        say(format!("now at {} of {}", view.server, view.cluster));
        opened.new_groups.iter().for_each(|group| say(is_new(group)));
        let mut link = Link::new(opened, self.waker.clone());
        for ask in self.left_over.drain(..) {
            // Far fewer are left over than a queue has room for.
            link.ask(ask);
        }
        self.state = State::Linked(Box::new(link));
        self.pause = Duration::ZERO;
        view
    }

    fn failed(&mut self, why: &str, now: Time, say: &mut dyn FnMut(String)) {
        let is_told = !self.roster.is_again();
        let is_round = self.roster.go_on();
        let next = self.roster.current().name().to_owned();
        why.clone_into(&mut self.last_failure);
        if !is_round {
            if is_told {
                say(format!("{why}; trying {next}"));
            }
            return self.try_current();
        }
        self.pause = if self.pause.is_zero() { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        if is_told {
            say(format!("{why}; trying again"));
        } else if self.pause >= TOLD_PAUSE {
            let (tried, pause, since) =
                (talk::list(&self.roster.names()), self.pause, now.since(self.since).as_secs());
            say(format!("no server answers for {since}s ({tried}); trying again in {pause:?}"));
        }
        self.state = State::Resting(now.after(self.pause));
    }

    /// Gives up a server that is lost, for this reason, and goes on to the next one.
    pub(super) fn lose(&mut self, why: &str, now: Time, say: &mut dyn FnMut(String)) {
        let State::Linked(link) = &mut self.state else { return };
        self.left_over.extend(link.unanswered());
        let lost = link.id.clone();
        self.roster.go_on();
        let next = self.roster.current().name();
        say(format!("lost {lost}: {why}; trying {}", if next == lost { "it again" } else { next }));
        (self.since, self.pause) = (now, Duration::ZERO);
        why.clone_into(&mut self.last_failure);
        self.try_current();
    }

    /// Leaves for another server, by its id or address. Returns false if none is known by that name.
    pub(super) fn change(&mut self, name: &str, now: Time) -> bool {
        if !self.roster.choose(name) {
            return false;
        }
        if let State::Linked(link) = &mut self.state {
            self.left_over.extend(link.unanswered());
            link.log_out();
            self.since = now;
        }
        self.pause = Duration::ZERO;
        self.try_current();
        true
    }

    /// Ends the session when everything before has been answered, so that nobody takes this user for present. Waits for
    /// the answer, but only for a moment; notes the posts that are stored by then.
    pub(super) fn log_out(&mut self, outbox: &mut Outbox, wakeup: &Wakeup, clock: &mut Clock) {
        // A session may be about to begin.
        if let State::Trying(outcome) = &self.state
            && let Ok(Ok(opened)) = outcome.recv_timeout(GRACE)
        {
            self.state = State::Linked(Box::new(Link::new(opened, self.waker.clone())));
        }
        let State::Linked(link) = &mut self.state else { return };
        if !link.log_out() {
            return;
        }
        let began = clock.now();
        while clock.now().since(began) < GRACE {
            wakeup.clear();
            while let Some(Answer { purpose, outcome }) = link.answer() {
                match (purpose, outcome) {
                    (Purpose::LogOut, _) => return,
                    (Purpose::Post(numbers), Ok(answer)) => {
                        stored(&numbers, &answer).iter().for_each(|n| outbox.shown(*n));
                    }
                    _ => {}
                }
            }
            wait([wakeup.fd()], LONGEST_WAIT);
        }
    }

    /// Returns the names of all servers that are known.
    pub(super) fn names(&self) -> Vec<&str> {
        self.roster.names()
    }
}

/// Returns the line about a group that was made by joining it, perhaps by a slip.
pub(super) fn is_new(group: &str) -> String {
    format!("{} is a new group", on_one_line(group.as_bytes()))
}
