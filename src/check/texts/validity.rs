//! Validity, from texts: a member that reached the end delivered everything it was asked to multicast.

use super::{Sheet, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let violation = texts.members.iter().find_map(|page| match (&page.delivered, &page.asked) {
        (Some(delivered), Some(asked)) if delivered.ended => undelivered(texts, delivered, asked),
        _ => None,
    });
    texts.conclude(violation, texts.unasked().or_else(|| texts.ambiguous()))
}

fn undelivered(texts: &Texts<'_>, delivered: &Sheet, asked: &Sheet) -> Option<Witness> {
    let mut left = texts.counts(delivered);
    let index = asked.words.iter().position(|&word| {
        let left = &mut left[word as usize];
        let is_missing = *left == 0;
        *left = left.saturating_sub(1);
        is_missing
    })?;
    let word = asked.words[index];
    let (origin, place) = (asked.place(&[index]), delivered.places_of(word));
    let often = if place.lines.is_empty() { "never delivered it" } else { "delivered it less often" };
    let (member, line) = (&delivered.member, texts.quote(word));
    let story = format!("{member} was asked to multicast {line} {origin} and {often} {place}");
    Some(Witness::new(story, [origin, place]))
}
