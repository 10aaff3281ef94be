//! Station 2: a person at a prompt. A line is a multicast, `@c2 text` is a direct message to c2, and deliveries appear
//! above the line being typed.

use std::collections::VecDeque;
use std::io::IsTerminal;

use bytes::Bytes;

use super::user::{GRACE, User};
use crate::driver::Node;
use crate::driver::endpoint::Endpoint;
use crate::engine::{MemberId, Time};
use crate::exit::Failure;
use crate::participant::Next;
use crate::talk::{self, Talk};
use crate::terminal::screen::Screen;
use crate::transport::stdio::{Input, Output};
use crate::transport::terminal::Unechoed;
use crate::transport::wakeup::Waker;

/// Most lines that wait to be sent; with as many, no key is read.
const MOST_WAITING: usize = 64;
const WELCOME: &str =
    "@NAME TEXT is for NAME alone, /who lists all, /quit or Ctrl-D finishes, /help lists more";
const HELP: &str = "\
TEXT               to all members
@NAME TEXT         to NAME alone
/who               lists the members
/help              lists the commands
/quit or Ctrl-D    sends no more, and waits until all others have finished, too
Ctrl-C             leaves now
// and @@          begin a text with / and @";

/// A person, a keyboard and a screen.
pub(super) struct Chat {
    me: String,
    members: Vec<(String, MemberId)>,
    input: Input,
    screen: Screen,
    /// The lines to be sent, each to one member or to all.
    waiting: VecDeque<(Option<MemberId>, Bytes)>,
    has_finished: bool,
    talk: Talk,
    _unechoed: Unechoed,
}

impl Chat {
    /// Takes over the terminal and the notices of `talk`.
    pub(super) fn begin(node: &Node, waker: Waker, talk: &Talk) -> Result<Self, Failure> {
        let me = node.seat(node.me()).id.clone();
        let unechoed = Unechoed::begin()?;
        let screen = Screen::new(Output::stdout(waker.clone())?, format!("{me}> "));
        if std::io::stderr().is_terminal() {
            let screen = screen.clone();
            talk.divert(Some(Box::new(move |line| screen.print(line))));
        }
        screen.print(&format!("{WELCOME}\n"));
        Ok(Self {
            me,
            members: members(node),
            input: Input::stdin(waker)?,
            screen,
            waiting: VecDeque::new(),
            has_finished: false,
            talk: talk.clone(),
            _unechoed: unechoed,
        })
    }

    fn typed(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            // The terminal is closed.
            return self.quit();
        }
        for line in self.screen.typed(bytes) {
            match line {
                Some(line) if !self.has_finished => self.line(&line),
                Some(_) => {}
                None => self.quit(),
            }
        }
    }

    fn line(&mut self, line: &str) {
        match Line::parse(line) {
            Line::Nothing => {}
            Line::ToAll(text) => self.waiting.push_back((None, Bytes::copy_from_slice(text.as_bytes()))),
            Line::ToOne(name, text) => self.send_direct(name, text),
            Line::Who => self.print(&self.who()),
            Line::Quit => self.quit(),
            Line::Help => self.print(HELP),
            Line::Unknown(command) => {
                self.print(&format!("there is no command {command}; /help lists the commands"));
            }
            Line::Unaddressed => {
                self.print("write @NAME TEXT to send TEXT to NAME alone; /who lists the names");
            }
        }
    }

    fn send_direct(&mut self, name: &str, text: &str) {
        match self.members.iter().find(|(member, _)| member == name) {
            _ if name == self.me => self.print("that is you"),
            Some(&(_, member)) => {
                self.print(&format!("{} (to {name})> {text}", self.me));
                self.waiting.push_back((Some(member), Bytes::copy_from_slice(text.as_bytes())));
            }
            None => self.print(&format!("{name} is not a member; here are {}", self.who())),
        }
    }

    fn who(&self) -> String {
        let you = |name: &String| if *name == self.me { format!("{name} (you)") } else { name.clone() };
        talk::list(&self.members.iter().map(|(name, _)| you(name)).collect::<Vec<_>>())
    }

    fn quit(&mut self) {
        if !self.has_finished {
            self.has_finished = true;
            self.screen.close();
            self.print("you have finished; the run ends when all others have (Ctrl-C leaves it now)");
        }
    }

    /// Prints a line that is not a message.
    fn print(&self, line: &str) {
        self.screen.print(&format!("{line}\n"));
    }
}

