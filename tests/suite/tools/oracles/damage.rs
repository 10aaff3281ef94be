//! Valid histories with one damage each: exactly the properties that must fail do, and the witness shows the damage.
//!
//! For each damage, a list names the properties that must fail, and those that may. The naive definitions tell which
//! properties fail, and the oracles agree with them.

use bytes::Bytes;
use groupcast::check::{Event, History, MessageId, MessageIndex, PROPERTIES, Property, Record, Verdict};
use groupcast::prng::Prng;

use super::naive::World;

pub(super) const NAMES: [&str; 3] = ["c1", "c2", "c3"];
const MULTICASTS: u64 = 4;
const SENDS: u64 = 2;

/// Returns a run in total, FIFO and causal order: each multicast is appended to one log, and all deliver along the log.
pub(super) fn valid(prng: &mut Prng) -> History {
    let mut log: Vec<(MessageId, Bytes)> = Vec::new();
    let mut records: Vec<Record> = NAMES
        .iter()
        .map(|name| Record { name: (*name).to_owned(), ended: true, ..Record::default() })
        .collect();
    let mut post: Vec<Vec<(MessageId, Bytes)>> = vec![Vec::new(); NAMES.len()];
    let mut sent = [[0_u64; NAMES.len()]; NAMES.len()];
    let mut delivered = [0; NAMES.len()];
    let is_over = |log: &Vec<_>, delivered: &[usize], post: &[Vec<_>]| {
        log.len() as u64 == MULTICASTS * NAMES.len() as u64
            && delivered.iter().all(|count| *count == log.len())
            && post.iter().all(Vec::is_empty)
    };
    let mut multicasts = [0; NAMES.len()];
    while !is_over(&log, &delivered, &post) {
        let me = prng.below(NAMES.len() as u64) as usize;
        let id = |counter: &mut u64| {
            *counter += 1;
            MessageId { member: me as u16, incarnation: 1, number: *counter }
        };
        let event = match prng.below(4) {
            0 if multicasts[me] < MULTICASTS => {
                let id = id(&mut multicasts[me]);
                let text = Bytes::from(format!("{} of {}", id.number, NAMES[me]));
                log.push((id, text.clone()));
                Event::Multicast { id, text }
            }
            1 if delivered[me] < log.len() => {
                let (id, text) = log[delivered[me]].clone();
                delivered[me] += 1;
                Event::Deliver { id, number: Some(delivered[me] as u64), epoch: 1, text }
            }
            2 if sent[me].iter().sum::<u64>() < SENDS => {
                let to = (me + 1 + prng.below(2) as usize) % NAMES.len();
                let id = id(&mut sent[me][to]);
                let text = Bytes::from(format!("{} for {}", id.number, NAMES[to]));
                post[to].push((id, text.clone()));
                Event::Send { id, to: to as u16, text }
            }
            3 if !post[me].is_empty() => {
                let (id, text) = post[me].remove(0);
                Event::Receive { id, text }
            }
            _ => continue,
        };
        records[me].events.push(event);
    }
    History { records, ..History::default() }
}

/// One damage, done.
pub(super) struct Damage {
    /// The properties that fail, for sure …
    pub(super) must: &'static [&'static str],
    /// … and those that may fail besides, as the case is.
    pub(super) may: &'static [&'static str],
    /// The property whose witness shows the damage: names this member, and one of these of its events.
    pub(super) shown: Option<(&'static str, usize, Vec<usize>)>,
}

/// A way to damage a history; nothing if this one has no place for it.
type Way = fn(&mut History, &mut Prng) -> Option<Damage>;

pub(super) const WAYS: [(&str, Way); 21] = [
    ("swap two deliveries of different senders", swap_of_two_senders),
    ("swap two deliveries of one sender", swap_of_one_sender),
    ("drop a delivery", drop_delivery),
    ("repeat a delivery", repeat_delivery),
    ("forge a delivery", forge_delivery),
    ("forge a sender", forge_sender),
    ("forge a text", forge_text),
    ("move a delivery", move_delivery),
    ("deliver before the multicast", deliver_too_early),
    ("change a number", change_number),
    ("lose a number", lose_number),
    ("drop a multicast", drop_multicast),
    ("reuse an identity", reuse_identity),
    ("borrow a name", borrow_name),
    ("lose the end", lose_end),
    ("drop a receipt", drop_receipt),
    ("repeat a receipt", repeat_receipt),
    ("forge the text of a receipt", forge_receipt),
    ("send a receipt astray", misdirect_receipt),
    ("swap two receipts", swap_receipts),
    ("drop a sending", drop_sending),
];

