//! Convergence: members that came to the settled end have equal lists, and all of it is confirmed.

use super::super::verdict::{Verdict, Witness};
use super::history::{Id, MemberStory};
use super::list::List;
use super::stories::Stories;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let violation = stories
        .settled()
        .find_map(|(story, list)| tentative(stories, story, list))
        .or_else(|| differ(stories));
    stories.conclude_of_settled(violation, "nothing was inserted")
}

/// Finds a message that a settled member has not confirmed.
fn tentative(stories: &Stories<'_>, story: &MemberStory, list: &List<'_>) -> Option<Witness> {
    let (_, number, origin) = list.tentative.first()?;
    let id: Id = (*origin, *number);
    let place = story.place(&[list.inserted[&id].moment]);
    let name = stories.history.name(id);
    let told = format!("{} settled and had not confirmed {name} {place}", story.name);
    Some(Witness::new(told, [place]))
}

/// Finds the first place at which the lists of two settled members differ.
fn differ(stories: &Stories<'_>) -> Option<Witness> {
    let (first, most) = stories.settled().next()?;
    stories.settled().find_map(|(story, list)| {
        let longest = most.confirmed.len().max(list.confirmed.len());
        let is_other = |&at: &usize| {
            let [one, other] = [most, list].map(|list| list.confirmed.get(at).map(|(id, _)| *id));
            one != other
        };
        let at = (0..longest).find(is_other)?;
        let told = |story: &MemberStory, list: &List<'_>| match list.confirmed.get(at) {
            Some((id, moment)) => {
                let place = story.place(&[*moment]);
                (format!("{} at {} {place}", stories.history.name(*id), story.name), place)
            }
            None => {
                let place = story.whole();
                (format!("nothing at {}{}", story.name, place.whole()), place)
            }
        };
        let [(one, here), (other, there)] = [told(first, most), told(story, list)];
        let told =
            format!("{} and {} settled, and number {} is {one} and {other}", first.name, story.name, at + 1);
        Some(Witness::new(told, [here, there]))
    })
}
