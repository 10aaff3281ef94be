//! Agreement, from texts: members that reached the end delivered the same lines, equally often.
//!
//! A line that occurs more often than its sender was asked to multicast it was delivered twice. No-duplicate judges
//! that; here the surplus is ignored.

use super::{Sheet, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    texts.conclude(difference(texts), texts.ambiguous().or_else(|| texts.alone()))
}

fn difference(texts: &Texts<'_>) -> Option<Witness> {
    let asked = texts.asked_counts();
    let capped = |sheet: &Sheet| -> Vec<u32> {
        let mut counts = texts.counts(sheet);
        for (count, asked) in counts.iter_mut().zip(&asked) {
            *count = (*count).min(asked.unwrap_or(u32::MAX).max(1));
        }
        counts
    };
    let mut sheets = texts.ended().map(|sheet| (sheet, capped(sheet)));
    let (first, counts) = sheets.next()?;
    sheets.find_map(|(other, other_counts)| {
        let word = (0..counts.len()).find(|&word| counts[word] != other_counts[word])?;
        let (one, two) = ((first, counts[word]), (other, other_counts[word]));
        let (more, less) = if one.1 > two.1 { (one, two) } else { (two, one) };
        Some(story(texts, word as u32, more, less))
    })
}

fn story(texts: &Texts<'_>, word: u32, more: (&Sheet, u32), less: (&Sheet, u32)) -> Witness {
    let places = [more.0.places_of(word), less.0.places_of(word)];
    let (one, other, line) = (&more.0.member, &less.0.member, texts.quote(word));
    let story = if less.1 == 0 {
        format!("{one} delivered {line} {}; {other} never did {}", places[0], places[1])
    } else {
        let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let (often, seldom) = (times(more.1), times(less.1));
        format!(
            "{one} delivered {line} {often} {}, {other} {seldom} {}: {other} lacks one, or {one} has one twice",
            places[0], places[1]
        )
    };
    Witness::new(story, places)
}