/// A member and the places of its events that are so.
fn pick(history: &History, prng: &mut Prng, is_one: impl Fn(&Event) -> bool) -> Option<(usize, usize)> {
    let all: Vec<(usize, usize)> = (history.records.iter().enumerate())
        .flat_map(|(member, record)| (0..record.events.len()).map(move |event| (member, event)))
        .filter(|&(member, event)| is_one(&history.records[member].events[event]))
        .collect();
    (!all.is_empty()).then(|| all[prng.below(all.len() as u64) as usize])
}

const fn is_delivery(event: &Event) -> bool {
    matches!(event, Event::Deliver { .. })
}

const fn is_receipt(event: &Event) -> bool {
    matches!(event, Event::Receive { .. })
}

/// Two events of one member, next to each other, that are so.
fn pick_two(
    history: &History,
    prng: &mut Prng,
    are: impl Fn(&Event, &Event) -> bool,
) -> Option<(usize, usize)> {
    let all: Vec<(usize, usize)> = (history.records.iter().enumerate())
        .flat_map(|(member, record)| (1..record.events.len()).map(move |event| (member, event - 1)))
        .filter(|&(member, event)| {
            let events = &history.records[member].events;
            are(&events[event], &events[event + 1])
        })
        .collect();
    (!all.is_empty()).then(|| all[prng.below(all.len() as u64) as usize])
}

fn shown(
    property: &'static str,
    member: usize,
    events: &[usize],
) -> Option<(&'static str, usize, Vec<usize>)> {
    Some((property, member, events.to_vec()))
}

fn swap_of_two_senders(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let of_two = |one: &Event, other: &Event| {
        is_delivery(one) && is_delivery(other) && one.id().member != other.id().member
    };
    let (member, event) = pick_two(history, prng, of_two)?;
    history.records[member].events.swap(event, event + 1);
    let shown = shown("total", member, &[event, event + 1]);
    Some(Damage { must: &["total", "numbers"], may: &["causal"], shown })
}

fn swap_of_one_sender(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let of_one = |one: &Event, other: &Event| {
        is_delivery(one) && is_delivery(other) && one.id().member == other.id().member
    };
    let (member, event) = pick_two(history, prng, of_one)?;
    history.records[member].events.swap(event, event + 1);
    let shown = shown("fifo", member, &[event, event + 1]);
    Some(Damage { must: &["fifo", "causal", "total", "numbers"], may: &[], shown })
}

fn drop_delivery(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_delivery)?;
    let id = history.records[member].events.remove(event).id();
    // The witness is what another delivered.
    let other = (member + 1) % NAMES.len();
    let others = &history.records[other].events;
    let place = others.iter().position(|event| is_delivery(event) && event.id() == id)?;
    let third = (member + 2) % NAMES.len();
    let third_place =
        history.records[third].events.iter().position(|event| is_delivery(event) && event.id() == id)?;
    let (by, place) = if other < third { (other, place) } else { (third, third_place) };
    let shown = shown("agreement", by, &[place]);
    Some(Damage {
        must: &["agreement"],
        may: &["validity", "fifo", "causal", "numbers", "start-barrier"],
        shown,
    })
}

fn repeat_delivery(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_delivery)?;
    let events = &mut history.records[member].events;
    let again = prng.between(event as u64 + 1, events.len() as u64) as usize;
    events.insert(again, events[event].clone());
    let shown = shown("no-duplicate", member, &[event, again]);
    Some(Damage { must: &["no-duplicate", "numbers"], may: &[], shown })
}

fn insert_forged(history: &mut History, prng: &mut Prng, id: MessageId) -> (usize, usize) {
    let member = prng.below(NAMES.len() as u64) as usize;
    let events = &mut history.records[member].events;
    let at = prng.below(events.len() as u64 + 1) as usize;
    events.insert(at, Event::Deliver { id, number: None, epoch: 1, text: Bytes::from_static(b"never said") });
    (member, at)
}

fn forge_delivery(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let id = MessageId { member: prng.below(3) as u16, incarnation: 1, number: 99 };
    let (member, event) = insert_forged(history, prng, id);
    let shown = shown("no-creation", member, &[event]);
    Some(Damage { must: &["no-creation", "agreement", "numbers"], may: &[], shown })
}

