//! No creation, from texts: a delivered line is one that its sender was asked to multicast.
//!
//! If command files are given, a sender with neither files nor commands is not a member.

use super::{Sheet, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    texts.conclude(created(texts), texts.unasked())
}

fn created(texts: &Texts<'_>) -> Option<Witness> {
    if !texts.run.has_commands {
        return None;
    }
    let asked = texts.asked_counts();
    texts.delivered().find_map(|sheet| {
        let index = sheet.words.iter().position(|&word| match texts.sender(word) {
            Some(_) => asked[word as usize] == Some(0),
            None => true,
        })?;
        Some(story(texts, sheet, index))
    })
}

fn story(texts: &Texts<'_>, sheet: &Sheet, index: usize) -> Witness {
    let (word, place) = (sheet.words[index], sheet.place(&[index]));
    let why = match texts.sender(word).and_then(|sender| texts.asked(sender)) {
        Some(asked) => format!("which {} was never asked to multicast ({})", asked.member, asked.file),
        None => "whose sender has neither commands nor files".to_owned(),
    };
    let story = format!("{} delivered {} {place}, {why}", sheet.member, texts.quote(word));
    Witness::new(story, [place])
}
