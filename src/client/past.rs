//! Station 2, beside the path: what was delivered before a newcomer came. It asks one member after the other, and holds
//! back what is delivered meanwhile; who is asked reads its own history.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::driver::Node;
use crate::driver::node::Delivery;
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::App;
use crate::member::replay::{Missed, Origin, Replay};
use crate::results::Results;
use crate::results::past::Past;
use crate::wire::{Batch, BatchBuilder};

/// Who has not answered for so long is asked no more for now.
const ASK_NEXT: Duration = Duration::from_secs(3);
/// Most pieces told to one newcomer before anything else gets its turn.
const PIECES_PER_TURN: usize = 8;
/// Most deliveries in one piece, which names the origin of each.
const DELIVERIES_PER_PIECE: u64 = 1000;

/// The view in which a newcomer begins. It is written down behind everything that was before it.
#[derive(Default)]
pub(super) struct First {
    pub(super) number: u64,
    pub(super) members: Vec<String>,
    pub(super) time_us: u64,
}

/// A newcomer that has not got everything that was before it.
pub(super) struct CatchUp {
    first: First,
    have: u64,
    asked: Option<(MemberId, Time)>,
    cannot: Vec<MemberId>,
    /// What was delivered meanwhile, in order.
    held: VecDeque<Delivery>,
}

impl CatchUp {
    /// The newcomer was taken in in this view.
    pub(super) const fn new(first: First) -> Self {
        Self { first, have: 0, asked: None, cannot: Vec::new(), held: VecDeque::new() }
    }

    /// Asks a member, if none is being asked.
    pub(super) fn look(&mut self, node: &mut Node) -> Result<(), Failure> {
        let now = node.now();
        let is_there = |member: &MemberId| node.view().clients.contains(member);
        if let Some((member, since)) = self.asked
            && is_there(&member)
        {
            if now.since(since) < ASK_NEXT {
                return Ok(());
            }
            self.cannot.push(member);
        }
        let others: Vec<MemberId> =
            node.view().clients.iter().copied().filter(|&client| client != node.me()).collect();
        let member = others.iter().find(|client| !self.cannot.contains(client)).copied();
        let Some(member) = member else {
            return Err(Failure::new(Exit::Unavailable, "no member can tell what was delivered from the start")
                .help("only clients that were there from the start and keep a history can; --join from-now needs none"));
        };
        self.asked = Some((member, now));
        let ask = Replay::Ask { what: Missed::Deliveries, view: self.first.number, have: self.have };
        node.submit(To::Member(member), App::Replay(ask));
        Ok(())
    }

    /// Whom it is asking.
    pub(super) fn asked(&self) -> Option<MemberId> {
        self.asked.map(|(member, _)| member)
    }

    /// Keeps what is delivered until its turn comes.
    pub(super) fn hold(&mut self, delivery: Delivery) {
        if matches!(delivery.app, App::View(..)) {
            // What was under way is lost with the view.
            self.asked = None;
        }
        self.held.push_back(delivery);
    }

    /// What `from` tells. Returns what was delivered, or that it is all and what was held back meanwhile.
    pub(super) fn told(&mut self, now: Time, from: MemberId, replay: Replay) -> Told {
        if self.asked() != Some(from) {
            return Told::Nothing;
        }
        match replay {
            Replay::Past(origins, batch) if batch.first() == self.have + 1 => {
                self.asked = Some((from, now));
                self.have += u64::from(batch.count());
                Told::Past(origins, batch)
            }
            Replay::End(count) if count == self.have => {
                Told::All(std::mem::take(&mut self.first), std::mem::take(&mut self.held))
            }
            Replay::Cannot => {
                self.cannot.push(from);
                self.asked = None;
                Told::Nothing
            }
            _ => Told::Nothing,
        }
    }
}

/// What a newcomer was told.
pub(super) enum Told {
    Nothing,
    /// Deliveries of earlier.
    Past(Vec<Origin>, Batch),
    /// That was all; from this view on, this was delivered meanwhile.
    All(First, VecDeque<Delivery>),
}

/// What a member tells to newcomers.
#[derive(Default)]
pub(super) struct Telling {
    /// Of each view that began while this member was there: how long its history was.
    lengths: BTreeMap<u64, u64>,
    /// Whether its history begins with the run.
    is_whole: bool,
    jobs: Vec<Job>,
}

struct Job {
    to: MemberId,
    past: Past,
    told: u64,
    is_over: bool,
}

impl Telling {
    /// The history has everything from the start of the run.
    pub(super) const fn is_whole(&mut self) {
        self.is_whole = true;
    }

    /// A view begins; the history has this length. What was being told is lost with the view before.
    pub(super) fn view(&mut self, number: u64, length: Option<u64>) {
        self.jobs.clear();
        if let Some(length) = length {
            self.lengths.insert(number, length);
        }
    }

    /// A newcomer asks for what was delivered before this view.
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
        let Some(mut past) = past else {
            node.submit(To::Member(newcomer), App::Replay(Replay::Cannot));
            return Ok(());
        };
        for _ in 0..have {
            past.next_delivery().map_err(|reason| unreadable(&reason))?;
        }
        self.jobs.push(Job { to: newcomer, past, told: have, is_over: false });
        Ok(())
    }

    /// Tells as much as there is room for. Whether there is more to tell now.
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
        let mut batch = BatchBuilder::new(self.told + 1).at_most(DELIVERIES_PER_PIECE);
        let mut origins = Vec::new();
        while !batch.is_full() {
            let Some(delivered) = self.past.next_delivery().map_err(|reason| unreadable(&reason))? else {
                self.is_over = true;
                break;
            };
            let (id, incarnation) = &delivered.sender;
            let Some(sender) = node.life(id, *incarnation) else { continue };
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
}

fn unreadable(reason: &std::io::Error) -> Failure {
    Failure::new(Exit::Io, format!("cannot read its own history for a newcomer: {reason}"))
}
