//! A history of a cluster with an index of each member's messages, so that oracles walk over lists.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::super::verdict::{Verdict, Witness};
use super::history::{ClusterHistory, Happening, Id, MemberStory, Moment, SETTLED};
use super::list::List;

/// A history with the lists of its members.
pub(in crate::check) struct Stories<'h> {
    pub(in crate::check) history: &'h ClusterHistory,
    /// The list of each member.
    pub(super) lists: Vec<List<'h>>,
    /// The multicasts of each member, by message number.
    pub(super) multicasts: Vec<BTreeMap<u64, Multicast<'h>>>,
    /// Everything that any member withdrew.
    pub(super) withdrawn: BTreeSet<Id>,
    /// The slots of removed members.
    pub(super) removed: BTreeSet<u16>,
    /// For each removed member, the number of its last message that any member has confirmed.
    pub(super) kept: BTreeMap<u16, u64>,
    /// True if any member inserted anything.
    pub(super) is_something_shown: bool,
}

/// A multicast of a member. One that its member neither stored nor showed is void once a later life uses its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Multicast<'h> {
    pub(super) moment: Moment,
    pub(super) text: &'h Bytes,
    /// The event that says that the message is stored: its storing, or its insertion at its sender.
    pub(super) stored: Option<Moment>,
    /// Two multicasts under this number of which neither was void.
    pub(super) again: Option<(Moment, Moment)>,
}

impl<'h> Stories<'h> {
    pub(in crate::check) fn new(history: &'h ClusterHistory) -> Self {
        let lists: Vec<List<'h>> = history.members.iter().map(List::new).collect();
        let multicasts = history.members.iter().zip(0..).map(|(story, slot)| multicasts(story, slot));
        let removed = removed(history);
        let mut kept: BTreeMap<u16, u64> = removed.iter().map(|slot| (*slot, 0)).collect();
        for (id, _) in lists.iter().flat_map(|list| &list.confirmed) {
            kept.entry(id.0).and_modify(|last| *last = id.1.max(*last));
        }
        Self {
            history,
            kept,
            multicasts: multicasts.collect(),
            withdrawn: lists.iter().flat_map(|list| &list.withdrawn).copied().collect(),
            removed,
            is_something_shown: lists.iter().any(|list| !list.inserted.is_empty()),
            lists,
        }
    }

    /// Returns whether any member tells that the members of the cluster changed.
    pub(in crate::check) fn has_epochs(&self) -> bool {
        let mut all = self.history.members.iter().flat_map(MemberStory::happenings);
        all.any(|(_, happening)| matches!(happening, Happening::Epoch { .. }))
    }

    /// Returns the number of all insertions at all members.
    pub(in crate::check) fn inserted(&self) -> u64 {
        self.lists.iter().map(|list| list.inserted.len() as u64).sum()
    }

    /// Returns the members with their lists.
    pub(in crate::check) fn members(&self) -> impl Iterator<Item = (&'h MemberStory, &List<'h>)> {
        self.history.members.iter().zip(&self.lists)
    }

    /// Returns the settled members with their lists.
    pub(super) fn settled(&self) -> impl Iterator<Item = (&'h MemberStory, &List<'h>)> {
        self.members().filter(|(story, _)| story.is_settled())
    }

    /// Returns the multicast of a message, if its sender's story tells of it.
    pub(super) fn multicast(&self, (origin, number): Id) -> Option<(&'h MemberStory, &Multicast<'h>)> {
        let sender = usize::from(origin);
        Some((self.history.members.get(sender)?, self.multicasts[sender].get(&number)?))
    }

    /// Returns true if a crash took this multicast back before it was stored.
    pub(in crate::check) fn is_lost(&self, id: Id, moment: Moment) -> bool {
        let Some((story, multicast)) = self.multicast(id) else { return false };
        if multicast.moment != moment {
            return multicast.again.is_none_or(|(_, again)| again != moment);
        }
        let (life, is_last) = (&story.lives[moment.0], moment.0 + 1 == story.lives.len());
        multicast.stored.is_none() && life.end.is_none() && !is_last
    }

