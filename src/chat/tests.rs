//! The state is that of a replay in order, however the operations came.

use std::collections::{BTreeMap, BTreeSet};

use super::operation::{Operation, Post, PostKey};
use super::place::{OperationId, Place};
use super::state::{Change, State};
use super::view::Part;
use crate::ids::MemberId;
use crate::prng::Prng;
use crate::replica::entry::Stamp;

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const GROUPS: [&str; 2] = ["news", "tea"];
const SERVERS: u16 = 3;

fn names() -> Vec<String> {
    (1..=SERVERS).map(|server| format!("s{server}")).collect()
}

fn place(time: u64, origin: u16) -> Place {
    Place { stamp: Stamp { time, origin: MemberId(origin) }, index: 0 }
}

fn post(user: &str, group: &str, n: u64, text: &str) -> Operation {
    let key = PostKey { user: user.into(), client: String::new(), group: group.into(), n };
    Operation::Post(Post { key, text: text.into(), time_ms: 7 })
}

fn like(user: &str, id: &str, on: bool) -> Operation {
    Operation::Like { user: user.into(), id: id.into(), on }
}

fn session(session: &str, user: &str) -> Operation {
    Operation::Session { session: session.into(), user: user.into(), client: String::new() }
}

fn join(session: &str, user: &str, group: &str) -> Operation {
    Operation::Join { session: session.into(), user: user.into(), group: group.into(), new: true }
}

/// An operation with its place and its id.
type Placed = (Place, OperationId, Operation);

/// Returns random operations in their order. Sessions are used at their own server, as they are in a cluster.
fn random(prng: &mut Prng, count: u64) -> Vec<Placed> {
    let mut numbers = [0; SERVERS as usize];
    let mut all = Vec::new();
    for time in 1..=count {
        let server = prng.below(u64::from(SERVERS)) as u16;
        let number = &mut numbers[usize::from(server)];
        *number += 1;
        let id = OperationId { origin: MemberId(server), number: *number };
        all.push((place(time, server), id, operation(prng, server, time)));
    }
    all
}

fn operation(prng: &mut Prng, server: u16, time: u64) -> Operation {
    let user = USERS[prng.below(3) as usize];
    let group = GROUPS[prng.below(2) as usize];
    let key = format!("k{server}{}", prng.below(3));
    let other = format!("s{}-{}", 1 + prng.below(3), 1 + prng.below(time));
    match prng.below(12) {
        0 => session(&format!("k{server}{time}"), user),
        1 => session(&key, user),
        2 => Operation::End { session: key },
        3 if prng.below(4) == 0 => Operation::Life,
        3 | 4 => join(&key, user, group),
        5 => Operation::Leave { user: user.into(), group: group.into() },
        6 => Operation::Read { user: user.into(), group: group.into(), number: prng.below(time) },
        7 | 8 => like(user, &other, prng.below(2) == 0),
        _ => post(user, group, prng.below(8), &format!("text {time}")),
    }
}

fn state_of<'o>(operations: impl IntoIterator<Item = &'o Placed>) -> State {
    let mut state = State::new(names());
    for (at, id, operation) in operations {
        state.apply(*id, *at, Some(operation.clone()));
    }
    state
}

/// The state as a replay in order has it: each operation changes sets and maps, in its turn.
#[derive(Default)]
struct Replay {
    posts: Vec<(OperationId, PostKey)>,
    ids: BTreeMap<OperationId, PostKey>,
    likes: BTreeMap<OperationId, Vec<String>>,
    sessions: BTreeMap<String, (String, MemberId)>,
    /// Sessions that were ever begun, and those that were ended early.
    known: BTreeSet<String>,
    /// For each group the users with the sessions that joined.
    users: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Replay {
    fn apply(&mut self, id: OperationId, operation: &Operation, ended: &BTreeSet<String>) {
        match operation.clone() {
            Operation::Session { session, user, .. } => {
                if self.known.insert(session.clone()) {
                    self.sessions.insert(session, (user, id.origin));
                }
            }
            Operation::End { session } => drop(self.sessions.remove(&session)),
            Operation::Life => self.sessions.retain(|_, (_, server)| *server != id.origin),
            Operation::Join { session, user, group, .. } => {
                self.users.entry((group, user)).or_default().insert(session);
            }
            Operation::Leave { user, group } => drop(self.users.remove(&(group, user))),
            Operation::Post(Post { key, .. }) => {
                if !self.posts.iter().any(|(_, known)| *known == key) {
                    self.posts.push((id, key.clone()));
                }
                self.ids.insert(id, key);
            }
            Operation::Like { user, id, on } => {
                let Some(id) = OperationId::parse(&id, &names()) else { return };
                let likes = self.likes.entry(id).or_default();
                if on && !likes.contains(&user) {
                    likes.push(user);
                } else if !on {
                    likes.retain(|other| *other != user);
                }
            }
            Operation::Read { .. } => {}
        }
        // A key that is ended is never used again.
        self.sessions.retain(|key, _| !ended.contains(key));
    }

    fn users(&self, group: &str) -> Vec<&str> {
        let in_group = self.users.iter().filter(|((name, _), _)| name == group);
        let there = in_group.filter(|(_, keys)| keys.iter().any(|key| self.sessions.contains_key(key)));
        there.map(|((_, user), _)| user.as_str()).collect()
    }
}

fn ended(operations: &[Placed]) -> BTreeSet<String> {
    let key = |(_, _, operation): &Placed| match operation {
        Operation::End { session } => Some(session.clone()),
        _ => None,
    };
    operations.iter().filter_map(key).collect()
}

#[test]
fn state_is_that_of_a_replay_in_order() {
    let mut shown = 0;
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let operations = random(&mut prng, 60);
        let ended = ended(&operations);
        let state = state_of(&operations);
        let mut replay = Replay::default();
        operations.iter().for_each(|(_, id, operation)| replay.apply(*id, operation, &ended));
        for group in GROUPS {
            let items = state.history(group, Part::Last, usize::MAX).0;
            let ids: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
            let wanted = replay.posts.iter().filter(|(_, key)| key.group == group);
            let wanted: Vec<String> = wanted.map(|(id, _)| state.written(*id)).collect();
            assert_eq!(ids, wanted, "seed {seed}");
            let users = state.group_view(group, None, |_| false).map(|view| view.users).unwrap_or_default();
            assert_eq!(users, replay.users(group), "seed {seed}");
            shown += users.len();
        }
    }
    assert!(shown > 100, "users were there: {shown}");
}

