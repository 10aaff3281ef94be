//! Tests of the oracles of clusters: handmade histories, slow definitions on random histories, and damage of every kind.
//!
//! A handmade history is one line for each of the members a, b, c:
//!
//! | Word | Event |
//! | --- | --- |
//! | `+1`, `+1=x` | multicasts its message 1, with the text `1` or `x` |
//! | `s1` | has stored it |
//! | `a1@3`, `a1@3=x`, `a1@3:b2` | inserts a's message 1 at the time 3; text `x`; its sender had shown two of b |
//! | `c1-2^5b`, `c1-2^5b#7` | confirms the numbers 1 and 2 up to [5, b]; with the digest 7 |
//! | `wa1` | withdraws a's message 1 |
//! | `e2=abc`, `e3=abc-b` | begins epoch 2, in which c is added; epoch 3, in which b is removed |
//! | `>b1`, `<b1` | sends b a direct message, receives one of b |
//! | `|` | crashes and starts again; `|.` starts again after a settled end |
//!
//! A line ends settled, or with `…` in a crash, or with `†` interrupted.

mod damage;
mod files;
mod naive;
mod random;
mod world;

use bytes::Bytes;

use super::super::history::Source;
use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn history(lines: &[&str]) -> ClusterHistory {
    let members = lines.iter().zip(NAMES).map(|(line, name)| story(line, name));
    ClusterHistory { members: members.collect(), strangers: vec![] }
}

fn story(line: &str, name: &str) -> MemberStory {
    let known = line.trim_end_matches(['…', '†']);
    let end = match line.chars().last() {
        Some('…') => None,
        Some('†') => Some("interrupted".to_owned()),
        _ => Some("settled".to_owned()),
    };
    let mut lives = vec![Life::default()];
    for word in known.split_whitespace() {
        let last = lives.last_mut().unwrap();
        match word {
            "|" => lives.push(Life::default()),
            "|." => {
                last.end = Some("settled".to_owned());
                lives.push(Life::default());
            }
            _ => last.events.push(happening(word)),
        }
    }
    lives.last_mut().unwrap().end = end;
    MemberStory { name: name.to_owned(), lives, ..MemberStory::default() }
}

fn happening(word: &str) -> Happening {
    let (kind, rest) = word.split_at(1);
    match kind {
        "+" => {
            let (number, text) = rest.split_once('=').unwrap_or((rest, rest));
            Happening::Multicast { number: number.parse().unwrap(), text: text.to_owned().into() }
        }
        "s" => Happening::Stored { number: rest.parse().unwrap() },
        "w" => Happening::Withdraw { id: id(rest) },
        "e" => epoch(rest),
        ">" => Happening::Send { to: id(rest).0, number: id(rest).1, text: Bytes::new() },
        "<" => Happening::Receive { from: id(rest).0, number: id(rest).1, text: Bytes::new() },
        "c" if rest.contains('^') => confirm(rest),
        _ => insert(word),
    }
}

fn confirm(word: &str) -> Happening {
    let (numbers, place) = word.split_once('^').unwrap();
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (place, digest) = place.split_once('#').unwrap_or((place, ""));
    let (time, slot) = place.split_at(place.len() - 1);
    let upto = (time.parse().unwrap(), self::slot(slot));
    let number: u64 = first.parse().unwrap();
    let count = last.parse::<u64>().unwrap() + 1 - number;
    let digest = digest.parse().unwrap_or(upto.0 * 10 + u64::from(upto.1));
    Happening::Confirm { upto, number, count, digest }
}

fn epoch(word: &str) -> Happening {
    let (number, members) = word.split_once('=').unwrap();
    let (members, removed) = members.split_once('-').unwrap_or((members, ""));
    let slots = |names: &str| names.split("").filter(|name| !name.is_empty()).map(slot).collect::<Vec<u16>>();
    let removed = slots(removed).first().copied();
    Happening::Epoch { number: number.parse().unwrap(), members: slots(members), removed }
}

