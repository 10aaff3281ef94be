//! Damage: one change of a valid history violates the properties that it concerns, and the definitions agree.

use super::naive::World;
use super::world;
use super::{ClusterHistory, Happening, PROPERTIES, judge};
use crate::prng::Prng;

/// A change of one event: false if the history has no event for it.
pub(super) type Change = fn(&mut ClusterHistory, &mut Prng) -> bool;

/// A way of damage: its name, the change, the property that it violates, and how often at least, in percent.
///
/// A message that is missing at the end, or a number that is said otherwise, is always seen. Two events may change places
/// without harm if neither of them knows of the other.
const WAYS: [(&str, Change, &str, usize); 18] = [
    ("drop an insertion", |h, p| drop_one(h, p, is_insertion), "confirmed", 100),
    ("repeat an insertion", |h, p| repeat(h, p, is_insertion), "once", 100),
    ("swap two insertions", |h, p| swap(h, p, is_insertion, is_insertion), "closure", 20),
    (
        "move an insertion behind a confirmation",
        |h, p| swap(h, p, is_insertion, is_confirmation),
        "confirmed",
        40,
    ),
    (
        "move a confirmation behind an insertion",
        |h, p| swap(h, p, is_confirmation, is_insertion),
        "confirmed",
        0,
    ),
    ("raise a time", |h, p| change(h, p, raise_time), "placement", 100),
    ("name another place", |h, p| change(h, p, other_slot), "placement", 100),
    ("forge a text", |h, p| change(h, p, forge_text), "once", 100),
    ("forge a message", |h, p| change(h, p, forge_number), "closure", 100),
    ("claim more causes", |h, p| change(h, p, more_causes), "closure", 90),
    ("drop a confirmation", |h, p| drop_one(h, p, is_confirmation), "convergence", 100),
    ("repeat a confirmation", |h, p| repeat(h, p, is_confirmation), "confirmed", 100),
    ("confirm more", |h, p| change(h, p, more_confirmed), "confirmed", 100),
    ("confirm under another number", |h, p| change(h, p, other_number), "confirmed", 100),
    ("confirm another digest", |h, p| change(h, p, other_digest), "confirmed", 60),
    ("confirm up to an earlier place", |h, p| change(h, p, earlier_place), "confirmed", 100),
    ("use a number twice", |h, p| repeat(h, p, is_multicast), "once", 60),
    ("lose a message everywhere else", lose_elsewhere, "durable", 100),
];

/// Returns one way of damage.
pub(super) fn one(prng: &mut Prng) -> (&'static str, Change) {
    let (name, change, ..) = WAYS[prng.below(WAYS.len() as u64) as usize];
    (name, change)
}

const fn is_insertion(happening: &Happening) -> bool {
    matches!(happening, Happening::Insert { .. })
}

const fn is_confirmation(happening: &Happening) -> bool {
    matches!(happening, Happening::Confirm { .. })
}

const fn is_multicast(happening: &Happening) -> bool {
    matches!(happening, Happening::Multicast { .. })
}

/// The member, the life and the event of one that is so.
fn pick(
    history: &ClusterHistory,
    prng: &mut Prng,
    is_one: impl Fn(&Happening) -> bool,
) -> Option<(usize, usize, usize)> {
    let mut all = Vec::new();
    for (member, story) in history.members.iter().enumerate() {
        for (life, told) in story.lives.iter().enumerate() {
            let events = (0..told.events.len()).filter(|&event| is_one(&told.events[event]));
            all.extend(events.map(|event| (member, life, event)));
        }
    }
    (!all.is_empty()).then(|| all[prng.below(all.len() as u64) as usize])
}

fn drop_one(history: &mut ClusterHistory, prng: &mut Prng, is_one: fn(&Happening) -> bool) -> bool {
    let Some((member, life, event)) = pick(history, prng, is_one) else { return false };
    history.members[member].lives[life].events.remove(event);
    true
}

fn repeat(history: &mut ClusterHistory, prng: &mut Prng, is_one: fn(&Happening) -> bool) -> bool {
    let Some((member, life, event)) = pick(history, prng, is_one) else { return false };
    let again = history.members[member].lives[life].events[event].clone();
    history.members[member].lives.last_mut().unwrap().events.push(again);
    true
}

