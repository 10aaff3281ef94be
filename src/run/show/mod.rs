//! The progress report of a run: a live line per process on a terminal, plain lines in a pipe, or JSON.

mod json;
mod live;
mod plain;

use std::io::IsTerminal;

use super::plan::Plan;
use super::process::{Death, Process};
use crate::cli::Voice;
use crate::client::Progress;
use crate::engine::Time;
use crate::talk;

/// A report on the progress of a run. Processes are numbered as in the plan.
pub(super) trait Show {
    /// Reports the start of a process.
    fn started(&mut self, _process: &Process, _pid: u32) {}

    /// Reports a line that a process wrote.
    fn said(&mut self, number: usize, process: &Process, text: &str);

    /// Reports the progress of a client.
    fn progressed(&mut self, number: usize, process: &Process, progress: Progress, now: Time);

    /// Reports the end of a process, and whether it was told to end.
    fn ended(&mut self, number: usize, process: &Process, death: &Death, was_told: bool);

    /// Reports a notice of the supervisor.
    fn notice(&mut self, text: &str);

    /// Updates the report as time passes.
    fn tick(&mut self, _now: Time) {}

    /// Finishes the report.
    fn close(&mut self) {}
}

/// Chooses the report by the options and the terminal.
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

/// Colours a text red, if colours are on.
fn red(text: &str, color: bool) -> String {
    if color { format!("\x1b[31m{text}\x1b[0m") } else { text.to_owned() }
}

/// Formats the progress of a client.
fn words(progress: &Progress) -> String {
    let Progress { done, total, delivered, held } = progress;
    format!("{done}/{total} operations, {delivered} delivered, {held} held back")
}

/// Formats the end of a process as a line; `None` if it ended well.
fn last_line(death: &Death, was_told: bool) -> Option<String> {
    match (death.end.is_good(), was_told) {
        (true, _) => None,
        (false, true) => Some(format!("ended, as told: {}", death.end)),
        (false, false) => Some(format!("died: {}", death.how())),
    }
}