#[test]
fn state_does_not_depend_on_the_order_of_arrival() {
    for seed in 0..300 {
        let mut prng = Prng::new(seed);
        let operations = random(&mut prng, 60);
        let in_order = state_of(&operations);
        let mut shuffled: Vec<&Placed> = operations.iter().collect();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, prng.below(last as u64 + 1) as usize);
        }
        let mut other = state_of(shuffled);
        assert!(other == in_order, "seed {seed}: another state");
        let mut confirmed = in_order.clone();
        confirmed.confirm(Stamp { time: 30, origin: MemberId(9) });
        confirmed.confirm(Stamp { time: 60, origin: MemberId(9) });
        other.confirm(Stamp { time: 60, origin: MemberId(9) });
        assert!(other == confirmed, "seed {seed}: another state");
        assert_eq!(other.confirmed(), 60);
    }
}

#[test]
fn copies_of_a_post_are_one_post_at_the_first_place() {
    let mut state = State::new(names());
    let (first, second) =
        (OperationId { origin: MemberId(0), number: 1 }, OperationId { origin: MemberId(1), number: 4 });
    let posted = state.apply(second, place(5, 1), Some(post("ann", "tea", 1, "hello")));
    assert_eq!(posted, [Change::Posted("tea".into(), second), Change::Group("tea".into())]);
    state.apply(OperationId { origin: MemberId(2), number: 1 }, place(6, 2), Some(like("bob", "s2-4", true)));
    let changes = state.apply(first, place(3, 0), Some(post("ann", "tea", 1, "hello")));
    assert_eq!(changes, [Change::Gone("tea".into(), second), Change::Posted("tea".into(), first)]);
    let (items, more) = state.history("tea", Part::Last, 10);
    assert!(!more);
    assert_eq!(items.len(), 1);
    assert_eq!((items[0].id.as_str(), items[0].likes.as_slice()), ("s1-1", &["bob".to_owned()][..]));
    assert_eq!(state.shown_as(second), Some(first));
    assert_eq!(state.confirm(Stamp { time: 9, origin: MemberId(0) }), [("tea".to_owned(), first, 1)]);
}

#[test]
fn unlike_below_a_like_does_not_undo_it() {
    let mut state = State::new(names());
    let by = |origin, number| OperationId { origin: MemberId(origin), number };
    state.apply(by(0, 1), place(1, 0), Some(post("ann", "tea", 1, "hello")));
    state.apply(by(1, 1), place(9, 1), Some(like("bob", "s1-1", true)));
    state.apply(by(2, 1), place(4, 2), Some(like("bob", "s1-1", false)));
    assert_eq!(state.item(by(0, 1)).unwrap().likes, ["bob"]);
    state.apply(by(2, 2), place(10, 2), Some(like("bob", "s1-1", false)));
    assert!(state.item(by(0, 1)).unwrap().likes.is_empty());
}

