//! FIFO order, from texts: each member delivered a sender's lines in the order of the sender's commands.
//!
//! With commands, each delivered line is the sender's next command, repeats an earlier one, or skips the next.
//! Taking a line as the next whenever possible explains the most deliveries; no other choice of messages explains
//! what this one cannot. Without commands, the deliveries of one sender at two members must begin alike, or one of
//! them skipped a message.

use super::{TextList, Texts};
use crate::check::sequences;
use crate::check::verdict::{Verdict, Witness};

/// Marks a line that its sender was never asked for.
const NEVER: usize = usize::MAX;

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let mut senders = 0..texts.members.len();
    let unclear = texts.unasked().or_else(|| texts.ambiguous());
    texts.conclude(senders.find_map(|sender| violation(texts, sender)), unclear)
}

fn violation(texts: &Texts<'_>, sender: usize) -> Option<Witness> {
    match texts.asked(sender) {
        Some(asked) => {
            let first = first_places(texts, asked);
            texts.delivered().find_map(|list| passed_over(texts, list, asked, &first))
        }
        None => disagreement(texts, sender),
    }
}

/// Returns the first position of each line in the commands.
fn first_places(texts: &Texts<'_>, asked: &TextList) -> Vec<usize> {
    let mut first = vec![NEVER; texts.lines.len()];
    for (place, &text_id) in asked.text_ids.iter().enumerate().rev() {
        first[text_id as usize] = place;
    }
    first
}

fn passed_over(texts: &Texts<'_>, list: &TextList, asked: &TextList, first: &[usize]) -> Option<Witness> {
    let mut next = 0;
    for (index, &text_id) in list.text_ids.iter().enumerate() {
        let place = first[text_id as usize];
        if asked.text_ids.get(next) == Some(&text_id) {
            next += 1;
        } else if place != NEVER && place > next {
            return Some(story(texts, (list, index), (asked, next, place)));
        }
    }
    None
}

fn story(
    texts: &Texts<'_>,
    (list, index): (&TextList, usize),
    (asked, next, place): (&TextList, usize, usize),
) -> Witness {
    let earlier = asked.text_ids[next];
    let late = (index..list.text_ids.len()).find(|&late| list.text_ids[late] == earlier);
    let delivered = list.place(&[Some(index), late].into_iter().flatten().collect::<Vec<_>>());
    let origin = asked.place(&[next, place]);
    let (later, earlier) = (texts.quote(list.text_ids[index]), texts.quote(earlier));
    let story = format!(
        "{} delivered {later} before {earlier} {delivered}; {} was asked to multicast {earlier} first {origin}",
        list.member, asked.member,
    );
    Witness::new(story, [delivered, origin])
}

/// Finds two members whose deliveries of this sender differ after a common beginning.
fn disagreement(texts: &Texts<'_>, sender: usize) -> Option<Witness> {
    let lists = texts.delivered().map(|list| list.filtered(|text_id| texts.sender(text_id) == Some(sender)));
    let lists: Vec<TextList> = lists.collect();
    sequences::pairs(lists.len()).find_map(|(one, other)| {
        let (one, other) = (&lists[one], &lists[other]);
        let at = one.text_ids.iter().zip(&other.text_ids).position(|(one, other)| one != other)?;
        let places = [one.place(&[at]), other.place(&[at])];
        let [line, other_line] = [one, other].map(|list| texts.quote(list.text_ids[at]));
        let (name, after) = (texts.name(sender), if at == 0 { "first" } else { "next, after the same" });
        let story = format!(
            "of {name}, {} delivered {line} {} {after}, and {} {other_line} {}: one of them passed over what {name} \
             multicast first",
            one.member, places[0], other.member, places[1]
        );
        Some(Witness::new(story, places))
    })
}
