//! All tiny histories: up to three members, up to three messages, every order of events that makes a difference.
//!
//! A world is given by what each member does (its multicasts and sendings, in this order) and by what it may be
//! given. All its histories are: for each member, every sequence of what it may be given, merged in every way with
//! what it does. Members and messages that could change places are not tried both ways.

use bytes::Bytes;
use groupcast::check::{Event, History, MessageId, MessageIndex, Property, Record};
use groupcast::member::Undelivered;
use groupcast::results::undelivered;

use super::naive::World;

const GROUP: [&str; 7] = ["no-creation", "no-duplicate", "validity", "agreement", "fifo", "causal", "total"];

/// The members that come to the end, as one bit each.
const ALL_ENDS: [u8; 8] = [7, 6, 5, 4, 3, 2, 1, 0];

struct Every<'p> {
    /// The actions of each member.
    own: [Vec<Event>; 3],
    /// The deliveries that each member may have.
    given: [Vec<Event>; 3],
    /// Most things that a member is given.
    longest: usize,
    /// Most times that it is given one of them.
    most: usize,
    ends: &'p [u8],
    properties: &'p [&'p str],
}

/// How often each property was violated, valid, undecided.
type Seen = Vec<[u64; 3]>;

impl Every<'_> {
    /// Compares every oracle with its definition in every history of this world.
    fn compare(&self) -> Seen {
        let options: Vec<Vec<Record>> = (0..3).map(|member| self.records(member)).collect();
        let mut seen = vec![[0; 3]; self.properties.len()];
        let mut history = History { records: vec![Record::default(); 3], ..History::default() };
        for first in &options[0] {
            history.records[0] = first.clone();
            for second in &options[1] {
                history.records[1] = second.clone();
                for third in &options[2] {
                    history.records[2] = third.clone();
                    for ends in self.ends {
                        for (member, record) in history.records.iter_mut().enumerate() {
                            record.ended = ends & (1 << member) != 0;
                        }
                        self.compare_one(&history, &mut seen);
                    }
                }
            }
        }
        seen
    }

    fn compare_one(&self, history: &History, seen: &mut Seen) {
        let (index, world) = (MessageIndex::new(history), World::new(history));
        for (property, seen) in self.properties.iter().zip(seen) {
            let verdict = Property::find(property).unwrap().judge(&index);
            if *property == "causal" && world.is_impossible() {
                continue;
            }
            let expected = world.verdict(property);
            assert_eq!(verdict.word(), expected, "{property}: {:?}\n{history:#?}", verdict.why());
            let place = ["violated", "valid", "undecided"].iter().position(|word| *word == expected);
            seen[place.unwrap()] += 1;
        }
    }

    fn records(&self, member: usize) -> Vec<Record> {
        let record =
            |events| Record { name: ["a", "b", "c"][member].to_owned(), events, ..Record::default() };
        sequences(&self.given[member], self.longest, self.most)
            .iter()
            .flat_map(|given| merges(&self.own[member], given))
            .map(record)
            .collect()
    }
}

/// All sequences of at most `longest` of these, none more than `most` times.
fn sequences(alphabet: &[Event], longest: usize, most: usize) -> Vec<Vec<Event>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..longest {
        let to = all.len();
        for at in from..to {
            for event in alphabet {
                let sequence: &Vec<Event> = &all[at];
                if sequence.iter().filter(|known| *known == event).count() < most {
                    let longer = [&sequence[..], std::slice::from_ref(event)].concat();
                    all.push(longer);
                }
            }
        }
        from = to;
    }
    all
}

/// All ways to put two sequences into one.
fn merges(one: &[Event], other: &[Event]) -> Vec<Vec<Event>> {
    let ([first, rest @ ..], [other_first, other_rest @ ..]) = (one, other) else {
        return vec![[one, other].concat()];
    };
    let with = |head: &Event, tails: Vec<Vec<Event>>| -> Vec<Vec<Event>> {
        tails.into_iter().map(|tail| [std::slice::from_ref(head), &tail].concat()).collect()
    };
    [with(first, merges(rest, other)), with(other_first, merges(one, other_rest))].concat()
}

