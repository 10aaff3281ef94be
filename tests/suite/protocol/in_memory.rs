//! Groups in memory: the promises to a program that tests itself with them.

use std::os::fd::AsFd;
use std::time::Duration;

use groupcast::testing::Network;
use groupcast::{Builder, Bytes, Delivery, Error, Event, Group, Method, Order, SlowMember, Start};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::harness::until;

/// Longest wait of a test in which nothing is wrong.
const LIMIT: Duration = Duration::from_secs(60);

const ORDERS: [Order; 8] = [
    Order::Unordered,
    Order::Fifo,
    Order::Causal,
    Order::Total(Method::Bb),
    Order::Total(Method::Ub),
    Order::Total(Method::Uub),
    Order::Lamport,
    Order::Agreed,
];

/// Every event that waits.
fn events(group: &mut Group) -> Vec<Event> {
    std::iter::from_fn(|| group.try_recv().unwrap()).collect()
}

fn deliveries(group: &mut Group) -> Vec<Delivery> {
    let delivery = |event| if let Event::Delivery(delivery) = event { Some(delivery) } else { None };
    events(group).into_iter().filter_map(delivery).collect()
}

fn texts(group: &mut Group) -> Vec<String> {
    let text = |it: Delivery| String::from_utf8(it.payload.to_vec()).unwrap();
    deliveries(group).into_iter().map(text).collect()
}

#[test]
fn in_memory_group_of_every_order_delivers_everything() {
    for order in ORDERS {
        let network = Network::seeded(7);
        let mut groups = network.start(["a", "b", "c"].map(|id| Group::builder(id).order(order))).unwrap();
        for round in 0..20 {
            groups.iter().for_each(|group| group.multicast(format!("{} {round}", group.id())).unwrap());
        }
        let all: Vec<Vec<String>> = groups.iter_mut().map(texts).collect();
        assert_eq!(all[0].len(), 60, "{order:?}");
        let sorted = |mut texts: Vec<String>| {
            texts.sort_unstable();
            texts
        };
        let is_total = !matches!(order, Order::Unordered | Order::Fifo | Order::Causal);
        for other in &all[1..] {
            assert!(!is_total || all[0] == *other, "{order:?}");
            assert_eq!(sorted(all[0].clone()), sorted(other.clone()), "{order:?}");
        }
        groups.iter().for_each(Group::finish);
        for group in &mut groups {
            assert!(matches!(group.recv(), Ok(Event::End)));
            assert_eq!(group.recv().unwrap_err(), Error::Ended);
        }
    }
}

#[test]
fn in_memory_group_with_the_same_seed_takes_the_same_course() {
    let course = |seed| {
        let order = |id| Group::builder(id).order(Order::Agreed);
        let [a, mut b, c] = Network::seeded(seed).start(["a", "b", "c"].map(order)).unwrap();
        for number in 0..30 {
            a.multicast(format!("a{number}")).unwrap();
            c.multicast(format!("c{number}")).unwrap();
        }
        texts(&mut b)
    };
    assert_eq!(course(1), course(1));
}

#[test]
fn in_memory_direct_message_reaches_one_member() {
    let [a, mut b, mut c] = Group::in_memory(["a", "b", "c"]).unwrap();
    a.send("b", "for b").unwrap();
    let is_direct =
        |event: &Event| matches!(event, Event::Direct(it) if it.from == "a" && it.payload == "for b");
    assert_eq!(events(&mut b).iter().filter(|event| is_direct(event)).count(), 1);
    assert!(!events(&mut c).iter().any(is_direct));
    assert_eq!(a.send("d", "").unwrap_err(), Error::NoSuchMember("d".to_owned()));
    let (length, limit) = (groupcast::MAX_PAYLOAD + 1, groupcast::MAX_PAYLOAD);
    assert_eq!(a.send("b", vec![0; length]).unwrap_err(), Error::TooLong { length, limit });
}

#[test]
fn in_memory_member_that_leaves_or_is_dropped_is_in_no_later_view() {
    for order in ORDERS {
        let members = ["a", "b", "c", "d"].map(|id| Group::builder(id).order(order));
        let [mut a, b, c, d] = Network::seeded(3).start(members).unwrap();
        b.multicast("last words").unwrap();
        b.leave().unwrap();
        drop(c);
        a.multicast("after that").unwrap();
        assert_eq!(texts(&mut a), ["last words", "after that"], "{order:?}");
        assert_eq!(a.view().unwrap().members, ["a", "d"], "{order:?}");
        d.leave().unwrap();
        a.leave().unwrap();
    }
}

#[test]
fn in_memory_direct_message_to_a_member_that_left_comes_back() {
    let [mut a, b] = Group::in_memory(["a", "b"]).unwrap();
    assert_eq!(events(&mut a).len(), 1);
    b.leave().unwrap();
    a.send("b", "late").unwrap();
    assert!(matches!(a.try_recv(), Ok(Some(Event::View(view))) if view.members == ["a"]));
    assert!(matches!(a.try_recv(), Ok(Some(Event::Undeliverable(lost))) if lost.payload == "late"));
    assert_eq!(a.send("b", "later").unwrap_err(), Error::NoSuchMember("b".to_owned()));
}