/// Swaps two neighbours of these kinds.
fn swap(
    history: &mut ClusterHistory,
    prng: &mut Prng,
    one: fn(&Happening) -> bool,
    other: fn(&Happening) -> bool,
) -> bool {
    let mut all = Vec::new();
    for (member, story) in history.members.iter().enumerate() {
        for (life, told) in story.lives.iter().enumerate() {
            let pairs = (1..told.events.len())
                .filter(|&event| one(&told.events[event - 1]) && other(&told.events[event]));
            all.extend(pairs.map(|event| (member, life, event)));
        }
    }
    if all.is_empty() {
        return false;
    }
    let (member, life, event) = all[prng.below(all.len() as u64) as usize];
    history.members[member].lives[life].events.swap(event - 1, event);
    true
}

/// Changes one event to which this applies.
fn change(history: &mut ClusterHistory, prng: &mut Prng, how: fn(&mut Happening) -> bool) -> bool {
    let applies = |happening: &Happening| how(&mut happening.clone());
    let Some((member, life, event)) = pick(history, prng, applies) else { return false };
    how(&mut history.members[member].lives[life].events[event])
}

fn raise_time(happening: &mut Happening) -> bool {
    let Happening::Insert { at, .. } = happening else { return false };
    at.0 += 1;
    true
}

fn other_slot(happening: &mut Happening) -> bool {
    let Happening::Insert { at, .. } = happening else { return false };
    at.1 = (at.1 + 1) % 3;
    true
}

fn forge_text(happening: &mut Happening) -> bool {
    let Happening::Insert { text, .. } = happening else { return false };
    *text = "never said".into();
    true
}

fn forge_number(happening: &mut Happening) -> bool {
    let Happening::Insert { id, .. } = happening else { return false };
    id.1 += 40;
    true
}

fn more_causes(happening: &mut Happening) -> bool {
    let Happening::Insert { id, deps, .. } = happening else { return false };
    deps[usize::from(id.0 + 1) % 3] += 3;
    true
}

fn more_confirmed(happening: &mut Happening) -> bool {
    let Happening::Confirm { count, .. } = happening else { return false };
    *count += 1;
    true
}

fn other_number(happening: &mut Happening) -> bool {
    let Happening::Confirm { number, .. } = happening else { return false };
    *number += 1;
    true
}

fn other_digest(happening: &mut Happening) -> bool {
    let Happening::Confirm { digest, .. } = happening else { return false };
    *digest += 1;
    true
}

fn earlier_place(happening: &mut Happening) -> bool {
    let Happening::Confirm { upto, .. } = happening else { return false };
    *upto = (upto.0 - 1, 9);
    true
}

/// Drops all insertions of one message but that of its sender, and counts it nowhere.
fn lose_elsewhere(history: &mut ClusterHistory, prng: &mut Prng) -> bool {
    let Some((member, life, event)) = pick(history, prng, is_insertion) else { return false };
    let Happening::Insert { id, .. } = history.members[member].lives[life].events[event] else {
        return false;
    };
    for (slot, story) in history.members.iter_mut().enumerate() {
        for life in &mut story.lives {
            let is_lost = |happening: &Happening| matches!(happening, Happening::Insert { id: other, .. } if *other == id);
            life.events.retain(|happening| slot == usize::from(id.0) || !is_lost(happening));
        }
    }
    true
}

#[test]
fn cluster_oracles_see_damage_as_the_definitions_do() {
    for (name, way, property, percent) in WAYS {
        let (mut done, mut seen) = (0, 0);
        for seed in 0..600 {
            let mut prng = Prng::new(seed);
            let mut history = world::valid(&mut prng);
            if !way(&mut history, &mut prng) {
                continue;
            }
            done += 1;
            let verdicts = judge(&history);
            let world = World::new(&history);
            let is_placed =
                verdicts.iter().all(|(name, verdict)| *name != "placement" || !verdict.is_violated());
            for (property, verdict) in
                verdicts.iter().filter(|(name, _)| PROPERTIES.iter().any(|known| known.name == *name))
            {
                if *property == "closure" && !is_placed {
                    continue;
                }
                assert_eq!(
                    verdict.word(),
                    world.verdict(property),
                    "{name}, {seed}: {property}: {verdict}\n{history:#?}"
                );
            }
            let (_, verdict) = verdicts.iter().find(|(known, _)| *known == property).unwrap();
            seen += usize::from(verdict.is_violated());
            let shows = |place: &super::super::super::Place| !place.lines.is_empty();
            assert!(!verdict.is_violated() || verdict.places().iter().any(shows), "{name}: {verdict}");
        }
        assert!(done > 20, "{name} was possible {done} times");
        assert!(seen * 100 >= done * percent, "{name}: {property} saw {seen} of {done}");
    }
}