fn id(member: u16, number: u64) -> MessageId {
    MessageId { member, incarnation: 1, number }
}

const TEXT: Bytes = Bytes::from_static(b"text");
const OTHER_TEXT: Bytes = Bytes::from_static(b"another");

const fn multicast(id: MessageId) -> Event {
    Event::Multicast { id, text: TEXT }
}

const fn deliver(id: MessageId) -> Event {
    Event::Deliver { id, number: None, epoch: 1, text: TEXT }
}

/// A world in which all members may be given all of these messages, and each is multicast but for those `unsaid`.
fn world<'p>(
    messages: &[MessageId],
    unsaid: &[MessageId],
    longest: usize,
    most: usize,
    ends: &'p [u8],
) -> Every<'p> {
    let said = |member: u16| {
        let own = messages.iter().filter(|id| id.member == member && !unsaid.contains(id));
        own.map(|id| multicast(*id)).collect::<Vec<_>>()
    };
    let given: Vec<Event> = messages.iter().map(|id| deliver(*id)).collect();
    Every {
        own: [said(0), said(1), said(2)],
        given: [given.clone(), given.clone(), given],
        longest,
        most,
        ends,
        properties: &GROUP,
    }
}

/// Every oracle had something to tell apart, so the comparison was not empty.
fn report(seen: &[Seen], properties: &[&str]) {
    for (index, property) in properties.iter().enumerate() {
        let sums: Vec<u64> = (0..3).map(|word| seen.iter().map(|seen| seen[index][word]).sum()).collect();
        println!("{property:<16}{} violated, {} valid, {} undecided", sums[0], sums[1], sums[2]);
        assert!(sums.iter().filter(|&&sum| sum > 0).count() > 1, "{property}: {sums:?}");
    }
}

#[test]
fn oracles_agree_up_to_two_messages_with_repetitions_forgeries_and_unknown_ends() {
    let [a1, a2, b1] = [id(0, 1), id(0, 2), id(1, 1)];
    let every =
        |messages: &[MessageId], unsaid: &[MessageId]| world(messages, unsaid, 3, 2, &ALL_ENDS).compare();
    let seen = [
        every(&[], &[]),
        every(&[a1], &[]),
        every(&[a1], &[a1]),
        every(&[a1, b1], &[]),
        every(&[a1, b1], &[b1]),
        every(&[a1, b1], &[a1, b1]),
        every(&[a1, a2], &[]),
        every(&[a1, a2], &[a1]),
        every(&[a1, a2], &[a1, a2]),
    ];
    report(&seen, &GROUP);
}

#[test]
fn oracles_agree_three_messages_of_three_members() {
    let [a1, b1, c1] = [id(0, 1), id(1, 1), id(2, 1)];
    let every =
        |unsaid: &[MessageId], ends: &'static [u8]| world(&[a1, b1, c1], unsaid, 3, 1, ends).compare();
    report(&[every(&[], &[7]), every(&[c1], &[7, 3])], &GROUP);
}

#[test]
fn oracles_agree_three_messages_of_two_members() {
    let [a1, a2, a3, b1] = [id(0, 1), id(0, 2), id(0, 3), id(1, 1)];
    let three = world(&[a1, a2, a3], &[], 3, 1, &[7]).compare();
    let two = world(&[a1, a2, b1], &[], 3, 1, &[7]).compare();
    let open = world(&[a1, a2, b1], &[b1], 2, 1, &[5, 6]).compare();
    report(&[three, two, open], &GROUP);
}

#[test]
fn oracles_agree_wrong_texts_and_names() {
    let [a1, b1, stranger] = [id(0, 1), id(1, 1), id(9, 1)];
    let mut every = world(&[a1, b1], &[], 2, 2, &[7, 6, 5, 3]);
    every.given.iter_mut().for_each(|given| {
        given.push(Event::Deliver { id: a1, number: None, epoch: 1, text: OTHER_TEXT });
    });
    let forged = every.compare();
    let mut every = world(&[a1, stranger], &[], 2, 2, &ALL_ENDS);
    let strange = every.compare();
    // Two messages under one identity; a message under the name of another.
    every.own[0] = vec![multicast(a1), Event::Multicast { id: a1, text: OTHER_TEXT }];
    let reused = every.compare();
    every.own[0] = vec![multicast(a1), multicast(b1)];
    let borrowed = every.compare();
    report(&[forged, strange, reused, borrowed], &GROUP);
}

