//! Start barrier: all members start once, before any other event, with the same members, and the first multicasts are
//! not lost.

use std::collections::BTreeSet;

use super::history::Record;
use super::message_index::MessageIndex;
use super::read::{Member, Run, Start};
use super::streams::Streams;
use super::verdict::{Place, Verdict, Witness};
use crate::talk::list;

pub(super) fn judge(run: &Run, index: &MessageIndex<'_>) -> Verdict {
    let violation = run
        .members
        .iter()
        .find_map(began_otherwise)
        .or_else(|| disagreement(run))
        .or_else(|| unlisted(run))
        .or_else(|| lost(index));
    if violation.is_none() && !run.has_histories() {
        return Verdict::Undecided("only histories tell how a run began".to_owned());
    }
    if violation.is_none()
        && let Some(reason) = missing(run)
    {
        return Verdict::Undecided(reason);
    }
    index.conclude(violation)
}

/// Finds a history whose first event is not a start, or that has a second start.
fn began_otherwise(member: &Member) -> Option<Witness> {
    let history_file = member.history_file.as_ref()?;
    let (first, _) = history_file.lines?;
    match &history_file.starts[..] {
        [Start { line, .. }] if *line == first => None,
        [] => Some(tell(&member.id, "never started, and yet something happened", member.place([first]))),
        [start] => {
            Some(tell(&member.id, "did something before it started", member.place([first, start.line])))
        }
        [one, other, ..] => Some(tell(&member.id, "started twice", member.place([one.line, other.line]))),
    }
}

fn tell(id: &str, what: &str, place: Place) -> Witness {
    Witness::new(format!("{id} {what} {place}"), [place])
}

/// Finds two members that began different runs.
fn disagreement(run: &Run) -> Option<Witness> {
    // A newcomer's start lists other members than the starts at the barrier.
    let mut starts: Vec<_> = run.starts().collect();
    starts.sort_by_key(|(_, record, _)| came_late(run, record));
    let mut starts = starts.into_iter();
    let (member, _, start) = starts.next()?;
    starts.find_map(|(other_member, other_record, other)| {
        let (one, two) = difference(start, other, !came_late(run, other_record))?;
        let places = [member.place([start.line]), other_member.place([other.line])];
        let (id, other_id) = (&member.id, &other_member.id);
        let story = format!("{id} started with {one} {}; {other_id} with {two} {}", places[0], places[1]);
        Some(Witness::new(story, places))
    })
}

/// Returns true if the member joined the running group. A newcomer that failed while joining has no view at all.
fn came_late(run: &Run, record: &Record) -> bool {
    let have_views = run.starts().any(|(_, record, _)| !record.views.is_empty());
    record.views.first().map_or(have_views, |view| view.number > 1)
}

fn difference(one: &Start, other: &Start, with_members: bool) -> Option<(String, String)> {
    let words = |start: &Start| {
        let method = start.method.as_deref().map_or_else(String::new, |method| format!(" ({method})"));
        [format!("group {}", start.group), format!("order {}{method}", start.order), list(&start.members)]
    };
    let count = if with_members { 3 } else { 2 };
    words(one).into_iter().zip(words(other)).take(count).find(|(one, other)| one != other)
}

/// Finds a member that has files here and is in no list of members.
fn unlisted(run: &Run) -> Option<Witness> {
    let (starter, _, start) = run.starts().find(|(_, record, _)| !came_late(run, record))?;
    let views = run.starts().flat_map(|(_, record, _)| &record.views);
    let listed: BTreeSet<&String> = views.flat_map(|view| &view.members).chain(&start.members).collect();
    let (member, _) = run.with_records().find(|(member, record)| {
        let is_late = member.history_file.is_some() && came_late(run, record);
        member.has_said_something() && !listed.contains(&member.id) && !is_late
    })?;
    let at = starter.place([start.line]);
    let story = format!(
        "{} has files here, and {} started with {} {at}",
        member.id,
        starter.id,
        list(&start.members)
    );
    Some(Witness::new(story, [at]))
}

/// Names the listed members without a history.
fn missing(run: &Run) -> Option<String> {
    let without = run.members.iter().filter(|member| member.history_file.is_none());
    let ids: Vec<&str> = without.map(|member| member.id.as_str()).collect();
    let are = if ids.len() == 1 { "the history of" } else { "the histories of" };
    (!ids.is_empty())
        .then(|| format!("{are} {} missing", list(&ids) + if ids.len() == 1 { " is" } else { " are" }))
}

/// Finds a sender's first multicast that a member lacks at its end. The message may be missing if no member that
/// reached the end multicast or delivered it.
fn lost(index: &MessageIndex<'_>) -> Option<Witness> {
    let streams = Streams::new(index);
    let ended = || index.members().filter(|&member| index.record(member).ended);
    let mut is_due = vec![false; index.len()];
    for (_, message) in ended().flat_map(|member| index.group_events(member)) {
        is_due[message] = true;
    }
    ended().find_map(|member| {
        let delivered = index.first_deliveries(member);
        let firsts = (0..streams.len()).map(|stream| streams.message(stream, 0));
        let (message, event) = firsts
            .filter(|&message| is_due[message] && delivered[message].is_none())
            .filter(|&message| index.owes(member, message))
            .find_map(|message| Some((message, index.origin(message)?)))?;
        let (sender, receiver) = (index.sender(message)?, index.record(member));
        let place = sender.place(&[event]);
        let (name, end) = (index.name(message), receiver.place(&[]));
        let story = format!(
            "the first that {} multicast, {name} {place}, {} never delivered{}",
            sender.name,
            receiver.name,
            end.whole()
        );
        Some(Witness::new(story, [place, end]))
    })
}
