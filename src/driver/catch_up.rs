//! Catching up: a newcomer asks one member after the other for the deliveries, or the state, from before it joined, and
//! holds back new deliveries meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Participant;
use super::node::Delivery;
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::App;
use crate::member::replay::{Missed, Replay};

/// Silence of a member after which a newcomer asks the next one for the past.
pub const ASK_NEXT: Duration = Duration::from_secs(3);
/// Most bytes held back.
const MAX_HELD: usize = 256 << 20;

/// A newcomer's request for the deliveries or the state it missed.
pub struct CatchUp {
    what: Missed,
    view: u64,
    /// Pieces received from the member being asked.
    have: u64,
    asked: Option<MemberId>,
    /// Time of the last piece, or of the request.
    silent: Time,
    /// The view has changed and the pieces in flight are lost, so the request must be repeated.
    asks_again: bool,
    cannot: BTreeSet<MemberId>,
    /// Deliveries held back meanwhile, in order, and their size.
    held: VecDeque<Delivery>,
    bytes: usize,
    known: Known,
}

/// The outcome of a reply to a newcomer.
pub enum Told {
    /// Nothing new.
    Nothing,
    /// Pieces from this number on. 1 means that a member replays from the beginning.
    From(u64, Replay),
    /// The end of the replay, with the deliveries held back meanwhile.
    All(VecDeque<Delivery>),
}

impl CatchUp {
    /// Creates the request of a newcomer that was admitted in `view`.
    #[must_use]
    pub const fn new(what: Missed, view: u64) -> Self {
        Self {
            what,
            view,
            have: 0,
            asked: None,
            silent: Time::ZERO,
            asks_again: false,
            cannot: BTreeSet::new(),
            held: VecDeque::new(),
            bytes: 0,
            known: Known::new(),
        }
    }

    /// Asks a member, unless one is replying already. Each member is asked for everything, because two members need not
    /// replay in the same order.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if every member has refused.
    pub fn look(&mut self, node: &mut dyn Participant) -> Result<(), Failure> {
        let now = node.now();
        if node.is_changing() {
            // Packets of members wait for the new view.
            self.silent = now;
            return Ok(());
        }
        let able = |client: &MemberId| *client != node.me() && !self.cannot.contains(client);
        let able: Vec<MemberId> = node.view().clients.iter().copied().filter(able).collect();
        let tells =
            self.asked.filter(|asked| able.contains(asked) && now.since(self.silent) < node.ask_next_after());
        let member = match tells {
            Some(_) if !self.asks_again => return Ok(()),
            Some(member) => member,
            None => {
                self.have = 0;
                let next = able.iter().find(|&&member| Some(member) > self.asked);
                *next.or(able.first()).ok_or_else(|| nobody(self.what))?
            }
        };
        self.asks_again = false;
        (self.asked, self.silent) = (Some(member), now);
        let ask = Replay::Ask { what: self.what, view: self.view, have: self.have };
        node.submit(To::Member(member), App::Replay(ask));
        Ok(())
    }

    /// Holds a delivery back. Reading goes on meanwhile, because the replay comes by the same sockets.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if more than `MAX_HELD` bytes are held back.
    pub fn hold(&mut self, delivery: Delivery) -> Result<(), Failure> {
        if matches!(delivery.app, App::View(..)) {
            self.asks_again = true;
            // A member that refused may have been a newcomer itself, and may have caught up.
            self.cannot.clear();
        }
        self.bytes += size_of::<Delivery>();
        if let App::Multicast(batch) | App::Direct(batch) = &delivery.app {
            self.bytes += batch.body().len();
        }
        self.held.push_back(delivery);
        if self.bytes <= MAX_HELD {
            return Ok(());
        }
        let why = "the group delivers more than can be held back while this member catches up";
        Err(Failure::new(Exit::Unavailable, why))
    }

    /// Returns whether this earlier delivery is new. A member that is asked in place of another replays all of them, each
    /// before those that follow from it, so those left out make no gap.
    pub fn is_news(&mut self, sender: MemberId, own_number: u64) -> bool {
        self.known.insert(sender, own_number)
    }

    /// Postpones the question to another member, because this one receives nothing now.
    pub const fn postpone(&mut self, now: Time) {
        self.silent = now;
    }

    /// Handles a reply of `from`.
    pub fn told(&mut self, now: Time, from: MemberId, replay: Replay) -> Told {
        if self.asked != Some(from) {
            return Told::Nothing;
        }
        match replay {
            Replay::Past(_, ref batch) | Replay::State(ref batch) if batch.first() == self.have + 1 => {
                let first = batch.first();
                self.silent = now;
                self.have += u64::from(batch.count());
                Told::From(first, replay)
            }
            Replay::End(count) if count == self.have => Told::All(std::mem::take(&mut self.held)),
            Replay::Cannot => {
                self.cannot.insert(from);
                Told::Nothing
            }
            _ => Told::Nothing,
        }
    }
}

fn nobody(what: Missed) -> Failure {
    let (why, help) = match what {
        Missed::Deliveries => (
            "no member can tell what was delivered from the start",
            "only clients that were there from the start and keep a history can; --join from-now needs none",
        ),
        Missed::State => (
            "no member can give its state",
            "members can that use groupcast::Group and were built with `gives_state(true)`; `Start::FromNow` needs none",
        ),
    };
    Failure::new(Exit::Unavailable, why).help(help)
}

/// The earlier messages of each sender that have been received: a prefix, and those beyond it.
struct Known(BTreeMap<MemberId, (u64, BTreeSet<u64>)>);

impl Known {
    const fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn insert(&mut self, sender: MemberId, number: u64) -> bool {
        let (complete, early) = self.0.entry(sender).or_default();
        if number <= *complete || !early.insert(number) {
            return false;
        }
        while early.remove(&(*complete + 1)) {
            *complete += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_twice_in_whatever_order_it_is_told() {
        let mut known = Known::new();
        let [a, b] = [MemberId(0), MemberId(1)];
        let first = [(a, 1), (a, 3), (b, 1)];
        let again = [(a, 1), (a, 2), (a, 3), (b, 1), (b, 2), (a, 4)];
        assert!(first.iter().all(|&(sender, number)| known.insert(sender, number)));
        let news: Vec<_> =
            again.into_iter().filter(|&(sender, number)| known.insert(sender, number)).collect();
        assert_eq!(news, [(a, 2), (b, 2), (a, 4)]);
        assert!(known.0.values().all(|(_, early)| early.is_empty()), "a complete prefix takes no room");
    }
}
