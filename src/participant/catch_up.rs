//! Catching up: a newcomer asks one member after the other for the deliveries, or the state, from before it joined, and
//! holds back new deliveries meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;

use super::{Past, Replayed};
use crate::driver::endpoint::{Delivery, Endpoint};
use crate::engine::{MemberId, Time, To, View};
use crate::exit::{Exit, Failure};
use crate::member::App;
use crate::member::replay::{Logged, Missed, Origin, Replay};
use crate::prefix_set::PrefixSet;
use crate::reliable::WINDOW_PACKETS;
use crate::wire::{Author, Batch};

/// Longest state that a newcomer is given, in bytes.
pub const MAX_STATE: usize = 256 << 20;
/// Most bytes kept, of deliveries and of early pieces.
const MAX_HELD: usize = 256 << 20;

/// A newcomer's request for the deliveries or the state it missed.
pub struct CatchUp {
    what: Missed,
    first_view: View,
    /// Pieces received in sequence from the member being asked.
    have: u64,
    /// The beginning of its state.
    state: BytesMut,
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
    /// Size of these deliveries.
    bytes: usize,
    /// The earlier messages of each sender that have been received.
    known: BTreeMap<MemberId, PrefixSet>,
}

/// The sender of the messages of a log: no member.
const NOBODY: MemberId = MemberId(u16::MAX);

/// The progress of a newcomer.
pub enum CaughtUp {
    /// A part of its past, which follows from all parts before.
    Part(Past),
    /// It has its whole past; these deliveries were held back meanwhile.
    Whole(VecDeque<Delivery>),
}

impl CatchUp {
    /// Creates the request of a newcomer that was admitted in this view. It has the pieces up to `have`.
    #[must_use]
    pub fn new(what: Missed, first_view: View, have: u64) -> Self {
        Self {
            what,
            first_view,
            have,
            state: BytesMut::new(),
            asked: None,
            silent: Time::ZERO,
            asks_again: false,
            cannot: BTreeSet::new(),
            early: BTreeMap::new(),
            end: None,
            held: VecDeque::new(),
            bytes: 0,
            known: BTreeMap::new(),
        }
    }

    /// Returns the content of the request.
    #[must_use]
    pub const fn what(&self) -> Missed {
        self.what
    }

    /// Returns the view in which the newcomer was admitted.
    #[must_use]
    pub const fn first_view(&self) -> &View {
        &self.first_view
    }

