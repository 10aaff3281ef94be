//! Total order, from texts: there is one order in which all members delivered their lines.
//!
//! Two members that reached the end with the same lines, equally often, agree only if their files are equal: at the
//! first differing line, one delivers its next `x` before its next `y` and the other after it, however many of each
//! came before. Otherwise only lines that no member has twice can be compared.

use super::{Sheet, Texts};
use crate::check::sequences;
use crate::check::verdict::{Place, Verdict, Witness};

pub(super) fn judge(texts: &Texts<'_>) -> Verdict {
    let sheets: Vec<&Sheet> = texts.delivered().collect();
    let of_two = |(one, other): (usize, usize)| {
        let (one, other) = (sheets[one], sheets[other]);
        contradiction(texts, &[one, other]).or_else(|| first_difference(texts, one, other))
    };
    let violation = sequences::pairs(sheets.len()).find_map(of_two);
    let violation = violation.or_else(|| contradiction(texts, &sheets));
    texts.conclude(violation, texts.ambiguous().or_else(|| texts.alone()))
}

/// Finds a contradiction among the lines that none of these members has twice.
fn contradiction(texts: &Texts<'_>, sheets: &[&Sheet]) -> Option<Witness> {
    let mut is_single = vec![true; texts.lines.len()];
    for (word, count) in sheets.iter().flat_map(|sheet| texts.counts(sheet).into_iter().enumerate()) {
        is_single[word] &= count <= 1;
    }
    let singles: Vec<Sheet> =
        sheets.iter().map(|sheet| sheet.filtered(|word| is_single[word as usize])).collect();
    let words: Vec<Vec<u32>> = singles.iter().map(|sheet| sheet.words.clone()).collect();
    let circle = sequences::contradiction(&words, texts.lines.len())?;
    let told = circle.iter().map(|step| tell(texts, &singles[step.sequence], [step.before, step.after]));
    Some(Witness::joined(told))
}

/// Finds the first difference of two members that reached the end with the same lines.
fn first_difference(texts: &Texts<'_>, one: &Sheet, other: &Sheet) -> Option<Witness> {
    let at = one.words.iter().zip(&other.words).position(|(one, other)| one != other)?;
    if !one.ended || !other.ended || texts.counts(one) != texts.counts(other) {
        return None;
    }
    let after = |sheet: &Sheet, word: u32| (at..sheet.words.len()).find(|&index| sheet.words[index] == word);
    let [second, first] = [after(one, other.words[at])?, after(other, one.words[at])?];
    Some(Witness::joined([tell(texts, one, [at, second]), tell(texts, other, [at, first])].into_iter()))
}

fn tell(texts: &Texts<'_>, sheet: &Sheet, indices: [usize; 2]) -> (String, Place) {
    let [first, then] = indices.map(|index| texts.quote(sheet.words[index]));
    let place = sheet.place(&indices);
    (format!("{} delivered {first} then {then} {place}", sheet.member), place)
}
