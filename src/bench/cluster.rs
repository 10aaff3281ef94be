//! A member of a cluster: it replays a workload as `client --order tentative` does, with its journal, and counts what is
//! confirmed.

use std::time::Duration;

use super::part::{self, Event, Part, Reports, Role};
use super::player::Player;
use crate::cli::KnownBad;
use crate::cluster::file::Cluster;
use crate::cluster::list::List;
use crate::cluster::node::{self, Node, Settings};
use crate::driver::clock::shared_micros;
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::keys;
use crate::order::way::Way;
use crate::replica::entry::Content;
use crate::replica::record::Confirmed;
use crate::talk::Talk;
use crate::transport::signals::Signals;
use crate::units;

/// The longest time without a delivery: a round takes much less between two.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest time from the moment when a member has everything to its end. Its words tell the others.
const LINGER: Duration = Duration::from_secs(2);
/// The time between two looks for the word of the parent.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The most bytes of entries in a journal.
const LIMIT: usize = 1 << 30;

/// Runs a member of a cluster to the end of the round.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order, and any failure that ends a member; the parent gets the account in any case.
pub(super) fn run(part: &Part, known_bad: &KnownBad, talk: &Talk) -> Result<Exit, Failure> {
    let Role::Cluster { file, data, unicast, keys } = &part.role else {
        return Err(Failure::new(Exit::Bug, "this is no part of a member of a cluster"));
    };
    let signals = Signals::catch()?;
    let settings = Settings {
        cluster: &Cluster::read(file, Some(&signals))?,
        me: MemberId(part.me),
        data: &data.join(part.name()),
        is_unicast: *unicast,
        key: keys.as_deref().map(keys::cluster::read).transpose()?,
        limit: LIMIT,
        patience: Duration::ZERO,
        defects: known_bad.defects(),
        faults: None,
    };
    let (mut node, _) = Node::start(&settings, signals, talk)?;
    node.begin()?;
    let mut member = Member {
        node,
        others: (0..part.workload.members).filter(|&slot| slot != part.me).map(MemberId).collect(),
        player: Player::new(part, Way::Cluster.promises()),
        list: List::default(),
        next: 1,
        has_finished: false,
        last_delivery: 0,
        reports: Reports::begin(0),
    };
    member.meet()?;
    let outcome = member.play();
    Event::Account(Box::new(member.player.account(outcome.is_ok()))).send()?;
    outcome?;
    member.linger()?;
    member.node.finish()?;
    Ok(Exit::Ok)
}

struct Member {
    node: Node,
    others: Vec<MemberId>,
    player: Player,
    list: List,
    /// The number of its next multicast.
    next: u64,
    has_finished: bool,
    /// The time of the last delivery.
    last_delivery: u64,
    reports: Reports,
}

impl Member {
    /// Waits until all members have heard one another.
    fn meet(&mut self) -> Result<(), Failure> {
        let (go, began, mut is_ready) = (part::go(), shared_micros(), false);
        while go.try_recv().is_err() {
            let has_heard = |&other: &MemberId| self.node.replica().heard(other).is_some();
            if !is_ready && self.node.window() > 0 && self.others.iter().all(has_heard) {
                is_ready = true;
                Event::Ready.send()?;
            }
            self.check_patience(began, "not all members were heard within")?;
            self.turn(Some(LOOK_EVERY))?;
        }
        self.last_delivery = shared_micros();
        self.reports = Reports::begin(self.last_delivery);
        Ok(())
    }

    /// Multicasts, and delivers what is confirmed, until everything is.
    fn play(&mut self) -> Result<(), Failure> {
        while !(self.has_finished && self.list.is_empty() && self.node.replica().is_complete()) {
            let now = shared_micros();
            self.submit(now)?;
            self.reports.report(now, self.player.delivered())?;
            self.check_patience(self.last_delivery, "nothing was delivered for")?;
            let due = self.player.due().filter(|_| !self.has_finished);
            self.turn(due.map(|due| Duration::from_micros(due.saturating_sub(now))))?;
        }
        Ok(())
    }

    /// Submits as many multicasts as workload and cluster allow.
    fn submit(&mut self, now: u64) -> Result<(), Failure> {
        while !self.has_finished && self.node.window() > 0 {
            if self.player.has_finished(now) {
                self.has_finished = true;
                return self.node.submit(Content::Finished);
            }
            let mut room = self.player.room(now);
            let mut batch = self.node.batch(self.next);
            while room > 0 && batch.fits(self.player.size()) {
                room -= 1;
                batch.push(self.player.next(now));
            }
            let Some(batch) = batch.finish() else { return Ok(()) };
            self.next = batch.next();
            self.node.submit(Content::Multicast(batch))?;
        }
        Ok(())
    }

    /// Lets the node run one round, and processes its events.
    fn turn(&mut self, limit: Option<Duration>) -> Result<(), Failure> {
        let until = limit.map(|limit| self.node.now().after(limit));
        self.node.turn(until)?;
        for event in self.node.events() {
            match event {
                node::Event::Insert(entry) => self.list.insert(entry),
                node::Event::Confirm(_, confirmed) => self.deliver(confirmed)?,
                // Nobody changes the members of a measured cluster.
                node::Event::Withdraw(_) | node::Event::Epoch(..) => {}
            }
        }
        self.node.forget();
        Ok(())
    }

    fn deliver(&mut self, confirmed: Confirmed) -> Result<(), Failure> {
        while let Some(entry) = self.list.take_first(confirmed.upto) {
            let Content::Multicast(batch) = &entry.content else { continue };
            for (_, text) in batch.messages() {
                self.player.deliver(text)?;
            }
        }
        self.last_delivery = self.player.rest();
        Ok(())
    }

    /// Tells the others that it has everything, until they have told the same.
    fn linger(&mut self) -> Result<(), Failure> {
        let began = shared_micros();
        while !self.node.replica().all_have_settled() && shared_micros() - began < LINGER.as_micros() as u64 {
            self.turn(Some(LOOK_EVERY))?;
        }
        Ok(())
    }

    fn check_patience(&self, since: u64, trouble: &str) -> Result<(), Failure> {
        if shared_micros() - since < PATIENCE.as_micros() as u64 {
            return Ok(());
        }
        let limit = units::duration(PATIENCE);
        Err(Failure::new(Exit::TimedOut, format!("{trouble} {limit}")))
    }
}
