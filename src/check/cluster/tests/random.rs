//! The oracles against the definitions: on random events that make little sense, and on runs as they should be.

use std::collections::BTreeMap;

use super::naive::World;
use super::world;
use super::{ClusterHistory, Happening, Life, MemberStory, NAMES, PROPERTIES, judge};
use crate::prng::Prng;

/// Returns an event at random. Few values are possible, so that events meet.
fn happening(prng: &mut Prng, member: u16, next: &mut u64) -> Happening {
    let id = (prng.below(2) as u16, prng.between(1, 2));
    let text = if prng.below(8) == 0 { "x" } else { "t" };
    match prng.below(21) {
        0..2 => Happening::Multicast { number: prng.between(1, 2), text: text.into() },
        2 => Happening::Stored { number: prng.between(1, 2) },
        3..13 => {
            // Mostly the time is one that fits the message.
            let time = if prng.below(4) == 0 { prng.between(1, 3) } else { id.1 * 2 - u64::from(id.0) };
            let slot = if prng.below(20) == 0 { member } else { id.0 };
            let deps = (0..2).map(|_| if prng.below(3) == 0 { prng.below(3) } else { 0 }).collect();
            Happening::Insert { id, at: (time, slot), deps, text: text.into() }
        }
        13..19 => {
            let count = prng.below(3);
            let number = if prng.below(6) == 0 { prng.between(1, 3) } else { *next };
            *next = number + count;
            let upto = (prng.between(1, 4), prng.below(2) as u16);
            Happening::Confirm { upto, number, count, digest: upto.0 + u64::from(prng.below(9) == 0) }
        }
        19 => Happening::Withdraw { id },
        _ => {
            let number = if prng.below(4) == 0 { prng.between(1, 4) } else { 2 };
            let first = u16::from(prng.below(8) == 0);
            Happening::Epoch { number, members: (first..number as u16).collect(), removed: None }
        }
    }
}

fn senseless(prng: &mut Prng) -> ClusterHistory {
    let members = (0..prng.between(1, 2) as u16).map(|member| {
        let mut next = 1;
        let lives = prng.between(1, 2);
        let mut life = |_| {
            let events = (0..prng.below(5)).map(|_| happening(prng, member, &mut next)).collect();
            let end = [Some("settled"), Some("settled"), Some("interrupted"), None][prng.below(4) as usize];
            Life { events, end: end.map(str::to_owned), source: None }
        };
        let lives = (0..lives).map(&mut life).collect();
        MemberStory { name: NAMES[usize::from(member)].to_owned(), lives, ..MemberStory::default() }
    });
    ClusterHistory { members: members.collect(), strangers: vec![] }
}

/// Compares the oracles with the definitions; counts the verdicts.
fn compare(history: &ClusterHistory, counts: &mut BTreeMap<(&'static str, &'static str), usize>) {
    let world = World::new(history);
    let verdicts = judge(history);
    let of = |name: &str| verdicts.iter().find(|(known, _)| *known == name).map(|(_, verdict)| verdict);
    let is_placed = !of("placement").unwrap().is_violated();
    for property in &PROPERTIES {
        // Where a message has two places, it is open which of them is above which cause.
        let is_asked = property.name != "membership" || world.has_epochs();
        if property.name == "closure" && !is_placed || !is_asked {
            continue;
        }
        let (found, expected) = (of(property.name).unwrap(), world.verdict(property.name));
        assert_eq!(found.word(), expected, "{}: {found}\n{history:#?}", property.name);
        *counts.entry((property.name, expected)).or_default() += 1;
    }
}

#[test]
fn cluster_oracles_agree_with_the_definitions_on_random_events() {
    let mut counts = BTreeMap::new();
    for seed in 0..40_000 {
        compare(&senseless(&mut Prng::new(seed)), &mut counts);
    }
    for property in &PROPERTIES {
        for word in ["valid", "violated", "undecided"] {
            let count = counts.get(&(property.name, word)).copied().unwrap_or_default();
            assert!(count > 100, "{} was {word} {count} times: {counts:?}", property.name);
        }
    }
}

#[test]
fn cluster_runs_as_they_should_be_are_valid() {
    let (mut kinds, mut several) = (BTreeMap::new(), 0);
    for seed in 0..2_000 {
        let history = world::valid(&mut Prng::new(seed));
        let has_some = world::kinds(&history).contains_key("insert");
        for (name, verdict) in judge(&history).iter().filter(|_| has_some) {
            assert!(verdict.is_valid(), "{seed}: {name} {verdict}\n{history:#?}");
        }
        compare(&history, &mut BTreeMap::new());
        for (kind, count) in world::kinds(&history) {
            *kinds.entry(kind).or_default() += count;
        }
        several += usize::from(history.members.iter().any(|member| member.lives.len() > 1));
    }
    assert!(several > 500 && kinds.values().all(|count: &usize| *count > 2_000), "{several} {kinds:?}");
}

#[test]
fn cluster_of_a_million_events_is_judged_in_seconds() {
    let (members, each) = (5_u16, 30_000);
    let mut cluster = ClusterHistory::default();
    for member in 0..members {
        let life = Life { end: Some("settled".to_owned()), ..Life::default() };
        let story = MemberStory { name: format!("s{member}"), lives: vec![life], ..MemberStory::default() };
        cluster.members.push(story);
    }
    for number in 1..=each {
        for origin in 0..members {
            let (id, at) = ((origin, number), (number, origin));
            let own = &mut cluster.members[usize::from(origin)].lives[0].events;
            own.push(Happening::Multicast { number, text: "x".into() });
            own.push(Happening::Stored { number });
            for member in &mut cluster.members {
                let deps = vec![number - 1; usize::from(members)];
                member.lives[0].events.push(Happening::Insert { id, at, deps, text: "x".into() });
            }
        }
        for member in &mut cluster.members {
            let (count, upto) = (u64::from(members), (number, members - 1));
            let first = (number - 1) * count + 1;
            member.lives[0].events.push(Happening::Confirm { upto, number: first, count, digest: number });
        }
    }
    let events = cluster.members.iter().map(|member| member.lives[0].events.len()).sum::<usize>();
    assert!(events > 1_000_000);
    for (name, verdict) in judge(&cluster) {
        assert!(verdict.is_valid(), "{name} {verdict}");
    }
}
