//! Tests of the oracles on handmade histories: each defect is found by the property that it violates.
//!
//! A history is one line for each of the members a, b, c: `+` multicasts the member's next message, `a2` delivers
//! a's second, `a2!` delivers it with another text, `>b` sends b its next message, `<a1` receives a's first, a
//! final `…` leaves the rest unknown, and a final `†` means that the member stopped. Deliveries are numbered 1, 2,
//! 3; `a2#7` has number 7, and `a2#2.1` the first number of epoch 2. `|2:ab` installs view 2 with a and b.

use bytes::Bytes;

use super::*;
use crate::member::Undelivered;
use crate::results::undelivered;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn history(lines: &[&str]) -> History {
    let records = lines.iter().zip(0..).map(|(line, member)| record(line, member)).collect();
    History { records, ..History::default() }
}

fn record(line: &str, member: u16) -> Record {
    let known = line.trim_end_matches(['…', '†']);
    let (ended, stopped) = (known == line, line.ends_with('†'));
    let mut record =
        Record { name: NAMES[usize::from(member)].to_owned(), ended, stopped, ..Record::default() };
    let (mut multicasts, mut sent, mut delivered) = (0, [0; NAMES.len()], 0);
    for word in known.split_whitespace() {
        if let Some((number, members)) = word.strip_prefix('|').and_then(|view| view.split_once(':')) {
            let members = members.chars().map(String::from).collect();
            let (at, number) = (record.events.len(), number.parse().unwrap());
            record.views.push(Installed { at, number, members, line: None });
            continue;
        }
        let event = match word.split_at(1) {
            ("+", "") => {
                multicasts += 1;
                Event::Multicast { id: id(member, multicasts), text: text(multicasts) }
            }
            ("~", lost) => {
                let (to, number) = (slot(&lost[..1]), lost[1..].trim_end_matches('?').parse().unwrap());
                let reason =
                    if lost.ends_with('?') { Undelivered::NotAcknowledged } else { Undelivered::NotSent };
                Event::Undeliverable { id: id(member, number), to, reason: undelivered(reason).to_owned() }
            }
            (">", to) => {
                let to = slot(to);
                sent[usize::from(to)] += 1;
                let number = sent[usize::from(to)];
                Event::Send { id: id(member, number), to, text: text(number) }
            }
            ("<", from) => {
                let (from, number) = (slot(&from[..1]), from[1..].parse().unwrap());
                Event::Receive { id: id(from, number), text: text(number) }
            }
            (from, message) => {
                delivered += 1;
                let (message, number) = message.split_once('#').unwrap_or((message, ""));
                let (message, forged) =
                    message.strip_suffix('!').map_or((message, 0), |message| (message, 1));
                let message: u64 = message.parse().unwrap();
                let (epoch, number) = number.split_once('.').unwrap_or(("1", number));
                let (epoch, number) = (epoch.parse().unwrap(), Some(number.parse().unwrap_or(delivered)));
                Event::Deliver { id: id(slot(from), message), number, epoch, text: text(message + forged) }
            }
        };
        record.events.push(event);
    }
    record
}

fn id(member: u16, number: u64) -> MessageId {
    MessageId { member, incarnation: 1, number }
}

fn slot(name: &str) -> u16 {
    NAMES.iter().position(|known| *known == name).unwrap() as u16
}

fn text(number: u64) -> Bytes {
    number.to_string().into()
}

fn verdict(property: &str, lines: &[&str]) -> Verdict {
    Property::find(property).unwrap().judge(&MessageIndex::new(&history(lines)))
}

/// Asserts that `lines` violate exactly `expected`, and that the first of them tells `story`.
fn violates(expected: &[&str], story: &str, lines: &[&str]) {
    let verdicts = judge(&history(lines), &PROPERTIES);
    let violated: Vec<&str> =
        verdicts.iter().filter(|(_, verdict)| verdict.is_violated()).map(|(name, _)| *name).collect();
    assert_eq!(violated, expected, "{lines:?}: {verdicts:?}");
    assert_eq!(verdict(expected[0], lines).why(), Some(story));
}