fn forge_sender(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let id = MessageId { member: NAMES.len() as u16, incarnation: 1, number: 1 };
    history.strangers.push("c9".to_owned());
    let (member, event) = insert_forged(history, prng, id);
    let shown = shown("no-creation", member, &[event]);
    Some(Damage { must: &["no-creation", "agreement", "numbers"], may: &[], shown })
}

fn forge_text(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_delivery)?;
    if let Event::Deliver { text, .. } = &mut history.records[member].events[event] {
        *text = Bytes::from_static(b"other words");
    }
    Some(Damage { must: &["no-creation"], may: &[], shown: shown("no-creation", member, &[event]) })
}

fn move_delivery(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_delivery)?;
    let events = &mut history.records[member].events;
    let later: Vec<usize> = (event + 1..events.len()).filter(|&later| is_delivery(&events[later])).collect();
    let to = *later.get(prng.below(later.len() as u64 + 1) as usize)?;
    let moved = events.remove(event);
    events.insert(to, moved);
    // The first that is out of place: what was next, and now comes before it.
    let shown = shown("numbers", member, &(event..to).collect::<Vec<_>>());
    Some(Damage { must: &["total", "numbers"], may: &["fifo", "causal"], shown })
}

fn deliver_too_early(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, |event| matches!(event, Event::Multicast { .. }))?;
    let events = &mut history.records[member].events;
    let id = events[event].id();
    let delivery = events.iter().position(|event| is_delivery(event) && event.id() == id)?;
    let moved = events.remove(delivery);
    events.insert(event, moved);
    let may = &["total", "numbers", "fifo", "causal"];
    Some(Damage { must: &["no-creation"], may, shown: shown("no-creation", member, &[event]) })
}

fn change_number(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_delivery)?;
    let by = prng.between(1, 3);
    if let Event::Deliver { number: Some(number), .. } = &mut history.records[member].events[event] {
        *number += by;
    }
    Some(Damage { must: &["numbers"], may: &[], shown: shown("numbers", member, &[event]) })
}

fn lose_number(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_delivery)?;
    if let Event::Deliver { number, .. } = &mut history.records[member].events[event] {
        *number = None;
    }
    Some(Damage { must: &["numbers"], may: &[], shown: shown("numbers", member, &[event]) })
}

fn drop_multicast(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, |event| matches!(event, Event::Multicast { .. }))?;
    let id = history.records[member].events.remove(event).id();
    let by_first =
        history.records[0].events.iter().position(|event| is_delivery(event) && event.id() == id)?;
    Some(Damage { must: &["no-creation"], may: &[], shown: shown("no-creation", 0, &[by_first]) })
}

fn reuse_identity(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let is_second = |event: &Event| matches!(event, Event::Multicast { id, .. } if id.number > 1);
    let (member, event) = pick(history, prng, is_second)?;
    let lost = history.records[member].events[event].id();
    if let Event::Multicast { id, .. } = &mut history.records[member].events[event] {
        id.number -= 1;
    }
    let by_first =
        history.records[0].events.iter().position(|event| is_delivery(event) && event.id() == lost)?;
    Some(Damage { must: &["no-creation"], may: &[], shown: shown("no-creation", 0, &[by_first]) })
}

fn borrow_name(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let member = prng.below(3) as usize;
    let id = MessageId { member: (member as u16 + 1) % 3, incarnation: 1, number: 50 };
    let events = &mut history.records[member].events;
    let at = prng.below(events.len() as u64 + 1) as usize;
    events.insert(at, Event::Multicast { id, text: Bytes::from_static(b"not mine") });
    Some(Damage { must: &["no-creation"], may: &[], shown: shown("no-creation", member, &[at]) })
}

fn lose_end(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    history.records[prng.below(3) as usize].ended = false;
    Some(Damage { must: &[], may: &[], shown: None })
}

fn drop_receipt(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_receipt)?;
    let id = history.records[member].events.remove(event).id();
    // Of the pair's messages some later one may be there: then the witness is that one, where this one was next.
    let sender = usize::from(id.member);
    let is_origin = |event: &Event| matches!(event, Event::Send { id: sent, to, .. } if *sent == id && usize::from(*to) == member);
    let origin = history.records[sender].events.iter().position(is_origin)?;
    Some(Damage { must: &["point-to-point"], may: &[], shown: shown("point-to-point", sender, &[origin]) })
}

