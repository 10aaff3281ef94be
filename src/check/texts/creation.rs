//! No creation, from texts: a delivered line is one that its sender was asked to multicast.
//!
//! If command files are given, a sender with neither files nor commands is not a member.

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
            None => true,
        })?;
        Some(story(texts, list, index))
    })
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
