//! Durable: what its sender stored, or any member confirmed, is in the list of every member that settled.
//!
//! Only the removal of its sender can void a message, and only if nobody confirmed it. A sender that started again after
//! a settled end, and did not settle again, may have stored messages that the others never heard of.

use std::collections::BTreeMap;

use super::super::verdict::{Verdict, Witness};
use super::history::{Happening, Id, MemberStory, Moment};
use super::list::List;
use super::stories::Stories;

/// The first event that makes a message durable: its member, the moment, and the member's words.
type Owed<'h> = BTreeMap<Id, (&'h MemberStory, Moment, &'static str)>;

pub(super) fn judge(stories: &Stories<'_>) -> Verdict {
    let owed = owed(stories);
    let violation = withdrawn(stories)
        .or_else(|| stories.settled().find_map(|(story, list)| missing(stories, &owed, story, list)));
    match stories.conclude_of_settled(violation, "nothing was inserted") {
        Verdict::Valid if owed.is_empty() => Verdict::Undecided("nothing was stored".to_owned()),
        verdict => verdict,
    }
}

/// Returns the messages that every settled list must have.
fn owed<'h>(stories: &Stories<'h>) -> Owed<'h> {
    let mut owed = Owed::new();
    for (story, slot) in stories.history.members.iter().zip(0..) {
        let settled_before = |life: usize| story.lives[..life].iter().any(super::history::Life::is_settled);
        for (moment, happening) in story.happenings() {
            let number = match happening {
                Happening::Stored { number } => *number,
                Happening::Insert { id: (origin, number), .. } if *origin == slot => *number,
                _ => continue,
            };
            // A message that a removed member stored is owed only if somebody confirmed it.
            let is_removed = stories.removed.contains(&slot);
            if !is_removed && (story.is_settled() || !settled_before(moment.0)) {
                owed.entry((slot, number)).or_insert((story, moment, "stored"));
            }
        }
    }
    for (story, list) in stories.members() {
        for (id, moment) in &list.confirmed {
            let sender = stories.history.members.get(usize::from(id.0));
            // The sender may have gone on without the others after a settled end.
            let is_of_all = sender.is_none_or(|sender| {
                sender.is_settled() || !sender.lives.iter().any(super::history::Life::is_settled)
            });
            if is_of_all {
                owed.entry(*id).or_insert((story, *moment, "confirmed"));
            }
        }
    }
    owed.retain(|id, _| !stories.withdrawn.contains(id));
    owed
}

/// Finds a message that one member confirmed and another one withdrew.
fn withdrawn(stories: &Stories<'_>) -> Option<Witness> {
    let history = stories.history;
    stories.members().find_map(|(story, list)| {
        let (id, confirm) = list.confirmed.iter().find(|(id, _)| stories.withdrawn.contains(id))?;
        let of =
            |happening: &Happening| matches!(happening, Happening::Withdraw { id: other } if other == id);
        let (other, moment) = history
            .members
            .iter()
            .find_map(|other| Some((other, other.happenings().find(|(_, happening)| of(happening))?.0)))?;
        let shown = [story.place(&[*confirm]), other.place(&[moment])];
        let name = history.name(*id);
        let told = format!(
            "{} confirmed {name} {}, and {} withdrew it {}",
            story.name, shown[0], other.name, shown[1]
        );
        Some(Witness::new(told, shown))
    })
}

/// Finds a durable message that the list of a settled member lacks.
fn missing(stories: &Stories<'_>, owed: &Owed<'_>, story: &MemberStory, list: &List<'_>) -> Option<Witness> {
    let (id, (other, moment, did)) = owed.iter().find(|(id, _)| !list.inserted.contains_key(id))?;
    let shown = [other.place(&[*moment]), story.whole()];
    let (name, place) = (stories.history.name(*id), &shown[0]);
    let told =
        format!("{} {did} {name} {place}; {} settled without it{}", other.name, story.name, shown[1].whole());
    Some(Witness::new(told, shown))
}
