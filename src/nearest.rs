//! Beside the path: the word that was probably meant.

use crate::place::{Flaw, quoted};

/// Longest word that is compared, in bytes: the longest id. A longer one is not a slip of the finger.
const MAX_WORD: usize = 64;

/// Returns the candidate that `word` was probably meant to be: at most one slip for three of its letters.
///
/// Case does not matter, so `multicast` finds `Multicast`; `c9` does not find `c1`.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let limit = word.chars().count() / 3;
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_WORD)
        .map(|candidate| (distance(word, candidate), candidate))
        .min_by_key(|&(distance, _)| distance)
        .filter(|&(distance, _)| distance <= limit)
        .map(|(_, candidate)| candidate)
}

/// Returns the hint with the candidate that was probably meant, if there is one, before `rest`, the list of all.
pub(crate) fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>, rest: &str) -> String {
    match nearest(word, candidates) {
        Some(meant) => format!("did you mean `{meant}`? {rest}"),
        None => rest.to_owned(),
    }
}

/// Returns the word if it is one of `known`.
///
/// # Errors
/// The mistake, with the word that was probably meant, and the list of all.
pub(crate) fn one_of<'a>(word: &str, known: &[&'a str]) -> Result<&'a str, String> {
    known.iter().copied().find(|known| *known == word).ok_or_else(|| unknown(word, known))
}

/// Returns the objection to a word that is not one of `known`.
pub(crate) fn unknown(word: &str, known: &[&str]) -> String {
    let mut known = known.to_vec();
    known.dedup();
    let there_are = hint(word, known.iter().copied(), &format!("there are: {}", known.join(", ")));
    format!("unknown word {}; {there_are}", quoted(word.as_bytes()))
}

/// Converts an error of the TOML parser, with its place; for an unknown key, names the one that was probably meant.
pub(crate) fn toml_flaw(error: &toml::de::Error, text: &str) -> Flaw {
    let span = error.span().unwrap_or(0..0);
    if !error.message().starts_with("unknown field") {
        return Flaw::new(span, error.message().trim_end().replace('\n', "; "));
    }
    // The message ends with the known keys, in backticks.
    let known = error.message().rsplit("expected one of ").next().unwrap_or_default();
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let key = text[span.clone()].trim_matches(['"', '\'']);
    let help = hint(key, known.iter().copied(), &format!("the keys are {}", known.join(", ")));
    Flaw::new(span, format!("unknown key {}", quoted(key.as_bytes()))).help(help)
}

/// Returns the optimal string alignment distance of two words, without regard to ASCII case.
fn distance(one: &str, other: &str) -> usize {
    strsim::osa_distance(&one.to_ascii_lowercase(), &other.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_optimal_string_alignment() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("SLEEP", "sleep", 0),
            ("odrer", "order", 1),
            ("ab", "ba", 1),
            ("abcd", "badc", 2),
            ("CA", "abc", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let words = ["Multicast", "sleep"];
        for (word, expected) in [
            ("multicast", Some("Multicast")),
            ("Mutlicast", Some("Multicast")),
            ("Sleep", Some("sleep")),
            ("slep", Some("sleep")),
            ("c1", None),
            ("", None),
            ("wait", None),
        ] {
            assert_eq!(nearest(word, words), expected, "{word}");
        }
        assert_eq!(nearest("odrer", ["order", "other"]), Some("order"));
        assert_eq!(nearest("c9", ["c1", "c2"]), None);
        assert_eq!(nearest("C2", ["c1", "c2"]), Some("c2"));
        assert_eq!(nearest("alicf", ["bob", "alice"]), Some("alice"));
        assert_eq!(nearest(&"x".repeat(1 << 20), words), None);
    }
}
