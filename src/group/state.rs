//! The states that a member gives to newcomers: it keeps the state at the beginning of each view that admitted some.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::engine::{MemberId, Time};
use crate::member::replay::{Missed, Replay};
use crate::participant::{Piece, Request};
use crate::wire::BatchBuilder;

/// Time for which a state is kept that no newcomer asks for.
const KEPT: Duration = Duration::from_secs(60);
/// Most states kept at one time; the oldest is dropped first.
const MAX_KEPT: usize = 4;
/// Length of a piece of a state.
const PIECE: usize = 256 << 10;

/// The states at the beginning of views with newcomers.
#[derive(Default)]
pub(super) struct States(VecDeque<Kept>);

/// The state at the beginning of a view.
struct Kept {
    view: u64,
    /// The newcomers of the view.
    newcomers: Vec<MemberId>,
    /// The reply of the application, once it has come.
    state: Option<Bytes>,
    touched: Time,
}

impl States {
    /// Begins a view: the newcomers of this one will ask.
    pub(super) fn begin_view(
        &mut self,
        now: Time,
        number: u64,
        clients: &[MemberId],
        newcomers: Vec<MemberId>,
    ) {
        self.0.retain(|kept| kept.newcomers.iter().any(|newcomer| clients.contains(newcomer)));
        if !newcomers.is_empty() {
            self.0.push_back(Kept { view: number, newcomers, state: None, touched: now });
            if self.0.len() > MAX_KEPT {
                self.0.pop_front();
            }
        }
    }

    /// Keeps the state at the beginning of this view, or notes that the application refuses it.
    pub(super) fn given(&mut self, now: Time, view: u64, state: Option<Bytes>) {
        let Some(at) = self.0.iter().position(|kept| kept.view == view) else { return };
        match state {
            Some(state) => {
                let kept = &mut self.0[at];
                (kept.state, kept.touched) = (Some(state), now);
            }
            None => drop(self.0.remove(at)),
        }
    }

    /// Drops the states that nobody has asked for in time.
    pub(super) fn expire(&mut self, now: Time) {
        self.0.retain(|kept| now.since(kept.touched) < KEPT);
    }

    /// Returns the next piece for a newcomer.
    pub(super) fn piece(&mut self, now: Time, request: &Request) -> Piece {
        let Request { what, view, have, .. } = *request;
        let kept = self.0.iter_mut().find(|kept| kept.view == view && what == Missed::State);
        let Some(kept) = kept else { return Piece::Ready(Replay::Cannot) };
        let Some(state) = &kept.state else { return Piece::NotYet };
        kept.touched = now;
        let piece = usize::try_from(have).ok().and_then(|have| state.chunks(PIECE).nth(have));
        let Some(piece) = piece else { return Piece::Ready(Replay::End(have)) };
        let mut batch = BatchBuilder::new(have + 1);
        batch.push(piece);
        Piece::Ready(batch.finish().map_or(Replay::End(have), Replay::State))
    }
}
