//! A person at a prompt: posts appear above the line being typed, and a line is a post or a command.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::{HELP, Line, USUAL_POSTS};
use super::keeper::{Keeper, is_new};
use super::link::{Answer, Ask, Link, Purpose};
use super::outbox::MOST_WAITING;
use super::posting::{Posted, Posting};
use super::server::{Trouble, encoded};
use super::socket::Heard;
use super::story::{Story, line, mark};
use super::told::{Event, Group, Groups, History, View};
use super::{Options, START_LIMIT, nobody_answers, with_unsent, words};
use crate::chat::operation::check_text;
use crate::driver::clock::{Clock, LONGEST_WAIT};
use crate::exit::{Exit, Failure};
use crate::ids::Time;
use crate::talk::{self, Talk, on_one_line};
use crate::terminal::screen::Screen;
use crate::transport::key;
use crate::transport::signals::{Signals, interruption};
use crate::transport::stdio::{Input, Output};
use crate::transport::terminal::Unechoed;
use crate::transport::wakeup::{Wakeup, wait, wakeup};

const WELCOME: &str = "/join GROUP goes to a group, /help lists all commands, /quit or Ctrl-D ends";
/// The time between two tellings of what was read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// Longest wait for the terminal.
const GRACE: Duration = Duration::from_millis(500);

/// A person, a keyboard and a screen.
pub(super) struct Person<'a> {
    options: &'a Options,
    talk: &'a Talk,
    screen: Screen,
    input: Input,
    wakeup: Wakeup,
    keeper: Keeper,
    posting: Posting,
    /// The group of the moment, and its posts once they are shown.
    group: Option<String>,
    story: Option<Story>,
    groups: BTreeMap<String, Group>,
    view: View,
    /// The servers that were said to be away.
    away: Vec<String>,
    /// The number up to which the group was read, as far as servers were told, and the moment of that.
    read: (u64, Time),
    has_quit: Option<Time>,
    _unechoed: Unechoed,
}

impl<'a> Person<'a> {
    /// Takes over the terminal and the notices of `talk`.
    pub(super) fn begin(options: &'a Options, talk: &'a Talk, now: Time) -> Result<Self, Failure> {
        let (wakeup, waker) = wakeup()?;
        let unechoed = Unechoed::begin()?;
        let screen = Screen::new(Output::stdout(waker.clone())?, String::new());
        if std::io::stderr().is_terminal() {
            let screen = screen.clone();
            talk.divert(Some(Box::new(move |line| screen.print(line))));
        }
        let mut keeper = Keeper::new(&options.connect, &options.user, key::random(), waker.clone(), now);
        keeper.groups.extend(options.group.clone());
        let person = Self {
            options,
            talk,
            screen,
            input: Input::stdin(waker)?,
            wakeup,
            keeper,
            posting: Posting::default(),
            group: options.group.clone(),
            story: None,
            groups: BTreeMap::new(),
            view: View::default(),
            away: Vec::new(),
            read: (0, now),
            has_quit: None,
            _unechoed: unechoed,
        };
        person.print(WELCOME);
        person.set_prompt();
        Ok(person)
    }

    /// Goes on until the person quits.
    pub(super) fn run(mut self, signals: &Signals, clock: &mut Clock) -> Result<(), Failure> {
        let outcome = self.work(signals, clock);
        self.keeper.log_out(&mut self.posting.outbox, &self.wakeup, clock);
        outcome.map_err(|failure| with_unsent(failure, &self.posting.outbox))
    }

    fn work(&mut self, signals: &Signals, clock: &mut Clock) -> Result<(), Failure> {
        loop {
            if let Some(exit) = signals.received() {
                return Err(interruption(exit));
            }
            self.wakeup.clear();
            let now = clock.now();
            self.read_keys(now)?;
            self.link_up(now);
            self.take_answers(now);
            self.take_events(now);
            self.send(now);
            match self.screen.output().is_full() {
                // The terminal has gone.
                Err(failure) if failure.exit == Exit::Ok => self.quit(now),
                full => drop(full?),
            }
            self.screen.show();
            if self.is_over(now)? {
                return Ok(());
            }
            wait(signals.fds().chain([self.wakeup.fd()]), LONGEST_WAIT);
        }
    }