#[test]
fn history_without_events_is_undecided() {
    let undecided = |lines: &[&str], reason: &str| {
        for (name, verdict) in judge(&history(lines), &PROPERTIES) {
            assert!(matches!(verdict, Verdict::Undecided(_)), "{name} {verdict}");
        }
        assert_eq!(verdict("fifo", lines).why(), Some(reason));
    };
    undecided(&[], "nothing was multicast");
    undecided(&["", "", ""], "nothing was multicast");
    undecided(&["+ a1 …", "a1"], "the history of a has no end");
    undecided(&["+ a1 >b", "…"], "the history of b has no end");
    assert_eq!(verdict("total", &["+ a1", "…"]).word(), "undecided");
}

#[test]
fn history_of_a_stopped_member_is_complete() {
    let never = verdict("no-creation", &["+ a1 †", "a1 a2"]);
    assert_eq!(never.why(), Some("b delivered a/1/2 (event 2), which a never multicast"));
    assert!(verdict("point-to-point", &[">b †", "<a1 <a2"]).is_violated());
    assert_eq!(verdict("point-to-point", &[">b …", "<a1 <a2"]).word(), "undecided");
    // A stopped member may have delivered messages that no other received, and lacks later ones.
    for property in ["validity", "agreement"] {
        assert_eq!(verdict(property, &["+ a1 + a2 †", "a1 + b1", "a1 b1"]).word(), "undecided");
    }
}

#[test]
fn creation_is_found() {
    let story = "a delivered c/1/1 (event 3), which c never multicast";
    violates(&["no-creation"], story, &["+ a1 c1", "a1 c1", "a1 c1"]);
    violates(
        &["no-creation"],
        "b delivered a/1/1 (event 1), as `2`; a multicast it (event 1) as `1`",
        &["+ a1", "a1!"],
    );
    violates(
        &["no-creation"],
        "a delivered a/1/1 (event 1), before it multicast it (event 2)",
        &["a1 +", "a1"],
    );
    let mut reused = history(&["+ + a1", "a1"]);
    reused.records[0].events[1] = reused.records[0].events[0].clone();
    let verdict = Property::find("no-creation").unwrap().judge(&MessageIndex::new(&reused));
    assert_eq!(verdict.why(), Some("a multicast two messages as a/1/1 (events 1, 2)"));
}

#[test]
fn delivery_before_multicast_is_creation() {
    let impossible = ["b1 + a1", "a1 + b1", "a1 b1"];
    let story = "a was given b/1/1 before it gave a/1/1 (events 1, 2); b was given a/1/1 before it gave b/1/1 \
                 (events 1, 2): none of them can have been first";
    assert_eq!(verdict("no-creation", &impossible).why(), Some(story));
    assert!(verdict("no-creation", &["<b1 + a1", "a1 >a", "a1"]).is_violated(), "by way of a message to one");
    assert!(verdict("no-creation", &["+ <b1 a1", "a1 >a", "a1"]).is_valid());
    assert_eq!(verdict("no-creation", &["b1 + a1", "…", "a1 b1"]).word(), "undecided");
}

#[test]
fn multicast_with_a_borrowed_id_is_creation() {
    let mut borrowed = history(&["+ a1 b1", "a1 b1"]);
    borrowed.records[0].events.push(Event::Multicast { id: id(1, 2), text: text(2) });
    let verdict = Property::find("no-creation").unwrap().judge(&MessageIndex::new(&borrowed));
    assert!(verdict.is_violated());
}

#[test]
fn duplicate_is_found() {
    violates(&["no-duplicate"], "b delivered a/1/1 twice (events 1, 3)", &["+ + a1 a2", "a1 a2 a1"]);
}

#[test]
fn missing_delivery_violates_validity_or_agreement() {
    violates(&["validity"], "a multicast a/1/2 (event 3) and never delivered it", &["+ a1 +", "a1"]);
    violates(&["agreement"], "a delivered a/1/2 (event 4); b never did", &["+ a1 + a2", "a1"]);
    let failed = verdict("agreement", &["+ a1 + a2 …", "a1"]);
    assert_eq!(failed.why(), Some("the history of a has no end"), "who fails may have delivered more");
    violates(&["validity", "agreement"], "a multicast a/1/1 (event 1) and never delivered it", &["+", "a1"]);
}