    /// Returns the stories of the members that nobody removed.
    fn staying(&self) -> impl Iterator<Item = &'h MemberStory> {
        self.staying_lists().map(|(story, _)| story)
    }

    /// Returns the members that nobody removed, with their lists.
    pub(super) fn staying_lists(&self) -> impl Iterator<Item = (&'h MemberStory, &List<'h>)> {
        let all = self.members().zip(0..);
        all.filter(|(_, slot)| !self.removed.contains(slot)).map(|(member, _)| member)
    }

    /// Returns an oracle's verdict. Without a violation, a property is valid only if every story has an end, and
    /// `something` happened that it concerns.
    pub(super) fn conclude(&self, violation: Option<Witness>, something: bool, nothing: &str) -> Verdict {
        if let Some(witness) = violation {
            return Verdict::Violated(witness);
        }
        match self.staying().find_map(unknown) {
            Some(reason) => Verdict::Undecided(reason),
            None if !something => Verdict::Undecided(nothing.to_owned()),
            None => Verdict::Valid,
        }
    }

    /// Concludes as [`Self::conclude`] for a property of settled members: undecided if a member is not settled.
    pub(super) fn conclude_of_settled(&self, violation: Option<Witness>, nothing: &str) -> Verdict {
        match self.conclude(violation, self.is_something_shown, nothing) {
            Verdict::Valid => self.staying().find_map(unsettled).map_or(Verdict::Valid, Verdict::Undecided),
            verdict => verdict,
        }
    }
}

/// Returns the slots of the members that any member knows to be removed.
fn removed(history: &ClusterHistory) -> BTreeSet<u16> {
    let of = |(_, happening): (Moment, &Happening)| match happening {
        Happening::Epoch { removed, .. } => *removed,
        _ => None,
    };
    history.members.iter().flat_map(|story| story.happenings().filter_map(of)).collect()
}

/// Returns the reason why the rest of a member's story is unknown, if it is.
pub(super) fn unknown(story: &MemberStory) -> Option<String> {
    let MemberStory { name, lives, open, .. } = story;
    let missing = || match lives.last() {
        None => Some(format!("there is no history of {name} here")),
        Some(life) if life.end.is_none() => {
            Some(format!("the history of {name} has no end{}", story.whole().whole()))
        }
        Some(_) => None,
    };
    open.clone().or_else(missing)
}

/// Returns the reason why a member is not settled, if it is not.
pub(in crate::check) fn unsettled(story: &MemberStory) -> Option<String> {
    let of_end = || {
        let reason = story.lives.last()?.end.as_deref().filter(|reason| *reason != SETTLED)?;
        Some(format!("{} did not settle: {reason}{}", story.name, story.whole().whole()))
    };
    unknown(story).or_else(of_end)
}

/// Returns the multicasts of a member by number. The last one of a number counts, unless an earlier one was stored.
fn multicasts(story: &MemberStory, slot: u16) -> BTreeMap<u64, Multicast<'_>> {
    let mut multicasts: BTreeMap<u64, Multicast<'_>> = BTreeMap::new();
    for (moment, happening) in story.happenings() {
        match happening {
            Happening::Multicast { number, text } => {
                let new = Multicast { moment, text, stored: None, again: None };
                let known = multicasts.entry(*number).or_insert(new);
                let is_void = known.stored.is_none() && known.moment.0 < moment.0;
                if is_void {
                    *known = Multicast { again: known.again, ..new };
                } else if known.moment != moment {
                    known.again.get_or_insert((known.moment, moment));
                }
            }
            Happening::Stored { number } => stored(&mut multicasts, *number, moment),
            Happening::Insert { id: (origin, number), .. } if *origin == slot => {
                stored(&mut multicasts, *number, moment);
            }
            _ => {}
        }
    }
    multicasts
}

fn stored(multicasts: &mut BTreeMap<u64, Multicast<'_>>, number: u64, moment: Moment) {
    if let Some(multicast) = multicasts.get_mut(&number) {
        multicast.stored.get_or_insert(moment);
    }
}