    /// Prints a line of our own, or of several.
    fn print(&self, line: &str) {
        self.screen.print(&format!("{line}\n"));
    }

    fn set_prompt(&self) {
        let user = on_one_line(self.options.user.as_bytes());
        let group = self.group.as_ref().map(|group| format!("@{}", on_one_line(group.as_bytes())));
        self.screen.set_prompt(format!("{user}{}> ", group.unwrap_or_default()));
    }

    /// Returns whether the person has quit, and everything is stored.
    fn is_over(&mut self, now: Time) -> Result<bool, Failure> {
        if let Some(without) = self.keeper.without(now)
            && self.view.server.is_empty()
            && without >= START_LIMIT.min(self.options.timeout)
            && self.keeper.has_tried_all()
        {
            return Err(nobody_answers(&self.keeper));
        }
        let Some(since) = self.has_quit else { return Ok(false) };
        let waiting = self.posting.outbox.waiting();
        if waiting > 0 && now.since(since) >= self.options.timeout {
            let why = format!("the server has taken nothing for {:?}", self.options.timeout);
            return Err(Failure::new(Exit::TimedOut, why));
        }
        Ok(waiting == 0)
    }

    fn quit(&mut self, now: Time) {
        if self.has_quit.is_none() {
            self.has_quit = Some(now);
            self.screen.close();
            let waiting = self.posting.outbox.waiting();
            if waiting > 0 {
                self.print(&format!("waiting until {waiting} posts are stored (Ctrl-C ends now)"));
            }
        }
    }
}

