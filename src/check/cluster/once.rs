//! Once: an id has one text everywhere and through all lives, and no member inserts it twice.
//!
//! A multicast that its sender never stored counts for nothing once a later life uses its number: the crash took it back
//! before anybody was told of it.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::verdict::{Place, Verdict, Witness};
use super::history::{Happening, Id, MemberStory, Moment};
use super::list::List;
use super::stories::Stories;
use crate::place::quoted;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let violation = reused(stories)
        .or_else(|| stories.members().find_map(|(story, list)| repeated(stories, story, list)))
        .or_else(|| two_texts(stories));
    let something = stories.is_something_shown || stories.multicasts.iter().any(|own| !own.is_empty());
    stories.conclude(violation, something, "nothing was multicast")
}

/// Finds a number that its sender used for two messages.
fn reused(stories: &Stories<'_>) -> Option<Witness> {
    let mut members = stories.history.members.iter().zip(&stories.multicasts).zip(0..);
    members.find_map(|((story, own), slot)| {
        let (&number, (one, other)) =
            own.iter().find_map(|(number, multicast)| Some((number, multicast.again?)))?;
        let place = story.place(&[one, other]);
        let name = stories.history.name((slot, number));
        let told = format!("{} multicast two messages as {name} {place}", story.name);
        Some(Witness::new(told, [place]))
    })
}

/// Finds a message that a member inserted twice.
fn repeated(stories: &Stories<'_>, story: &MemberStory, list: &List<'_>) -> Option<Witness> {
    let again = |&(moment, happening): &(Moment, &Happening)| match happening {
        Happening::Insert { id, .. } => list.inserted[id].moment != moment,
        _ => false,
    };
    let (moment, happening) = story.happenings().find(again)?;
    let Happening::Insert { id, .. } = happening else { return None };
    let place = story.place(&[list.inserted[id].moment, moment]);
    let told = format!("{} inserted {} twice {place}", story.name, stories.history.name(*id));
    Some(Witness::new(told, [place]))
}

/// The first event that gives a message its text.
struct Given<'h> {
    text: &'h Bytes,
    story: &'h MemberStory,
    moment: Moment,
    /// The deed of the member: `multicast` or `inserted`.
    did: &'static str,
}

/// Finds a message with two texts.
fn two_texts(stories: &Stories<'_>) -> Option<Witness> {
    let mut texts: BTreeMap<Id, Given<'_>> = BTreeMap::new();
    for ((story, own), slot) in stories.history.members.iter().zip(&stories.multicasts).zip(0..) {
        texts.extend(own.iter().map(|(&number, multicast)| {
            let (text, moment) = (multicast.text, multicast.moment);
            ((slot, number), Given { text, story, moment, did: "multicast" })
        }));
    }
    for (story, list) in stories.members() {
        for (&id, inserted) in &list.inserted {
            let (text, moment) = (inserted.text, inserted.moment);
            let given = texts.entry(id).or_insert(Given { text, story, moment, did: "inserted" });
            if given.text != text {
                let here = story.place(&[moment]);
                return Some(differ(&stories.history.name(id), given, &story.name, text, here));
            }
        }
    }
    None
}

fn differ(name: &str, given: &Given<'_>, member: &str, text: &Bytes, here: Place) -> Witness {
    let there = given.story.place(&[given.moment]);
    let (one, two) = (quoted(text), quoted(given.text));
    let (other, did) = (&given.story.name, given.did);
    let told = format!("{member} inserted {name} {here} as {one}; {other} {did} it {there} as {two}");
    Witness::new(told, [here, there])
}
