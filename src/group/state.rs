//! The past of newcomers: members keep the state at the beginning of the view that admitted them, and newcomers ask one
//! member after the other for it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::MAX_STATE;
use super::error::Error;
use crate::driver::Participant;
use crate::driver::catch_up::{CatchUp, Told};
use crate::driver::node::Delivery;
use crate::engine::{MemberId, Time, To};
use crate::member::App;
use crate::member::replay::{Missed, Origin, Replay};
use crate::wire::BatchBuilder;

/// Time for which a state is kept that no newcomer asks for.
const KEPT: Duration = Duration::from_secs(60);
/// Most states kept at one time; the oldest is dropped first.
const MAX_KEPT: usize = 4;
/// Length of a piece of a state.
const PIECE: usize = 256 << 10;
/// Most pieces sent to one newcomer before other work gets its turn.
const PIECES_PER_TURN: usize = 8;

/// A newcomer that has not caught up.
pub(super) struct Newcomer {
    pub(super) catch_up: CatchUp,
    pub(super) missed: Missed,
    state: BytesMut,
}

/// The progress of a newcomer.
pub(super) enum CaughtUp {
    /// Nothing for the application.
    NotYet,
    /// Earlier deliveries.
    Deliveries(Vec<(Origin, Bytes)>),
    /// Everything: the state, if it was asked for, and the deliveries held back meanwhile.
    Whole(Option<Bytes>, VecDeque<Delivery>),
}

impl Newcomer {
    /// Creates a newcomer that was admitted in this view.
    pub(super) fn new(missed: Missed, view: u64) -> Self {
        Self { catch_up: CatchUp::new(missed, view), missed, state: BytesMut::new() }
    }

    /// Handles a reply of `from`.
    pub(super) fn told(&mut self, now: Time, from: MemberId, replay: Replay) -> Result<Vec<CaughtUp>, Error> {
        self.catch_up.told(now, from, replay).into_iter().map(|told| self.caught_up(told)).collect()
    }

    fn caught_up(&mut self, told: Told) -> Result<CaughtUp, Error> {
        Ok(match told {
            Told::From(first, Replay::State(batch)) if self.missed == Missed::State => {
                // Pieces of two members make no state: each encodes it in its own way.
                if first == 1 {
                    self.state.clear();
                }
                batch.messages().for_each(|(_, piece)| self.state.extend_from_slice(piece));
                if self.state.len() > MAX_STATE {
                    return Err(Error::NoState("the state that a member gives is too long".to_owned()));
                }
                CaughtUp::NotYet
            }
            Told::From(_, Replay::Past(origins, batch)) if self.missed == Missed::Deliveries => {
                let mut deliveries = Vec::new();
                for (origin, (_, payload)) in origins.into_iter().zip(batch.messages()) {
                    if self.catch_up.is_news(origin.sender, origin.own_number) {
                        deliveries.push((origin, batch.body().slice_ref(payload)));
                    }
                }
                CaughtUp::Deliveries(deliveries)
            }
            Told::From(..) => CaughtUp::NotYet,
            Told::All(held) => {
                let state = std::mem::take(&mut self.state).freeze();
                CaughtUp::Whole((self.missed == Missed::State).then_some(state), held)
            }
        })
    }
}

/// The states that a member gives to newcomers.
#[derive(Default)]
pub(super) struct Giving {
    kept: VecDeque<Kept>,
    asked: Vec<Asked>,
}

/// The state at the beginning of a view.
struct Kept {
    view: u64,
    /// The newcomers of the view.
    newcomers: Vec<MemberId>,
    /// The reply of the application, once it has come.
    state: Option<Bytes>,
    touched: Time,
}

/// A newcomer that has asked for a state.
struct Asked {
    by: MemberId,
    view: u64,
    pieces: u64,
}

impl Giving {
    /// Begins a view: pieces in flight are lost with the one before, and the newcomers of this one will ask.
    pub(super) fn view(&mut self, now: Time, number: u64, clients: &[MemberId], newcomers: Vec<MemberId>) {
        self.asked.clear();
        self.kept.retain(|kept| kept.newcomers.iter().any(|newcomer| clients.contains(newcomer)));
        if !newcomers.is_empty() {
            self.kept.push_back(Kept { view: number, newcomers, state: None, touched: now });
            if self.kept.len() > MAX_KEPT {
                self.kept.pop_front();
            }
        }
    }

    /// Keeps the state at the beginning of this view, or notes that the application refuses it.
    pub(super) fn given(&mut self, now: Time, view: u64, state: Option<Bytes>) {
        let Some(at) = self.kept.iter().position(|kept| kept.view == view) else { return };
        match state {
            Some(state) => {
                let kept = &mut self.kept[at];
                (kept.state, kept.touched) = (Some(state), now);
            }
            None => drop(self.kept.remove(at)),
        }
    }

    /// Handles the request of a newcomer for the state of this view, of which it has some pieces.
    pub(super) fn asked(&mut self, by: MemberId, view: u64, have: u64) {
        self.asked.retain(|asked| asked.by != by);
        self.asked.push(Asked { by, view, pieces: have });
    }

    /// Sends as many pieces as there is room for. Returns whether more can be sent now.
    pub(super) fn give(&mut self, node: &mut dyn Participant) -> bool {
        let now = node.now();
        self.kept.retain(|kept| now.since(kept.touched) < KEPT);
        let Self { kept, asked } = self;
        asked.retain_mut(|asked| {
            let Some(kept) = kept.iter_mut().find(|kept| kept.view == asked.view) else {
                node.submit(To::Member(asked.by), App::Replay(Replay::Cannot));
                return false;
            };
            // The application has not replied yet.
            let Some(state) = kept.state.clone() else { return true };
            kept.touched = now;
            (0..PIECES_PER_TURN).all(|_| node.window(To::Member(asked.by)) == 0 || asked.give(node, &state))
        });
        let is_ready = |asked: &Asked| {
            let has_come = |kept: &Kept| kept.view == asked.view && kept.state.is_some();
            kept.iter().any(has_come) && node.window(To::Member(asked.by)) > 0
        };
        asked.iter().any(is_ready)
    }
}

impl Asked {
    /// Sends a piece, or the end. Returns false after the end.
    fn give(&mut self, node: &mut dyn Participant, state: &[u8]) -> bool {
        let piece = usize::try_from(self.pieces).ok().and_then(|piece| state.chunks(PIECE).nth(piece));
        let mut batch = BatchBuilder::new(self.pieces + 1);
        if let Some(piece) = piece {
            self.pieces = batch.push(piece);
        }
        let goes_on = piece.is_some();
        let replay = batch.finish().map_or(Replay::End(self.pieces), Replay::State);
        node.submit(To::Member(self.by), App::Replay(replay));
        goes_on
    }
}
