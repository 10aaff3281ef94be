//! Total order, from texts: there is one order in which all members delivered their lines.
//!
//! Two members that reached the end with the same lines, equally often, agree only if their files are equal: at the
//! first differing line, one delivers its next `x` before its next `y` and the other after it, however many of each
//! came before. Otherwise only lines that no member has twice can be compared.

use super::{TextList, Texts};
use crate::check::sequences;
use crate::check::verdict::{Place, Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let lists: Vec<&TextList> = texts.delivered().collect();
    let of_two = |(one, other): (usize, usize)| {
        let (one, other) = (lists[one], lists[other]);
        contradiction(texts, &[one, other]).or_else(|| first_difference(texts, one, other))
    };
    let violation = sequences::pairs(lists.len()).find_map(of_two);
    let violation = violation.or_else(|| contradiction(texts, &lists));
    texts.conclude(violation, texts.ambiguous().or_else(|| texts.alone()))
}

/// Finds a contradiction among the lines that none of these members has twice.
fn contradiction(texts: &Texts<'_>, lists: &[&TextList]) -> Option<Witness> {
    let mut is_single = vec![true; texts.lines.len()];
    for (text_id, count) in lists.iter().flat_map(|list| texts.counts(list).into_iter().enumerate()) {
        is_single[text_id] &= count <= 1;
    }
    let singles: Vec<TextList> =
        lists.iter().map(|list| list.filtered(|text_id| is_single[text_id as usize])).collect();
    let text_ids: Vec<Vec<u32>> = singles.iter().map(|list| list.text_ids.clone()).collect();
    let circle = sequences::contradiction(&text_ids, texts.lines.len())?;
    let told = circle.iter().map(|step| tell(texts, &singles[step.sequence], [step.before, step.after]));
    Some(Witness::joined(told))
}

/// Finds the first difference of two members that reached the end with the same lines.
fn first_difference(texts: &Texts<'_>, one: &TextList, other: &TextList) -> Option<Witness> {
    let at = one.text_ids.iter().zip(&other.text_ids).position(|(one, other)| one != other)?;
    if !one.ended || !other.ended || texts.counts(one) != texts.counts(other) {
        return None;
    }
    let after = |list: &TextList, text_id: u32| {
        (at..list.text_ids.len()).find(|&index| list.text_ids[index] == text_id)
    };
    let [second, first] = [after(one, other.text_ids[at])?, after(other, one.text_ids[at])?];
    Some(Witness::joined([tell(texts, one, [at, second]), tell(texts, other, [at, first])].into_iter()))
}

fn tell(texts: &Texts<'_>, list: &TextList, indices: [usize; 2]) -> (String, Place) {
    let [first, then] = indices.map(|index| texts.quote(list.text_ids[index]));
    let place = list.place(&indices);
    (format!("{} delivered {first} then {then} {place}", list.member), place)
}
