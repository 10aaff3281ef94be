//! No creation, from texts: a delivered line is one that its sender was asked to multicast.
//!
//! If command files are given, a sender with neither files nor commands is not a member. It may be the author of a text
//! in an open group, if all members have the line.

use super::{TextList, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    texts.conclude(created(texts), texts.unasked())
}

fn created(texts: &Texts<'_>) -> Option<Witness> {
    if !texts.run.has_commands {
        return None;
    }
    let asked = texts.asked_counts();
    texts.delivered().find_map(|list| {
        let index = list.text_ids.iter().position(|&text_id| match texts.sender(text_id) {
            Some(_) => asked[text_id as usize] == Some(0),
            // In an open group, somebody who is no member may have sent it: then everybody has it.
            None => !is_everywhere(texts, text_id),
        })?;
        Some(story(texts, list, index))
    })
}

/// Returns true if all members that reached the end delivered a line, and equally often.
fn is_everywhere(texts: &Texts<'_>, text_id: u32) -> bool {
    let count = |list: &TextList| list.text_ids.iter().filter(|known| **known == text_id).count();
    let mut counts = texts.ended().map(count);
    counts.next().is_some_and(|first| first > 0 && counts.all(|count| count == first))
}

fn story(texts: &Texts<'_>, list: &TextList, index: usize) -> Witness {
    let (text_id, place) = (list.text_ids[index], list.place(&[index]));
    let why = match texts.sender(text_id).and_then(|sender| texts.asked(sender)) {
        Some(asked) => format!("which {} was never asked to multicast ({})", asked.member, asked.file),
        None => "whose sender has neither commands nor files".to_owned(),
    };
    let story = format!("{} delivered {} {place}, {why}", list.member, texts.quote(text_id));
    Witness::new(story, [place])
}
