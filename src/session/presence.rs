//! A process at the other end of the sync port, as the forwarder sees it: is it there, and what does it wait to hear?

use std::time::Duration;

use super::register::{Actions, Asker};
use super::{GONE_FOR_GOOD, LOST_AFTER, SILENT_AFTER};
use crate::engine::Time;
use crate::wire::control::{HOLD_MILLIS, Reply, Request, Say};

const HOLD: Duration = Duration::from_millis(HOLD_MILLIS);
/// The end of a run is kept for a member that asks nothing for this long: as long as it waits for a forwarder that has
/// fallen silent, because its connection may be the reason.
pub const END_KEPT: Duration = LOST_AFTER;

/// A process at the other end: is it there, and what does it wait to hear?
#[derive(Debug)]
pub(super) struct Presence {
    /// That of its process; none of a member that has not come here yet.
    pub(super) nonce: Option<u64>,
    pub(super) asker: Asker,
    heard: Time,
    pub(super) gone: Option<Time>,
    pub(super) held: Option<Held>,
    /// Whether it has asked something since it was last called.
    pub(super) present: bool,
    nudged: Time,
    pub(super) told_end: bool,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) asker: Asker,
    pub(super) seq: u64,
    pub(super) since: Time,
    /// It wants to be told to start, and is in the group's list.
    pub(super) wants_start: bool,
    /// How many seats of newcomers it has been told, if it wants to be told.
    pub(super) told: Option<usize>,
}

impl Held {
    pub(super) fn new(now: Time, asker: Asker, request: &Request) -> Self {
        let told = request.told.map(|told| told as usize);
        Self { asker, seq: request.seq, since: now, wants_start: request.ask.wants_start(), told }
    }
}

impl Presence {
    pub(super) fn new(now: Time, nonce: u64, asker: Asker) -> Self {
        let (nonce, gone) = (Some(nonce), None);
        Self { nonce, asker, heard: now, gone, held: None, present: true, nudged: now, told_end: false }
    }

    /// One that another has told of, and that has not come here yet.
    pub(super) fn awaited(now: Time) -> Self {
        Self { nonce: None, gone: Some(now), present: false, ..Self::new(now, 0, Asker::Nobody) }
    }

    /// Whether this is the process, or may be, because no other has its place.
    pub(super) fn may_be(&self, nonce: u64) -> bool {
        self.nonce.is_none_or(|known| known == nonce)
    }

    /// It has asked something: that is what it waits for now.
    ///
    /// A request that comes while another one is held is answered when that one would have been: a process that repeats
    /// its requests is answered, too.
    pub(super) fn hears(&mut self, now: Time, held: Held) {
        let since = self.held.as_ref().map_or(now, |earlier| earlier.since);
        self.heard = now;
        self.gone = None;
        self.present = true;
        self.asker.clone_from(&held.asker);
        self.held = Some(Held { since, ..held });
    }

    /// How long it has said nothing.
    pub(super) fn silence(&self, now: Time) -> Duration {
        now.since(self.heard)
    }

    /// Says something to one that waits for nothing: only so does it show that its connection has closed.
    pub(super) fn nudge(&mut self, now: Time, actions: &mut Actions) {
        if self.held.is_none() && self.gone.is_none() && now >= self.heard.max(self.nudged).after(HOLD) {
            self.nudged = now;
            actions.replies.push((self.asker.clone(), Reply::new(0, Say::CarryOn)));
        }
    }

    pub(super) fn answer(&mut self, say: Say, actions: &mut Actions) {
        if let Some(held) = self.held.take() {
            // An end is told again until the member has said that it knows it: it would take the silence of a
            // forwarder that has ended for a failure. Inside the forwarder nothing gets lost.
            let is_sure = matches!(self.asker, Asker::Inside(_)) && say == Say::End;
            self.told_end |= is_sure || matches!(say, Say::Abort { .. });
            actions.replies.push((held.asker, Reply::new(held.seq, say)));
        }
    }

    pub(super) fn is_overdue(&self, now: Time) -> bool {
        self.held.as_ref().is_some_and(|held| now >= held.since.after(HOLD))
    }

    /// Why it is to be given up, if it is.
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

    /// Whether its connection has been closed for so long that it will not come back soon.
    pub(super) fn is_gone_for_good(&self, now: Time) -> bool {
        self.gone.is_some_and(|gone| now >= gone.after(GONE_FOR_GOOD))
    }

    /// Whether there is no use in keeping the end of the run for it any longer.
    ///
    /// One whose connection has closed may be about to connect again, and ask; whether it `may_ask_later`, too, the
    /// caller knows.
    pub(super) fn knows_the_end(&self, now: Time, may_ask_later: bool) -> bool {
        self.told_end || (self.gone.is_some() && may_ask_later) || now >= self.heard.after(END_KEPT)
    }
}
