//! Members that were added to a running cluster: their lists begin with what the others had confirmed before.
//!
//! Such a member recovers a confirmed prefix at its first start, without the messages in it. They are taken from the
//! story of a member that confirmed them, so that the oracles find whole lists.

use super::history::{ClusterHistory, Happening, Id, MemberStory, Moment, Stamp};
use super::list::List;

impl ClusterHistory {
    /// Puts the messages that were confirmed before a member was added in front of its story.
    #[must_use]
    pub fn with_whole_lists(mut self) -> Self {
        for slot in 0..self.members.len() {
            let Some(count) = missing(&self.members[slot]).filter(|count| *count > 0) else { continue };
            let whole = self.members.iter().enumerate().filter(|(other, _)| *other != slot);
            let prefix = whole.filter_map(|(_, story)| prefix(story, count)).next();
            if let Some(prefix) = prefix.map(|(events, upto)| self.confirmed(events, upto, count))
                && let Some(life) = self.members[slot].lives.first_mut()
            {
                if let Some(source) = &mut life.source {
                    let line = source.lines.first().copied().unwrap_or(1);
                    source.lines.splice(0..0, prefix.iter().map(|_| line));
                }
                life.events.splice(0..0, prefix);
            }
        }
        self
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
    /// Returns the number of messages that were confirmed when the member was added to a running cluster.
    #[must_use]
    pub fn began(&self) -> u64 {
        missing(self).unwrap_or(0)
    }
}

/// Returns the number of messages that a member took as confirmed at its first start, unless it has them.
fn missing(story: &MemberStory) -> Option<u64> {
    let first = story.lives.first()?;
    first.events.iter().find_map(|happening| match happening {
        Happening::Recover { confirmed, .. } => Some(*confirmed),
        Happening::Insert { .. } | Happening::Confirm { .. } => Some(0),
        _ => None,
    })
}

/// Returns the first `count` confirmed messages of a member, as they were inserted there, and the place of the last one;
/// none if it has not confirmed as many, or lacks the first ones itself.
fn prefix(story: &MemberStory, count: u64) -> Option<(Vec<Happening>, Stamp)> {
    let is_whole = missing(story).unwrap_or(0) == 0;
    let list = List::new(story);
    let ids: Vec<Id> = list.confirmed.iter().take(count as usize).map(|(id, _)| *id).collect();
    if !is_whole || ids.len() as u64 != count {
        return None;
    }
    let at = |(life, event): Moment| story.lives[life].events[event].clone();
    let events = ids.iter().map(|id| at(list.inserted[id].moment)).collect();
    Some((events, list.inserted[ids.last()?].at))
}
