//! Groups in programs: the library, and the example that keeps a store in step in several processes.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

use groupcast::{Builder, Bytes, Delivery, Error, Event, Group, Method, Order, Start};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::harness::{Launch, Stage, side_by_side, until};

/// Longest wait of a test in which nothing is wrong.
const LIMIT: Duration = Duration::from_secs(60);

impl Stage {
    /// A member in this process.
    fn join(&self, id: &str) -> Builder {
        let forwarder = format!("127.0.0.1:{}", self.port(0));
        Group::builder(id).forwarders([forwarder]).suspect_after(Duration::from_secs(5)).timeout(LIMIT)
    }

    /// These members, which start together.
    fn group<const N: usize>(&self, ids: [&str; N]) -> [Group; N] {
        let joins = ids.map(|id| {
            std::thread::spawn({
                let join = self.join(id).gives_state(true);
                move || join.join().unwrap()
            })
        });
        joins.map(|join| join.join().unwrap())
    }

    /// The example `kv`.
    fn kv(&self, id: &str) -> Launch<'_> {
        let forwarder = format!("127.0.0.1:{}", self.port(0));
        self.example("kv").args(["--id", id, "--connect", &forwarder, "--suspect-after", "2000"])
    }
}

/// Builds an example with the features of the tests. Nothing is to be done when all tests were asked for.
fn build_example(name: &str) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name]);
    // Those of this build: with others, all would be built once more.
    let features = [("known-bad", cfg!(feature = "known-bad")), ("web", cfg!(feature = "web"))];
    cargo.args(features.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| format!("--features={name}")));
    cargo.args((!cfg!(debug_assertions)).then_some("--release"));
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
}

fn next(group: &mut Group) -> Event {
    group.recv_timeout(LIMIT).unwrap().unwrap_or_else(|| panic!("{} is given nothing", group.id()))
}

/// The next delivery; other events do not matter.
fn delivery(group: &mut Group) -> Delivery {
    loop {
        match next(group) {
            Event::Delivery(delivery) => return delivery,
            Event::End => panic!("{} has come to the end", group.id()),
            _ => {}
        }
    }
}

/// Takes events until the view has these members.
fn view_of(group: &mut Group, members: &[&str]) {
    while group.view().is_none_or(|view| view.members != members) {
        assert!(!matches!(next(group), Event::End));
    }
}

/// The deliveries to the end.
fn to_the_end(group: &mut Group) -> Vec<Delivery> {
    let mut given = Vec::new();
    loop {
        match next(group) {
            Event::Delivery(delivery) => given.push(delivery),
            Event::End => return given,
            _ => {}
        }
    }
}

