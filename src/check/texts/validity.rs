//! Validity, from texts: a member that reached the end delivered everything it was asked to multicast.

use super::{TextList, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let violation =
        texts.members.iter().find_map(|member_texts| match (&member_texts.delivered, &member_texts.asked) {
            (Some(delivered), Some(asked)) if delivered.ended => undelivered(texts, delivered, asked),
            _ => None,
        });
    texts.conclude(violation, texts.unasked().or_else(|| texts.ambiguous()))
}

fn undelivered(texts: &Texts<'_>, delivered: &TextList, asked: &TextList) -> Option<Witness> {
    let mut left = texts.counts(delivered);
    let index = asked.text_ids.iter().position(|&text_id| {
        let left = &mut left[text_id as usize];
        let is_missing = *left == 0;
        *left = left.saturating_sub(1);
        is_missing
    })?;
    let text_id = asked.text_ids[index];
    let (origin, place) = (asked.place(&[index]), delivered.places_of(text_id));
    let often = if place.lines.is_empty() { "never delivered it" } else { "delivered it less often" };
    let (member, line) = (&delivered.member, texts.quote(text_id));
    let story = format!("{member} was asked to multicast {line} {origin} and {often} {place}");
    Some(Witness::new(story, [origin, place]))
}
