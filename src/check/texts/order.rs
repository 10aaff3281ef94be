//! Whether two members delivered what both delivered in one order, as far as lines tell.
//!
//! If both came to the end with the same lines, each as often, then they are in one order only if the files are
//! equal: at the first line that differs, the one has its next `x` before its next `y`, and the other after it,
//! however often both came before. Otherwise only lines that both have exactly once can be compared.

use super::{Sheet, Texts};
use crate::check::verdict::Witness;

pub(super) enum Order {
    /// What both have is in one order.
    Same,
    /// It is not.
    Differs(Witness),
    /// It depends on which message a line is.
    Unclear(String),
}

/// Every two of these.
pub(super) fn pairs<S>(sheets: &[S]) -> impl Iterator<Item = (&S, &S)> {
    (0..sheets.len())
        .flat_map(|one| (0..one).map(move |other| (other, one)))
        .map(|(one, other)| (&sheets[one], &sheets[other]))
}

pub(super) fn compare(texts: &Texts<'_>, one: &Sheet, other: &Sheet) -> Order {
    if one.words == other.words {
        return Order::Same;
    }
    let counts = [texts.counts(one), texts.counts(other)];
    if one.ended && other.ended && counts[0] == counts[1] {
        return first_difference(texts, one, other).map_or(Order::Same, Order::Differs);
    }
    if let Some(witness) = inversion(texts, one, other, &counts) {
        return Order::Differs(witness);
    }
    let shared = |word: &u32| counts.iter().all(|counts| counts[*word as usize] > 0);
    let repeated = |word: &u32| counts.iter().any(|counts| counts[*word as usize] > 1);
    match one.words.iter().find(|word| shared(word) && repeated(word)) {
        Some(&word) => Order::Unclear(format!(
            "{} is there more than once {}: nobody can tell which is which at {}",
            texts.quote(word),
            one.places_of(word),
            other.member
        )),
        None => Order::Same,
    }
}

fn first_difference(texts: &Texts<'_>, one: &Sheet, other: &Sheet) -> Option<Witness> {
    let at = one.words.iter().zip(&other.words).position(|(one, other)| one != other)?;
    let after = |sheet: &Sheet, word: u32| (at..sheet.words.len()).find(|&index| sheet.words[index] == word);
    let [second, first] = [after(one, other.words[at])?, after(other, one.words[at])?];
    Some(story(texts, (one, [at, second]), (other, [at, first])))
}

/// The first two lines, each in both sheets exactly once, that `other` has the other way round.
fn inversion(texts: &Texts<'_>, one: &Sheet, other: &Sheet, counts: &[Vec<u32>; 2]) -> Option<Witness> {
    let mut places = vec![0; texts.lines.len()];
    for (index, &word) in one.words.iter().enumerate() {
        places[word as usize] = index;
    }
    let once = |word: u32| counts.iter().all(|counts| counts[word as usize] == 1);
    let mut last: Option<(usize, usize)> = None;
    for (index, &word) in other.words.iter().enumerate().filter(|(_, word)| once(**word)) {
        let at = places[word as usize];
        if let Some((last_index, last_at)) = last
            && at < last_at
        {
            return Some(story(texts, (one, [at, last_at]), (other, [last_index, index])));
        }
        last = Some((index, at));
    }
    None
}

fn story(texts: &Texts<'_>, one: (&Sheet, [usize; 2]), other: (&Sheet, [usize; 2])) -> Witness {
    let tell = |(sheet, indices): (&Sheet, [usize; 2])| {
        let [first, then] = indices.map(|index| texts.quote(sheet.words[index]));
        let place = sheet.place(&indices);
        (format!("{} delivered {first} then {then} {place}", sheet.member), place)
    };
    let ((one, place), (other, other_place)) = (tell(one), tell(other));
    Witness::new(format!("{one}; {other}"), [place, other_place])
}
