//! How a state comes to those who are new: who was there keeps the state of the view in which they were taken in, and they
//! ask one after the other for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::MAX_STATE;
use crate::driver::Node;
use crate::driver::catch_up::{CatchUp, Told};
use crate::driver::node::Delivery;
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::App;
use crate::member::replay::{Missed, Replay};
use crate::wire::BatchBuilder;

/// A state that nobody has asked for in so long is not kept any more.
const KEPT: Duration = Duration::from_secs(60);
/// Most states that are kept at one time; the oldest goes first.
const MAX_KEPT: usize = 4;
/// How long a piece of a state is.
const PIECE: usize = 256 << 10;
/// Most pieces told to one newcomer before anything else gets its turn.
const PIECES_PER_TURN: usize = 8;

/// A newcomer that does not have the state yet.
pub(super) struct Newcomer {
    pub(super) catch_up: CatchUp,
    state: Vec<u8>,
}

impl Newcomer {
    /// One that was taken in in this view.
    pub(super) const fn new(view: u64) -> Self {
        Self { catch_up: CatchUp::new(Missed::State, view), state: Vec::new() }
    }

    /// What `from` tells. Returns the state and what was held back meanwhile, if that was all.
    pub(super) fn told(
        &mut self,
        now: Time,
        from: MemberId,
        replay: Replay,
    ) -> Result<Option<Whole>, Failure> {
        match self.catch_up.told(now, from, replay) {
            Told::From(first, Replay::State(batch)) => {
                // Pieces of two members do not make a state: each writes it in its own way.
                if first == 1 {
                    self.state.clear();
                }
                batch.messages().for_each(|(_, piece)| self.state.extend_from_slice(piece));
                if self.state.len() > MAX_STATE {
                    return Err(Failure::new(Exit::Unavailable, "the state that a member gives is too long"));
                }
                Ok(None)
            }
            Told::From(..) | Told::Nothing => Ok(None),
            Told::All(held) => Ok(Some((std::mem::take(&mut self.state), held))),
        }
    }
}

/// A state, and what was held back until it had come.
type Whole = (Vec<u8>, VecDeque<Delivery>);

/// The states that a member gives to newcomers.
#[derive(Default)]
pub(super) struct Giving {
    kept: VecDeque<Kept>,
    asked: Vec<Asked>,
}

/// The state at the beginning of a view.
struct Kept {
    view: u64,
    /// Who is new in the view.
    newcomers: Vec<MemberId>,
    /// The program may not have come to it yet.
    state: Option<Arc<Vec<u8>>>,
    touched: Time,
}

/// A newcomer that has asked for it.
struct Asked {
    by: MemberId,
    view: u64,
    pieces: u64,
}

impl Giving {
    /// A view begins; what was being told is lost with the one before. Those who are new in it will ask.
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

    /// The program gives its state at the beginning of this view, or does not.
    pub(super) fn given(&mut self, now: Time, view: u64, state: Option<Vec<u8>>) {
        let Some(at) = self.kept.iter().position(|kept| kept.view == view) else { return };
        match state {
            Some(state) => {
                let kept = &mut self.kept[at];
                (kept.state, kept.touched) = (Some(Arc::new(state)), now);
            }
            None => drop(self.kept.remove(at)),
        }
    }

    /// A newcomer asks for the state of this view, but for so many pieces.
    pub(super) fn asked(&mut self, by: MemberId, view: u64, have: u64) {
        self.asked.retain(|asked| asked.by != by);
        self.asked.push(Asked { by, view, pieces: have });
    }

    /// Tells as much as there is room for. Whether there is more to tell now.
    pub(super) fn tell(&mut self, node: &mut Node) -> bool {
        let now = node.now();
        self.kept.retain(|kept| now.since(kept.touched) < KEPT);
        let Self { kept, asked } = self;
        asked.retain_mut(|asked| {
            let Some(kept) = kept.iter_mut().find(|kept| kept.view == asked.view) else {
                node.submit(To::Member(asked.by), App::Replay(Replay::Cannot));
                return false;
            };
            // The program is about to come to it.
            let Some(state) = kept.state.clone() else { return true };
            kept.touched = now;
            (0..PIECES_PER_TURN).all(|_| node.window(To::Member(asked.by)) == 0 || asked.tell(node, &state))
        });
        let is_ready = |asked: &Asked| {
            let has_come = |kept: &Kept| kept.view == asked.view && kept.state.is_some();
            kept.iter().any(has_come) && node.window(To::Member(asked.by)) > 0
        };
        asked.iter().any(is_ready)
    }
}

impl Asked {
    /// Tells a piece, or that there is no more of them; then it is not to be called again.
    fn tell(&mut self, node: &mut Node, state: &[u8]) -> bool {
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
