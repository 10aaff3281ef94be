//! Confirmed: the confirmed messages of any two members are prefixes of one sequence, and never change.
//!
//! Confirmed numbers are 1, 2, 3, … through all lives. A confirmation covers exactly the messages that the member's list
//! has up to its place, and afterwards nothing is inserted at or below that place. A member that confirms up to a place
//! has all messages up to there that exist anywhere, and confirmations up to one place have one count and one digest.

use std::collections::{BTreeMap, BTreeSet};

use super::super::verdict::{Verdict, Witness};
use super::history::{Happening, Id, MemberStory, Moment, Stamp};
use super::list::{Flaw, List};
use super::stories::Stories;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let flawed = |(story, list): (&MemberStory, &List<'_>)| Some(tell(stories, story, list.flaw?));
    let violation = stories
        .members()
        .find_map(flawed)
        .or_else(|| parted(stories))
        .or_else(|| incomplete(stories))
        .or_else(|| other_digest(stories));
    let something = stories.lists.iter().any(|list| !list.confirmed.is_empty());
    stories.conclude(violation, something, "nothing was confirmed")
}

/// Words an event that contradicts a confirmation of the same member.
fn tell(stories: &Stories<'_>, story: &MemberStory, flaw: Flaw) -> Witness {
    let (history, member) = (stories.history, &story.name);
    let at = |(life, event): Moment| &story.lives[life].events[event];
    let (told, place) = match flaw {
        Flaw::Number { confirm, next } => {
            let place = story.place(&[confirm]);
            let Happening::Confirm { number, .. } = at(confirm) else { return Witness::default() };
            (format!("{member} confirmed number {number} {place} where number {next} was next"), place)
        }
        Flaw::Backwards { confirm, earlier } => {
            let place = story.place(&[earlier, confirm]);
            let told = format!("{member} confirmed up to a place, and then up to an earlier one {place}");
            (told, place)
        }
        Flaw::Count { confirm, found } => {
            let place = story.place(&[confirm]);
            let Happening::Confirm { upto, count, .. } = at(confirm) else { return Witness::default() };
            let upto = history.stamp(*upto);
            let told = format!(
                "{member} confirmed {count} messages up to {upto} {place}, and its list has {found} up to there"
            );
            (told, place)
        }
        Flaw::Below { insert, confirm } => {
            let place = story.place(&[confirm, insert]);
            let Happening::Insert { id, at, .. } = at(insert) else { return Witness::default() };
            let (name, at) = (history.name(*id), history.stamp(*at));
            (
                format!("{member} inserted {name} at {at}, where everything was confirmed before {place}"),
                place,
            )
        }
        Flaw::Withdrawn { withdraw } => {
            let place = story.place(&[withdraw]);
            let Happening::Withdraw { id } = at(withdraw) else { return Witness::default() };
            (format!("{member} withdrew {}, which it had confirmed {place}", history.name(*id)), place)
        }
    };
    Witness::new(told, [place])
}

/// Finds the first confirmed number that is one message at one member and another one at another member.
fn parted(stories: &Stories<'_>) -> Option<Witness> {
    let (longest, most) = stories.members().max_by_key(|(_, list)| list.confirmed.len())?;
    stories.members().find_map(|(story, list)| {
        let mut both = list.confirmed.iter().zip(&most.confirmed).zip(1..);
        let (((one, at_one), (other, at_other)), number) = both.find(|((one, other), _)| one.0 != other.0)?;
        let shown = [longest.place(&[*at_other]), story.place(&[*at_one])];
        let [one, other] = [one, other].map(|id| stories.history.name(*id));
        let told = format!(
            "number {number} is {other} at {} {} and {one} at {} {}",
            longest.name, shown[0], story.name, shown[1]
        );
        Some(Witness::new(told, shown))
    })
}

/// Finds a message at or below the place up to which a member confirmed, which that member did not confirm.
fn incomplete(stories: &Stories<'_>) -> Option<Witness> {
    let mut known: BTreeMap<Id, (Stamp, &MemberStory, Moment)> = BTreeMap::new();
    for (story, list) in stories.members() {
        for (&id, inserted) in &list.inserted {
            let here = (inserted.at, story, inserted.moment);
            let lowest = known.entry(id).or_insert(here);
            if here.0 < lowest.0 {
                *lowest = here;
            }
        }
    }
    stories.members().find_map(|(story, list)| {
        let (upto, confirm) = list.last?;
        let confirmed: BTreeSet<Id> = list.confirmed.iter().map(|(id, _)| *id).collect();
        let is_missing = |(id, (at, ..)): &(&Id, &(Stamp, &MemberStory, Moment))| {
            // A removed member that died before it heard of that shows what nobody else has.
            let is_void = stories.withdrawn.contains(id) || stories.removed.contains(&id.0);
            *at <= upto && !confirmed.contains(id) && !is_void
        };
        let (id, (at, other, moment)) = known.iter().find(is_missing)?;
        let shown = [story.place(&[confirm]), other.place(&[*moment])];
        let history = stories.history;
        let (name, at, upto) = (history.name(*id), history.stamp(*at), history.stamp(upto));
        let told = format!(
            "{} confirmed up to {upto} {} without {name}, which {} inserted at {at} {}",
            story.name, shown[0], other.name, shown[1]
        );
        Some(Witness::new(told, shown))
    })
}

/// Finds two confirmations up to one place with different counts or digests.
fn other_digest(stories: &Stories<'_>) -> Option<Witness> {
    let mut known: BTreeMap<Stamp, (u64, u64, &MemberStory, Moment)> = BTreeMap::new();
    for (story, _) in stories.members() {
        for (moment, happening) in story.happenings() {
            let Happening::Confirm { upto, number, count, digest } = happening else { continue };
            let total = number.saturating_add(*count).saturating_sub(1);
            let (known_total, known_digest, other, known_moment) =
                known.entry(*upto).or_insert((total, *digest, story, moment));
            if (*known_total, *known_digest) != (total, *digest) {
                let shown = [other.place(&[*known_moment]), story.place(&[moment])];
                let what = if *known_total == total { "digests" } else { "counts" };
                let (upto, one, two) = (stories.history.stamp(*upto), &other.name, &story.name);
                let told = format!(
                    "{one} and {two} confirmed up to {upto} with different {what} {} {}",
                    shown[0], shown[1]
                );
                return Some(Witness::new(told, shown));
            }
        }
    }
    None
}
