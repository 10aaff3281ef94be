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
use crate::reliable::WINDOW_PACKETS;

/// Silence of a member after which a newcomer asks the next one for the past.
pub const ASK_NEXT: Duration = Duration::from_secs(3);
/// Most bytes kept, of deliveries and of early pieces.
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
    /// Pieces that have overtaken earlier ones, by the number of their first message.
    early: BTreeMap<u64, Replay>,
    /// The number of pieces of the whole replay, once it is known.
    end: Option<u64>,
    /// Deliveries held back meanwhile, in order.
    held: VecDeque<Delivery>,
    /// Size of the deliveries and the pieces that are kept.
    bytes: usize,
    known: Known,
}

/// The outcome of a reply to a newcomer.
pub enum Told {
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
            early: BTreeMap::new(),
            end: None,
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
        // The answer begins anew behind the pieces in sequence, and divides the rest perhaps in another way.
        self.forget_early();
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

    /// Handles a reply of `from`. Replies may overtake each other: early ones wait for those before them.
    pub fn told(&mut self, now: Time, from: MemberId, replay: Replay) -> Vec<Told> {
        if self.asked != Some(from) {
            return Vec::new();
        }
        match replay {
            Replay::Past(_, ref batch) | Replay::State(ref batch) => {
                self.keep(batch.first(), batch.body().len(), replay);
            }
            Replay::End(count) => self.end = Some(count),
            Replay::Cannot => {
                self.cannot.insert(from);
            }
            Replay::Ask { .. } => {}
        }
        let mut told = self.take_in_sequence();
        if !told.is_empty() {
            self.silent = now;
        }
        if self.end == Some(self.have) {
            told.push(Told::All(std::mem::take(&mut self.held)));
        }
        told
    }

    /// Keeps a piece, unless it is in the past, or more than the sender's window and the room here allow.
    fn keep(&mut self, first: u64, length: usize, piece: Replay) {
        let is_next = first == self.have + 1;
        let has_room = (self.early.len() as u64) < WINDOW_PACKETS && self.bytes + length <= MAX_HELD;
        if is_next || (first > self.have && has_room) {
            let replaced = self.early.insert(first, piece);
            self.bytes = self.bytes + length - replaced.as_ref().map_or(0, length_of);
        }
    }

    fn take_in_sequence(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(first) = self.early.first_entry().filter(|first| *first.key() <= self.have + 1) {
            let (first, piece) = first.remove_entry();
            self.bytes -= length_of(&piece);
            if let Replay::Past(_, batch) | Replay::State(batch) = &piece
                && first == self.have + 1
            {
                self.have += u64::from(batch.count());
                told.push(Told::From(first, piece));
            }
        }
        told
    }

    fn forget_early(&mut self) {
        self.bytes -= self.early.values().map(length_of).sum::<usize>();
        self.early.clear();
        self.end = None;
    }
}

fn length_of(piece: &Replay) -> usize {
    match piece {
        Replay::Past(_, batch) | Replay::State(batch) => batch.body().len(),
        _ => 0,
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
    use crate::wire::BatchBuilder;

    fn piece(first: u64, text: &str) -> Replay {
        let mut batch = BatchBuilder::new(first);
        batch.push(text.as_bytes());
        Replay::State(batch.finish().unwrap())
    }

    /// A newcomer that is asking `from`.
    fn asking(from: MemberId) -> CatchUp {
        CatchUp { asked: Some(from), ..CatchUp::new(Missed::State, 2) }
    }

    /// The first message of each piece, and 0 for the end.
    fn told(newcomer: &mut CatchUp, from: MemberId, replay: Replay) -> Vec<u64> {
        let number = |told| if let Told::From(first, _) = told { first } else { 0 };
        newcomer.told(Time::ZERO, from, replay).into_iter().map(number).collect()
    }

    #[test]
    fn replay_whose_pieces_and_end_overtake_each_other_is_whole_and_in_sequence() {
        let (a, b) = (MemberId(0), MemberId(1));
        let mut newcomer = asking(a);
        assert!(told(&mut newcomer, a, Replay::End(3)).is_empty());
        assert!(told(&mut newcomer, a, piece(3, "three")).is_empty());
        assert_eq!(told(&mut newcomer, a, piece(1, "one")), [1]);
        assert!(told(&mut newcomer, b, piece(2, "of another member")).is_empty());
        assert_eq!(told(&mut newcomer, a, piece(2, "two")), [2, 3, 0]);
        assert_eq!(newcomer.bytes, 0);
    }

    #[test]
    fn replay_keeps_no_more_early_pieces_than_a_window_has() {
        let a = MemberId(0);
        let mut newcomer = asking(a);
        for first in (2..1000).chain([1 << 40, 5, 5]) {
            assert!(told(&mut newcomer, a, piece(first, "early")).is_empty());
        }
        assert_eq!(newcomer.early.len() as u64, WINDOW_PACKETS);
        assert_eq!(told(&mut newcomer, a, piece(1, "next")).len() as u64, 1 + WINDOW_PACKETS);
        assert_eq!(newcomer.bytes, 0);
    }

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
