//! The explanation of a message at a member of a cluster: its place, what it took its place above, and what its
//! confirmation waited for.

use super::{Story, TOLD};
use crate::check::{EventKind, Member};
use crate::diagram::{hover, place};
use crate::talk::list;

impl Story<'_> {
    /// Explains the message, one sentence per line. `origin` is the sender with its send event.
    pub(super) fn in_cluster(&self, origin: Option<(usize, usize)>) -> Vec<String> {
        let mut lines = vec![self.multicast(origin)];
        match hover::shown(self.timeline, self.member, &self.passage) {
            Some(shown) => {
                lines.extend(self.place());
                lines.push(format!("{shown}."));
                lines.extend(self.others());
                lines.push(format!("{}.", hover::confirmed(self.member, &self.passage, self.index)));
                lines.extend(self.absences());
                lines.extend(self.finality());
            }
            None => lines.push(self.never_shown()),
        }
        lines
    }

    /// Describes the place of the message.
    fn place(&self) -> Option<String> {
        let EventKind::Insert(inserted) = self.member.events[self.passage.shown?].kind else { return None };
        let (stamp, sender) = (self.timeline.stamp(inserted.at), &self.message.sender);
        Some(format!("Its place is {stamp}: Lamport time {}, then the slot of {sender}.", inserted.at.0))
    }

    fn never_shown(&self) -> String {
        let name = &self.member.name;
        match &self.member.open {
            None => format!("{name} never showed it; its history is complete."),
            Some(open) => format!("{name} showed it nowhere in what is known: {open}."),
        }
    }

    /// Compares with the members that showed the message in another order, if this one inserted it above others.
    fn others(&self) -> Option<String> {
        let shown = self.passage.shown?;
        let EventKind::Insert(inserted) = &self.member.events[shown].kind else { return None };
        let over = inserted.over?;
        let shows_it_first = |lane: &usize| {
            let shown = |message| self.passages.of_message(*lane, message).shown;
            shown(self.index).is_some_and(|own| shown(over).is_some_and(|over| own < over))
        };
        let members = &self.timeline.members;
        let first: Vec<&str> =
            (0..members.len()).filter(shows_it_first).map(|lane| &*members[lane].name).collect();
        let is_concurrent = self.is_concurrent_with(over);
        let (over, name) = (self.timeline.messages[over].id(), &self.member.name);
        let differed = match &first[..] {
            [] => String::new(),
            first => format!(
                "{} showed it before {over}, so for a while the lists of {name} and {} differed. ",
                list(first),
                first[0]
            ),
        };
        let sender = &self.message.sender;
        let concurrent =
            format!("{sender} had not seen {over} when it multicast this: it is no answer to it.");
        Some(format!("{differed}{}", if is_concurrent { &concurrent } else { "" }).trim_end().to_owned())
            .filter(|text| !text.is_empty())
    }

    /// Returns true if the sender had not shown the other message when it multicast this one.
    fn is_concurrent_with(&self, other: usize) -> bool {
        let lane = self.timeline.members.iter().position(|member| member.name == self.message.sender);
        let Some(lane) = lane else { return false };
        let (own, other) =
            (self.passages.of_message(lane, self.index), self.passages.of_message(lane, other));
        own.sent.is_some_and(|sent| other.shown.is_none_or(|shown| sent < shown))
    }

    /// Names the members that were away while the message waited for its confirmation.
    fn absences(&self) -> Vec<String> {
        let time = |index: usize| self.member.events[index].time_us;
        let (Some(from), until) = (self.passage.shown.map(time), self.passage.delivered.map(time)) else {
            return Vec::new();
        };
        let others = self.timeline.members.iter().filter(|member| member.name != self.member.name);
        let mut away: Vec<String> =
            others.filter_map(|member| away(member, from, until)).take(TOLD).collect();
        if !away.is_empty() {
            away.push("No place is final while a member is away.".to_owned());
        }
        away
    }

    /// Says when the last member confirmed the message.
    fn finality(&self) -> Option<String> {
        let mut confirmed = Vec::new();
        for (lane, member) in self.timeline.members.iter().enumerate() {
            let index = self.passages.of_message(lane, self.index).delivered?;
            confirmed.push((member.events[index].time_us, member, index));
        }
        let (_, last, index) = confirmed.into_iter().max_by_key(|(time, ..)| *time)?;
        Some(format!(
            "It is final everywhere from {} on, when {} confirmed it.",
            place(last, index),
            last.name
        ))
    }
}

/// Says that a member was away between `from` and `until`, if it surely was: it came back in that time, or never. The time of
/// a crash is not known.
fn away(member: &Member, from: u64, until: Option<u64>) -> Option<String> {
    let name = &member.name;
    let is_within = |time: u64| time > from && until.is_none_or(|until| time <= until);
    let events = || member.events.iter().enumerate();
    let back =
        events().rfind(|(_, event)| matches!(event.kind, EventKind::Begin(_)) && is_within(event.time_us));
    if let Some((index, event)) = back {
        let at = place(member, index);
        return Some(match event.kind {
            EventKind::Begin(1) => format!("Meanwhile {name} was not there yet: it started at {at}."),
            _ => format!("Meanwhile {name} was down: it started again at {at}."),
        });
    }
    match events().next_back() {
        None if until.is_none() => Some(format!("Nothing is known of {name}.")),
        Some((index, event)) if until.is_none() && is_early(&event.kind) => Some(format!(
            "{name} went away after {} and is not known to have come back.",
            place(member, index)
        )),
        _ => None,
    }
}

/// Returns true if the event ends a life before everything was confirmed everywhere.
fn is_early(kind: &EventKind) -> bool {
    matches!(kind, EventKind::End(reason) if reason.as_deref() != Some("settled"))
}
