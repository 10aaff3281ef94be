//! The log of a sequencer beside the deliveries: what a member delivered is in the log at its place, and what it delivered
//! is a range of the log.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::history::{Event, Record};
use super::read::Run;
use super::verdict::{Verdict, Witness};
use crate::exit::Failure;
use crate::log;

/// The name of the property, as in reports.
pub(super) const IN_LOG: &str = "in-log";

/// A message of the log: its id like `c1/1/7`, and its text.
type Logged = (String, Bytes);

/// Judges the deliveries of a run against the log of its group in a folder of logs.
///
/// # Errors
/// Those of [`log::read`].
pub(super) fn judge(run: &Run, dir: &Path) -> Result<Verdict, Failure> {
    let Some(group) = &run.group else {
        return Ok(Verdict::Undecided("only histories tell of which group a run was".to_owned()));
    };
    let mut messages = BTreeMap::new();
    let (_, content) = log::read(&dir.join(group), &mut |entry| {
        let (id, incarnation) = &entry.sender;
        for (place, (number, text)) in (entry.place..).zip(entry.batch.messages()) {
            let text = entry.batch.body().slice_ref(text);
            messages.insert(place, (format!("{id}/{incarnation}/{number}"), text));
        }
    })?;
    let mut compared = 0;
    for (_, record) in run.with_records() {
        if let Some(witness) = contradiction(run, record, (&messages, content.begins_after()), &mut compared)
        {
            return Ok(Verdict::Violated(witness));
        }
    }
    Ok(match compared {
        0 => Verdict::Undecided("no history has a delivery with a place of the log".to_owned()),
        _ => Verdict::Valid,
    })
}

/// Returns the first delivery of a member that the log has not at its place, or that is not behind the one before. Of what
/// was removed from the log, only the places are judged.
fn contradiction(
    run: &Run,
    record: &Record,
    (messages, begins_after): (&BTreeMap<u64, Logged>, u64),
    compared: &mut u64,
) -> Option<Witness> {
    let mut before = None;
    for (at, event) in record.events.iter().enumerate() {
        let Event::Deliver { id, number: Some(place), text, .. } = event else { continue };
        if *place > begins_after {
            *compared += 1;
        }
        let (name, found) = (run.history.name(*id), messages.get(place));
        let wrong = match found {
            _ if before.is_some_and(|before| before + 1 != *place) => {
                format!("behind place {}", before.unwrap_or_default())
            }
            _ if found.map_or(*place <= begins_after, |(logged, known)| *logged == name && known == text) => {
                before = Some(*place);
                continue;
            }
            Some((logged, _)) if *logged == name => "where the log has another text".to_owned(),
            Some((logged, _)) => format!("where the log has {logged}"),
            None => "and the log has no such place".to_owned(),
        };
        let place_of = record.place(&[at]);
        let story = format!("{} delivered {name} at place {place} {place_of}, {wrong}", record.name);
        return Some(Witness::new(story, [place_of]));
    }
    None
}
