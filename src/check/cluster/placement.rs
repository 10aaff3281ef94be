//! Placement: a message has one place everywhere, and the places of a sender's messages rise with their numbers.
//!
//! The messages of one entry share their place; between them the number decides. So the places of consecutive messages
//! of a sender rise or are equal, and the place of a message names its sender.

use std::collections::BTreeMap;

use super::super::verdict::{Verdict, Witness};
use super::history::{Id, MemberStory};
use super::list::Inserted;
use super::stories::Stories;

/// The first insertion of each message anywhere, with its member.
type Places<'h> = BTreeMap<Id, (&'h MemberStory, Inserted<'h>)>;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let places = places(stories);
    let violation =
        moved(stories, &places).or_else(|| foreign(stories, &places)).or_else(|| falling(stories, &places));
    stories.conclude(violation, stories.is_something_shown, "nothing was inserted")
}

fn places<'h>(stories: &Stories<'h>) -> Places<'h> {
    let mut places = Places::new();
    for (story, list) in stories.members() {
        for (&id, &inserted) in &list.inserted {
            places.entry(id).or_insert((story, inserted));
        }
    }
    places
}

/// Finds a message that two members inserted at different places.
fn moved(stories: &Stories<'_>, places: &Places<'_>) -> Option<Witness> {
    let history = stories.history;
    stories.members().find_map(|(story, list)| {
        let (id, inserted) = list.inserted.iter().find(|(id, inserted)| places[id].1.at != inserted.at)?;
        let (other, first) = &places[id];
        let (name, here, there) = (history.name(*id), history.stamp(inserted.at), history.stamp(first.at));
        let shown = [other.place(&[first.moment]), story.place(&[inserted.moment])];
        let (one, two) = (&other.name, &story.name);
        let told = format!("{one} inserted {name} at {there} {}, and {two} at {here} {}", shown[0], shown[1]);
        Some(Witness::new(told, shown))
    })
}

/// Finds a place that names another sender than the id does.
fn foreign(stories: &Stories<'_>, places: &Places<'_>) -> Option<Witness> {
    let history = stories.history;
    let (id, (story, inserted)) = places.iter().find(|(id, (_, inserted))| inserted.at.1 != id.0)?;
    let (name, at, shown) = (history.name(*id), history.stamp(inserted.at), story.place(&[inserted.moment]));
    let told = format!("{} inserted {name} at {at} {shown}, a place of another sender", story.name);
    Some(Witness::new(told, [shown]))
}

/// Finds a message that stands below an earlier one of its sender.
fn falling(stories: &Stories<'_>, places: &Places<'_>) -> Option<Witness> {
    let history = stories.history;
    let mut pairs = places.iter().zip(places.iter().skip(1));
    let ((earlier, (one, first)), (later, (two, second))) =
        pairs.find(|((earlier, (_, first)), (later, (_, second)))| {
            earlier.0 == later.0 && second.at.0 < first.at.0
        })?;
    let shown = [one.place(&[first.moment]), two.place(&[second.moment])];
    let told = format!(
        "{} at {} {} stands above {} at {} {}, a later message of the same sender",
        history.name(*earlier),
        history.stamp(first.at),
        shown[0],
        history.name(*later),
        history.stamp(second.at),
        shown[1],
    );
    Some(Witness::new(told, shown))
}
