//! A member of a baseline: it meets the others before the start, plays its workload, and waits for the end of all
//! others.

use std::collections::BTreeSet;
use std::time::Duration;

use super::packed::{self, Packed};
use super::part::{Baseline, Event, Part, REPORT_EVERY, Reports, go};
use super::plain::{self, Plain};
use super::player::Player;
use super::wires::{Received, Tag, Wires};
use super::workload::Workload;
use crate::driver::clock::shared_micros;
use crate::exit::{Exit, Failure};
use crate::order::Promise;
use crate::transport::signals::{Signals, interruption};
use crate::transport::zmq::{self, Context};

/// The interval at which a member says hello until it has heard all others.
const SAY_AGAIN: Duration = Duration::from_millis(20);
/// The longest wait for anything: every step takes only a moment.
const PATIENCE: Duration = Duration::from_secs(30);
/// Runs the process in the middle, until the parent ends it.
///
/// # Errors
/// If its ports are taken.
pub(super) fn stand_in_the_middle(kind: Baseline, part: &Part) -> Result<Exit, Failure> {
    match kind {
        Baseline::Proxy => plain::stand_in_the_middle(part.port_base)?,
        Baseline::Bound => packed::stand_in_the_middle(part.port_base)?,
    }
    Ok(Exit::Ok)
}

/// Plays a member of a baseline to the end of the round.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order, [`Exit::TimedOut`], and interruption; the parent gets the account in any case.
pub(super) fn run(kind: Baseline, part: &Part) -> Result<Exit, Failure> {
    let signals = Signals::catch()?;
    let context = Context::default();
    let Workload { size, window, .. } = part.workload;
    let wires: Box<dyn Wires> = match kind {
        Baseline::Proxy => Box::new(Plain::connect(&context, part.port_base)?),
        Baseline::Bound => Box::new(Packed::connect(&context, part.port_base, size, window)?),
    };
    let mut member = Member {
        me: part.me,
        members: part.workload.members,
        is_paced: part.workload.rate.is_some(),
        wires,
        player: Player::new(part, promises(kind)),
        signals,
    };
    member.meet()?;
    let outcome = member.play();
    Event::Account(Box::new(member.player.account(outcome.is_ok()))).send()?;
    outcome.map(|()| Exit::Ok)
}

/// Returns the promises of a baseline.
pub(super) const fn promises(kind: Baseline) -> &'static [Promise] {
    match kind {
        Baseline::Proxy => &[Promise::Fifo],
        Baseline::Bound => &[Promise::Fifo, Promise::Total],
    }
}

struct Member {
    me: u16,
    members: u16,
    /// Whether it sends at a fixed rate.
    is_paced: bool,
    wires: Box<dyn Wires>,
    player: Player,
    signals: Signals,
}

impl Member {
    /// Says hello until the parent reports that all members have heard all others: members that start late must hear
    /// this one, too.
    fn meet(&mut self) -> Result<(), Failure> {
        let (began, mut said, mut is_ready) = (shared_micros(), 0, false);
        let (mut heard, go) = (BTreeSet::new(), go());
        loop {
            let now = shared_micros();
            if now - said >= SAY_AGAIN.as_micros() as u64 {
                said = now;
                self.wires.send_tag(self.me, Tag::Hello);
            }
            if is_ready && go.recv_timeout(SAY_AGAIN).is_ok() {
                return Ok(());
            }
            if !is_ready {
                self.wait(Some(said + SAY_AGAIN.as_micros() as u64), now);
            }
            while let Received::Hello(member) = self.wires.receive(&mut self.player, false)? {
                heard.insert(member);
            }
            if !is_ready && heard.len() == usize::from(self.members) {
                is_ready = true;
                Event::Ready.send()?;
            }
            self.check_limits(now, began)?;
        }
    }

    fn play(&mut self) -> Result<(), Failure> {
        let (mut ended, mut has_ended, mut moved) = (0, false, shared_micros());
        let mut reports = Reports::begin(moved);
        while ended < self.members {
            let now = shared_micros();
            let mut room = self.player.room(now);
            while room > 0 {
                room -= self.wires.send(&mut self.player, now, room);
            }
            if !has_ended && self.player.has_finished(now) {
                has_ended = true;
                self.wires.send_tag(self.me, Tag::End);
            }
            let before = (self.player.delivered(), ended);
            ended += self.listen(now, has_ended)?;
            if (self.player.delivered(), ended) == before {
                self.check_limits(now, moved)?;
            } else {
                moved = now;
            }
            reports.report(now, self.player.delivered())?;
        }
        Ok(())
    }

    /// Receives until it is time to send again, or no more arrives; returns the number of `End`s.
    fn listen(&mut self, now: u64, has_ended: bool) -> Result<u16, Failure> {
        let mut ended = 0;
        let mut waits = !self.is_paced;
        if self.is_paced {
            self.wait(self.player.due().filter(|_| !has_ended), now);
        }
        loop {
            match self.wires.receive(&mut self.player, waits)? {
                Received::Nothing => return Ok(ended),
                Received::End(_) => {
                    ended += 1;
                    self.player.rest();
                    if ended == self.members {
                        return Ok(ended);
                    }
                }
                Received::Multicasts if !has_ended && self.player.is_half_empty() => return Ok(ended),
                Received::Multicasts | Received::Hello(_) => {}
            }
            // Only the first receive may wait.
            waits = false;
        }
    }

    /// Waits for a message, or until the time `due`.
    fn wait(&self, due: Option<u64>, now: u64) {
        let limit = due.map_or(REPORT_EVERY, |due| due.saturating_sub(now));
        zmq::wait(&[self.wires.inlet()], None, Duration::from_micros(limit));
    }

    /// Fails if the member was interrupted, or has received nothing for too long.
    fn check_limits(&self, now: u64, since: u64) -> Result<(), Failure> {
        if let Some(exit) = self.signals.received() {
            return Err(interruption(exit));
        }
        if now - since < PATIENCE.as_micros() as u64 {
            return Ok(());
        }
        Err(Failure::new(Exit::TimedOut, format!("nothing has come for {} s", PATIENCE.as_secs())))
    }
}
