//! Agreement, from texts: members that reached the end delivered the same lines, equally often.
//!
//! A line that occurs more often than its sender was asked to multicast it was delivered twice. No-duplicate judges
//! that; here the surplus is ignored.

use super::{TextList, Texts};
use crate::check::verdict::{Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    texts.conclude(difference(texts), texts.ambiguous().or_else(|| texts.alone()))
}

fn difference(texts: &Texts<'_>) -> Option<Witness> {
    let asked = texts.asked_counts();
    let capped = |list: &TextList| -> Vec<u32> {
        let mut counts = texts.counts(list);
        for (count, asked) in counts.iter_mut().zip(&asked) {
            *count = (*count).min(asked.unwrap_or(u32::MAX).max(1));
        }
        counts
    };
    let mut lists = texts.ended().map(|list| (list, capped(list)));
    let (first, counts) = lists.next()?;
    lists.find_map(|(other, other_counts)| {
        let text_id = (0..counts.len()).find(|&text_id| counts[text_id] != other_counts[text_id])?;
        let (one, two) = ((first, counts[text_id]), (other, other_counts[text_id]));
        let (more, less) = if one.1 > two.1 { (one, two) } else { (two, one) };
        Some(story(texts, text_id as u32, more, less))
    })
}

fn story(texts: &Texts<'_>, text_id: u32, more: (&TextList, u32), less: (&TextList, u32)) -> Witness {
    let places = [more.0.places_of(text_id), less.0.places_of(text_id)];
    let (one, other, line) = (&more.0.member, &less.0.member, texts.quote(text_id));
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