fn insert(word: &str) -> Happening {
    let (word, text) = word.split_once('=').unwrap_or((word, ""));
    let (word, needs) = word.split_once(':').unwrap_or((word, ""));
    let (message, time) = word.split_once('@').unwrap();
    let id = id(message);
    let mut deps = vec![0; NAMES.len()];
    for need in needs.split(',').filter(|need| !need.is_empty()) {
        let (slot, count) = self::id(need);
        deps[usize::from(slot)] = count;
    }
    let text = if text.is_empty() { id.1.to_string() } else { text.to_owned() };
    Happening::Insert { id, at: (time.parse().unwrap(), id.0), deps, text: text.into() }
}

fn id(word: &str) -> (u16, u64) {
    (slot(&word[..1]), word[1..].parse().unwrap())
}

fn slot(name: &str) -> u16 {
    NAMES.iter().position(|known| *known == name).unwrap() as u16
}

fn verdict(property: &str, history: &ClusterHistory) -> Verdict {
    let found = judge(history).into_iter().find(|(name, _)| *name == property);
    found.map_or_else(|| Verdict::Undecided("not judged".to_owned()), |(_, verdict)| verdict)
}

/// Asserts that the history violates the property, with this story.
fn violates(property: &str, story: &str, lines: &[&str]) {
    let found = verdict(property, &history(lines));
    assert!(found.is_violated(), "{property} {found}: {lines:?}");
    assert_eq!(found.why(), Some(story), "{lines:?}");
}

/// Asserts that the verdict on the property is this word.
fn says(property: &str, word: &str, lines: &[&str]) {
    let found = verdict(property, &history(lines));
    assert_eq!(found.word(), word, "{property} {found}: {lines:?}");
}

/// A run of two members that is as it should be: b answers a, who crashes in between.
const VALID: [&str; 2] = [
    "+1 s1 a1@1 | b1@2:a1 c1-2^2b +2 s2 a2@3:a1,b1 c3^3a",
    "a1@1 +1 s1 b1@2:a1 c1^1a c2^2b a2@3:a1,b1 c3^3a",
];

#[test]
fn cluster_run_as_it_should_be_is_valid() {
    for (name, verdict) in judge(&history(&VALID)) {
        assert!(verdict.is_valid(), "{name} {verdict}");
    }
    assert_eq!(judge(&history(&VALID)).len(), 13);
    assert_eq!(names().count(), 15);
}

#[test]
fn cluster_run_without_events_or_without_ends_is_undecided() {
    let all_undecided = |lines: &[&str], reason: &str| {
        let verdicts = judge(&history(lines));
        for (name, verdict) in &verdicts {
            assert_eq!(verdict.word(), "undecided", "{name} {verdict}");
        }
        let (_, confirmed) = verdicts.iter().find(|(name, _)| *name == "confirmed").unwrap();
        assert_eq!(confirmed.why(), Some(reason), "{lines:?}");
    };
    all_undecided(&[], "nothing was confirmed");
    all_undecided(&["", ""], "nothing was confirmed");
    all_undecided(&["+1 s1 a1@1 …", "a1@1 …"], "the history of a has no end");
    // An end of another kind completes a story, and the member is not settled.
    let stopped = ["+1 s1 a1@1 c1^1a †", "a1@1 c1^1a"];
    for (property, word) in [("once", "valid"), ("confirmed", "valid"), ("closure", "valid")] {
        says(property, word, &stopped);
    }
    for property in ["convergence", "durable", "total"] {
        let found = verdict(property, &history(&stopped));
        assert_eq!(found.why(), Some("a did not settle: interrupted"), "{property}");
    }
}