#[test]
fn skipped_message_violates_fifo() {
    violates(
        &["fifo", "causal", "total", "numbers"],
        "b delivered a/1/2 before a/1/1 (events 1, 2); a multicast a/1/1 first (events 1, 2)",
        &["+ + a1 a2", "a2#2 a1#1"],
    );
    let passed_over = ["+ + a1 a2", "a2 …"];
    let story = "b delivered a/1/2 and never a/1/1 (event 1); a multicast a/1/1 first (events 1, 2)";
    assert_eq!(verdict("fifo", &passed_over).why(), Some(story));
    assert_eq!(verdict("total", &passed_over).word(), "undecided");
    assert!(verdict("fifo", &["+ + a1 a1 a2", "a1 a2 a2"]).is_valid(), "a repetition is no inversion");
}

#[test]
fn effect_before_cause_violates_causal() {
    let effect_first = ["+ a1 b1", "a1 + b1", "b1 a1"];
    let story = "c delivered b/1/1 before a/1/1 (events 1, 2); b had delivered a/1/1 before it multicast b/1/1 \
                 (events 1, 2)";
    assert_eq!(verdict("causal", &effect_first).why(), Some(story));
    assert!(verdict("fifo", &effect_first).is_valid());
    assert!(verdict("causal", &["+ a1 b1", "+ a1 b1", "b1 a1"]).is_valid(), "these two are concurrent");
    // b's second message depends on a's only through its first.
    assert!(verdict("causal", &["+ a1 b1 b2", "a1 + b1 + b2", "b1 b2 a1"]).is_violated());
    // Deliveries from a sender with a lost record are causes, too.
    assert!(verdict("causal", &["…", "a1 + b1", "b1 a1"]).is_violated());
    assert_eq!(verdict("causal", &["…", "a1 + b1", "a1 b1"]).word(), "undecided");
    // c's message depends on a's through b's.
    let through = ["+ a1 b1 c1", "a1 + b1 c1", "a1 b1 + c1"];
    assert!(verdict("causal", &through).is_valid());
    assert!(verdict("causal", &["+ a1 c1 b1", "a1 + b1 c1", "a1 b1 + c1"]).is_violated());
}

#[test]
fn opposite_orders_violate_total() {
    violates(
        &["total", "numbers"],
        "a delivered a/1/1 then b/1/1 (events 2, 3); c delivered b/1/1 then a/1/1 (events 1, 2)",
        &["+ a1 b1", "+ a1 b1", "b1 a1"],
    );
    // No two members share two deliveries.
    assert_eq!(
        verdict("total", &["+ a1 b1 …", "+ b1 c1 …", "+ c1 a1 …"]).why(),
        Some(
            "a delivered a/1/1 then b/1/1 (events 2, 3); b delivered b/1/1 then c/1/1 (events 2, 3); \
             c delivered c/1/1 then a/1/1 (events 2, 3)"
        )
    );
}

#[test]
fn wrong_global_number_violates_numbers() {
    violates(
        &["numbers"],
        "a/1/2 at b (event 2) has number 3 where number 2 was next",
        &["+ + a1 a2", "a1 a2#3"],
    );
    let story = "number 1 is a/1/1 at a (event 2) and b/1/1 at b (event 2)";
    assert_eq!(verdict("numbers", &["+ a1 b1", "+ b1 a1"]).why(), Some(story));
}

#[test]
fn global_numbers_of_a_later_epoch_continue_or_restart() {
    let numbers = |one: &str, other: &str| verdict("numbers", &[one, other]);
    assert!(numbers("+ + + a1 a2 a3#2.3", "a1 a2 a3#2.3").is_valid());
    assert!(numbers("+ + + a1 a2 a3#2.1", "a1 a2 a3#2.1").is_valid());
    let other_epoch = numbers("+ + a1 a2#2.2", "a1 a2");
    let story = "a/1/2 at a (event 4) has number 2 of epoch 2 where a/1/2 at b (event 2) has number 2";
    assert_eq!(other_epoch.why(), Some(story));
    for wrong in ["a1 a2#2.3 a3#2.4", "a1#2.1 a2#1.2 a3#1.3", "a1 a2#2.1 a3#2.1"] {
        assert!(numbers(&format!("+ + + {wrong}"), wrong).is_violated(), "{wrong}");
    }
    assert!(numbers("+ + + a1 a2 a3#2.1", "a1 a3#2.1").is_violated(), "b lacks the last of epoch 1");
}

