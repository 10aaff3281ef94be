//! `producer | chat --lines | consumer`: each line of input is a post, each confirmed post a line of output. The
//! outputs of all clients of a group are beginnings of one another, whatever servers they use and lose.

use std::io::IsTerminal;
use std::time::Duration;

use super::keeper::Keeper;
use super::link::{Answer, Ask, Purpose};
use super::outbox::{MOST_STORED, MOST_WAITING};
use super::posting::{Posted, Posting};
use super::reader::Reader;
use super::server::{Trouble, encoded};
use super::socket::Heard;
use super::told::{Event, History, Item, View};
use super::{Options, START_LIMIT, with_unsent};
use crate::chat::operation::MOST_N;
use crate::driver::clock::{Clock, LONGEST_WAIT};
use crate::exit::{Exit, Failure};
use crate::ids::Time;
use crate::results::write_text;
use crate::talk::{self, Talk};
use crate::transport::key;
use crate::transport::signals::{Signals, interruption};
use crate::transport::stdio::{Input, Output};
use crate::transport::wakeup::{Wakeup, wait, wakeup};

/// Posts in one answer.
const PAGE: usize = 500;
/// The time between two words about a wait.
const SAY_EVERY: Duration = Duration::from_secs(10);
/// The time after which a question is asked again that a server could not answer.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for the last bytes to be read.
const GRACE: Duration = Duration::from_millis(500);

/// Standard input and standard output.
pub(super) struct Pipe<'a> {
    options: &'a Options,
    group: &'a str,
    talk: &'a Talk,
    keeper: Keeper,
    wakeup: Wakeup,
    input: Input,
    reader: Reader,
    /// The reason why no more is read.
    flaw: Option<Failure>,
    output: Output,
    is_seen: bool,
    /// True once nobody reads the output any more: then only what has been read of the input is still posted.
    is_unread: bool,
    posting: Posting,
    /// The number of the last post that was printed.
    cursor: u64,
    pull: Pull,
    view: View,
    /// The moment of the last thing that was done.
    progress: Time,
    said: Time,
}

/// The state of what is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pull {
    /// There may be more, from this moment on.
    Due(Time),
    /// It was asked for; true if there may be more than that.
    Asked(bool),
    /// Everything is printed.
    Done,
}

impl<'a> Pipe<'a> {
    /// Takes over the standard streams.
    pub(super) fn begin(
        options: &'a Options,
        group: &'a str,
        talk: &'a Talk,
        now: Time,
    ) -> Result<Self, Failure> {
        let (wakeup, waker) = wakeup()?;
        let mut keeper = Keeper::new(&options.connect, &options.user, key::random(), waker.clone(), now);
        keeper.groups.push(group.to_owned());
        Ok(Self {
            options,
            group,
            talk,
            keeper,
            wakeup,
            input: Input::stdin(waker.clone())?,
            reader: Reader::default(),
            flaw: None,
            output: Output::stdout(waker)?,
            is_seen: std::io::stdout().is_terminal(),
            is_unread: false,
            posting: Posting::default(),
            cursor: options.after,
            pull: Pull::Due(now),
            view: View::default(),
            progress: now,
            said: now,
        })
    }

    /// Goes on until everything of standard input is confirmed.
    pub(super) fn run(mut self, signals: &Signals, clock: &mut Clock) -> Result<(), Failure> {
        let outcome = self.work(signals, clock);
        self.keeper.log_out(&mut self.posting.outbox, &self.wakeup, clock);
        // However this ends, the last lines are to be read.
        self.output.settle(GRACE);
        outcome.map_err(|failure| with_unsent(failure, &self.posting.outbox))?;
        self.flaw.map_or(Ok(()), Err)
    }

    fn work(&mut self, signals: &Signals, clock: &mut Clock) -> Result<(), Failure> {
        while !self.is_done() {
            if let Some(exit) = signals.received() {
                return Err(interruption(exit));
            }
            self.wakeup.clear();
            let now = clock.now();
            self.read(now)?;
            self.link_up(now);
            self.take_answers(now)?;
            self.take_events(now);
            self.ask(now)?;
            self.check(now)?;
            if !self.is_done() {
                wait(signals.fds().chain([self.wakeup.fd()]), LONGEST_WAIT);
            }
        }
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.flaw.is_some() || self.reader.is_at_end()
    }

