//! Groups in programs: the library, and the example that keeps a store in step in several processes.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use groupcast::exit::Exit;
use groupcast::group::{Delivery, Event, Group, Join, Start};

use crate::harness::{Launch, Stage, side_by_side, until};

/// As long as nothing is wrong, nobody waits so long.
const LIMIT: Duration = Duration::from_secs(60);

impl Stage {
    /// A member in this process.
    fn join(&self, id: &str) -> Join {
        let forwarder = format!("127.0.0.1:{}", self.port(0));
        Join::new(id).forwarders(&forwarder).suspect_after(Duration::from_secs(5)).limit(LIMIT)
    }

    /// These members, which start together.
    fn group<const N: usize>(&self, ids: [&str; N]) -> [Group; N] {
        let joins = ids.map(|id| {
            std::thread::spawn({
                let join = self.join(id).gives_state();
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

/// Builds the examples with what the tests were built with; there is nothing to do when all tests were asked for.
fn build_example(name: &str) {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", name]);
    cargo.args(cfg!(feature = "known-bad").then_some("--features=known-bad"));
    cargo.args((!cfg!(debug_assertions)).then_some("--release"));
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
}

fn next(group: &mut Group) -> Event {
    group.next(LIMIT).unwrap().unwrap_or_else(|| panic!("{} is given nothing", group.id()))
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
        assert_ne!(next(group), Event::End);
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
fn group_stores_agree_after_a_late_join_and_a_kill() {
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
fn group_programs_and_clients_are_members_of_one_group() {
    let stage = Stage::new();
    let mut middle = stage.middle(2);
    let mut client = stage.client("c2", "Multicast,c2,one\nc2,c1,for you\nMulticast,c2,two\n").start();
    let mut group = stage.join("c1").join().unwrap();
    view_of(&mut group, &["c1", "c2"]);
    group.multicast(b"from a program").unwrap();
    group.send("c2", b"for c2").unwrap();
    let failure = group.send("c3", b"").unwrap_err();
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::Unavailable, "c3 is not in the group"));
    group.finish();
    assert_eq!(group.multicast(b"too late").unwrap_err().exit, Exit::Usage);
    let (mut given, mut directs) = (Vec::new(), Vec::new());
    loop {
        match next(&mut group) {
            Event::Delivery(it) => {
                given.push(format!("{}###{}", it.from, String::from_utf8(it.text).unwrap()));
            }
            Event::Direct(it) => directs.push((it.from, it.text, it.own_number)),
            Event::End => break,
            other => panic!("{other:?}"),
        }
    }
    client.ends(0);
    assert_eq!(directs, [("c2".to_owned(), b"for you".to_vec(), 1)]);
    assert_eq!(given, stage.lines("c2", "tom"));
    assert_eq!(given.len(), 3);
    middle.iter_mut().for_each(|program| program.ends(0));
    // It is over, and stays so.
    assert_eq!(next(&mut group), Event::End);
    assert_eq!(group.multicast(b"").unwrap_err().exit, Exit::Unavailable);
}

/// Newcomers get the state of the place at which they come, and then what follows, under load, one after the other.
#[test]
fn group_newcomer_continues_where_the_state_ends() {
    let orders = ["total", "lamport", "agreed"];
    side_by_side(orders.len(), 1, |number| {
        let stage = Stage::new();
        let _middle = stage.middle(2);
        let order = orders[number];
        let method = if order == "total" { "bb" } else { "" };
        let founders = ["a", "b"].map(|id| stage.join(id).order(order, method).gives_state());
        let founders = founders.map(|join| std::thread::spawn(move || join.join().unwrap()));
        // A newcomer that is there before the start would take the place of a founder.
        let founders = founders.map(|joining| joining.join().unwrap());
        let mut members: Vec<_> =
            founders.into_iter().map(|group| std::thread::spawn(move || replica(group))).collect();
        for id in ["c", "d"] {
            let join = stage.join(id).order(order, method).gives_state().start(Start::WithState);
            members.push(std::thread::spawn(move || replica(join.join().unwrap())));
        }
        let states: Vec<Vec<u8>> = members.into_iter().map(|member| member.join().unwrap()).collect();
        assert!(states.iter().all(|state| *state == states[0]), "{order}");
        assert!(states[0].len() > 2 * 300 * 4, "{order}: {}", states[0].len());
    });
}

/// A replica whose state is everything that was delivered.
fn replica(mut group: Group) -> Vec<u8> {
    let (mut state, mut sent) = (Vec::new(), 0);
    loop {
        match next(&mut group) {
            Event::State(given) => {
                state = given;
                continue;
            }
            Event::StateWanted => {
                group.give_state(state.clone()).unwrap();
                continue;
            }
            Event::Delivery(it) => {
                state.extend(it.text);
                if it.from != group.id() {
                    continue;
                }
            }
            Event::End => return state,
            Event::View(_) if sent == 0 => {}
            Event::View(_) | Event::Direct(_) | Event::Undeliverable(_) => continue,
        }
        // Founders are busy until both newcomers are there; those send something, too.
        let is_waiting = group.view().is_some_and(|view| view.members.len() < 4);
        if sent < 300 || is_waiting {
            sent += 1;
            group.multicast(format!("{}{sent}", group.id()).as_bytes()).unwrap();
        } else {
            group.finish();
        }
    }
}

/// The member that is asked first never comes to the view; the second gives a state of many pieces.
#[test]
fn group_member_that_gives_no_state_is_not_waited_for() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let [mut a, mut b] = stage.group(["a", "b"]);
    view_of(&mut b, &["a", "b"]);
    let failure = b.give_state(Vec::new()).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    let join = stage.join("c").start(Start::WithState);
    let newcomer = std::thread::spawn(move || join.join().unwrap());
    view_of(&mut b, &["a", "b", "c"]);
    assert_eq!(b.view().unwrap().joined, ["c"]);
    assert_eq!(next(&mut b), Event::StateWanted);
    let state: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    b.give_state(state.clone()).unwrap();
    let mut c = newcomer.join().unwrap();
    b.multicast(b"after the state").unwrap();
    assert!(next(&mut c) == Event::State(state), "another state");
    assert!(matches!(next(&mut c), Event::View(view) if view.members == ["a", "b", "c"]));
    assert_eq!(delivery(&mut c).text, b"after the state");
    c.leave().unwrap();
    view_of(&mut b, &["a", "b"]);
    assert_eq!(b.view().unwrap().gone, ["c"]);
    view_of(&mut a, &["a", "b", "c"]);
    // A dropped member leaves soon.
    drop(a);
    view_of(&mut b, &["b"]);
    b.leave().unwrap();
}

/// A program that has not taken the newest view may send to a member that is gone.
#[test]
fn group_undeliverable_direct_message_is_an_event() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let [mut a, b] = stage.group(["a", "b"]);
    view_of(&mut a, &["a", "b"]);
    b.leave().unwrap();
    a.send("b", b"late").unwrap();
    view_of(&mut a, &["a"]);
    let (to, text) = ("b".to_owned(), b"late".to_vec());
    let Event::Undeliverable(lost) = next(&mut a) else { panic!("nothing comes back") };
    assert_eq!((&lost.to, &lost.text, lost.own_number), (&to, &text, 1));
    assert_eq!(a.send("b", b"later").unwrap_err().exit, Exit::Unavailable, "known at once");
    a.leave().unwrap();
}

#[test]
fn group_program_that_takes_no_events_is_warned_and_loses_nothing() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let [mut a, mut b] = stage.group(["a", "b"]);
    let text = vec![b'x'; 100_000];
    let mut sent = 0;
    let failure = loop {
        match a.multicast(&text) {
            Ok(()) => sent += 1,
            Err(failure) => break failure,
        }
    };
    assert_eq!(failure.exit, Exit::Unavailable);
    assert!(failure.help.unwrap().contains("Group::next") && (40..1_000).contains(&sent), "{sent}");
    assert_eq!(a.multicast(&vec![0; (1 << 20) + 1]).unwrap_err().exit, Exit::BadData);
    let taker = std::thread::spawn(move || {
        b.finish();
        to_the_end(&mut b).len()
    });
    a.finish();
    let given = to_the_end(&mut a);
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    given.iter().for_each(|delivery| *counts.entry(delivery.own_number).or_default() += 1);
    assert!(given.len() == sent && counts.len() == sent && given.iter().all(|it| it.text == text));
    assert_eq!(taker.join().unwrap(), sent);
}

#[test]
fn group_join_failure_names_its_cause() {
    let stage = Stage::new();
    for (join, exit, words) in [
        (stage.join("a b"), Exit::Usage, "an id consists of"),
        (stage.join("a").order("best", ""), Exit::Usage, "there is no order 'best'"),
        (stage.join("a").forwarders("a:b:c"), Exit::Usage, "a:b:c"),
        (stage.join("a").limit(Duration::from_millis(200)), Exit::Unavailable, "does not answer ("),
    ] {
        let failure = join.join().unwrap_err();
        assert!(failure.exit == exit && failure.message.contains(words), "{failure:?}");
    }
}