#[test]
fn direct_messages_out_of_order_violate_point_to_point() {
    let tells = |lines: &[&str], story: &str| assert_eq!(verdict("point-to-point", lines).why(), Some(story));
    tells(&[">b >b", "<a2 <a1"], "b received a/1/2 `2` (event 1) where a/1/1 `1` (event 1) was next from a");
    tells(&[">b >b", "<a1"], "a sent a/1/2 (event 2); b never received it");
    tells(&[">b", "<a1 <a1"], "b received a/1/1 twice (events 1, 2)");
    tells(&[">b", "<a1", "<a1"], "c received a/1/1 (event 1), which a never sent to it");
    assert!(verdict("point-to-point", &[">b >c >b", "<a1 <a2", "<a1"]).is_valid());
}

#[test]
fn direct_message_is_received_or_undeliverable_or_lost() {
    let verdict = |lines: &[&str]| verdict("point-to-point", lines);
    let without = "|2:ac";
    // `~b1`: not sent to b; `~b1?`: not acknowledged by b, which then left the group.
    let (sent, unsure) = (&*format!("|1:abc {without} >b ~b1"), &*format!("|1:abc >b {without} ~b1?"));
    let silent = &*format!("|1:abc >b {without}");
    let c = &*format!("|1:abc {without}");
    for (lines, word) in [
        ([sent, "|1:abc †", c], "valid"),
        ([unsure, "|1:abc †", c], "valid"),
        ([unsure, "|1:abc <a1 †", c], "valid"),
        ([silent, "|1:abc <a1 †", c], "valid"),
        ([silent, "|1:abc †", c], "violated"),
        ([sent, "|1:abc <a1 †", c], "violated"),
        // b reached the end, so it was present all the time.
        ([unsure, "|1:abc", c], "violated"),
        ([unsure, "|1:abc <a1", c], "valid"),
        // A report on a message that was not sent, or a second report.
        (["|1:abc ~b1", "|1:abc", "|1:abc"], "violated"),
        ([&format!("{sent} ~b1"), "|1:abc †", c], "violated"),
        // The cut-off history of a receiver or of a lost sender proves nothing.
        ([silent, "|1:abc …", c], "valid"),
        (["|1:abc >b …", "|1:abc |2:bc", "|1:abc |2:bc"], "valid"),
    ] {
        let found = verdict(&lines);
        assert_eq!(found.word(), word, "{lines:?}: {found}");
    }
    let story = "a sent a/1/1 (event 1); b went without receiving it, and a does not say so";
    assert_eq!(verdict(&[silent, "|1:abc †", c]).why(), Some(story));
}

#[test]
fn direct_messages_to_the_next_incarnation_of_a_receiver_are_numbered_from_one() {
    let mut history = history(&["|1:ab >b |2:a |3:ab >b", "|3:ab <a1"]);
    let Event::Send { id, .. } = &mut history.records[0].events[1] else { panic!("a sends twice") };
    id.number = 1;
    let of = |history: &History| judge(history, PROPERTIES.iter().filter(|one| one.name == "point-to-point"));
    let text = history.records[0].events[0].text().clone();
    if let Event::Send { text: second, .. } = &mut history.records[0].events[1] {
        *second = text;
    }
    assert!(of(&history)[0].1.is_valid(), "{:?}", of(&history));
    history.records[0].views.clear();
    assert!(of(&history)[0].1.is_violated(), "two messages under one name in one view");
}

#[test]
fn million_events_are_judged_in_seconds() {
    let members: u16 = 8;
    let each = 14_000;
    let mut records: Vec<Record> = (0..members)
        .map(|member| Record { name: format!("c{member}"), ended: true, ..Record::default() })
        .collect();
    let mut number = 0;
    for message in 1..=each {
        for sender in 0..members {
            number += 1;
            let id = id(sender, message);
            records[usize::from(sender)].events.push(Event::Multicast { id, text: Bytes::new() });
            for record in &mut records {
                record.events.push(Event::Deliver { id, number: Some(number), epoch: 1, text: Bytes::new() });
            }
        }
    }
    let history = History { records, ..History::default() };
    assert!(history.records.iter().map(|record| record.events.len()).sum::<usize>() > 1_000_000);
    for (name, verdict) in judge(&history, PROPERTIES.iter().filter(|one| concerns_one_group(one))) {
        assert!(verdict.is_valid(), "{name}");
    }
}

