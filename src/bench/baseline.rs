//! A member of a baseline: it hears everybody before the start, plays, and hears everybody's last word.

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

/// Until everybody is heard, a member says again that it is there.
const SAY_AGAIN: Duration = Duration::from_millis(20);
/// Everything here takes a moment; whoever waits this long waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);
/// The parent hears this often how far it is.
pub(super) const TELL_EVERY: u64 = 500_000;

/// What a baseline's member says beside its multicasts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Tag {
    /// I am here.
    Hello = 1,
    /// That was my last multicast.
    End = 2,
}

/// What a member was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    Nothing,
    /// The player has them already.
    Multicasts,
    Hello(u16),
    End(u16),
}

impl Heard {
    pub(super) const fn tagged(sender: u16, tag: u8) -> Self {
        if tag == Tag::End as u8 { Self::End(sender) } else { Self::Hello(sender) }
    }
}

/// The life of what stands in the middle; the parent ends it.
///
/// # Errors
/// Its ports are taken.
pub(super) fn stand_in_the_middle(kind: Baseline, part: &Part) -> Result<Exit, Failure> {
    match kind {
        Baseline::Proxy => plain::stand_in_the_middle(part.port_base)?,
        Baseline::Bound => packed::stand_in_the_middle(part.port_base)?,
    }
    Ok(Exit::Ok)
}

/// A member's connections.
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

    /// Waits for something to hear, or until it is `due` micros from now.
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
/// [`Exit::Violated`] if something came out of order, [`Exit::TimedOut`], and interruption; the parent has the account
/// in any case.
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

/// What the order of a baseline promises.
pub(super) const fn promises(kind: Baseline) -> &'static [Promise] {
    match kind {
        Baseline::Proxy => &[Promise::Fifo],
        Baseline::Bound => &[Promise::Fifo, Promise::Total],
    }
}

struct Member {
    me: u16,
    members: u16,
    /// Whether it sends by the clock.
    is_paced: bool,
    wires: Wires,
    player: Player,
    signals: Signals,
}

impl Member {
    /// Says hello until the parent has heard that everybody has heard everybody: whoever comes late must be able to
    /// hear this member, too.
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

    /// Takes what comes until it is time to send again, or nothing more comes; how many ends came.
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
            // With one to wait for: in the loop above, where there is a limit.
            waits = false;
        }
    }

    /// Nothing has come: was it interrupted, or has it waited for too long?
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
