//! Beside the path: which word was probably meant.

/// Longest word that is compared, in bytes: the longest id. Longer ones are no slip of the finger.
const MAX_WORD: usize = 64;

/// The candidate that `word` was probably meant to be: at most one in three of its letters differ.
///
/// Case is no difference, so that `multicast` finds `Multicast`; `c9` does not find `c1`.
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

/// How many letters have to be inserted, removed or replaced to make one word the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().map(|letter| letter.to_ascii_lowercase()).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.chars().map(|letter| letter.to_ascii_lowercase()).enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, &against) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("SLEEP", "sleep", 0)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
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
        assert_eq!(nearest("c9", ["c1", "c2"]), None);
        assert_eq!(nearest("C2", ["c1", "c2"]), Some("c2"));
        assert_eq!(nearest("alicf", ["bob", "alice"]), Some("alice"));
        assert_eq!(nearest(&"x".repeat(1 << 20), words), None);
    }
}