#[test]
fn cluster_that_was_at_rest_when_it_was_ended_is_judged_as_settled() {
    let word = |lines: &[&str]| {
        let verdicts = judge(&history(lines).with_rest());
        verdicts.into_iter().find(|(name, _)| *name == "convergence").map(|(_, verdict)| verdict.word())
    };
    assert_eq!(word(&["+1 s1 a1@1 c1^1a †", "a1@1 c1^1a †"]), Some("valid"));
    // One lacks a message, has not confirmed it, or has said something that its journal does not have.
    assert_eq!(word(&["+1 s1 a1@1 c1^1a †", "†"]), Some("undecided"));
    assert_eq!(word(&["+1 s1 a1@1 †", "a1@1 †"]), Some("undecided"));
    assert_eq!(word(&["+1 s1 a1@1 c1^1a +2 †", "a1@1 c1^1a †"]), Some("undecided"));
    assert_eq!(word(&["+1 s1 a1@1 c1^1a †", "a1@1 c1^1a …"]), Some("undecided"));
}

#[test]
fn placement_of_one_message_at_two_places_is_violated() {
    violates(
        "placement",
        "a inserted a/1/1 at [1, a] (event 1), and b at [2, a] (event 1)",
        &["a1@1", "a1@2"],
    );
    violates(
        "placement",
        "a/1/1 at [3, a] (event 1) stands above a/1/2 at [2, a] (event 2), a later message of the same sender",
        &["a1@3 a2@2", ""],
    );
    says("placement", "valid", &["a1@3 a2@3", "a1@3"]);
    let mut foreign = history(&["a1@1"]);
    let Happening::Insert { at, .. } = &mut foreign.members[0].lives[0].events[0] else { unreachable!() };
    at.1 = 1;
    foreign.members.push(story("", "b"));
    let told = "a inserted a/1/1 at [1, b] (event 1), a place of another sender";
    assert_eq!(verdict("placement", &foreign).why(), Some(told));
}

#[test]
fn closure_of_an_answer_without_its_question_is_violated() {
    violates(
        "closure",
        "c inserted b/1/1 before a/1/1 (events 1, 2); b had shown a/1/1 before it multicast b/1/1 (event 2)",
        &["+1 a1@1 b1@2:a1", "a1@1 +1 b1@2:a1", "b1@2:a1 a1@1"],
    );
    // The message denies its cause, and the story of its sender does not.
    violates(
        "closure",
        "c inserted b/1/1 and never a/1/1 (event 1); b had shown a/1/1 before it multicast b/1/1 (event 2)",
        &["+1 a1@1 b1@2:a1", "a1@1 +1 b1@2", "b1@2"],
    );
    violates(
        "closure",
        "b inserted a/1/2 and never a/1/1 (event 1); a multicast a/1/1 before it multicast a/1/2 (event 2)",
        &["+1 +2 a1@1 a2@2", "a2@2"],
    );
    violates(
        "closure",
        "a inserted b/1/1 at a place before a/1/1 (events 2, 1); b/1/1 follows from it",
        &["a1@3 b1@2:a1", ""],
    );
    violates(
        "closure",
        "a inserted b/1/1 and never a/1/9 (event 1); b/1/1 follows from it",
        &["b1@2:a9 wa1 wa2 wa3 wa4 wa5 wa6 wa7 wa8", ""],
    );
    says("closure", "valid", &["b1@2:a1 wa1", ""]);
    // The journal gave back b's message, and one that b was shown after it had multicast it.
    says("closure", "valid", &["+1 s1 a1@1", "| a1@1 +1 b1@2", "b1@2 a1@1"]);
    says("closure", "violated", &["+1 s1 a1@1", "a1@1 | +1 b1@2", "b1@2 a1@1"]);
    says("closure", "valid", &["+1 s1 a1@1 b1@1", "+1 s1 b1@1 a1@1"]);
}

