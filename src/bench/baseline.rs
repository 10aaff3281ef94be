//! A member of a baseline: it meets the others before the start, plays its workload, and waits for the end of all
//! others.

use std::collections::BTreeSet;
use std::time::Duration;

use super::packed::{self, Packed};
use super::part::{Baseline, Event, Part, go};
use super::plain::{self, Plain};
use super::player::Player;
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
/// The interval of progress reports to the parent, in microseconds.
pub(super) const TELL_EVERY: u64 = 500_000;

/// The messages of a baseline's member beside its multicasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Tag {
    /// The member is present.
    Hello = 1,
    /// The member has sent its last multicast.
    End = 2,
}

/// The result of one receive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    Nothing,
    /// Multicasts, which the player has already counted.
    Multicasts,
    Hello(u16),
    End(u16),
}

impl Heard {
    pub(super) const fn tagged(sender: u16, tag: u8) -> Self {
        if tag == Tag::End as u8 { Self::End(sender) } else { Self::Hello(sender) }
    }
}

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

/// The sockets of a member.
enum Wires {
    Plain(Plain),
    Packed(Packed),
}

impl Wires {
    fn connect(context: &Context, kind: Baseline, part: &Part) -> Result<Self, Failure> {
        let Workload { size, window, .. } = part.workload;
        Ok(match kind {
            Baseline::Proxy => Self::Plain(Plain::connect(context, part.port_base)?),
            Baseline::Bound => Self::Packed(Packed::connect(context, part.port_base, size, window)?),
        })
    }

    fn send(&self, player: &mut Player, now: u64, me: u16, room: u64) -> u64 {
        match self {
            Self::Plain(wires) => wires.send(player, now),
            Self::Packed(wires) => wires.send(player, now, me, room),
        }
    }

    fn say(&self, me: u16, tag: Tag) {
        match self {
            Self::Plain(wires) => wires.say(me, tag),
            Self::Packed(wires) => wires.say(me, tag),
        }
    }

    fn hear(&mut self, player: &mut Player, waits: bool) -> Result<Heard, Failure> {
        match self {
            Self::Plain(wires) => wires.hear(player, waits),
            Self::Packed(wires) => wires.hear(player, waits),
        }
    }

    /// Waits for a message, or until the time `due`.
    fn wait(&self, due: Option<u64>, now: u64) {
        let inlet = match self {
            Self::Plain(wires) => wires.inlet(),
            Self::Packed(wires) => wires.inlet(),
        };
        let limit = due.map_or(TELL_EVERY, |due| due.saturating_sub(now));
        zmq::wait(&[inlet], None, Duration::from_micros(limit));
    }
}

/// Plays a member of a baseline to the end of the round.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order, [`Exit::TimedOut`], and interruption; the parent gets the account in any case.
pub(super) fn run(kind: Baseline, part: &Part) -> Result<Exit, Failure> {
    let signals = Signals::catch()?;
    let context = Context::default();
    let mut member = Member {
        me: part.me,
        members: part.workload.members,
        is_paced: part.workload.rate.is_some(),
        wires: Wires::connect(&context, kind, part)?,
        player: Player::new(part, promises(kind)),
        signals,
    };
    member.meet()?;
    let outcome = member.play();
    Event::Account(Box::new(member.player.account(outcome.is_ok()))).tell()?;
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
    wires: Wires,
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
                self.wires.say(self.me, Tag::Hello);
            }
            if is_ready && go.recv_timeout(SAY_AGAIN).is_ok() {
                return Ok(());
            }
            if !is_ready {
                self.wires.wait(Some(said + SAY_AGAIN.as_micros() as u64), now);
            }
            while let Heard::Hello(member) = self.wires.hear(&mut self.player, false)? {
                heard.insert(member);
            }
            if !is_ready && heard.len() == usize::from(self.members) {
                is_ready = true;
                Event::Ready.tell()?;
            }
            self.look_up(now, began)?;
        }
    }

    fn play(&mut self) -> Result<(), Failure> {
        let (mut ended, mut has_ended, mut told) = (0, false, shared_micros());
        let mut moved = told;
        while ended < self.members {
            let now = shared_micros();
            let mut room = self.player.room(now);
            while room > 0 {
                room -= self.wires.send(&mut self.player, now, self.me, room);
            }
            if !has_ended && self.player.has_finished(now) {
                has_ended = true;
                self.wires.say(self.me, Tag::End);
            }
            let before = (self.player.delivered(), ended);
            ended += self.listen(now, has_ended)?;
            if (self.player.delivered(), ended) == before {
                self.look_up(now, moved)?;
            } else {
                moved = now;
            }
            if now - told >= TELL_EVERY {
                told = now;
                Event::Progress(self.player.delivered()).tell()?;
            }
        }
        Ok(())
    }

    /// Receives until it is time to send again, or no more arrives; returns the number of `End`s.
    fn listen(&mut self, now: u64, has_ended: bool) -> Result<u16, Failure> {
        let mut ended = 0;
        let mut waits = !self.is_paced;
        if self.is_paced {
            self.wires.wait(self.player.due().filter(|_| !has_ended), now);
        }
        loop {
            match self.wires.hear(&mut self.player, waits)? {
                Heard::Nothing => return Ok(ended),
                Heard::End(_) => {
                    ended += 1;
                    self.player.rest();
                    if ended == self.members {
                        return Ok(ended);
                    }
                }
                Heard::Multicasts if !has_ended && self.player.is_half_empty() => return Ok(ended),
                Heard::Multicasts | Heard::Hello(_) => {}
            }
            // Only the first receive may wait.
            waits = false;
        }
    }

    /// Fails if the member was interrupted, or has received nothing for too long.
    fn look_up(&self, now: u64, since: u64) -> Result<(), Failure> {
        if let Some(exit) = self.signals.received() {
            return Err(interruption(exit));
        }
        if now - since < PATIENCE.as_micros() as u64 {
            return Ok(());
        }
        Err(Failure::new(Exit::TimedOut, format!("nothing has come for {} s", PATIENCE.as_secs())))
    }
}
