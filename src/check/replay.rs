//! Checks whether the run is possible: no message is delivered or received before it was multicast or sent.
//!
//! Members share no clock, so the records are replayed side by side: a member that is given a message waits until its
//! sender has reached the event that gives it. If members wait for each other in the end, their records contradict each
//! other: each of these events would have happened before itself.

use super::history::{Event, MessageId};
use super::message_index::MessageIndex;
use super::verdict::Witness;

/// An event: the member, and the position in the member's record.
type At = (usize, usize);

struct Replay<'c, 'h> {
    index: &'c MessageIndex<'h>,
    /// The direct messages: the message, its receiver and the send event; ascending.
    sends: Vec<((MessageId, u16), usize)>,
    /// The number of replayed events of each member.
    happened: Vec<usize>,
}

/// Finds a cycle of members, each of which is given a message before its sender gives it.
pub(super) fn stuck(index: &MessageIndex<'_>) -> Option<Witness> {
    let mut replay = Replay::new(index);
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); replay.happened.len()];
    let mut ready: Vec<usize> = index.members().collect();
    while let Some(member) = ready.pop() {
        let before = replay.happened[member];
        if let Some((sender, _)) = replay.advance(member) {
            waiting[sender].push(member);
        }
        if replay.happened[member] > before {
            ready.append(&mut waiting[member]);
        }
    }
    replay.circle().map(|circle| story(index, &circle))
}

impl<'c, 'h> Replay<'c, 'h> {
    fn new(index: &'c MessageIndex<'h>) -> Self {
        let mut sends = Vec::new();
        for member in index.members() {
            for (position, event) in index.record(member).events.iter().enumerate() {
                if let Event::Send { id, to, .. } = event {
                    sends.push(((*id, *to), position));
                }
            }
        }
        sends.sort_unstable();
        Self { index, sends, happened: vec![0; index.members().len()] }
    }

    /// Replays the member's events up to the first that must wait; returns the event that it waits for.
    fn advance(&mut self, member: usize) -> Option<At> {
        let length = self.index.record(member).events.len();
        while self.happened[member] < length {
            if let Some((sender, origin)) = self.origin((member, self.happened[member]))
                && self.happened[sender] <= origin
            {
                return Some((sender, origin));
            }
            self.happened[member] += 1;
        }
        None
    }

    /// Returns the event that multicast or sent the message of a delivery or a receipt, if it is known.
    fn origin(&self, (member, event): At) -> Option<At> {
        let id = self.index.record(member).events[event].id();
        let origin = match self.index.record(member).events[event] {
            Event::Deliver { .. } => self.index.origin(self.index.message((member, event))?)?,
            Event::Receive { .. } => {
                let key = (id, member as u16);
                let place = self.sends.partition_point(|(sent, _)| *sent < key);
                self.sends.get(place).filter(|(sent, _)| *sent == key)?.1
            }
            Event::Multicast { .. } | Event::Send { .. } | Event::Undeliverable { .. } => return None,
        };
        Some((usize::from(id.member), origin))
    }

    /// Returns the event at which a member is stuck, and the event that it waits for.
    fn block(&self, member: usize) -> Option<(At, At)> {
        let at = (member, self.happened[member]);
        (at.1 < self.index.record(member).events.len()).then(|| Some((at, self.origin(at)?)))?
    }

    /// Returns a cycle of waiting members: for each, the event at which it waits and the event that it waits for. A
    /// stuck member waits for another stuck member, so the walk from one to the next ends in a cycle.
    fn circle(&self) -> Option<Vec<(At, At)>> {
        let mut way: Vec<(At, At)> = Vec::new();
        let mut member = self.index.members().find(|&member| self.block(member).is_some())?;
        loop {
            let block = self.block(member)?;
            if let Some(start) = way.iter().position(|known| *known == block) {
                return Some(way.split_off(start));
            }
            way.push(block);
            member = block.1.0;
        }
    }
}

fn story(index: &MessageIndex<'_>, circle: &[(At, At)]) -> Witness {
    let links = circle.iter().cycle().skip(circle.len() - 1).zip(circle);
    let mut witness = Witness::joined(links.map(|(&(_, gives), &(taken, _))| {
        let record = index.record(taken.0);
        let name = |event: usize| index.history.name(record.events[event].id());
        let place = record.place(&[taken.1, gives.1]);
        let (given, gave) = (name(taken.1), name(gives.1));
        (format!("{} was given {given} before it gave {gave} {place}", record.name), place)
    }));
    witness.story.push_str(": none of them can have been first");
    witness
}