/// Returns whether something happens in these histories that a property concerns.
fn concerns_one_group(property: &Property) -> bool {
    !["point-to-point", "across-groups"].contains(&property.name)
}

/// Returns histories of three members: all start together, a and b go on when c is lost; `c` is c's history.
fn lost(c: &str) -> [String; 3] {
    [
        "|1:abc + a1 c1 |2:ab b1 + a2".to_owned(),
        "|1:abc a1 c1 |2:ab + b1 a2".to_owned(),
        format!("|1:abc {c} …"),
    ]
}

fn verdicts_of(lines: &[String]) -> Vec<(&'static str, Verdict)> {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    judge(&history(&lines), PROPERTIES.iter().filter(|one| concerns_one_group(one)))
}

#[test]
fn lost_member_leaves_nothing_undecided_and_may_deliver_more_than_the_others() {
    // Fewer deliveries than the others, as many, more, and finally another order.
    for c in ["+", "+ a1", "+ a1 c1", "+ + a1 c1 c2", "+ + a1 c2 c1"] {
        for (name, verdict) in verdicts_of(&lost(c)) {
            let is_its_own = name == "fifo" || name == "causal";
            assert!(verdict.is_valid() || is_its_own && c.contains("c2 c1"), "{name} {verdict} {c}");
        }
    }
    // Unknown multicasts of c leave sender properties undecided, but the others still agree.
    for (name, verdict) in verdicts_of(&lost("a1")) {
        let of_senders = ["no-creation", "fifo", "causal"].contains(&name);
        assert_eq!(verdict.word(), if of_senders { "undecided" } else { "valid" }, "{name} {verdict}");
    }
    // Without views it is unknown whether the others went on.
    assert_eq!(verdict("total", &["+ a1", "a1", "…"]).word(), "undecided");
}

#[test]
fn deliveries_of_a_lost_member_in_shared_views_count() {
    let views = "|1:abc";
    let a = format!("{views} + + a1 a2 |2:abc b1 |3:ab");
    let b = format!("{views} a1 a2 |2:abc + b1 |3:ab");
    let total = |c: &str| verdict("total", &[&a, &b, c]);
    assert!(total(&format!("{views} a1 a2 |2:abc b1 …")).is_valid());
    assert!(total(&format!("{views} a2 a1 |2:abc b1 …")).is_violated(), "it went on with the others");
    let c = format!("{views} a1 |2:abc a2 b1 …");
    let story =
        "a delivered a/1/2 (event 4) in view 1, from which c went on too, and did not deliver it there";
    assert_eq!(verdict("view-synchrony", &[&a, &b, &c]).why(), Some(story));
    assert!(total(&c).is_valid());
}

#[test]
fn view_synchrony_violations_are_found() {
    let tells = |a: &str, b: &str, story: &str| {
        assert_eq!(verdict("view-synchrony", &[a, b]).why(), Some(story), "{a}; {b}");
    };
    assert!(verdict("view-synchrony", &["|1:ab + a1 |2:ab a2 +", "|1:ab a1 |2:ab a2"]).is_valid());
    let a = "|1:ab + a1 + a2 |2:ab";
    let story =
        "a delivered a/1/2 (event 4) in view 1, from which b went on too, and did not deliver it there";
    tells(a, "|1:ab a1 |2:ab a2", story);
    tells(a, "|1:ab a1 |2:ab", story);
    let story =
        "b delivered a/1/3 (event 3) in view 1, from which a went on too, and did not deliver it there";
    tells("|1:ab + a1 + a2 + |2:ab a3", "|1:ab a1 a2 a3 |2:ab", story);
    tells(a, "|1:ab a1 a2 |2:b", "view 2 is a and b at a and b at b");
    tells(a, "|1:ab a1 a2 |3:ab", "b was given view 1 and then view 3");
    tells("|1:ab + a1 |2:b", "|1:ab a1 |2:b", "a was given view 2 without itself");
    // In the last view, agreement is violated instead.
    violates(
        &["agreement"],
        "a delivered a/1/2 (event 4); b never did",
        &["|1:ab + a1 |2:ab + a2", "|1:ab a1 |2:ab"],
    );
}
