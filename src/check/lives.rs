//! Consistency of a cluster: the files of each member agree, through all its lives.
//!
//! Each life begins with its start and has nothing after its end. All lives of all members list the same members by slot,
//! later ones perhaps more.
//! The ids in a history are the member's own where they must be, and the result files are what the histories tell.

use super::consistency::wrong_results;
use super::history::Record;
use super::message_index::MessageIndex;
use super::read::{HistoryFile, Member, Run, Start};
use super::verdict::{Place, Verdict, Witness};
use crate::talk::list;

pub(super) fn judge(run: &Run, index: &MessageIndex<'_>) -> Verdict {
    let of_member = |(member, record): (&Member, &Record)| {
        let lives = || member.lives.iter();
        lives()
            .find_map(|(life, file)| wrong_name(member, *life, file))
            .or_else(|| lives().find_map(|(_, file)| out_of_bounds(member, file)))
            .or_else(|| lives().find_map(|(_, file)| wrong_id(member, file)))
            .or_else(|| wrong_results(&run.history, member, record))
    };
    let violation = other_list(run).or_else(|| run.with_records().find_map(of_member));
    index.conclude(violation)
}

fn at(member: &Member, file: &HistoryFile, lines: impl Into<Vec<u32>>) -> Place {
    Place { member: member.id.clone(), file: Some(file.file.clone()), lines: lines.into(), also: vec![] }
}

/// Finds a history under the name of another member or another life.
fn wrong_name(member: &Member, life: u32, file: &HistoryFile) -> Option<Witness> {
    let is_other = |start: &&Start| start.member != member.id || start.incarnation != life;
    let start = file.starts.iter().find(is_other)?;
    let place = at(member, file, [start.line]);
    let story = format!("this is the history of life {} of {} {place}", start.incarnation, start.member);
    Some(Witness::new(story, [place]))
}

/// Finds an event before the start of a life or after its end.
fn out_of_bounds(member: &Member, file: &HistoryFile) -> Option<Witness> {
    let (first, last) = file.lines?;
    let start = file.starts.first().map(|start| start.line);
    let end = file.ends.first().map(|end| end.line);
    let (story, lines) = match (start, end) {
        (Some(start), _) if first < start => ("did something before it started", vec![first, start]),
        (_, Some(end)) if end < last => ("ended, and then something happened", vec![end, last]),
        _ => return None,
    };
    let place = at(member, file, lines);
    Some(Witness::new(format!("{} {story} {place}", member.id), [place]))
}

fn wrong_id(member: &Member, file: &HistoryFile) -> Option<Witness> {
    let (what, line) = match (file.misattributed, file.borrowed) {
        (Some(line), _) => ("received a message with two senders, in \"id\" and in \"from\"", line),
        (None, Some(line)) => ("tells of a message with an id that it cannot have", line),
        (None, None) => return None,
    };
    let place = at(member, file, [line]);
    Some(Witness::new(format!("{} {what} {place}", member.id), [place]))
}

/// Finds two lives that list other members.
fn other_list(run: &Run) -> Option<Witness> {
    let mut lives = run.members.iter().flat_map(|member| {
        let files = member.lives.iter().map(|(_, file)| file);
        let starts = files.flat_map(|file| file.starts.iter().map(move |start| (file, start)));
        starts.map(move |(file, start)| (member, file, start))
    });
    let (first, first_file, one) = lives.next()?;
    let (member, file, other) = lives.find(|(_, _, other)| {
        let shorter = one.roster.len().min(other.roster.len());
        one.roster[..shorter] != other.roster[..shorter]
    })?;
    let places = [at(first, first_file, [one.line]), at(member, file, [other.line])];
    let (ours, theirs) = (list(&one.roster), list(&other.roster));
    let story =
        format!("{} started with {ours} {}; {} with {theirs} {}", first.id, places[0], member.id, places[1]);
    Some(Witness::new(story, places))
}