#[test]
fn group_stores_with_a_newcomer_and_a_kill_stay_in_step() {
    build_example("kv");
    let stage = Stage::new();
    let (_forwarder, _router) = (stage.forwarder(3).start(), stage.router().start());
    let _sequencer = stage.sequencer().args(["--suspect-after", "2s"]).start();
    let mut stores = ["a", "b", "c"].map(|id| stage.kv(id).args(["--puts", "1500"]).start());
    until("the stores start", || stores[0].stdout().contains("view 1: a b c").then_some(()));
    let mut late = stage.kv("d").args(["--puts", "100", "--late"]).start();
    until("a store joins late", || late.stdout().contains(": a b c d").then_some(()));
    stores[2].kill();
    stores[..2].iter_mut().for_each(|store| store.ends(0));
    late.ends(0);
    let digest = |text: String| text.trim_end().rsplit(' ').next().unwrap().to_owned();
    let digests = [stores[0].stdout(), stores[1].stdout(), late.stdout()].map(digest);
    assert!(digests[0].len() == 16 && digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    assert!(stores[0].stdout().contains(": a b d"), "{}", stores[0].stdout());
}

#[test]
fn group_in_tokio_tasks_delivers_what_the_others_deliver() {
    build_example("tokio");
    let stage = Stage::new();
    let mut middle = stage.middle(2);
    let forwarder = format!("127.0.0.1:{}", stage.port(0));
    let member =
        |id| stage.example("tokio").args(["--id", id, "--connect", &forwarder, "--every", "5"]).start();
    let mut members = ["a", "b"].map(member);
    members.iter_mut().for_each(|member| member.ends(0));
    let [a, b] = [members[0].stdout(), members[1].stdout()];
    assert_eq!(a, b);
    assert!(a.lines().count() == 20 && a.contains("a: tick 10") && a.contains("b: tick 10"), "{a}");
    middle.iter_mut().for_each(|program| program.ends(0));
}

#[test]
fn group_split_between_threads_sends_while_it_receives() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let count = stage.group(["a", "b"]).map(|group| {
        let (sender, mut receiver) = group.split();
        let senders = [sender.clone(), sender.clone()].map(|sender| {
            std::thread::spawn(move || (0..200).try_for_each(|_| sender.multicast(sender.id().to_owned())))
        });
        let finisher = std::thread::spawn(move || {
            senders.into_iter().for_each(|sender| sender.join().unwrap().unwrap());
            sender.finish();
        });
        std::thread::spawn(move || {
            let mut deliveries = 0;
            loop {
                match receiver.recv().unwrap() {
                    Event::Delivery(it) => deliveries += u64::from(it.payload == it.from),
                    Event::End => break,
                    _ => {}
                }
            }
            finisher.join().unwrap();
            deliveries
        })
    });
    assert_eq!(count.map(|receiver| receiver.join().unwrap()), [800, 800]);
}

/// A readable descriptor is the only thing that the program waits for.
#[test]
fn group_receiver_polled_by_its_descriptor_misses_nothing_and_wakes_for_events_only() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let receivers = stage.group(["a", "b"]).map(|group| {
        let (sender, mut receiver) = group.split();
        std::thread::spawn(move || {
            let mut deliveries = 0_u32;
            sender.multicast("first").unwrap();
            loop {
                let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
                let ready = poll(&mut [PollFd::new(&receiver.as_fd(), PollFlags::IN)], Some(&limit)).unwrap();
                assert_eq!(ready, 1, "an event is missed after {deliveries} deliveries");
                match receiver.try_recv().unwrap().expect("a readable descriptor means an event") {
                    // The next message after the last: the descriptor becomes readable for each of them.
                    Event::Delivery(it) if it.from == receiver.id() => {
                        deliveries += 1;
                        if deliveries < 200 {
                            sender.multicast("next").unwrap();
                        } else {
                            sender.finish();
                        }
                    }
                    Event::End => return deliveries,
                    _ => {}
                }
            }
        })
    });
    assert_eq!(receivers.map(|receiver| receiver.join().unwrap()), [200, 200]);
}

#[test]
fn group_newcomer_from_the_start_receives_earlier_deliveries() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let mut client = stage.client("c1", "Multicast,c1,one\nMulticast,c1,two\n").start();
    let mut founder = stage.join("c2").join().unwrap();
    founder.multicast("three").unwrap();
    let founders = [1, 2, 3].map(|_| delivery(&mut founder));
    let mut newcomer = stage.join("c3").start(Start::FromStart).join().unwrap();
    founder.multicast("four").unwrap();
    let earlier = [1, 2, 3].map(|_| next(&mut newcomer));
    for (event, delivery) in earlier.iter().zip(&founders) {
        assert!(matches!(event, Event::Delivery(it) if it == delivery), "{event:?}");
    }
    assert!(matches!(next(&mut newcomer), Event::View(view) if view.members == ["c1", "c2", "c3"]));
    assert_eq!(delivery(&mut newcomer).payload, "four");
    founder.finish();
    newcomer.finish();
    to_the_end(&mut founder);
    to_the_end(&mut newcomer);
    client.ends(0);
}