#[test]
fn in_memory_member_that_leaves_without_receiving_hears_of_undeliverable_messages() {
    let [mut a, b, _c] = Group::in_memory(["a", "b", "c"]).unwrap();
    assert!(matches!(a.try_recv(), Ok(Some(Event::View(_)))));
    b.leave().unwrap();
    a.send("b", "late").unwrap();
    assert_eq!(a.leave().unwrap_err(), Error::Undeliverable(1));
}

#[test]
fn in_memory_sender_of_a_split_group_waits_for_its_receiver() {
    let [group] = Group::in_memory(["a"]).unwrap();
    let (sender, mut receiver) = group.split();
    let payload = Bytes::from(vec![0; 100_000]);
    let flood = std::thread::spawn({
        let (sender, payload) = (sender.clone(), payload.clone());
        move || (0..200).try_for_each(|_| sender.multicast(payload.clone()))
    });
    // The thread of the receiver is late: both queues are full.
    until("the sender is blocked", || (sender.try_multicast("") == Err(Error::Full)).then_some(()));
    let mut count = 0;
    while count < 200 {
        let event = receiver.recv_timeout(LIMIT).unwrap().expect("an event");
        count += usize::from(matches!(event, Event::Delivery(it) if it.payload == payload));
    }
    assert_eq!(flood.join().unwrap(), Ok(()));
}

#[test]
fn in_memory_direct_message_to_itself_is_refused() {
    let [a] = Group::in_memory(["a"]).unwrap();
    let error = a.send("a", "note").unwrap_err();
    assert!(
        matches!(&error, Error::Invalid(text) if text == "cannot send to a: a is the sender itself"),
        "{error:?}"
    );
}

#[test]
fn in_memory_handles_can_be_used_by_other_threads() {
    fn is_sync<T: Send + Sync>() {}
    is_sync::<Group>();
    is_sync::<groupcast::Sender>();
    is_sync::<groupcast::Receiver>();
    is_sync::<groupcast::StateRequest>();
    is_sync::<Builder>();
    is_sync::<Network>();
}

#[test]
fn in_memory_newcomer_starts_with_the_state_of_its_first_view() {
    for order in ORDERS {
        let network = Network::seeded(5);
        let builder = |id| Group::builder(id).order(order);
        let mut replicas: Vec<(Group, Vec<u8>)> = Vec::new();
        let founders = network.start(["a", "b"].map(|id| builder(id).gives_state(true))).unwrap();
        replicas.extend(founders.map(|group| (group, Vec::new())));
        for id in ["c", "d", "e"] {
            replicas[0].0.multicast(format!("before {id};")).unwrap();
            let newcomer = builder(id).start(Start::WithState).gives_state(true);
            replicas.push((network.join(newcomer).unwrap(), Vec::new()));
            replicas[1].0.multicast(format!("after {id};")).unwrap();
            // The newest first: it has nothing before the others have given it.
            for _ in 0..2 {
                replicas.iter_mut().rev().for_each(apply);
            }
        }
        let mut states: Vec<_> = replicas.iter().map(|(_, state)| sorted_words(state)).collect();
        states.dedup();
        assert_eq!(states.len(), 1, "{order:?}: {states:?}");
        assert_eq!(states[0].len(), 6, "{order:?}");
    }
}

fn apply((group, state): &mut (Group, Vec<u8>)) {
    for event in events(group) {
        match event {
            Event::State(given) => *state = given.to_vec(),
            Event::Delivery(it) => state.extend(it.payload),
            Event::StateRequest(request) => request.reply(state.clone()).unwrap(),
            _ => {}
        }
    }
}

fn sorted_words(state: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(state);
    let mut words: Vec<String> = text.split_terminator(';').map(str::to_owned).collect();
    words.sort_unstable();
    words
}

#[test]
fn in_memory_state_request_dropped_goes_to_the_next_member() {
    let network = Network::new();
    let [mut a, mut b] = network.start(["a", "b"].map(|id| Group::builder(id).gives_state(true))).unwrap();
    let mut c = network.join(Group::builder("c").start(Start::WithState)).unwrap();
    let request = |group: &mut Group| {
        let is_request = |event| if let Event::StateRequest(request) = event { Some(request) } else { None };
        events(group).into_iter().find_map(is_request).unwrap()
    };
    let (of_a, of_b) = (request(&mut a), request(&mut b));
    assert_eq!((of_a.view(), of_b.view()), (2, 2));
    drop(of_a);
    assert!(c.try_recv().unwrap().is_none());
    // A reply may come late, and from another thread.
    std::thread::spawn(move || of_b.reply("state of b")).join().unwrap().unwrap();
    assert!(matches!(c.try_recv(), Ok(Some(Event::State(state))) if state == "state of b"));
    assert!(matches!(c.try_recv(), Ok(Some(Event::View(view))) if view.number == 2));
}