#[test]
fn start_of_a_server_ends_its_sessions() {
    let mut state = State::new(names());
    let by = |origin, number| OperationId { origin: MemberId(origin), number };
    state.apply(by(0, 1), place(1, 0), Some(session("k1", "ann")));
    state.apply(by(0, 2), place(2, 0), Some(join("k1", "ann", "tea")));
    state.apply(by(1, 1), place(2, 1), Some(session("k2", "bob")));
    state.apply(by(1, 2), place(3, 1), Some(join("k2", "bob", "tea")));
    let view = state.group_view("tea", Some("ann"), |server| server == MemberId(1)).unwrap();
    assert_eq!(
        (view.users, view.unreachable),
        (vec!["ann".to_owned(), "bob".to_owned()], vec!["bob".to_owned()])
    );
    assert_eq!(
        view.notice.unwrap(),
        "this group was made at s1 and at s2 independently, and is one group now"
    );
    state.apply(by(0, 3), place(5, 0), Some(Operation::Life));
    assert_eq!((state.user("k1"), state.user("k2")), (None, Some("bob")));
    assert!(!state.is_in("ann", "tea"));
    state.remove_server(MemberId(1));
    assert!(!state.is_in("bob", "tea"));
}

#[test]
fn history_is_cut_by_numbers() {
    let mut state = State::new(names());
    for number in 1..=10 {
        let group = if number % 2 == 0 { "tea" } else { "news" };
        let id = OperationId { origin: MemberId(0), number };
        state.apply(id, place(number, 0), Some(post("ann", group, number, "text")));
    }
    state.confirm(Stamp { time: 6, origin: MemberId(0) });
    let ids = |part, limit| {
        let (items, more) = state.history("tea", part, limit);
        (items.into_iter().map(|item| item.id).collect::<Vec<_>>().join(" "), more)
    };
    assert_eq!(ids(Part::Last, 2), ("s1-8 s1-10".into(), true));
    assert_eq!(ids(Part::After(0), 2), ("s1-2 s1-4".into(), true));
    assert_eq!(ids(Part::After(4), 9), ("s1-6 s1-8 s1-10".into(), false));
    assert_eq!(ids(Part::Before(6), 1), ("s1-4".into(), true));
    assert_eq!(ids(Part::Before(7), 9), ("s1-2 s1-4 s1-6".into(), false));
    let view = state.group_view("tea", Some("bob"), |_| false).unwrap();
    assert_eq!((view.posts, view.unread), (5, Some(5)));
    let read = Operation::Read { user: "bob".into(), group: "tea".into(), number: 4 };
    state.apply(OperationId { origin: MemberId(1), number: 1 }, place(20, 1), Some(read));
    assert_eq!(state.group_view("tea", Some("bob"), |_| false).unwrap().unread, Some(3));
}

#[test]
fn operations_are_texts_within_limits() {
    let operation = post("ann", "tea", 3, "hello\nworld");
    let text = operation.text();
    assert_eq!(
        String::from_utf8_lossy(&text),
        r#"{"op":"post","user":"ann","group":"tea","n":3,"text":"hello\nworld","time_ms":7}"#
    );
    assert_eq!(Operation::parse(&text), Some(operation));
    for nonsense in
        ["", "x", "{}", r#"{"op":"life","more":1"#, r#"{"op":"like","user":"","id":"s1-1","on":true}"#]
    {
        assert_eq!(Operation::parse(nonsense.as_bytes()), None, "{nonsense}");
    }
    let long = "x".repeat(4001);
    for refused in
        [post("ann", "tea", 1, &long), post(" ann", "tea", 1, "x"), post("ann", "tea", 1 << 53, "x")]
    {
        assert_eq!(Operation::parse(&refused.text()), None);
    }
    for id in ["s1-0", "s1-01", "s9-1", "s1", "s1-+1", "-1"] {
        assert_eq!(OperationId::parse(id, &names()), None, "{id}");
    }
}

#[test]
fn sessions_that_have_ended_are_forgotten_and_nobody_sees_it() {
    let mut forgotten = 0;
    for seed in 0..100 {
        let mut prng = Prng::new(seed);
        let operations = random(&mut prng, 120);
        let (mut state, mut lean) = (State::new(names()), State::new(names()));
        // In a cluster keys are random, so that none begins twice, and none is used before.
        let mut known = BTreeSet::new();
        for (at, id, operation) in &operations {
            let is_foreign = match operation {
                Operation::Session { session, .. } => !known.insert(session.clone()),
                Operation::Join { session, .. } | Operation::End { session } => !known.contains(session),
                _ => false,
            };
            if is_foreign {
                continue;
            }
            state.apply(*id, *at, Some(operation.clone()));
            lean.apply(*id, *at, Some(operation.clone()));
            state.confirm(at.stamp);
            lean.confirm(at.stamp);
            lean.forget_ended_sessions();
            let views = |state: &State| GROUPS.map(|group| state.group_view(group, Some("ann"), |_| false));
            assert_eq!(views(&state), views(&lean), "seed {seed}");
        }
        forgotten += usize::from(state != lean);
        let left = (0..SERVERS).map(|server| lean.sessions_at(MemberId(server)).count()).sum::<usize>();
        assert_eq!(lean.sessions.len(), left, "seed {seed}");
    }
    assert!(forgotten > 50, "{forgotten}");
}
