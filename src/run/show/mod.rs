//! What a run shows while it goes on: a live line per process on a terminal, plain lines in a pipe, or JSON.

mod json;
mod live;
mod plain;

use std::io::IsTerminal;

use super::plan::Plan;
use super::process::Process;
use super::supervisor::Death;
use crate::cli::Voice;
use crate::client::Progress;
use crate::engine::Time;
use crate::talk;

/// Somebody who watches a run. Processes are numbered as in the plan.
pub(super) trait Show {
    /// A process was started.
    fn started(&mut self, _process: &Process, _pid: u32) {}

    /// A process said something.
    fn said(&mut self, who: usize, process: &Process, text: &str);

    /// A client has got further.
    fn progressed(&mut self, who: usize, process: &Process, progress: Progress, now: Time);

    /// A process ended, maybe because it was told to.
    fn ended(&mut self, who: usize, process: &Process, death: &Death, was_told: bool);

    /// The supervisor has something to say.
    fn notice(&mut self, text: &str);

    /// Time has passed.
    fn tick(&mut self, _now: Time) {}

    /// Nothing more will happen.
    fn close(&mut self) {}
}

/// What suits the user of this run.
pub(super) fn choose(voice: &Voice, json: bool, plan: &Plan) -> Box<dyn Show> {
    let terminal = std::io::stderr().is_terminal();
    let color = voice.color.on(terminal);
    if json {
        Box::new(json::Json)
    } else if terminal && !talk::is_dumb() && !voice.quiet && !voice.verbose {
        Box::new(live::Live::new(plan, color))
    } else {
        Box::new(plain::Plain::new(plan, color, voice.quiet))
    }
}

/// Red, where there is colour.
fn red(text: &str, color: bool) -> String {
    if color { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() }
}

/// How far a client is, in words.
fn words(progress: &Progress) -> String {
    let Progress { done, total, delivered, held } = progress;
    format!("{done}/{total} operations, {delivered} delivered, {held} held back")
}

/// How a process ended, as a line; nothing if it ended well.
fn last_line(death: &Death, was_told: bool) -> Option<String> {
    match (death.end.is_good(), was_told) {
        (true, _) => None,
        (false, true) => Some(format!("ended, as told: {}", death.end)),
        (false, false) => Some(format!("died: {}", death.how())),
    }
}