#[test]
fn group_of_a_program_and_a_client_delivers_the_same_at_both() {
    let stage = Stage::new();
    let mut middle = stage.middle(2);
    let mut client = stage.client("c2", "Multicast,c2,one\nc2,c1,for you\nMulticast,c2,two\n").start();
    let mut group = stage.join("c1").join().unwrap();
    view_of(&mut group, &["c1", "c2"]);
    group.multicast("from a program").unwrap();
    group.send("c2", "for c2").unwrap();
    let error = group.send("c3", "").unwrap_err();
    assert_eq!(
        (&error, error.to_string()),
        (&Error::NoSuchMember("c3".into()), "cannot send to c3: it is not in the group".into())
    );
    group.finish();
    assert_eq!(group.multicast("too late").unwrap_err(), Error::Finished);
    let (mut given, mut directs) = (Vec::new(), Vec::new());
    loop {
        match next(&mut group) {
            Event::Delivery(it) => {
                given.push(format!("{}###{}", it.from, String::from_utf8(it.payload.into()).unwrap()));
            }
            Event::Direct(it) => directs.push((it.from, it.payload, it.own_number)),
            Event::End => break,
            other => panic!("{other:?}"),
        }
    }
    client.ends(0);
    assert_eq!(directs, [("c2".to_owned(), Bytes::from("for you"), 1)]);
    assert_eq!(given, stage.lines("c2", "tom"));
    assert_eq!(given.len(), 3);
    middle.iter_mut().for_each(|program| program.ends(0));
    // The end stays.
    assert_eq!(group.recv().unwrap_err(), Error::Ended);
    assert_eq!(group.try_recv().unwrap_err(), Error::Ended);
    assert_eq!(group.multicast("").unwrap_err(), Error::Ended);
}

/// Newcomers get the state of the place at which they come, and then what follows, under load, one after the other.
#[test]
fn group_newcomer_with_a_state_continues_where_the_state_ends() {
    let orders = [Order::Total(Method::Bb), Order::Lamport, Order::Agreed];
    side_by_side(orders.len(), 1, |number| {
        let stage = Stage::new();
        let _middle = stage.middle(2);
        let order = orders[number];
        let founders = ["a", "b"].map(|id| stage.join(id).order(order).gives_state(true));
        let founders = founders.map(|join| std::thread::spawn(move || join.join().unwrap()));
        // A newcomer that is there before the start would take the place of a founder.
        let founders = founders.map(|joining| joining.join().unwrap());
        let mut members: Vec<_> =
            founders.into_iter().map(|group| std::thread::spawn(move || replica(group))).collect();
        for id in ["c", "d"] {
            let join = stage.join(id).order(order).gives_state(true).start(Start::WithState);
            members.push(std::thread::spawn(move || replica(join.join().unwrap())));
        }
        let states: Vec<Vec<u8>> = members.into_iter().map(|member| member.join().unwrap()).collect();
        assert!(states.iter().all(|state| *state == states[0]), "{order:?}");
        assert!(states[0].len() > 2 * 300 * 4, "{order:?}: {}", states[0].len());
    });
}

/// A replica whose state is everything that was delivered.
fn replica(mut group: Group) -> Vec<u8> {
    let (mut state, mut sent) = (Vec::new(), 0);
    loop {
        match next(&mut group) {
            Event::State(given) => {
                state = given.to_vec();
                continue;
            }
            Event::StateRequest(request) => {
                request.reply(state.clone()).unwrap();
                continue;
            }
            Event::Delivery(it) => {
                state.extend(it.payload);
                if it.from != group.id() {
                    continue;
                }
            }
            Event::End => return state,
            Event::View(_) if sent == 0 => {}
            _ => continue,
        }
        // Founders are busy until both newcomers are there; those send something, too.
        let is_waiting = group.view().is_some_and(|view| view.members.len() < 4);
        if sent < 300 || is_waiting {
            sent += 1;
            group.multicast(format!("{}{sent}", group.id())).unwrap();
        } else {
            group.finish();
        }
    }
}

