//! Beside station 2: the progress of a client, reported to its parent process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::Time;
use crate::talk::Talk;

/// The prefix of a line of `--progress`.
pub const PROGRESS: &str = "progress ";
/// Shortest time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(200);

/// The progress of a client: JSON behind [`PROGRESS`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Progress {
    /// Operations of the command file that are done …
    pub done: u64,
    /// … and their total.
    pub total: u64,
    /// Messages delivered here, multicasts and direct messages.
    pub delivered: u64,
    /// Batches in the hold-back queue.
    pub held: u64,
}

/// The last report, and its time.
#[derive(Debug, Default)]
pub(super) struct Report {
    last: Option<(Progress, Time)>,
}

impl Report {
    /// Returns whether a report is due.
    pub(super) fn is_due(&self, now: Time) -> bool {
        self.last.is_none_or(|(_, at)| now >= at.after(REPORT_EVERY))
    }

    /// Reports `progress` if it has changed.
    pub(super) fn send(&mut self, progress: Progress, now: Time, talk: &Talk) {
        if self.last.is_none_or(|(last, _)| last != progress) {
            let json = serde_json::to_string(&progress).expect("numbers are JSON");
            talk.machine(&format!("{PROGRESS}{json}"));
        }
        self.last = Some((progress, now));
    }
}
