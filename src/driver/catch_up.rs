//! Between a node and who uses it: a newcomer that has not been given what was before it. It asks one member after the
//! other, and holds back what is delivered meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::node::{Delivery, Node};
use crate::engine::{MemberId, Time, To};
use crate::exit::{Exit, Failure};
use crate::member::App;
use crate::member::replay::{Missed, Replay};

/// Silence of a member after which a newcomer asks the next one for the past.
pub const ASK_NEXT: Duration = Duration::from_secs(3);
/// Most bytes held back.
const MAX_HELD: usize = 256 << 20;

/// A newcomer that asks for what it missed.
pub struct CatchUp {
    what: Missed,
    view: u64,
    /// So many pieces has the member told that is being asked.
    have: u64,
    asked: Option<MemberId>,
    /// Since when it has told nothing.
    silent: Time,
    /// The view has changed: what was under way is lost with it.
    asks_again: bool,
    cannot: BTreeSet<MemberId>,
    /// What was delivered meanwhile, in order, and how long it is.
    held: VecDeque<Delivery>,
    bytes: usize,
}

/// What a newcomer was told.
pub enum Told {
    /// Nothing that it waits for.
    Nothing,
    /// These pieces, from this one on; with 1, a member tells from its beginning.
    From(u64, Replay),
    /// That was all; this was delivered meanwhile.
    All(VecDeque<Delivery>),
}

impl CatchUp {
    /// The newcomer was taken in in this view.
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
        }
    }

    /// Asks a member, if none is being asked that tells. What two members tell need not come in one order: whoever is
    /// asked tells everything.
    ///
    /// # Errors
    /// All members have said that they cannot tell.
    pub fn look(&mut self, node: &mut Node) -> Result<(), Failure> {
        let now = node.now();
        if node.is_changing() {
            // Nobody can tell anything meanwhile.
            self.silent = now;
            return Ok(());
        }
        let able = |client: &MemberId| *client != node.me() && !self.cannot.contains(client);
        let able: Vec<MemberId> = node.view().clients.iter().copied().filter(able).collect();
        let tells = self.asked.filter(|asked| able.contains(asked) && now.since(self.silent) < ASK_NEXT);
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

    /// Keeps what is delivered until its turn comes. Not to listen meanwhile would be to hear nothing of what is missing.
    ///
    /// # Errors
    /// It is too much to be kept.
    pub fn hold(&mut self, delivery: Delivery) -> Result<(), Failure> {
        if matches!(delivery.app, App::View(..)) {
            self.asks_again = true;
            // Who could not may be a newcomer itself, and have caught up.
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
        let why = "the group delivers more than can be kept until what was before has come";
        Err(Failure::new(Exit::Unavailable, why))
    }

    /// What `from` tells.
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
            "members give it that use groupcast::Group and were started with `gives_state`; `Start::FromNow` needs none",
        ),
    };
    Failure::new(Exit::Unavailable, why).help(help)
}
