//! Comments are plain English: their subject is a component, not "who" or "what".

use std::iter::once;

use crate::repository::tidy::rust_files;

/// Words that begin a clause in the place of a subject.
const CLAUSES: [&str; 6] = ["who", "whoever", "whom", "whose", "what", "whatever"];

#[test]
fn comments_begin_no_sentence_with_a_clause() {
    let folders = ["src", "bin", "tests", "examples", "benches", "fuzz/src"];
    let files: Vec<(String, String)> = folders.into_iter().flat_map(rust_files).collect();
    let found: Vec<String> = files
        .iter()
        .flat_map(|(name, text)| comments(text).into_iter().map(move |(line, comment)| (name, line, comment)))
        .filter(|(_, _, comment)| begins_with_a_clause(comment))
        .map(|(name, line, comment)| format!("{name}:{line}: {comment}"))
        .collect();
    assert!(found.is_empty(), "sentences without a subject:\n{}", found.join("\n"));
}

#[test]
fn comments_with_a_clause_are_recognized() {
    let text = "/// Who sends it.\nfn f() {}\n// A member. What it sends\n// is a packet.\nlet x = 1; // what is this?\n";
    let judged: Vec<(usize, bool)> =
        comments(text).iter().map(|(line, comment)| (*line, begins_with_a_clause(comment))).collect();
    assert_eq!(judged, [(1, true), (3, true)]);
    assert!(!begins_with_a_clause("The member, whose slot is known, says what it has."));
}

/// Returns the comments that have lines of their own: the first line's number, and the text.
fn comments(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut is_open = false;
    for (index, line) in text.lines().enumerate() {
        let comment =
            line.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']).trim());
        let comment = comment.filter(|comment| !comment.is_empty());
        match (comment, is_open) {
            (Some(comment), true) => {
                let (_, whole) = found.last_mut().expect("a comment is open");
                whole.extend(once(' ').chain(comment.chars()));
            }
            (Some(comment), false) => found.push((index + 1, comment.to_owned())),
            (None, _) => {}
        }
        is_open = comment.is_some();
    }
    found
}

fn begins_with_a_clause(comment: &str) -> bool {
    comment.split(['.', '!', '?']).any(|sentence| {
        let first = sentence.split_whitespace().next().unwrap_or_default().to_lowercase();
        CLAUSES.contains(&&*first)
    })
}