    /// Asks a member, unless one is replying already. Each member is asked for everything, because two members need not
    /// replay in the same order.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if every member has refused.
    pub fn ask(&mut self, endpoint: &mut impl Endpoint) -> Result<(), Failure> {
        let now = endpoint.now();
        if endpoint.is_changing() {
            // Packets of members wait for the new view.
            self.silent = now;
            return Ok(());
        }
        let able = |client: &MemberId| *client != endpoint.me() && !self.cannot.contains(client);
        let view = endpoint.view();
        let is_log = self.what == Missed::Log;
        let all = if is_log { view.sequencer.as_slice() } else { &view.clients[..] };
        let able: Vec<MemberId> = all.iter().copied().filter(able).collect();
        let asked = self
            .asked
            .filter(|asked| able.contains(asked) && now.since(self.silent) < endpoint.ask_next_after());
        let member = match asked {
            Some(_) if !self.asks_again => return Ok(()),
            Some(member) => member,
            None => {
                // Pieces of two members make no state: each encodes it in its own way. There is one log.
                self.have = if is_log { self.have } else { 0 };
                self.state.clear();
                let next = able.iter().find(|&&member| Some(member) > self.asked);
                *next.or(able.first()).ok_or_else(|| nobody(self.what))?
            }
        };
        self.asks_again = false;
        // The answer begins anew behind the pieces in sequence, and divides the rest perhaps in another way.
        self.forget_early();
        (self.asked, self.silent) = (Some(member), now);
        let ask = Replay::Ask { what: self.what, view: self.first_view.number, have: self.have };
        endpoint.submit(To::Member(member), App::Replay(ask));
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

    /// Postpones the question to another member, because this one receives nothing now.
    pub const fn postpone(&mut self, now: Time) {
        self.silent = now;
    }

    /// Handles a reply of `from`. Replies may overtake each other: early ones wait for those before them.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if the state is longer than [`MAX_STATE`].
    pub fn receive(&mut self, now: Time, from: MemberId, reply: Replay) -> Result<Vec<CaughtUp>, Failure> {
        let mut caught_up = Vec::new();
        if self.asked != Some(from) {
            return Ok(caught_up);
        }
        match reply {
            Replay::Past(_, ref batch) | Replay::State(ref batch) | Replay::Logged(_, ref batch) => {
                self.keep(batch.first(), reply);
            }
            Replay::End(count) => self.end = Some(count),
            Replay::Cannot => {
                self.cannot.insert(from);
            }
            Replay::Ask { .. } => {}
        }
        while let Some(piece) = self.take_next() {
            self.silent = now;
            caught_up.extend(self.past_of(piece)?.map(CaughtUp::Part));
        }
        if self.end == Some(self.have) {
            if self.what == Missed::State {
                let state = std::mem::take(&mut self.state).freeze();
                caught_up.push(CaughtUp::Part(Past::State(state)));
            }
            caught_up.push(CaughtUp::Whole(std::mem::take(&mut self.held)));
        }
        Ok(caught_up)
    }

    /// Returns the new deliveries of a piece, or adds it to the state.
    fn past_of(&mut self, piece: Replay) -> Result<Option<Past>, Failure> {
        match (piece, self.what) {
            (Replay::Past(origins, batch), Missed::Deliveries) => {
                let all =
                    origins.into_iter().zip(batch.entries()).map(|(origin, (_, author, text))| Replayed {
                        origin,
                        life: None,
                        author: author.map(authored),
                        text: batch.body().slice_ref(text),
                        doubled: false,
                    });
                // A member that is asked in place of another replays all, each before those that follow from it, so
                // those left out make no gap.
                let known = &mut self.known;
                let new = all.filter(|Replayed { origin, .. }| {
                    known.entry(origin.sender).or_default().insert(origin.own_number)
                });
                Ok(Some(Past::Deliveries(new.collect())))
            }
            (Replay::Logged(senders, batch), Missed::Log) => {
                Ok(Some(Past::Deliveries(logged(&senders, &batch))))
            }
            (Replay::State(batch), Missed::State) => {
                batch.messages().for_each(|(_, piece)| self.state.extend_from_slice(piece));
                if self.state.len() > MAX_STATE {
                    let why = "the state that a member gives is too long";
                    return Err(Failure::new(Exit::Unavailable, why));
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Keeps a piece, unless it is in the past, or one more than the sender's window.
    fn keep(&mut self, first: u64, piece: Replay) {
        let is_next = first == self.have + 1;
        let has_room = (self.early.len() as u64) < WINDOW_PACKETS;
        if is_next || (first > self.have && has_room) {
            self.early.insert(first, piece);
        }
    }

    /// Takes the piece behind those received in sequence, if it has come.
    fn take_next(&mut self) -> Option<Replay> {
        while let Some(entry) = self.early.first_entry().filter(|entry| *entry.key() <= self.have + 1) {
            let (first, piece) = entry.remove_entry();
            if let Replay::Past(_, batch) | Replay::State(batch) | Replay::Logged(_, batch) = &piece
                && first == self.have + 1
            {
                self.have += u64::from(batch.count());
                return Some(piece);
            }
        }
        None
    }

    fn forget_early(&mut self) {
        self.early.clear();
        self.end = None;
    }
}

fn authored(author: Author<'_>) -> (String, u64, u64) {
    (author.name.to_owned(), author.key, author.number)
}

/// Returns the messages of a log; the first has the place that is the number of the batch.
fn logged(senders: &[Logged], batch: &Batch) -> Vec<Replayed> {
    let lives = senders.iter().flat_map(|Logged { id, incarnation, first, count }| {
        let id: Arc<str> = id.as_str().into();
        (*first..).take(*count as usize).map(move |own_number| (own_number, (id.clone(), *incarnation)))
    });
    let messages = lives.zip(batch.entries());
    messages
        .map(|((own_number, life), (number, author, text))| Replayed {
            origin: Origin { sender: NOBODY, own_number, number },
            life: Some(life),
            author: author.map(authored),
            text: batch.body().slice_ref(text),
            doubled: false,
        })
        .collect()
}

fn nobody(what: Missed) -> Failure {
    let (why, help) = match what {
        Missed::Log => (
            "the sequencer cannot tell what this client lacks: its log begins later",
            "`groupcast log info` shows where; --join from-now needs nothing of the log",
        ),
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::BatchBuilder;

    fn piece(first: u64, text: &str) -> Replay {
        let mut batch = BatchBuilder::new(first);
        batch.push(text.as_bytes());
        Replay::State(batch.finish().unwrap())
    }

    /// A newcomer that is asking `from` for a state.
    fn asking(from: MemberId) -> CatchUp {
        let view = View { number: 2, clients: vec![from], sequencer: None, candidates: Vec::new() };
        CatchUp { asked: Some(from), ..CatchUp::new(Missed::State, view, 0) }
    }

    /// The state that the newcomer has with this reply, if it is whole.
    fn state(newcomer: &mut CatchUp, from: MemberId, reply: Replay) -> Option<Bytes> {
        let caught_up = newcomer.receive(Time::ZERO, from, reply).unwrap();
        caught_up.into_iter().find_map(|it| match it {
            CaughtUp::Part(Past::State(state)) => Some(state),
            _ => None,
        })
    }

    #[test]
    fn replay_whose_pieces_and_end_overtake_each_other_is_whole_and_in_sequence() {
        let (a, b) = (MemberId(0), MemberId(1));
        let mut newcomer = asking(a);
        assert_eq!(state(&mut newcomer, a, Replay::End(3)), None);
        assert_eq!(state(&mut newcomer, a, piece(3, "three")), None);
        assert_eq!(state(&mut newcomer, a, piece(1, "one ")), None);
        assert_eq!(state(&mut newcomer, b, piece(2, "of another member ")), None);
        assert_eq!(state(&mut newcomer, a, piece(2, "two ")).unwrap(), "one two three");
        assert_eq!(newcomer.bytes, 0);
    }

    #[test]
    fn replay_keeps_no_more_early_pieces_than_a_window_has() {
        let a = MemberId(0);
        let mut newcomer = asking(a);
        for first in (2..1000).chain([1 << 40, 5, 5]) {
            assert_eq!(state(&mut newcomer, a, piece(first, ".")), None);
        }
        assert_eq!(newcomer.early.len() as u64, WINDOW_PACKETS);
        assert_eq!(state(&mut newcomer, a, piece(1, ".")), None);
        assert_eq!((newcomer.have, newcomer.bytes), (1 + WINDOW_PACKETS, 0));
    }

    /// The new deliveries of a piece of a replay by `from`.
    fn news(newcomer: &mut CatchUp, from: MemberId, origins: &[(MemberId, u64)]) -> Vec<(MemberId, u64)> {
        let mut batch = BatchBuilder::new(1);
        for _ in origins {
            batch.push(b"text");
        }
        let origin = |&(sender, own_number): &_| Origin { sender, own_number, number: 0 };
        let piece = Replay::past(origins.iter().map(origin).collect(), batch.finish().unwrap());
        let mut caught_up = newcomer.receive(Time::ZERO, from, piece).unwrap();
        match caught_up.pop() {
            Some(CaughtUp::Part(Past::Deliveries(all))) => {
                all.iter().map(|it| (it.origin.sender, it.origin.own_number)).collect()
            }
            _ => panic!("these are deliveries"),
        }
    }

    #[test]
    fn replay_of_another_member_repeats_no_delivery() {
        let [a, b] = [MemberId(0), MemberId(1)];
        let mut newcomer = CatchUp { what: Missed::Deliveries, ..asking(a) };
        assert_eq!(news(&mut newcomer, a, &[(a, 1), (a, 3), (b, 1)]), [(a, 1), (a, 3), (b, 1)]);
        (newcomer.asked, newcomer.have) = (Some(b), 0);
        let again = [(a, 1), (a, 2), (a, 3), (b, 1), (b, 2), (a, 4)];
        assert_eq!(news(&mut newcomer, b, &again), [(a, 2), (b, 2), (a, 4)]);
    }
}
