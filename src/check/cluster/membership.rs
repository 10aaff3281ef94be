//! Membership: the members change in the same steps everywhere, and a member shows nothing of a step that it does not know.
//!
//! Epochs are counted 2, 3, 4, …, and one number is one list of members everywhere. Each list is the one before with one
//! member more at the end, or the same with one member removed. A message travels in the epoch of its sender. So a member
//! that shows it knows all epochs that the sender knew when it multicast the message; one that lacks the last one in its
//! history has skipped it.

use std::collections::BTreeMap;

use super::super::verdict::{Verdict, Witness};
use super::history::{Happening, MemberStory, Moment};
use super::stories::Stories;
use crate::talk::list;

/// The members of an epoch, and the one that was removed when it began.
type Change<'h> = (&'h [u16], Option<u16>);

/// The beginning of an epoch at a member, by number: the first one anywhere.
type Epochs<'h> = BTreeMap<u64, (&'h MemberStory, Moment, Change<'h>)>;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let epochs = epochs(stories);
    let violation = skipped(stories, &epochs)
        .or_else(|| differ(stories, &epochs))
        .or_else(|| leap(stories, &epochs))
        .or_else(|| ahead(stories));
    stories.conclude(violation, !epochs.is_empty(), "the members did not change")
}

/// Returns the epochs that a member tells, with their places.
fn told(story: &MemberStory) -> impl Iterator<Item = (Moment, u64, Change<'_>)> {
    story.happenings().filter_map(|(moment, happening)| match happening {
        Happening::Epoch { number, members, removed } => Some((moment, *number, (&members[..], *removed))),
        _ => None,
    })
}

fn epochs<'h>(stories: &Stories<'h>) -> Epochs<'h> {
    let mut epochs = Epochs::new();
    for story in &stories.history.members {
        for (moment, number, change) in told(story) {
            epochs.entry(number).or_insert((story, moment, change));
        }
    }
    epochs
}

/// Finds an epoch that begins at a member without the one before. Later lives tell earlier ones again.
fn skipped(stories: &Stories<'_>, epochs: &Epochs<'_>) -> Option<Witness> {
    stories.history.members.iter().find_map(|story| {
        let mut last = 1;
        let (moment, number, _) = told(story).find(|(_, number, _)| {
            let is_next = *number >= 2 && *number <= last + 1;
            last = last.max(*number);
            !is_next
        })?;
        let here = story.place(&[moment]);
        let missing = number.saturating_sub(1);
        let (what, there) = match epochs.get(&missing) {
            _ if number < 2 => ("and epochs are counted from 2".to_owned(), None),
            None => (format!("without epoch {missing}"), None),
            Some((other, moment, _)) => {
                let there = other.place(&[*moment]);
                (format!("without epoch {missing}, which began at {} {there}", other.name), Some(there))
            }
        };
        let story = format!("epoch {number} began at {} {here} {what}", story.name);
        Some(Witness::new(story, [here].into_iter().chain(there).collect::<Vec<_>>()))
    })
}

/// Finds an epoch that begins with one change at one member, and with another one at another member or in another life.
fn differ(stories: &Stories<'_>, epochs: &Epochs<'_>) -> Option<Witness> {
    stories.history.members.iter().find_map(|story| {
        let (moment, number, change) = told(story).find(|(_, number, change)| epochs[number].2 != *change)?;
        let (other, first, known) = &epochs[&number];
        let shown = [other.place(&[*first]), story.place(&[moment])];
        let [one, two] = [known, &change].map(|change| words(stories, change));
        let story = format!(
            "epoch {number} began at {} {} with {one}, and at {} {} with {two}",
            other.name, shown[0], story.name, shown[1]
        );
        Some(Witness::new(story, shown))
    })
}

/// Finds an epoch that does not follow from the one before by one change.
fn leap(stories: &Stories<'_>, epochs: &Epochs<'_>) -> Option<Witness> {
    let mut gone: Vec<u16> = Vec::new();
    epochs.iter().find_map(|(number, (story, moment, change))| {
        let (members, removed) = change;
        let before = epochs.get(&(number - 1)).map(|(.., (before, _))| *before);
        let is_step = match removed {
            Some(removed) => {
                before.is_none_or(|before| before == *members)
                    && members.contains(removed)
                    && !gone.contains(removed)
            }
            None => before.is_none_or(|before| {
                members.split_last().is_some_and(|(new, rest)| rest == before && !rest.contains(new))
            }),
        };
        gone.extend(removed);
        if is_step {
            return None;
        }
        let here = story.place(&[*moment]);
        let change = words(stories, change);
        let told =
            format!("epoch {number} began at {} {here} with {change}, which is no single change", story.name);
        Some(Witness::new(told, [here]))
    })
}

/// Finds a message that a member showed before it knew an epoch that the sender knew when it multicast the message.
fn ahead(stories: &Stories<'_>) -> Option<Witness> {
    let known: Vec<Vec<(Moment, u64)>> = stories.history.members.iter().map(known).collect();
    let at = |member: usize, moment: Moment| {
        let upto = known[member].partition_point(|(began, _)| *began < moment);
        upto.checked_sub(1).map_or(1, |last| known[member][last].1)
    };
    stories.history.members.iter().enumerate().find_map(|(member, story)| {
        // A member that was added has not shown the messages that others had confirmed before.
        let mut own = story.happenings().filter(|(moment, _)| *moment >= (0, story.before));
        let (moment, id, sender, multicast, needed) = own.find_map(|(moment, happening)| {
            let Happening::Insert { id, .. } = happening else { return None };
            let (sender, multicast) = stories.multicast(*id)?;
            let needed = at(usize::from(id.0), multicast.moment);
            (at(member, moment) < needed).then_some((moment, *id, sender, multicast.moment, needed))
        })?;
        let began = told(sender).find(|(_, number, _)| *number == needed).map(|(began, ..)| began);
        let shown = [story.place(&[moment]), sender.place(&[began?, multicast])];
        let told = format!(
            "{} inserted {} {} before it began epoch {needed}; {} multicast it in that epoch {}",
            story.name,
            stories.history.name(id),
            shown[0],
            sender.name,
            shown[1]
        );
        Some(Witness::new(told, shown))
    })
}

/// Returns the epochs of a member, each with the moment from which on it is the last one.
fn known(story: &MemberStory) -> Vec<(Moment, u64)> {
    let mut last = 1;
    let later = told(story).filter_map(|(moment, number, _)| {
        let is_later = number > last;
        last = last.max(number);
        is_later.then_some((moment, number))
    });
    later.collect()
}

/// Words a change: `a, b and c, without b`.
fn words(stories: &Stories<'_>, (members, removed): &Change<'_>) -> String {
    let names: Vec<&str> = members.iter().map(|slot| stories.history.who(*slot)).collect();
    let removed = removed.map(|slot| format!(", without {}", stories.history.who(slot)));
    format!("{}{}", list(&names), removed.unwrap_or_default())
}
