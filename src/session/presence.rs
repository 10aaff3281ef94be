//! A process at the other end of the sync port, as the forwarder sees it: is it there, and what does it wait to hear?

use std::time::Duration;

use super::register::{Actions, Asker};
use super::{LOST_AFTER, SILENT_AFTER};
use crate::engine::Time;
use crate::wire::control::{Ask, HOLD_MILLIS, Reply, Request, Say};

const HOLD: Duration = Duration::from_millis(HOLD_MILLIS);
/// The end of a run is kept for a member that asks nothing for this long: as long as it waits for a forwarder that has
/// fallen silent, because its connection may be the reason.
pub const END_KEPT: Duration = LOST_AFTER;
/// A member that was told the end, and whose connection has closed without a goodbye, would have come back by then.
const COMES_BACK: Duration = Duration::from_secs(3);

/// A process at the other end: is it there, and what does it wait to hear?
#[derive(Debug)]
pub(super) struct Presence {
    pub(super) nonce: u64,
    pub(super) asker: Asker,
    heard: Time,
    pub(super) gone: Option<Time>,
    pub(super) held: Option<Held>,
    /// Whether it has asked something since it was last called.
    pub(super) present: bool,
    nudged: Time,
    told_end: bool,
    /// It said that it goes: it knows the end, or does not care.
    pub(super) has_left: bool,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) asker: Asker,
    pub(super) seq: u64,
    pub(super) since: Time,
    /// It wants to be told to start, and nothing less.
    pub(super) wants_start: bool,
}

impl Held {
    pub(super) fn new(now: Time, asker: Asker, request: &Request) -> Self {
        Self { asker, seq: request.seq, since: now, wants_start: request.ask == Ask::Ready }
    }
}

impl Presence {
    pub(super) fn new(now: Time, nonce: u64, asker: Asker) -> Self {
        Self {
            nonce,
            asker,
            heard: now,
            gone: None,
            held: None,
            present: true,
            nudged: now,
            told_end: false,
            has_left: false,
        }
    }

    /// It has asked something: that is what it waits for now.
    pub(super) fn hears(&mut self, now: Time, held: Held) {
        self.heard = now;
        self.gone = None;
        self.present = true;
        self.asker.clone_from(&held.asker);
        self.held = Some(held);
    }

    /// Says something to one that waits for nothing: only so does it show that its connection has closed.
    pub(super) fn nudge(&mut self, now: Time, actions: &mut Actions) {
        if self.held.is_none() && now >= self.heard.max(self.nudged).after(HOLD) {
            self.nudged = now;
            actions.replies.push((self.asker.clone(), Reply::new(0, Say::CarryOn)));
        }
    }

    pub(super) fn answer(&mut self, say: Say, actions: &mut Actions) {
        if let Some(held) = self.held.take() {
            self.told_end |= matches!(say, Say::End | Say::Abort { .. });
            actions.replies.push((held.asker, Reply::new(held.seq, say)));
        }
    }

    pub(super) fn is_overdue(&self, now: Time) -> bool {
        self.held.as_ref().is_some_and(|held| now >= held.since.after(HOLD))
    }

    /// Why it is to be given up, if it is.
    pub(super) fn lost(&self, now: Time) -> Option<String> {
        if self.gone.is_some_and(|gone| now >= gone.after(LOST_AFTER)) {
            let seconds = LOST_AFTER.as_secs();
            return Some(format!("its connection closed and it has not come back within {seconds} s"));
        }
        let seconds = SILENT_AFTER.as_secs();
        (now >= self.heard.after(SILENT_AFTER)).then(|| format!("it has said nothing for {seconds} s"))
    }

    /// Whether there is no use in keeping the end of the run for it any longer. One that was told may not have heard
    /// it, and one whose connection has closed may come back and ask; whether it `may_ask_later`, too, the caller knows.
    pub(super) fn knows_the_end(&self, now: Time, may_ask_later: bool) -> bool {
        let has_ended = self.told_end && self.gone.is_some_and(|gone| now >= gone.after(COMES_BACK));
        let need_not_know = may_ask_later && (self.told_end || self.gone.is_some());
        self.has_left || has_ended || need_not_know || now >= self.heard.after(END_KEPT)
    }
}
