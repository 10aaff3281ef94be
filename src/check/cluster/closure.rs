//! Closure: a message is shown only after everything that its sender had shown when it multicast it, and after the
//! sender's earlier messages; and it stands after all of these.
//!
//! The sender's counts travel with the message. If the story of the sender shows more than these counts, the story
//! counts: a message that denies its causes has them all the same.

use std::collections::{BTreeMap, BTreeSet};

use super::super::verdict::{Verdict, Witness};
use super::history::{Happening, Id, MemberStory, Moment};
use super::list::{Inserted, List};
use super::stories::Stories;

/// For each message of a member: for each slot, the number of messages that the member had shown before.
type Shown = BTreeMap<u64, Vec<u64>>;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let shown: Vec<Shown> = (0..stories.lists.len()).map(|member| shown_before(stories, member)).collect();
    let violation = (0..stories.lists.len()).find_map(|member| first_lack(stories, &shown, member));
    stories.conclude(violation, stories.is_something_shown, "nothing was inserted")
}

/// The messages of each slot that a member has shown without a gap, counted. Withdrawn ones are no gap: their sender was
/// removed, and members may never get them.
struct Prefix<'s, 'h> {
    counts: Vec<u64>,
    list: &'s List<'h>,
    withdrawn: &'s BTreeSet<Id>,
}

impl<'s, 'h> Prefix<'s, 'h> {
    fn new(stories: &'s Stories<'h>, member: usize) -> Self {
        Self { counts: Vec::new(), list: &stories.lists[member], withdrawn: &stories.withdrawn }
    }

    /// Returns the count of a slot before the event `now`.
    fn count(&mut self, slot: usize, now: Moment) -> u64 {
        let Ok(origin) = u16::try_from(slot) else { return 0 };
        if self.counts.len() <= slot {
            self.counts.resize(slot + 1, 0);
        }
        let count = &mut self.counts[slot];
        let is_shown = |id: &Id| self.list.inserted.get(id).is_some_and(|inserted| inserted.moment < now);
        while is_shown(&(origin, *count + 1)) || self.withdrawn.contains(&(origin, *count + 1)) {
            *count += 1;
        }
        *count
    }
}

/// Returns the counts of the messages that a member had shown before each of its multicasts.
fn shown_before(stories: &Stories<'_>, member: usize) -> Shown {
    let story = &stories.history.members[member];
    let mut prefix = Prefix::new(stories, member);
    let mut shown = Shown::new();
    for (moment, happening) in story.happenings() {
        if let Happening::Multicast { number, .. } = happening
            && stories.multicasts[member][number].moment == moment
        {
            // The journal may have given this message back, together with others that were shown after it.
            let is_after_crash = story.crashed_before(moment.0);
            let before = if is_after_crash { (moment.0, 0) } else { moment };
            shown.insert(*number, (0..stories.lists.len()).map(|slot| prefix.count(slot, before)).collect());
        }
    }
    shown
}

/// Finds the first message that a member inserted without one that belongs before it, or below one.
fn first_lack(stories: &Stories<'_>, shown: &[Shown], member: usize) -> Option<Witness> {
    let (story, list) = (&stories.history.members[member], &stories.lists[member]);
    let mut prefix = Prefix::new(stories, member);
    story.happenings().find_map(|(moment, happening)| {
        let Happening::Insert { id, deps, .. } = happening else { return None };
        if list.inserted[id].moment != moment {
            return None;
        }
        let cause = causes(stories, shown, *id, deps)
            .find_map(|cause| lack(&mut prefix, cause, list.inserted[id]))?;
        Some(tell(stories, story, list, *id, cause))
    })
}

/// Returns, for each slot, how many of its first messages belong before this one.
fn causes<'s>(
    stories: &'s Stories<'_>,
    shown: &'s [Shown],
    (origin, number): Id,
    deps: &'s [u64],
) -> impl Iterator<Item = (usize, u64)> + 's {
    let sender = usize::from(origin);
    let told = shown.get(sender).and_then(|shown| shown.get(&number));
    (0..stories.lists.len().max(deps.len()).max(sender + 1)).map(move |slot| {
        let own = if slot == sender { number.saturating_sub(1) } else { 0 };
        let known = told.and_then(|told| told.get(slot)).copied().unwrap_or_default();
        let count = deps.get(slot).copied().unwrap_or_default().max(known).max(own);
        // Those that a removed member had multicast last may be void, without anybody left to withdraw them.
        let kept = u16::try_from(slot).ok().and_then(|slot| stories.kept.get(&slot));
        (slot, kept.map_or(count, |kept| count.min(*kept)))
    })
}

/// Returns the first of these causes that is missing, or the last one if the message does not stand above it.
fn lack(prefix: &mut Prefix<'_, '_>, (slot, count): (usize, u64), inserted: Inserted<'_>) -> Option<Id> {
    let origin = u16::try_from(slot).ok()?;
    let next = prefix.count(slot, inserted.moment) + 1;
    if next <= count {
        return Some((origin, next));
    }
    // A withdrawn message counts as no gap; nobody need have shown it before.
    let last = prefix
        .list
        .inserted
        .get(&(origin, count))
        .filter(|_| !prefix.withdrawn.contains(&(origin, count)))?;
    (last.moment < inserted.moment && last.at > inserted.at).then_some((origin, count))
}

fn tell(stories: &Stories<'_>, story: &MemberStory, list: &List<'_>, id: Id, cause: Id) -> Witness {
    let inserted = list.inserted[&id];
    let (member, name, other) = (&story.name, stories.history.name(id), stories.history.name(cause));
    let (how, place) = match list.inserted.get(&cause) {
        Some(late) if late.moment > inserted.moment => {
            (format!("before {other}"), story.place(&[inserted.moment, late.moment]))
        }
        Some(above) => (format!("at a place before {other}"), story.place(&[inserted.moment, above.moment])),
        None => (format!("and never {other}"), story.place(&[inserted.moment])),
    };
    let told = format!("{member} inserted {name} {how} {place}; ");
    match stories.multicast(id) {
        Some((sender, multicast)) => {
            let origin = sender.place(&[multicast.moment]);
            let why = if cause.0 == id.0 { "multicast" } else { "had shown" };
            let told = format!("{told}{} {why} {other} before it multicast {name} {origin}", sender.name);
            Witness::new(told, [place, origin])
        }
        None => Witness::new(format!("{told}{name} follows from it"), [place]),
    }
}