    fn is_done(&self) -> bool {
        let outbox = &self.posting.outbox;
        let is_over =
            if self.is_unread { outbox.waiting() == 0 } else { outbox.len() == 0 && self.pull == Pull::Done };
        self.has_ended() && is_over
    }

    /// Takes lines in, as many as there is room for.
    fn read(&mut self, now: Time) -> Result<(), Failure> {
        while !self.has_ended() {
            let outbox = &mut self.posting.outbox;
            let is_full = outbox.len() >= MOST_STORED && !self.is_unread;
            if outbox.waiting() >= MOST_WAITING || is_full {
                return Ok(());
            }
            match self.reader.next() {
                Ok(Some(text)) => {
                    if outbox.waiting() == 0 {
                        self.progress = now;
                    }
                    outbox.push(self.group, text);
                }
                Ok(None) => match self.input.take()? {
                    Some(chunk) => {
                        self.reader.push(&chunk);
                        self.progress = now;
                    }
                    None if self.input.is_over() => {
                        self.talk
                            .say("nobody reads the output any more: the rest of the input is not posted");
                        self.reader.cut_off();
                    }
                    None => return Ok(()),
                },
                Err(flaw) => self.flaw = Some(flaw),
            }
        }
        Ok(())
    }

    fn link_up(&mut self, now: Time) {
        let talk = self.talk;
        let Some(view) = self.keeper.turn(now, &mut |line| talk.say(line)) else { return };
        self.view = view;
        self.posting.begin_again();
        self.pull = Pull::Due(now);
        self.progress = now;
        self.follow();
    }

    /// Listens for news. Confirmed posts are asked for; the socket tells when.
    fn follow(&mut self) {
        if let Some(link) = self.keeper.link() {
            link.follow(Some(self.group), MOST_N, "");
        }
    }

    fn lose(&mut self, why: &str, now: Time) {
        let talk = self.talk;
        self.keeper.lose(why, now, &mut |line| talk.say(line));
    }

    fn take_answers(&mut self, now: Time) -> Result<(), Failure> {
        while let Some(Answer { purpose, outcome }) = self.keeper.link().and_then(super::link::Link::answer) {
            match (purpose, outcome) {
                (Purpose::Post(numbers), outcome) => self.posted(&numbers, outcome, now)?,
                (Purpose::Pull, Ok(history)) => match serde_json::from_value(history) {
                    Ok(history) => self.print(history, now),
                    Err(error) => self.lose(&format!("no answer of a chat server: {error}"), now),
                },
                // A server that has no post of the group yet.
                (Purpose::Pull, Err(Trouble::Refused(404, _))) => self.pulled(false, now),
                (Purpose::Pull, Err(Trouble::Refused(..))) => self.pull = Pull::Due(now.after(PAUSE)),
                (_, Err(Trouble::Lost(why))) => self.lose(&why, now),
                _ => {}
            }
        }
        Ok(())
    }

    fn posted(
        &mut self,
        numbers: &[u64],
        outcome: Result<serde_json::Value, Trouble>,
        now: Time,
    ) -> Result<(), Failure> {
        match self.posting.answered(numbers, outcome, now) {
            Posted::Stored => self.progress = now,
            Posted::Waits(Some(why)) => self.talk.say(format!("{}: {why}; trying again", self.view.server)),
            Posted::Waits(None) => {}
            // The user has left the group elsewhere.
            Posted::Outside(_) => {
                if let Some(link) = self.keeper.link() {
                    link.ask(Ask::join(self.group));
                }
            }
            Posted::Refused(why) => {
                return Err(Failure::new(Exit::BadData, format!("cannot post: {why}")));
            }
            Posted::Lost(why) => self.lose(&why, now),
        }
        Ok(())
    }

    /// Prints the confirmed posts of an answer, which come first.
    fn print(&mut self, history: History, now: Time) {
        let mut lines = Vec::new();
        let mut is_all_confirmed = true;
        for item in history.items {
            let Some(number) = item.number else {
                is_all_confirmed = false;
                break;
            };
            self.cursor = self.cursor.max(number);
            self.line(&item, number, &mut lines);
            if self.is_own(&item) {
                self.posting.outbox.forget(item.n);
                self.progress = now;
            }
        }
        if !lines.is_empty() && !self.is_unread {
            self.output.write(&lines);
        }
        self.pulled(history.more && is_all_confirmed, now);
    }

