//! Members that were added to a running cluster: their lists begin with what the others had confirmed before.
//!
//! Such a member recovers a confirmed prefix at its first start, without the messages in it. They are taken from the
//! story of a member that confirmed them, so that the oracles find whole lists. A member counts as added only if an epoch
//! says so: one of the beginning has to tell everything itself.

use std::collections::BTreeSet;

use super::history::{ClusterHistory, Happening, Id, MemberStory, Moment, Stamp};
use super::list::List;

impl ClusterHistory {
    /// Puts the messages that were confirmed before a member was added in front of its story. If nobody here tells them,
    /// nothing can be said about its list: then the story has no lives, and is open.
    #[must_use]
    pub fn with_whole_lists(mut self) -> Self {
        for slot in self.added() {
            let count = self.members.get(usize::from(slot)).map_or(0, MemberStory::began);
            if count == 0 {
                continue;
            }
            let whole = self.members.iter().zip(0..).filter(|(_, other)| *other != slot);
            let prefix = whole.filter_map(|(story, _)| prefix(story, count)).next();
            let prefix = prefix.map(|(events, upto)| self.confirmed(events, upto, count));
            let story = &mut self.members[usize::from(slot)];
            match (prefix, story.lives.first_mut()) {
                (Some(prefix), Some(life)) => {
                    story.before = prefix.len();
                    if let Some(source) = &mut life.source {
                        let line = source.lines.first().copied().unwrap_or(1);
                        source.lines.splice(0..0, prefix.iter().map(|_| line));
                    }
                    life.events.splice(0..0, prefix);
                }
                _ => {
                    let why = format!(
                        "no history here has the first {count} confirmed messages, after which {} was added",
                        story.name
                    );
                    story.open.get_or_insert(why);
                    story.lives.clear();
                }
            }
        }
        self
    }

    /// Returns the slots of the members that an epoch added.
    fn added(&self) -> BTreeSet<u16> {
        let all = self.members.iter().flat_map(MemberStory::happenings);
        let added = all.filter_map(|(_, happening)| match happening {
            Happening::Epoch { members, removed: None, .. } => members.last().copied(),
            _ => None,
        });
        added.collect()
    }

    /// Adds the confirmation of these insertions, with the digest that any member has told.
    fn confirmed(&self, mut events: Vec<Happening>, upto: Stamp, count: u64) -> Vec<Happening> {
        let all = self.members.iter().flat_map(MemberStory::happenings);
        let digest = all.filter_map(|(_, happening)| match happening {
            Happening::Confirm { upto: to, digest, .. } if *to == upto => Some(*digest),
            _ => None,
        });
        let digest = digest.into_iter().next().unwrap_or(0);
        events.push(Happening::Confirm { upto, number: 1, count, digest });
        events
    }
}

impl MemberStory {
    /// Returns the number of messages that the member took for confirmed at its first start; 0 if that is not known.
    #[must_use]
    pub fn began(&self) -> u64 {
        let first = self.lives.first().into_iter().flat_map(|life| &life.events);
        let began = first.filter_map(|happening| match happening {
            Happening::Recover { confirmed, .. } => Some(*confirmed),
            Happening::Insert { .. } | Happening::Confirm { .. } => Some(0),
            _ => None,
        });
        began.into_iter().next().unwrap_or(0)
    }
}

/// Returns the first `count` confirmed messages of a member, as they were inserted there, and the place of the last one;
/// none if it has not confirmed as many, or lacks the first ones itself.
fn prefix(story: &MemberStory, count: u64) -> Option<(Vec<Happening>, Stamp)> {
    let list = List::new(story);
    let ids: Vec<Id> = list.confirmed.iter().take(count as usize).map(|(id, _)| *id).collect();
    if story.began() > 0 || ids.len() as u64 != count {
        return None;
    }
    let at = |(life, event): Moment| story.lives[life].events[event].clone();
    let events = ids.iter().map(|id| at(list.inserted[id].moment)).collect();
    Some((events, list.inserted[ids.last()?].at))
}
