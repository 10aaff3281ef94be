//! A process at the other end of the sync port: its connection, and the request that it waits for.

use std::time::Duration;

use super::actions::{Actions, Asker, Incoming};
use super::{END_KEPT, GONE_FOR_GOOD, LOST_AFTER, SILENT_AFTER};
use crate::engine::Time;
use crate::wire::control::{HOLD_MILLIS, Say};

const HOLD: Duration = Duration::from_millis(HOLD_MILLIS);

/// The forwarder's state of one process.
#[derive(Debug)]
pub(super) struct Peer {
    /// The nonce of the process; none of a member that has not come here yet.
    pub(super) nonce: Option<u64>,
    pub(super) asker: Asker,
    heard: Time,
    /// The time at which its connection closed.
    pub(super) gone: Option<Time>,
    pub(super) held: Option<HeldRequest>,
    /// Whether it has sent a request since it was last called.
    pub(super) present: bool,
    nudged: Time,
    pub(super) told_end: bool,
}

/// A request that is answered when there is news, or when it has been held for long enough.
#[derive(Debug)]
pub(super) struct HeldRequest {
    seq: u64,
    since: Time,
    /// Whether it waits for the start, and is in the group's list.
    pub(super) wants_start: bool,
    /// The number of newcomers' seats that the process has received, if it wants them.
    pub(super) told: Option<usize>,
}

impl Peer {
    pub(super) fn new(now: Time, nonce: u64, asker: Asker) -> Self {
        let (nonce, gone) = (Some(nonce), None);
        Self { nonce, asker, heard: now, gone, held: None, present: true, nudged: now, told_end: false }
    }

    /// Returns the state of a member that another one has named, and that has not come here yet.
    pub(super) fn awaited(now: Time) -> Self {
        Self { nonce: None, gone: Some(now), present: false, ..Self::new(now, 0, Asker::Nobody) }
    }

    /// Returns whether this is the process, or may be, because the nonce is not known yet.
    pub(super) fn may_be(&self, nonce: u64) -> bool {
        self.nonce.is_none_or(|known| known == nonce)
    }

    /// Records a request, for whose answer it waits now.
    ///
    /// A request that replaces a held one is answered when that one would have been, so that a process that repeats its
    /// requests is answered, too.
    pub(super) fn hears(&mut self, now: Time, incoming: &Incoming) {
        let Incoming { asker, request, .. } = incoming;
        self.heard = now;
        self.gone = None;
        self.present = true;
        self.asker.clone_from(asker);
        self.held = Some(HeldRequest {
            seq: request.seq,
            since: self.held.as_ref().map_or(now, |earlier| earlier.since),
            wants_start: request.ask.wants_start(),
            told: request.told.map(|told| told as usize),
        });
    }

    /// Records that an answer could not be delivered to this address.
    pub(super) fn unreachable(&mut self, now: Time, asker: &Asker) {
        if self.asker == *asker {
            self.gone.get_or_insert(now);
        }
    }

    /// Returns the length of its silence.
    pub(super) fn silence(&self, now: Time) -> Duration {
        now.since(self.heard)
    }

    /// Sends to a process that waits for nothing: only so a closed connection shows.
    pub(super) fn nudge(&mut self, now: Time, actions: &mut Actions) {
        if self.held.is_none() && self.gone.is_none() && now >= self.heard.max(self.nudged).after(HOLD) {
            self.nudged = now;
            actions.reply(self.asker.clone(), 0, Say::CarryOn);
        }
    }

    pub(super) fn answer(&mut self, say: Say, actions: &mut Actions) {
        if let Some(held) = self.held.take() {
            // The end is repeated until the member confirms it: otherwise it would take the silence of a forwarder that
            // has ended for a failure. Inside the forwarder nothing is lost.
            let is_sure = matches!(self.asker, Asker::Embedded(_)) && say == Say::End;
            self.told_end |= is_sure || matches!(say, Say::Abort { .. });
            actions.reply(self.asker.clone(), held.seq, say);
        }
    }

    /// Confirms that it leaves, or that it knows the end.
    pub(super) fn say_bye(&mut self, actions: &mut Actions) {
        self.answer(Say::Bye, actions);
        self.told_end = true;
    }

    pub(super) fn is_overdue(&self, now: Time) -> bool {
        self.held.as_ref().is_some_and(|held| now >= held.since.after(HOLD))
    }

    /// Returns why it is given up, if it is.
    pub(super) fn lost(&self, now: Time) -> Option<String> {
        let seconds = LOST_AFTER.as_secs();
        if self.gone.is_some_and(|gone| now >= gone.after(LOST_AFTER)) {
            if self.nonce.is_none() {
                return Some(format!(
                    "the forwarder was started again in the middle of the run, and in {seconds} s did not hear of it"
                ));
            }
            return Some(format!("its connection closed and it has not come back within {seconds} s"));
        }
        let seconds = SILENT_AFTER.as_secs();
        (now >= self.heard.after(SILENT_AFTER)).then(|| format!("it has said nothing for {seconds} s"))
    }

    /// Returns whether its connection has been closed for [`GONE_FOR_GOOD`].
    pub(super) fn is_gone_for_good(&self, now: Time) -> bool {
        self.gone.is_some_and(|gone| now >= gone.after(GONE_FOR_GOOD))
    }

    /// Returns whether the end of the run need not be kept for it any longer.
    ///
    /// A process whose connection has closed may be about to connect again and ask; the caller knows whether it
    /// `may_ask_later`, too.
    pub(super) fn knows_the_end(&self, now: Time, may_ask_later: bool) -> bool {
        self.told_end || (self.gone.is_some() && may_ask_later) || now >= self.heard.after(END_KEPT)
    }
}
