//! Beside station 2: how far a client is, told to the program that started it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Time;
use crate::talk::Talk;

/// What a line of `--progress` begins with.
pub const PROGRESS: &str = "progress ";
/// A parent hears of progress no more often than this.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How far a client is: what `--progress` tells, as JSON behind [`PROGRESS`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Progress {
    /// Operations of the command file that are done …
    pub done: u64,
    /// … and that there are.
    pub total: u64,
    /// Messages delivered here, multicasts and those to this client alone.
    pub delivered: u64,
    /// Batches received here that wait for what comes before them.
    pub held: u64,
}

/// What the parent was told last, and when.
#[derive(Debug, Default)]
pub(super) struct Report {
    told: Option<(Progress, Time)>,
}

impl Report {
    /// Whether it is time to tell again.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.told.is_none_or(|(_, at)| now >= at.after(TELL_EVERY))
    }

    /// Tells `progress` if it is news.
    pub(super) fn tell(&mut self, progress: Progress, now: Time, talk: &Talk) {
        if self.told.is_none_or(|(told, _)| told != progress) {
            let json = serde_json::to_string(&progress).expect("numbers are JSON");
            talk.machine(&format!("{PROGRESS}{json}"));
        }
        self.told = Some((progress, now));
    }
}