fn repeat_receipt(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_receipt)?;
    let events = &mut history.records[member].events;
    let again = prng.between(event as u64 + 1, events.len() as u64) as usize;
    events.insert(again, events[event].clone());
    let shown = shown("point-to-point", member, &[event, again]);
    Some(Damage { must: &["point-to-point"], may: &[], shown })
}

fn forge_receipt(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_receipt)?;
    if let Event::Receive { text, .. } = &mut history.records[member].events[event] {
        *text = Bytes::from_static(b"other words");
    }
    Some(Damage { must: &["point-to-point"], may: &[], shown: shown("point-to-point", member, &[event]) })
}

fn misdirect_receipt(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, is_receipt)?;
    let mut astray = history.records[member].events.remove(event);
    let other = (0..3).find(|&other| other != member && other != usize::from(astray.id().member))?;
    if let Event::Receive { id, .. } = &mut astray {
        id.number = 9;
    }
    history.records[other].events.push(astray);
    Some(Damage { must: &["point-to-point"], may: &[], shown: None })
}

fn swap_receipts(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let of_one = |one: &Event, other: &Event| {
        is_receipt(one) && is_receipt(other) && one.id().member == other.id().member
    };
    let (member, event) = pick_two(history, prng, of_one)?;
    history.records[member].events.swap(event, event + 1);
    Some(Damage { must: &["point-to-point"], may: &[], shown: shown("point-to-point", member, &[event]) })
}

fn drop_sending(history: &mut History, prng: &mut Prng) -> Option<Damage> {
    let (member, event) = pick(history, prng, |event| matches!(event, Event::Send { .. }))?;
    let Event::Send { id, to, .. } = history.records[member].events.remove(event) else { return None };
    let receiver = usize::from(to);
    let receipt =
        history.records[receiver].events.iter().position(|event| is_receipt(event) && event.id() == id)?;
    Some(Damage { must: &["point-to-point"], may: &[], shown: shown("point-to-point", receiver, &[receipt]) })
}

/// The verdicts of all oracles on `history`.
fn verdicts(history: &History) -> Vec<(&'static str, Verdict)> {
    let index = MessageIndex::new(history);
    PROPERTIES
        .iter()
        .filter(|one| one.name != "across-groups")
        .map(|property: &Property| (property.name, property.judge(&index)))
        .collect()
}

#[test]
fn oracles_valid_history_is_valid() {
    for seed in 0..200 {
        let history = valid(&mut Prng::new(seed));
        let world = World::new(&history);
        for (property, verdict) in verdicts(&history) {
            assert_eq!(
                (verdict.word(), world.verdict(property)),
                ("valid", "valid"),
                "{seed}: {property}: {verdict}"
            );
        }
    }
}

#[test]
fn oracles_each_damage_violates_exactly_its_properties() {
    for (name, way) in WAYS {
        let mut done = 0;
        for seed in 0..300 {
            let mut prng = Prng::new(seed);
            let mut history = valid(&mut prng);
            let Some(damage) = way(&mut history, &mut prng) else { continue };
            done += 1;
            judge(&format!("{name}, seed {seed}"), &history, &damage);
        }
        assert!(done > 50, "{name} was possible {done} times");
    }
}

fn judge(context: &str, history: &History, damage: &Damage) {
    let world = World::new(history);
    let verdicts = verdicts(history);
    for (property, verdict) in &verdicts {
        if *property != "causal" || !world.is_impossible() {
            assert_eq!(
                verdict.word(),
                world.verdict(property),
                "{context}: {property}: {verdict}\n{history:#?}"
            );
        }
        let (must, may) = (damage.must.contains(property), damage.may.contains(property));
        assert!(verdict.is_violated() || !must, "{context}: {property}: {verdict}");
        assert!(!verdict.is_violated() || must || may, "{context}: {property}: {verdict}");
    }
    if let Some((property, member, events)) = &damage.shown {
        let (_, verdict) = verdicts.iter().find(|(name, _)| name == property).unwrap();
        let mut places = verdict.places().iter().filter(|place| place.member == NAMES[*member]);
        let is_shown = |line: &u32| events.contains(&(*line as usize - 1));
        assert!(places.any(|place| place.lines.iter().any(is_shown)), "{context}: {events:?}: {verdict}");
    }
    let open = history.records.iter().any(|record| !record.ended);
    assert!(!open || verdicts.iter().all(|(_, verdict)| verdict.word() == "undecided"), "{context}");
}
