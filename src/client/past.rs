//! Station 2, beside the path: the deliveries before a newcomer joined. It asks one member after the other, and holds
//! new deliveries back meanwhile; a member that is asked reads its own history.

use std::collections::BTreeMap;

use crate::driver::Node;
use crate::driver::catch_up::CatchUp;
use crate::engine::{MemberId, To};
use crate::exit::{Exit, Failure};
use crate::member::App;
use crate::member::replay::{Missed, Origin, Replay};
use crate::results::Results;
use crate::results::past::{Delivered, Past};
use crate::wire::BatchBuilder;

/// Most pieces sent to one newcomer before anything else gets its turn.
const PIECES_PER_TURN: usize = 8;
/// Most deliveries in one piece, which names the origin of each.
const DELIVERIES_PER_PIECE: u64 = 1000;
/// Most deliveries skipped before anything else gets its turn.
const PASSED_OVER: usize = 10_000;

/// A client that has not received all earlier deliveries.
pub(super) struct Newcomer {
    pub(super) catch_up: CatchUp,
    /// Its first view, which is recorded behind all earlier deliveries.
    pub(super) first: First,
}

/// A view: number, members, and the time of its installation, in microseconds.
pub(super) struct First {
    pub(super) number: u64,
    pub(super) members: Vec<String>,
    pub(super) time_us: u64,
}

impl Newcomer {
    /// Returns a newcomer whose first view is this one.
    pub(super) fn new(first: First) -> Self {
        let catch_up = CatchUp::new(Missed::Deliveries, first.number);
        Self { catch_up, first }
    }
}

/// A member's replays to newcomers.
#[derive(Default)]
pub(super) struct Telling {
    /// For each view that began while this member was there: the length of its history.
    lengths: BTreeMap<u64, u64>,
    /// Whether its history begins with the run.
    is_whole: bool,
    jobs: Vec<Job>,
}

struct Job {
    to: MemberId,
    past: Past,
    /// The number of deliveries read, and the number that the newcomer has.
    told: u64,
    have: u64,
    is_over: bool,
}

impl Telling {
    /// Records that the history begins with the run.
    pub(super) const fn begins_with_the_run(&mut self) {
        self.is_whole = true;
    }

    /// Records the history's length at the start of a view. Replays end with the view before.
    pub(super) fn view(&mut self, number: u64, length: Option<u64>) {
        self.jobs.clear();
        if let Some(length) = length {
            self.lengths.insert(number, length);
        }
    }

    /// Handles the request of a newcomer for the deliveries before this view.
    pub(super) fn asked(
        &mut self,
        node: &mut Node,
        results: &mut Results,
        newcomer: MemberId,
        (what, view, have): (Missed, u64, u64),
    ) -> Result<(), Failure> {
        self.jobs.retain(|job| job.to != newcomer);
        let length = self.lengths.get(&view).filter(|_| what == Missed::Deliveries);
        let past = match length {
            Some(&length) if self.is_whole => results.past(length)?,
            _ => None,
        };
        let Some(past) = past else {
            node.submit(To::Member(newcomer), App::Replay(Replay::Cannot));
            return Ok(());
        };
        self.jobs.push(Job { to: newcomer, past, told: 0, have, is_over: false });
        Ok(())
    }

    /// Sends as many pieces as the window allows. Returns whether it allows more now.
    pub(super) fn tell(&mut self, node: &mut Node) -> Result<bool, Failure> {
        for job in &mut self.jobs {
            for _ in 0..PIECES_PER_TURN {
                if job.is_over || node.window(To::Member(job.to)) == 0 {
                    break;
                }
                job.tell(node)?;
            }
        }
        self.jobs.retain(|job| !job.is_over);
        Ok(self.jobs.iter().any(|job| node.window(To::Member(job.to)) > 0))
    }
}

impl Job {
    fn tell(&mut self, node: &mut Node) -> Result<(), Failure> {
        for _ in 0..PASSED_OVER {
            if self.told >= self.have {
                return self.tell_piece(node);
            }
            // A newcomer that claims to have more than there is gets nothing.
            self.is_over = self.next(node)?.is_none();
            if self.is_over {
                break;
            }
            self.told += 1;
        }
        Ok(())
    }

    fn tell_piece(&mut self, node: &mut Node) -> Result<(), Failure> {
        let mut batch = BatchBuilder::new(self.told + 1).at_most(DELIVERIES_PER_PIECE);
        let mut origins = Vec::new();
        while !batch.is_full() {
            let Some((sender, delivered)) = self.next(node)? else {
                self.is_over = true;
                break;
            };
            self.told = batch.push(&delivered.text);
            let number = delivered.number.unwrap_or(0);
            origins.push(Origin { sender, own_number: delivered.own_number, number });
        }
        if let Some(batch) = batch.finish() {
            node.submit(To::Member(self.to), App::Replay(Replay::past(origins, batch)));
        }
        if self.is_over {
            node.submit(To::Member(self.to), App::Replay(Replay::End(self.told)));
        }
        Ok(())
    }

    /// Returns the next delivery, with its sender.
    fn next(&mut self, node: &Node) -> Result<Option<(MemberId, Delivered)>, Failure> {
        while let Some(delivered) = self.past.next_delivery().map_err(|reason| unreadable(&reason))? {
            let (id, incarnation) = &delivered.sender;
            if let Some(sender) = node.life(id, *incarnation) {
                return Ok(Some((sender, delivered)));
            }
        }
        Ok(None)
    }
}

fn unreadable(reason: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot read its own history for a newcomer: {reason}"))
}
