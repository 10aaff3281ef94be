//! `groupcast explain`: describes the waits of one message at one member; in a cluster, also how it took its place.
//!
//! All facts come from the run's histories; the explanation names those that the histories lack.

mod cluster;

use std::path::PathBuf;

use clap::Args as Arguments;

use crate::check::{EventKind, Member, Message, Timeline};
use crate::cli::{self, Voice};
use crate::diagram::{Passage, Passages, find, hover, place};
use crate::exit::{Exit, Failure};
use crate::nearest::nearest;
use crate::place::shown;
use crate::talk::{list, on_one_line};
use crate::units::short_duration;

/// The example and notes of `--help`.
const HELP: &str = "\
Example:
  groupcast explain results c3 c1/1/7

Times are in seconds since the start of the run, by the clock of the member that tells them. When a message arrived and \
what it waited for is known of clients that were told --trace. Of a cluster, it is told where the message took its place, \
and what its confirmation waited for.";

/// The most deliveries that are listed by name.
const TOLD: usize = 8;

/// The arguments of `groupcast explain`.
#[derive(Arguments, Clone, Debug)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub struct Args {
    /// Folder with the histories
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Member at which the message waited
    #[arg(value_name = "MEMBER")]
    member: String,
    /// Message as sender/incarnation/number, like c1/1/7
    #[arg(value_name = "ID")]
    id: String,
    /// Group to explain, if the folder has histories of several
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    voice: Voice,
}

/// Prints the explanation.
///
/// # Errors
/// Exit 66 if there are no histories, or no such member or message; 65 if a history is malformed; 74 if standard
/// output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let timeline = Timeline::read(&args.dir, args.group.as_deref(), None)?;
    let lane = lane(&timeline, &args.member)?;
    let message = find(&timeline, &args.id)?;
    cli::print(explain(&timeline, lane, message).trim_end())?;
    Ok(Exit::Ok)
}

/// Returns the explanations of every multicast at every member.
pub(crate) fn all(timeline: &Timeline) -> impl Iterator<Item = String> {
    let multicasts = timeline.messages.iter().take_while(|message| message.to.is_none()).count();
    let at = move |lane| (0..multicasts).map(move |message| explain(timeline, lane, message));
    (0..timeline.members.len()).flat_map(at)
}

fn lane(timeline: &Timeline, name: &str) -> Result<usize, Failure> {
    let names = || timeline.members.iter().map(|member| member.name.as_str());
    names().position(|known| known == name).ok_or_else(|| {
        let failure =
            Failure::new(Exit::NoInput, format!("there is no history of {}", shown(name.as_bytes())));
        match nearest(name, names()) {
            Some(near) => failure.help(format!("did you mean {near}?")),
            None => failure.help(format!("there are those of {}", list(&names().collect::<Vec<_>>()))),
        }
    })
}

/// Explains a message at a member, one sentence per line.
fn explain(timeline: &Timeline, lane: usize, message: usize) -> String {
    let passages = Passages::of(timeline);
    let story = Story {
        timeline,
        passages: &passages,
        index: message,
        message: &timeline.messages[message],
        member: &timeline.members[lane],
        passage: passages.of_message(lane, message),
    };
    let origin = hover::origin(timeline, &passages, message);
    if timeline.slots.is_some() {
        return [vec![story.title()], story.in_cluster(origin)].concat().join("\n");
    }
    let mut lines = vec![story.title(), story.multicast(origin)];
    if let Some((sender, _)) = origin {
        let clock = hover::clock(&timeline.members[sender], &passages.of_message(sender, message));
        lines.extend(clock.map(|clock| format!("Its clock is {clock}.")));
    }
    let lost = origin.and_then(|(sender, _)| hover::undeliverable(timeline, &passages, sender, message));
    lines.extend(lost.map(|lost| format!("{lost}.")));
    lines.extend(story.arrival());
    lines.extend(story.waits());
    lines.push(story.end());
    lines.extend(story.before());
    lines.join("\n")
}