/// The member that is asked first never comes to the view; the second gives a state of many pieces.
#[test]
fn group_state_request_unanswered_goes_to_the_next_member() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let [mut a, mut b] = stage.group(["a", "b"]);
    view_of(&mut b, &["a", "b"]);
    let join = stage.join("c").start(Start::WithState);
    let newcomer = std::thread::spawn(move || join.join().unwrap());
    view_of(&mut b, &["a", "b", "c"]);
    assert_eq!(b.view().unwrap().joined, ["c"]);
    let Event::StateRequest(request) = next(&mut b) else { panic!("no state is wanted") };
    let state: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    request.reply(state.clone()).unwrap();
    let mut c = newcomer.join().unwrap();
    b.multicast("after the state").unwrap();
    assert!(matches!(next(&mut c), Event::State(given) if given == state), "another state");
    assert!(matches!(next(&mut c), Event::View(view) if view.members == ["a", "b", "c"]));
    assert_eq!(delivery(&mut c).payload, "after the state");
    c.leave().unwrap();
    view_of(&mut b, &["a", "b"]);
    assert_eq!(b.view().unwrap().gone, ["c"]);
    view_of(&mut a, &["a", "b", "c"]);
    // A dropped member is gone soon.
    drop(a);
    view_of(&mut b, &["b"]);
    b.leave().unwrap();
}

/// A program that has not taken the newest view may send to a member that is gone.
#[test]
fn group_direct_message_to_a_member_that_left_comes_back_as_an_event() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let [mut a, b] = stage.group(["a", "b"]);
    view_of(&mut a, &["a", "b"]);
    b.leave().unwrap();
    a.send("b", "late").unwrap();
    view_of(&mut a, &["a"]);
    let Event::Undeliverable(lost) = next(&mut a) else { panic!("nothing comes back") };
    assert_eq!((lost.to, lost.payload, lost.own_number), ("b".to_owned(), Bytes::from("late"), 1));
    assert_eq!(a.send("b", "later").unwrap_err(), Error::NoSuchMember("b".into()), "known at once");
    a.leave().unwrap();
}

#[test]
fn group_program_that_receives_nothing_gets_full_and_loses_nothing() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let [mut a, mut b] = stage.group(["a", "b"]);
    let text = Bytes::from(vec![b'x'; 100_000]);
    let mut sent = 0;
    let error = loop {
        match a.multicast(text.clone()) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::Full);
    assert!(error.to_string().contains("receive events first") && (40..1_000).contains(&sent), "{sent}");
    let (length, limit) = ((1 << 20) + 1, 1 << 20);
    assert_eq!(a.multicast(vec![0; length]).unwrap_err(), Error::TooLong { length, limit });
    let taker = std::thread::spawn(move || {
        b.finish();
        to_the_end(&mut b).len()
    });
    a.finish();
    let given = to_the_end(&mut a);
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    given.iter().for_each(|delivery| *counts.entry(delivery.own_number).or_default() += 1);
    assert!(given.len() == sent && counts.len() == sent && given.iter().all(|it| it.payload == text));
    assert_eq!(taker.join().unwrap(), sent);
}

#[test]
fn group_join_refused_reports_the_cause() {
    let stage = Stage::new();
    let error = stage.join("a b").join().unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("an id consists of")), "{error:?}");
    let error = stage.join("a").forwarders(["a:b:c"]).join().unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("a:b:c")), "{error:?}");
    let error = stage.join("a").forwarders(["10.0.0.1"]).join().unwrap_err();
    assert!(matches!(&error, Error::Invalid(text) if text.contains("would be encrypted")), "{error:?}");
    let error = stage.join("a").timeout(Duration::from_millis(200)).join().unwrap_err();
    assert!(matches!(&error, Error::CannotJoin(text) if text.contains("does not answer (")), "{error:?}");
}