/// Lines that the person types.
impl Person<'_> {
    fn read_keys(&mut self, now: Time) -> Result<(), Failure> {
        while let Some(typed) = self.input.take()? {
            if typed.is_empty() {
                // The terminal is closed.
                self.quit(now);
                return Ok(());
            }
            for line in self.screen.typed(&typed) {
                match line {
                    Some(line) if self.has_quit.is_none() => self.typed(&line, now),
                    Some(_) => {}
                    None => self.quit(now),
                }
            }
        }
        Ok(())
    }

    fn typed(&mut self, line: &str, now: Time) {
        match Line::parse(line) {
            Line::Nothing => {}
            Line::Post(text) => self.post(text),
            Line::Join(group) => self.join(group),
            Line::Leave(group) => self.leave(group),
            Line::Groups => self.ask_groups(Purpose::Groups),
            Line::Members if self.group.is_none() => self.print("join a group first: /join GROUP"),
            Line::Members => self.ask_groups(Purpose::Members),
            Line::History(count) => self.ask_history(Purpose::History, count),
            Line::Like(name, on) => self.like(name, on),
            Line::View => self.ask(Ask::question(Purpose::View, "view")),
            Line::Server(name) => self.change_server(name, now),
            Line::Help => self.print(HELP),
            Line::Quit => self.quit(now),
            Line::Incomplete(form) => self.print(&format!("write {form}")),
            Line::Unknown(command) => {
                self.print(&format!("there is no command {command}; /help lists the commands"));
            }
        }
    }

    fn post(&mut self, text: &str) {
        let Some(group) = self.group.clone() else {
            return self.print("join a group first: /join GROUP; /groups lists them");
        };
        if let Err(why) = check_text(text) {
            return self.print(&format!("cannot post: {why}"));
        }
        let outbox = &mut self.posting.outbox;
        if outbox.waiting() >= MOST_WAITING {
            return self.print("cannot post: as many posts as possible wait for a server already");
        }
        outbox.push(&group, text.to_owned());
        if self.keeper.link().is_none() {
            self.print("there is no server: it will be posted when one answers");
        }
    }

    fn join(&mut self, group: &str) {
        if self.group.as_deref() == Some(group) {
            return self.print("you are there");
        }
        self.tell_read();
        (self.group, self.story) = (Some(group.to_owned()), None);
        self.set_prompt();
        self.enter();
    }

    /// Joins the group of the moment, whose posts are shown next.
    fn enter(&mut self) {
        let Some(group) = self.group.clone() else {
            self.posting.is_ready = true;
            return self.follow();
        };
        if let Some(link) = self.keeper.link() {
            link.ask(Ask::join(&group));
        }
    }

    fn leave(&mut self, group: &str) {
        let group = if group.is_empty() { self.group.clone() } else { Some(group.to_owned()) };
        match group {
            Some(group) => self.ask(Ask::leave(&group)),
            None => self.print("you are in no group"),
        }
    }

    fn like(&mut self, name: &str, on: bool) {
        let found = self.story.as_ref().and_then(|story| story.find(name));
        match (found, name.trim_start_matches('#').parse::<u64>()) {
            (Some((id, name)), _) => self.like_post(&id, name, on),
            (None, Ok(number)) if self.group.is_some() => {
                let group = encoded(self.group.as_deref().unwrap_or_default());
                let after = number.saturating_sub(1);
                let path = format!("history?group={group}&after={after}&limit=1");
                self.ask(Ask::question(Purpose::Find { number, on }, &path));
            }
            _ if name.contains('-') => self.like_post(name, name.to_owned(), on),
            _ => self.print("name a post by its number or id: /like #12"),
        }
    }

    fn like_post(&mut self, id: &str, name: String, on: bool) {
        let body = json!({"id": id, "on": on});
        self.ask(Ask::command(Purpose::Like { name, on }, "like", body));
    }

    fn ask_groups(&mut self, purpose: Purpose) {
        let session = self.keeper.link().map(|link| link.session()).unwrap_or_default();
        self.ask(Ask::question(purpose, &format!("groups?session={session}")));
    }

    fn ask_history(&mut self, purpose: Purpose, count: usize) {
        match &self.group {
            Some(group) => {
                let path = format!("history?group={}&limit={count}", encoded(group));
                self.ask(Ask::question(purpose, &path));
            }
            None => self.print("join a group first: /join GROUP"),
        }
    }

    /// Sends a request, or says why not.
    fn ask(&mut self, ask: Ask) {
        let verb = ask.purpose.verb();
        let is_sent = self.keeper.link().map(|link| link.ask(ask));
        match is_sent {
            Some(true) => {}
            Some(false) => {
                self.print(&format!("cannot {verb}: the server has not answered what was asked before"));
            }
            None => self.print(&format!("cannot {verb} now: there is no server")),
        }
    }

    fn change_server(&mut self, name: &str, now: Time) {
        if self.keeper.link().is_some_and(|link| link.id == name) {
            return self.print(&format!("you are at {name}"));
        }
        if self.keeper.change(name, now) {
            self.print(&format!("changing to {name}"));
        } else {
            let names = talk::list(&self.keeper.names());
            self.print(&format!("there is no server {}; known are {names}", on_one_line(name.as_bytes())));
        }
    }
}