    fn line(&self, item: &Item, number: u64, lines: &mut Vec<u8>) {
        lines.extend_from_slice(format!("{number}\t{}\t", item.user).as_bytes());
        if self.is_seen {
            lines.extend_from_slice(talk::on_one_line(item.text.as_bytes()).as_bytes());
        } else {
            write_text(lines, item.text.as_bytes());
        }
        lines.push(b'\n');
    }

    fn is_own(&self, item: &Item) -> bool {
        item.user == self.options.user && item.client.as_deref() == Some(self.keeper.client())
    }

    /// Notes that an answer has come.
    fn pulled(&mut self, is_more: bool, now: Time) {
        let is_stale = self.pull == Pull::Asked(true);
        self.pull = if is_more || is_stale { Pull::Due(now) } else { Pull::Done };
    }

    /// Notes that there may be more.
    fn expect_more(&mut self, now: Time) {
        self.pull = match self.pull {
            Pull::Asked(_) => Pull::Asked(true),
            Pull::Due(at) => Pull::Due(at),
            Pull::Done => Pull::Due(now),
        };
    }

    fn take_events(&mut self, now: Time) {
        while let Some(heard) = self.keeper.link().and_then(|link| link.heard()) {
            match heard {
                Heard::Event(Event::Items { items, last }) => {
                    for item in items.iter().filter(|item| self.is_own(item)).collect::<Vec<_>>() {
                        self.posting.outbox.shown(item.n);
                    }
                    self.posting.is_ready |= last;
                    self.expect_more(now);
                }
                Heard::Event(Event::Numbers { .. } | Event::Reset { .. }) => self.expect_more(now),
                Heard::Event(Event::View(view)) => self.view = view,
                Heard::Event(_) => {}
                Heard::Behind => return self.follow(),
                Heard::Ended(why) => return self.lose(&why, now),
            }
        }
    }

    fn ask(&mut self, now: Time) -> Result<(), Failure> {
        let is_full = match self.output.is_full() {
            // Its reader wants no more.
            Err(failure) if failure.exit == Exit::Ok => {
                if !std::mem::replace(&mut self.is_unread, true) {
                    self.input.stop();
                }
                false
            }
            full => full?,
        };
        let Some(link) = self.keeper.link() else { return Ok(()) };
        self.posting.send(link, now);
        if matches!(self.pull, Pull::Due(at) if at <= now) && !is_full {
            let path = format!("history?group={}&after={}&limit={PAGE}", encoded(self.group), self.cursor);
            if link.ask(Ask::question(Purpose::Pull, &path)) {
                self.pull = Pull::Asked(false);
            }
        }
        Ok(())
    }

    /// Says what is waited for, and gives up after the limit.
    fn check(&mut self, now: Time) -> Result<(), Failure> {
        let limit = self.options.timeout;
        if let Some(without) = self.keeper.without(now) {
            let has_begun = !self.view.server.is_empty();
            let limit = if has_begun { limit } else { limit.min(START_LIMIT) };
            if without >= limit && self.keeper.has_tried_all() {
                return Err(super::nobody_answers(&self.keeper));
            }
            return Ok(());
        }
        let outbox = &self.posting.outbox;
        let is_unconfirmed = self.has_ended() && outbox.len() > 0;
        let is_waiting = outbox.waiting() > 0 || is_unconfirmed || outbox.len() >= MOST_STORED;
        if !is_waiting {
            self.said = now;
            return Ok(());
        }
        if now.since(self.progress) >= limit {
            let help = "posts that are stored will be confirmed when all servers hear one another again";
            let why = format!("nothing has happened for {limit:?}: {}", self.wait());
            return Err(Failure::new(Exit::TimedOut, why).help(help));
        }
        if now.since(self.said.max(self.progress)) >= SAY_EVERY {
            self.said = now;
            self.talk.say(self.wait());
        }
        Ok(())
    }

    /// Returns what is waited for.
    fn wait(&self) -> String {
        let outbox = &self.posting.outbox;
        let posts = |count| if count == 1 { "1 post".to_owned() } else { format!("{count} posts") };
        if outbox.waiting() > 0 {
            let why = self.posting.refusal().map(|why| format!(" ({why})")).unwrap_or_default();
            return format!("waiting for {} to store {}{why}", self.view.server, posts(outbox.waiting()));
        }
        let lacking = match &*self.view.waits_for {
            [] => String::new(),
            servers => format!(", which waits for {}", talk::list(servers)),
        };
        format!("waiting for {} to be confirmed at {}{lacking}", posts(outbox.len()), self.view.server)
    }
}
