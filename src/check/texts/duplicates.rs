//! No duplicate, from texts: no line is delivered more often than its sender was asked to multicast it.
//!
//! Distinct lines are distinct messages; two equal lines may be one message or two.

use super::{TextList, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let asked = texts.asked_counts();
    let violation = texts.delivered().find_map(|list| surplus(texts, list, &asked));
    texts.conclude(violation, texts.ambiguous())
}

/// Finds the first surplus line. No-creation judges lines that were never commanded.
fn surplus(texts: &Texts<'_>, list: &TextList, asked: &[Option<u32>]) -> Option<Witness> {
    let mut counts = vec![0; asked.len()];
    let text_id = list.text_ids.iter().copied().find(|&text_id| {
        counts[text_id as usize] += 1;
        asked[text_id as usize].is_some_and(|asked| asked > 0 && counts[text_id as usize] > asked)
    })?;
    let sender = texts.sender(text_id).and_then(|sender| texts.asked(sender))?;
    let (place, origin) = (list.places_of(text_id), sender.places_of(text_id));
    let often = texts.counts(list)[text_id as usize];
    let story = format!(
        "{} delivered {} {often} times {place}; {} was asked to multicast it {} {origin}",
        list.member,
        texts.quote(text_id),
        sender.member,
        asked[text_id as usize].map_or_else(String::new, |asked| if asked == 1 {
            "once".into()
        } else {
            format!("{asked} times")
        }),
    );
    Some(Witness::new(story, [place, origin]))
}