#[test]
fn confirmed_sequence_that_changes_or_parts_is_violated() {
    let tells = |story: &str, lines: &[&str]| violates("confirmed", story, lines);
    tells("a confirmed number 2 (event 2) where number 1 was next", &["a1@1 c2^1a", ""]);
    tells("a confirmed number 1 (event 4) where number 2 was next", &["a1@1 c1^1a | a2@2 c1^2a", ""]);
    tells(
        "a confirmed 1 messages up to [2, a] (event 3), and its list has 2 up to there",
        &["a1@1 a2@2 c1^2a", ""],
    );
    tells(
        "a inserted b/1/1 at [1, b], where everything was confirmed before (events 2, 3)",
        &["a1@2 c1^2a b1@1", ""],
    );
    tells(
        "a confirmed up to a place, and then up to an earlier one (events 2, 4)",
        &["a1@2 c1^2a | a2@3 c2^1a", ""],
    );
    tells("number 1 is a/1/1 at a (event 3) and b/1/1 at b (event 2)", &["a1@1 b1@1 c1-2^1b", "b1@1 c1^1b"]);
    tells(
        "b confirmed up to [2, b] (event 2) without a/1/1, which a inserted at [1, a] (event 1)",
        &["a1@1", "b1@2 c1^2b"],
    );
    tells(
        "a and b confirmed up to [1, a] with different digests (event 2) (event 2)",
        &["a1@1 c1^1a#1", "a1@1 c1^1a#2"],
    );
    tells("a withdrew a/1/1, which it had confirmed (event 3)", &["a1@1 c1^1a wa1", ""]);
    says("confirmed", "valid", &["a1@1 b1@3 c1^2b", "a1@1 b1@3 c1^1a c2^3b wb2"]);
    says("confirmed", "valid", &["a1@1 b1@3 wa1 c1^3b", "a1@1 b1@3 wa1"]);
}

#[test]
fn convergence_of_settled_lists_that_differ_is_violated() {
    violates("convergence", "a settled and had not confirmed a/1/1 (event 1)", &["a1@1", "a1@1 c1^1a"]);
    violates(
        "convergence",
        "a and b settled, and number 2 is a/1/2 at a (event 4) and nothing at b",
        &["a1@1 c1^1a a2@2 c2^2a", "a1@1 c1^1a"],
    );
    says("convergence", "undecided", &["a1@1 c1^1a", "a1@1 c1^1a a2@2 †"]);
    says("convergence", "valid", &["a1@1 | c1^1a", "a1@1 c1^1a"]);
}

#[test]
fn durable_message_that_is_lost_is_violated() {
    violates("durable", "a stored a/1/1 (event 2); b settled without it", &["+1 s1 …", ""]);
    violates("durable", "b confirmed a/1/1 (event 2); c settled without it", &["…", "a1@1 c1^1a …", ""]);
    violates(
        "durable",
        "a confirmed a/1/1 (event 2), and b withdrew it (event 2)",
        &["a1@1 c1^1a", "a1@1 wa1"],
    );
    says("durable", "undecided", &["+1 s1 wa1 …", "wa1"]);
    says("durable", "valid", &["+1 s1 a1@1 b1@2 wa1", "wa1 b1@2", "b1@2"]);
    // A message that a member stored after a settled end, alone, is no loss; one that it stored before is.
    says("durable", "undecided", &["b1@1 |. +1 s1 a1@3 †", "b1@1"]);
    says("durable", "violated", &["+1 s1 a1@3 |. +2 s2 a2@4 †", ""]);
    says("durable", "violated", &["|. +1 s1 a1@3", ""]);
    says("durable", "undecided", &["", "a1@1 …", "…"]);
}

#[test]
fn once_is_violated_by_a_second_text_or_a_second_insertion() {
    violates(
        "once",
        "b inserted a/1/1 (event 1) as `y`; a multicast it (event 1) as `x`",
        &["+1=x s1 a1@1=x", "a1@1=y"],
    );
    violates(
        "once",
        "b inserted a/1/1 (event 1) as `2`; a inserted it (event 1) as `1`",
        &["a1@1", "a1@1=2"],
    );
    violates("once", "a inserted a/1/1 twice (events 1, 2)", &["a1@1 | a1@1", ""]);
    violates("once", "a multicast two messages as a/1/1 (events 1, 2)", &["+1 +1=x", ""]);
    violates("once", "a multicast two messages as a/1/1 (events 1, 3)", &["+1 s1 | +1", ""]);
    violates("once", "a multicast two messages as a/1/1 (events 1, 2)", &["+1 +1 | +1 | +1", ""]);
    // A crash takes back a multicast that was not stored.
    says("once", "valid", &["+1=x | +1=y s1 a1@1=y", "a1@1=y"]);
    says("once", "violated", &["+1=x | +1=y s1 a1@1=y", "a1@1=x"]);
}

