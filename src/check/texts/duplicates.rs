//! No duplicate, from texts: no line is delivered more often than its sender was asked to multicast it.
//!
//! Distinct lines are distinct messages; two equal lines may be one message or two.

use super::{Sheet, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let asked = texts.asked_counts();
    let violation = texts.delivered().find_map(|sheet| surplus(texts, sheet, &asked));
    texts.conclude(violation, texts.ambiguous())
}

/// Finds the first surplus line. No-creation judges lines that were never commanded.
fn surplus(texts: &Texts<'_>, sheet: &Sheet, asked: &[Option<u32>]) -> Option<Witness> {
    let mut counts = vec![0; asked.len()];
    let word = sheet.words.iter().copied().find(|&word| {
        counts[word as usize] += 1;
        asked[word as usize].is_some_and(|asked| asked > 0 && counts[word as usize] > asked)
    })?;
    let sender = texts.sender(word).and_then(|sender| texts.asked(sender))?;
    let (place, origin) = (sheet.places_of(word), sender.places_of(word));
    let often = texts.counts(sheet)[word as usize];
    let story = format!(
        "{} delivered {} {often} times {place}; {} was asked to multicast it {} {origin}",
        sheet.member,
        texts.quote(word),
        sender.member,
        asked[word as usize].map_or_else(String::new, |asked| if asked == 1 {
            "once".into()
        } else {
            format!("{asked} times")
        }),
    );
    Some(Witness::new(story, [place, origin]))
}