#[test]
fn in_memory_newcomer_without_a_state_to_get_ends_and_reports_it() {
    let network = Network::new();
    let [_a, mut b] = network.start(["a", "b"]).unwrap();
    let mut c = network.join(Group::builder("c").start(Start::WithState)).unwrap();
    assert!(matches!(c.recv().unwrap_err(), Error::NoState(_)));
    assert_eq!(events(&mut b).len(), 3, "its views with and without the newcomer");
    assert_eq!(b.view().unwrap().members, ["a", "b"]);
}

#[test]
fn in_memory_slow_member_that_receives_nothing_is_left_behind() {
    let policy = SlowMember::Exclude(Duration::from_secs(1));
    let network = Network::new();
    let [mut a, mut b] = network.start(["a", "b"].map(|id| Group::builder(id).slow_member(policy))).unwrap();
    let payload = Bytes::from(vec![0; 1 << 20]);
    for _ in 0..100 {
        a.multicast(payload.clone()).unwrap();
        deliveries(&mut a);
        if a.view().is_some_and(|view| view.members == ["a"]) {
            break;
        }
    }
    assert_eq!(a.view().unwrap().members, ["a"]);
    let error = loop {
        match b.recv() {
            Ok(Event::Delivery(it)) => assert_eq!(it.payload, payload),
            Ok(Event::View(view)) => assert_eq!(view.members, ["a", "b"]),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::LeftBehind(text) if text.contains("excluded by a")), "{error:?}");
}

#[test]
fn in_memory_sender_without_room_tells_full_from_timed_out_and_loses_nothing() {
    let network = Network::new();
    let timeout = Duration::from_millis(20);
    let [mut a, mut b] = network.start(["a", "b"].map(|id| Group::builder(id).timeout(timeout))).unwrap();
    let payload = Bytes::from(vec![0; 100_000]);
    // The receiver of b is full, not the one of a, which waits for room in vain.
    let (mut sent, mut received) = (0, 0);
    let error = loop {
        match a.multicast(payload.clone()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        received += deliveries(&mut a).len();
    };
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    assert_eq!(a.sender().try_multicast(payload.clone()).unwrap_err(), Error::Full);
    assert!((40..1_000).contains(&sent), "{sent}");
    while received < sent {
        received += deliveries(&mut a).len();
        deliveries(&mut b);
    }
    a.multicast(payload).unwrap();
    assert_eq!(deliveries(&mut a).len(), 1);
}

#[test]
fn in_memory_descriptor_is_readable_exactly_while_an_event_waits() {
    let [a, b] = Group::in_memory(["a", "b"]).unwrap();
    let (_sender, mut receiver) = b.split();
    let is_readable = |receiver: &groupcast::Receiver| {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&receiver.as_fd(), PollFlags::IN)], Some(&now)).unwrap() == 1
    };
    for _ in 0..3 {
        assert!(is_readable(&receiver));
        while receiver.try_recv().unwrap().is_some() {}
        assert!(!is_readable(&receiver));
        a.multicast("x").unwrap();
    }
    a.finish();
    receiver.try_recv().unwrap();
    assert!(!is_readable(&receiver));
}

#[test]
fn in_memory_receiver_that_is_dropped_holds_nobody_up() {
    let [a, b] = Group::in_memory(["a", "b"]).unwrap();
    let (sender, receiver) = a.split();
    drop(receiver);
    let taker = std::thread::spawn(move || {
        let mut b = b;
        b.finish();
        let mut bytes = 0;
        loop {
            match b.recv().unwrap() {
                Event::Delivery(it) => bytes += it.payload.len(),
                Event::End => return bytes,
                _ => {}
            }
        }
    });
    for _ in 0..20 {
        sender.multicast(vec![0; 1 << 20]).unwrap();
    }
    sender.finish();
    assert_eq!(taker.join().unwrap(), 20 << 20);
    assert_eq!(sender.multicast("").unwrap_err(), Error::Ended);
}

#[test]
fn in_memory_network_with_wrong_members_refuses_them() {
    let network = Network::new();
    assert!(matches!(network.start(["a", "a"]), Err(Error::Invalid(_))));
    assert!(matches!(network.start(["a b", "c"]), Err(Error::Invalid(_))));
    let orders = [Group::builder("a"), Group::builder("b").order(Order::Fifo)];
    assert!(matches!(network.start(orders), Err(Error::Invalid(_))));
    let a = network.join("a").unwrap();
    assert!(matches!(network.start(["b"]), Err(Error::Invalid(_))));
    assert!(matches!(network.join("a"), Err(Error::CannotJoin(_))));
    assert!(matches!(network.join(Group::builder("b").order(Order::Fifo)), Err(Error::Invalid(_))));
    a.leave().unwrap();
    assert!(matches!(network.join("b"), Err(Error::CannotJoin(_))));
}