/// Answers and events of the server.
impl Person<'_> {
    fn link_up(&mut self, now: Time) {
        let screen = self.screen.clone();
        let Some(view) = self.keeper.turn(now, &mut |line| screen.print(&format!("{line}\n"))) else {
            return;
        };
        self.view = view;
        self.posting.begin_again();
        if self.story.is_some() { self.follow() } else { self.enter() }
    }

    fn lose(&mut self, why: &str, now: Time) {
        let screen = self.screen.clone();
        self.keeper.lose(why, now, &mut |line| screen.print(&format!("{line}\n")));
    }

    /// Follows the group of the moment from what was shown on.
    fn follow(&mut self) {
        let Some(link) = self.keeper.link() else { return };
        match &mut self.story {
            Some(story) => {
                let (after, seen) = (story.resume(), story.seen());
                link.follow(Some(&story.group), after, &seen);
            }
            None => link.follow(None, 0, ""),
        }
    }

    fn take_answers(&mut self, now: Time) {
        while let Some(Answer { purpose, outcome }) = self.keeper.link().and_then(Link::answer) {
            match (purpose, outcome) {
                (Purpose::Post(numbers), outcome) => self.posted(&numbers, outcome, now),
                (purpose, Ok(value)) => self.answered(purpose, value),
                (Purpose::Begin(group), Err(Trouble::Refused(404, _))) => self.show(&group, Vec::new()),
                (Purpose::Nothing, Err(Trouble::Refused(..))) => {}
                (purpose, Err(Trouble::Refused(401, why))) => {
                    self.print(&format!("cannot {}: {why}", purpose.verb()));
                    self.lose(&why, now);
                }
                (purpose, Err(Trouble::Refused(_, why))) => {
                    self.print(&format!("cannot {}: {}", purpose.verb(), on_one_line(why.as_bytes())));
                    self.refused(&purpose);
                }
                (_, Err(Trouble::Lost(why))) => self.lose(&why, now),
            }
        }
    }

    fn posted(&mut self, numbers: &[u64], outcome: Result<Value, Trouble>, now: Time) {
        match self.posting.answered(numbers, outcome, now) {
            Posted::Stored | Posted::Waits(None) => {}
            Posted::Waits(Some(why)) => self.print(&format!("cannot post yet: {why}; trying again")),
            Posted::Outside(why) | Posted::Refused(why) => {
                // The others are sent again.
                if let Some(first) = numbers.first() {
                    self.posting.outbox.forget(*first);
                }
                self.print(&format!("cannot post: {}", on_one_line(why.as_bytes())));
            }
            Posted::Lost(why) => self.lose(&why, now),
        }
    }

    fn answered(&mut self, purpose: Purpose, value: Value) {
        match purpose {
            Purpose::Join(group) => {
                if value["new"] == true {
                    self.print(&is_new(&group));
                }
                if !self.keeper.groups.contains(&group) {
                    self.keeper.groups.push(group.clone());
                }
                if self.group.as_ref() == Some(&group) {
                    self.ask_history(Purpose::Begin(group), USUAL_POSTS);
                }
            }
            Purpose::Leave(group) => {
                self.print(&format!("you have left {}", on_one_line(group.as_bytes())));
                self.go_out_of(&group);
            }
            Purpose::Begin(group) => {
                let items = serde_json::from_value::<History>(value).map(|it| it.items);
                self.show(&group, items.unwrap_or_default());
            }
            Purpose::History => {
                if let Ok(history) = serde_json::from_value::<History>(value) {
                    history.items.iter().for_each(|item| self.print(&line(item)));
                }
            }
            Purpose::Find { number, on } => {
                let found = serde_json::from_value::<History>(value).ok().map(|history| history.items);
                let found = found.into_iter().flatten().find(|item| item.number == Some(number));
                match found {
                    Some(item) => self.like_post(&item.id, mark(&item), on),
                    None => self.print(&format!("there is no post #{number} in this group")),
                }
            }
            Purpose::Groups | Purpose::Members => {
                if let Ok(Groups { groups }) = serde_json::from_value(value) {
                    self.list(&groups, &purpose);
                }
            }
            Purpose::View => {
                if let Ok(view) = serde_json::from_value(value) {
                    words::view(&view).iter().for_each(|line| self.print(line));
                }
            }
            Purpose::Like { .. } | Purpose::Post(_) | Purpose::Pull | Purpose::LogOut | Purpose::Nothing => {}
        }
    }

    /// Takes back what a refusal makes impossible.
    fn refused(&mut self, purpose: &Purpose) {
        match purpose {
            Purpose::Join(group) | Purpose::Begin(group) if self.group.as_ref() == Some(group) => {
                self.posting.is_ready = true;
                self.go_out_of(group);
            }
            // Another client of the user may have left it.
            Purpose::Leave(group) => self.go_out_of(group),
            _ => {}
        }
    }

    /// Forgets a group that the user is not in.
    fn go_out_of(&mut self, group: &str) {
        self.keeper.groups.retain(|joined| joined != group);
        if self.group.as_deref() == Some(group) {
            (self.group, self.story) = (None, None);
            self.set_prompt();
            self.follow();
        }
    }

    fn list(&self, groups: &[Group], purpose: &Purpose) {
        if *purpose == Purpose::Members {
            let group = groups.iter().find(|group| Some(&group.group) == self.group.as_ref());
            return self.print(&group.map_or_else(|| "nobody".to_owned(), words::members));
        }
        groups.iter().for_each(|group| self.print(&words::group(group)));
        if groups.is_empty() {
            self.print("there are no groups yet: /join GROUP makes one");
        }
    }

    /// Shows the last posts of the group of the moment, and what comes from now on.
    fn show(&mut self, group: &str, items: Vec<super::told::Item>) {
        if self.group.as_deref() != Some(group) {
            return;
        }
        let story = Story::new(group, items, self.view.confirmed);
        story.lines().iter().for_each(|line| self.print(line));
        self.read.0 = 0;
        self.story = Some(story);
        self.follow();
    }

    fn take_events(&mut self, now: Time) {
        while let Some(heard) = self.keeper.link().and_then(|link| link.heard()) {
            match heard {
                Heard::Event(event) => self.event(event),
                Heard::Behind => self.follow(),
                Heard::Ended(why) => return self.lose(&why, now),
            }
        }
    }

    fn event(&mut self, event: Event) {
        let lines: Vec<String> = match (event, &mut self.story) {
            (Event::Hello { lacks }, _) if lacks > 0 => vec![format!(
                "{} lacks {lacks} of the messages that you have seen; they come when it hears the other servers",
                self.view.server
            )],
            (Event::Groups { groups }, _) => self.groups_changed(groups),
            (Event::View(view), _) => self.view_changed(view),
            (Event::Items { items, last }, Some(story)) => {
                self.posting.is_ready |= last;
                story.items(items, last)
            }
            (Event::Item { item, before }, Some(story)) => {
                story.item(item, before.as_deref()).into_iter().collect()
            }
            (Event::Numbers { items }, Some(story)) => {
                story.numbers(&items);
                Vec::new()
            }
            (Event::Likes { id, likes }, Some(story)) => {
                story.likes(&id, likes.unwrap_or_default()).into_iter().collect()
            }
            (Event::Gone { id, now }, Some(story)) => story.gone(&id, now).into_iter().collect(),
            (Event::Reset { after }, Some(story)) => {
                story.reset(after);
                Vec::new()
            }
            _ => Vec::new(),
        };
        lines.iter().for_each(|line| self.print(line));
        self.settle();
    }

    /// Lets go of the posts of this client that servers show.
    fn settle(&mut self) {
        let Some(story) = self.story.as_ref().filter(|_| self.posting.outbox.len() > 0) else { return };
        for (n, number) in story.own(&self.options.user, self.keeper.client()) {
            match number {
                Some(_) => self.posting.outbox.forget(n),
                None => self.posting.outbox.shown(n),
            }
        }
    }

    fn groups_changed(&mut self, groups: Vec<Group>) -> Vec<String> {
        let mut lines = Vec::new();
        for mut group in groups {
            // Nobody has to be told of himself.
            group.users.retain(|user| *user != self.options.user);
            group.unreachable.retain(|user| *user != self.options.user);
            let before = self.groups.remove(&group.group).unwrap_or_default();
            if Some(&group.group) == self.group.as_ref() {
                lines.extend(words::changes(&before, &group));
            }
            self.groups.insert(group.group.clone(), group);
        }
        lines
    }

    fn view_changed(&mut self, view: View) -> Vec<String> {
        let away: Vec<String> = words::away(&view).into_iter().map(str::to_owned).collect();
        let is_news = away != self.away;
        let lines = if is_news { vec![words::partition(&view)] } else { Vec::new() };
        (self.view, self.away) = (view, away);
        lines
    }

    /// Sends what is due.
    fn send(&mut self, now: Time) {
        if let Some(link) = self.keeper.link() {
            self.posting.send(link, now);
        }
        if now.since(self.read.1) >= READ_EVERY {
            self.read.1 = now;
            self.tell_read();
        }
    }

    /// Tells the server how far the group was read.
    fn tell_read(&mut self) {
        let (Some(story), Some(link)) = (&self.story, self.keeper.link()) else { return };
        let number = story.confirmed();
        if number > self.read.0 {
            self.read.0 = number;
            let body = json!({"group": story.group, "number": number});
            // If there is no room now, it is told with the next post.
            link.ask(Ask::command(Purpose::Nothing, "read", body));
        }
    }
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        self.talk.divert(None);
        self.screen.close();
        self.screen.show();
        self.screen.output().settle(GRACE);
    }
}