#[test]
fn oracles_agree_global_numbers() {
    let [a1, b1] = [id(0, 1), id(1, 1)];
    let numbered = |id: MessageId, number: Option<u64>| Event::Deliver { id, number, epoch: 1, text: TEXT };
    let every = |numbers: &[Option<u64>], longest: usize, third: bool| {
        let all = |id: MessageId| numbers.iter().map(move |number| numbered(id, *number));
        let given: Vec<Event> = all(a1).chain(all(b1)).collect();
        let third = if third { given.clone() } else { Vec::new() };
        Every {
            own: [vec![multicast(a1)], vec![], vec![]],
            given: [given.clone(), given, third],
            longest,
            most: 2,
            ends: &[7, 5],
            properties: &["numbers"],
        }
        .compare()
    };
    let seen = [
        every(&[None, Some(0), Some(1), Some(2)], 2, false),
        every(&[Some(1), Some(2), Some(3)], 3, false),
        every(&[Some(1), Some(2)], 2, true),
    ];
    report(&seen, &["numbers"]);
}

#[test]
fn oracles_agree_direct_messages() {
    let send = |id: MessageId, to: u16| Event::Send { id, to, text: TEXT };
    let receive = |id: MessageId| Event::Receive { id, text: TEXT };
    let lost = |id: MessageId, reason: &str| Event::Undeliverable { id, to: 1, reason: reason.to_owned() };
    const NOT_SENT: &str = undelivered(Undelivered::NotSent);
    const UNSURE: &str = undelivered(Undelivered::NotAcknowledged);
    let [a1, a2, b1, c1] = [id(0, 1), id(0, 2), id(1, 1), id(2, 1)];
    let every = |own: [Vec<Event>; 3], given: [Vec<Event>; 3]| {
        let properties = &["point-to-point", "no-creation"];
        Every { own, given, longest: 3, most: 2, ends: &ALL_ENDS, properties }.compare()
    };
    let forged = Event::Receive { id: a1, text: OTHER_TEXT };
    let seen = [
        every([vec![], vec![], vec![]], [vec![], vec![receive(a1)], vec![]]),
        every(
            [vec![send(a1, 1), send(a2, 1)], vec![send(b1, 0)], vec![]],
            [vec![receive(b1)], vec![receive(a1), receive(a2)], vec![]],
        ),
        // One name for two messages, to two receivers.
        every(
            [vec![send(a1, 1), send(a1, 2)], vec![], vec![]],
            [vec![], vec![receive(a1), forged], vec![receive(a1), receive(a2)]],
        ),
        // Around a circle, and two under one name.
        every(
            [vec![send(a1, 1)], vec![send(b1, 2)], vec![send(c1, 0), multicast(c1)]],
            [vec![receive(c1), deliver(c1)], vec![receive(a1)], vec![receive(b1)]],
        ),
        every([vec![send(a1, 1), send(a1, 1)], vec![], vec![]], [vec![], vec![receive(a1)], vec![]]),
        // Undeliverable: not sent, perhaps received, said twice, and of another.
        every(
            [vec![send(a1, 1), send(a2, 1), lost(a1, NOT_SENT), lost(a2, UNSURE)], vec![], vec![]],
            [vec![], vec![receive(a1), receive(a2)], vec![]],
        ),
        every(
            [vec![send(a1, 1), lost(a1, UNSURE), lost(a1, UNSURE), lost(a2, UNSURE)], vec![], vec![]],
            [vec![], vec![receive(a1)], vec![]],
        ),
        // To and from nobody.
        every([vec![send(a1, 8)], vec![], vec![]], [vec![], vec![receive(id(9, 1))], vec![]]),
    ];
    report(&seen, &["point-to-point"]);
}