/// The context of one explanation: a message at a member.
struct Story<'c> {
    timeline: &'c Timeline,
    passages: &'c Passages,
    /// The message as an index of the timeline's messages.
    index: usize,
    message: &'c Message,
    member: &'c Member,
    passage: Passage,
}

impl Story<'_> {
    fn title(&self) -> String {
        let title = format!("{} at {}, order {}", self.message.id(), self.member.name, self.timeline.order);
        match &*on_one_line(&self.message.text) {
            "" => title,
            text => format!("{title}: {text}"),
        }
    }

    fn multicast(&self, origin: Option<(usize, usize)>) -> String {
        let Some((sender, index)) = origin else {
            return format!("No history here says that {} multicast it.", self.message.sender);
        };
        let member = &self.timeline.members[sender];
        format!("{} multicast it at {}.", member.name, place(member, index))
    }

    fn arrival(&self) -> Option<String> {
        let name = &self.member.name;
        match self.passage.arrived {
            Some(index) if self.passage.is_held_back() => {
                Some(format!("It arrived at {name} at {} and was held back.", place(self.member, index)))
            }
            Some(index) => {
                Some(format!("It arrived at {name} at {}; nothing held it back.", place(self.member, index)))
            }
            None if self.member.is_traced => Some(format!("It never arrived at {name}.")),
            None => Some(format!(
                "When it arrived at {name} is not in its history: the client was not told --trace, so what held it back \
                 is not known."
            )),
        }
    }

    /// Describes the reasons to wait, in order.
    fn waits(&self) -> Vec<String> {
        let reasons = hover::reasons(self.member, &self.passage);
        let tell = |(place, (&index, (reason, micros))): (usize, (&usize, &(String, Option<u64>)))| {
            let at = self.member.source(index);
            let then = if place == 0 { "It waited" } else { "Then it waited" };
            match micros {
                Some(micros) => format!("{then} {} for {reason} {at}.", short_duration(*micros)),
                None => format!("{then} for {reason} {at}, to the end."),
            }
        };
        self.passage.waits.iter().zip(&reasons).enumerate().map(tell).collect()
    }

    fn end(&self) -> String {
        let name = &self.member.name;
        let Some(index) = self.passage.delivered else {
            return match &self.member.open {
                None => format!("{name} never delivered it; its history is complete."),
                Some(open) => format!("{name} delivered it nowhere in what is known: {open}."),
            };
        };
        let number = match self.member.events[index].kind {
            EventKind::Deliver(Some(number)) => format!(" as number {number}"),
            _ => String::new(),
        };
        let after = match self.passage.length(self.member) {
            Some(micros) if self.passage.is_held_back() => {
                format!(", {} after it arrived", short_duration(micros))
            }
            _ => String::new(),
        };
        format!("{name} delivered it{number} at {}{after}.", place(self.member, index))
    }

    /// Describes the deliveries during the wait; without a trace, the delivery directly before.
    fn before(&self) -> Option<String> {
        let end = self.passage.delivered?;
        let events = &self.member.events;
        let from = self.passage.arrived.unwrap_or(0);
        let deliveries: Vec<usize> =
            (from..end).filter(|&index| matches!(events[index].kind, EventKind::Deliver(_))).collect();
        let id = |&index: &usize| {
            events[index].message.map_or_else(String::new, |message| self.timeline.messages[message].id())
        };
        if self.passage.arrived.is_none() {
            let last = deliveries.last()?;
            return Some(format!(
                "Right before it, {} delivered {} {}.",
                self.member.name,
                id(last),
                self.member.source(*last)
            ));
        }
        if deliveries.is_empty() || !self.passage.is_held_back() {
            return None;
        }
        let mut ids: Vec<String> = deliveries.iter().take(TOLD).map(id).collect();
        if deliveries.len() > TOLD {
            ids.push(format!("{} more", deliveries.len() - TOLD));
        }
        Some(format!("While it waited, {} delivered {}.", self.member.name, list(&ids)))
    }
}