impl User for Chat {
    fn next(&mut self, _: Time) -> Result<Next, Failure> {
        while self.waiting.len() < MOST_WAITING && !self.has_finished {
            let Some(typed) = self.input.take()? else { break };
            self.typed(&typed);
        }
        Ok(match self.waiting.front() {
            Some((None, _)) => Next::Multicast,
            Some((Some(to), _)) => Next::Send(*to),
            None if self.has_finished => Next::Finish,
            None => Next::Rest(None),
        })
    }

    fn take(&mut self) -> Option<Bytes> {
        self.waiting.pop_front().map(|(_, text)| text)
    }

    /// Shows the members that are new in the view.
    fn meet_group(&mut self, node: &Node) {
        let before = std::mem::replace(&mut self.members, members(node));
        for member in self.members.iter().filter(|member| !before.contains(member)) {
            self.print(&format!("{} is here", member.0));
        }
    }

    fn delivered(&mut self, from: &str, text: &[u8]) {
        self.print(&format!("{from}> {}", talk::on_one_line(text)));
    }

    fn received(&mut self, from: &str, text: &[u8]) {
        self.print(&format!("{from} (to you)> {}", talk::on_one_line(text)));
    }

    fn note(&self, line: &str) -> bool {
        self.print(line);
        true
    }

    fn show(&mut self) {
        self.screen.show();
    }

    fn output(&self) -> Option<&Output> {
        Some(self.screen.output())
    }

    fn is_person(&self) -> bool {
        true
    }
}

/// Returns the clients of the view, sorted by name.
fn members(node: &Node) -> Vec<(String, MemberId)> {
    let clients = node.view().clients.iter();
    let mut members: Vec<_> = clients.map(|&client| (node.seat(client).id.clone(), client)).collect();
    members.sort_unstable();
    members
}

impl Drop for Chat {
    fn drop(&mut self) {
        self.talk.divert(None);
        self.screen.close();
        self.screen.show();
        self.screen.output().settle(GRACE);
    }
}

/// The meaning of a line.
#[derive(Debug, Eq, PartialEq)]
enum Line<'a> {
    Nothing,
    ToAll(&'a str),
    ToOne(&'a str, &'a str),
    Who,
    Quit,
    Help,
    /// An unknown command.
    Unknown(&'a str),
    /// A direct message without a name or a text.
    Unaddressed,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        match line {
            _ if line.trim().is_empty() => Self::Nothing,
            _ if line.starts_with("//") || line.starts_with("@@") => Self::ToAll(&line[1..]),
            _ if line.starts_with('@') => match line[1..].split_once(' ') {
                Some((name, text)) if !name.is_empty() && !text.is_empty() => Self::ToOne(name, text),
                _ => Self::Unaddressed,
            },
            _ if line.starts_with('/') => match line.trim_end() {
                "/who" => Self::Who,
                "/quit" => Self::Quit,
                "/help" => Self::Help,
                command => Self::Unknown(command.split(' ').next().unwrap_or(command)),
            },
            _ => Self::ToAll(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_mean_what_the_help_says() {
        for (line, said) in [
            ("", Line::Nothing),
            ("  ", Line::Nothing),
            ("hello", Line::ToAll("hello")),
            (" /who", Line::ToAll(" /who")),
            ("@c2 hi there", Line::ToOne("c2", "hi there")),
            ("@c2", Line::Unaddressed),
            ("@ c2", Line::Unaddressed),
            ("@@c2 hi", Line::ToAll("@c2 hi")),
            ("//etc", Line::ToAll("/etc")),
            ("/who ", Line::Who),
            ("/quit", Line::Quit),
            ("/exit", Line::Unknown("/exit")),
            ("/msg c2 hi", Line::Unknown("/msg")),
            ("/help", Line::Help),
        ] {
            assert_eq!(Line::parse(line), said, "{line}");
        }
    }

    #[test]
    fn the_help_lists_every_command() {
        for command in ["/who", "/help", "/quit"] {
            assert!(HELP.contains(command) && !matches!(Line::parse(command), Line::Unknown(_)), "{command}");
        }
    }
}