#[test]
fn membership_that_parts_or_skips_a_step_is_violated() {
    let tells = |story: &str, lines: &[&str]| violates("membership", story, lines);
    tells(
        "epoch 3 began at b (event 1) without epoch 2, which began at a (event 1)",
        &["e2=abc e3=abc-c", "e3=abc-c", ""],
    );
    tells("epoch 4 began at a (event 2) without epoch 3", &["e2=abc e4=abc-c", ""]);
    tells("epoch 1 began at a (event 1) and epochs are counted from 2", &["e1=ab", ""]);
    tells(
        "epoch 2 began at a (event 1) with a, b and c, without c, and at b (event 1) with a, b and c, without b",
        &["e2=abc-c", "e2=abc-b", ""],
    );
    tells(
        "epoch 2 began at a (event 1) with a, b and c, and at a (event 2) with a, b and c, without a",
        &["e2=abc | e2=abc-a", "e2=abc", ""],
    );
    tells("epoch 3 began at a (event 2) with c and b, which is no single change", &["e2=ab e3=cb", "", ""]);
    tells(
        "epoch 2 began at a (event 1) with a and b, without c, which is no single change",
        &["e2=ab-c", "", ""],
    );
    tells(
        "epoch 3 began at a (event 2) with a and b, without b, which is no single change",
        &["e2=ab-b e3=ab-b", ""],
    );
    tells(
        "b inserted a/1/1 (event 1) before it began epoch 2; a multicast it in that epoch (events 1, 2)",
        &["e2=abc +1 s1 a1@1", "a1@1", ""],
    );
    says(
        "membership",
        "valid",
        &["e2=abc e3=abc-c +1 s1 a1@1 | e2=abc e3=abc-c", "e2=abc e3=abc-c a1@1", "e2=abc"],
    );
    // One that has ended need not learn of a change that was made later.
    says("membership", "valid", &["+1 s1 a1@1 e2=abc", "a1@1", ""]);
    says("membership", "undecided", &["e2=abc", "…", ""]);
    says("membership", "undecided", &["+1 s1 a1@1", "a1@1"]);
    let places = verdict("membership", &history(&["e2=abc-c", "e2=abc-b", ""])).places().to_vec();
    assert_eq!(places.iter().map(|place| &*place.member).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn added_member_without_the_confirmed_messages_before_it_is_undecided() {
    let recover = Happening::Recover { entries: 0, confirmed: 1 };
    let mut told = history(&["+1 s1 a1@1 c1^1a e2=abc", "a1@1 c1^1a e2=abc", "e2=abc b1@2"]);
    told.members[2].lives[0].events.insert(0, recover);
    assert_eq!(told.clone().with_whole_lists().members[2].before, 2);
    let [a, b] = [0, 1].map(|slot: usize| told.members[slot].lives[0].events.clone());
    for slot in 0..2 {
        told.members[slot].lives[0].events.retain(|event| matches!(event, Happening::Epoch { .. }));
    }
    let why = "no history here has the first 1 confirmed messages, after which c was added";
    let found = verdict("membership", &told.clone().with_whole_lists());
    assert_eq!((found.word(), found.why()), ("undecided", Some(why)));
    // Without the epoch that added it, it was there from the beginning, and has to tell what it confirmed.
    (told.members[0].lives[0].events, told.members[1].lives[0].events) = (a, b);
    for story in &mut told.members {
        story.lives[0].events.retain(|event| !matches!(event, Happening::Epoch { .. }));
    }
    told.members[2].lives[0].events.push(confirm("2^2b"));
    let found = verdict("confirmed", &told.with_whole_lists());
    assert_eq!(found.why(), Some("c confirmed number 2 (event 3) where number 1 was next"));
}

#[test]
fn confirmed_messages_are_judged_as_deliveries() {
    says("no-creation", "violated", &["a1@1 c1^1a", "a1@1 c1^1a"]);
    // The last lines of a killed life may be lost; then the journal tells of the message.
    says("no-creation", "valid", &["+1 s1 a1@1 | a2@2 c1-2^2a", "a1@1 a2@2 c1-2^2a"]);
    says("no-creation", "valid", &["+1=x | +1=y a1@1=y c1^1a", "a1@1=y c1^1a"]);
    says("agreement", "violated", &["+1 a1@1 c1^1a", "a1@1"]);
    says("total", "violated", &["+1 a1@1 b1@2 c1-2^2b", "+1 a1@3 b1@2 c1-2^3a"]);
    says("fifo", "violated", &["+1 +2 a2@1 a1@2 c1-2^2a", "a2@1 a1@2 c1-2^2a"]);
    says(
        "causal",
        "violated",
        &["+1 a1@2 c1^2a b1@1 c2^3b", "a1@2 c1^2a +1 b1@1 c2^3b", "b1@1 a1@2 c1-2^3b"],
    );
    says("point-to-point", "valid", &["+1 a1@1 >b1 | >b1 >b2", "<a1 <a2"]);
    says("point-to-point", "violated", &["+1 a1@1 >b1 >b2", "<a2 <a1"]);
    says("point-to-point", "violated", &["+1 a1@1 >b1 >b1", "<a1"]);
}

#[test]
fn places_name_the_file_of_each_life() {
    let mut history = history(&["+1 s1 a1@1 | a1@1", ""]);
    for (life, number) in history.members[0].lives.iter_mut().zip(1..) {
        let lines = (2..).take(life.events.len()).collect();
        life.source = Some(Source { file: format!("history_a.{number}.jsonl"), lines, further: vec![] });
    }
    let found = verdict("once", &history);
    assert_eq!(found.why(), Some("a inserted a/1/1 twice (history_a.1.jsonl:4, history_a.2.jsonl:2)"));
    let json = serde_json::to_value(found.places()).unwrap();
    let also = serde_json::json!([{ "member": "a", "file": "history_a.2.jsonl", "lines": [2] }]);
    assert_eq!(
        json[0],
        serde_json::json!({ "member": "a", "file": "history_a.1.jsonl", "lines": [4], "also": also })
    );
    // A message that is delivered in another life than it was multicast in.
    let record = &deliveries(&Stories::new(&history)).records[0];
    assert_eq!(record.place(&[0]).to_string(), "(history_a.1.jsonl:2)");
}

#[test]
fn strangers_and_huge_numbers_are_judged_without_harm() {
    let mut history = history(&VALID);
    history.strangers.push("x9".to_owned());
    let events = &mut history.members[1].lives[0].events;
    let huge = u64::MAX;
    events.push(Happening::Insert { id: (2, huge), at: (huge, 2), deps: vec![huge; 9], text: Bytes::new() });
    events.push(Happening::Insert { id: (77, 1), at: (huge, 77), deps: vec![], text: Bytes::new() });
    events.push(Happening::Confirm { upto: (huge, 9), number: huge, count: huge, digest: 0 });
    events.push(Happening::Withdraw { id: (9, huge) });
    events.push(Happening::Receive { from: 9, number: huge, text: Bytes::new() });
    for property in ["confirmed", "closure", "no-creation", "point-to-point"] {
        assert!(verdict(property, &history).is_violated(), "{property}");
    }
    assert_eq!(history.name((2, 1)), "x9/1/1");
    assert_eq!(history.name((3, 1)), "?/1/1");
}
