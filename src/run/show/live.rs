//! The report of a run on a terminal: one line per process, redrawn in place.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use super::{Show, last_line, red};
use crate::client::Progress;
use crate::engine::Time;
use crate::run::plan::Plan;
use crate::run::process::{Death, Process};
use crate::talk::printable;
use crate::transport::terminal;

/// The shortest interval between two drawings.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// The shortest time over which a rate is measured.
const RATE_OVER: Duration = Duration::from_secs(1);
/// The length of the progress bar.
const BAR: usize = 16;

pub(super) struct Live {
    rows: Vec<Row>,
    width: usize,
    color: bool,
    /// The number of terminal lines that the last drawing takes.
    drawn: usize,
    drawn_at: Time,
    is_stale: bool,
}

struct Row {
    name: String,
    /// The last line that the process wrote.
    note: String,
    progress: Option<Progress>,
    /// The time and the number of deliveries from which the rate is measured.
    since: (Time, u64),
    /// The deliveries per second.
    rate: u64,
    end: Option<Ended>,
}

enum Ended {
    Well,
    Badly(String),
}

impl Live {
    pub(super) fn new(plan: &Plan, color: bool) -> Self {
        let row = |process: &Process| Row {
            name: process.name.clone(),
            note: String::new(),
            progress: process.operations.map(|total| Progress { total, ..Progress::default() }),
            since: (Time::ZERO, 0),
            rate: 0,
            end: None,
        };
        Self {
            rows: plan.processes.iter().map(row).collect(),
            width: plan.width(),
            color,
            drawn: 0,
            drawn_at: Time::ZERO,
            is_stale: true,
        }
    }

    /// Writes a line above the drawing, where it stays.
    fn say(&mut self, text: &str) {
        self.draw(&format!("{text}\n"));
    }

    /// Replaces the last drawing, and writes `above` above it.
    fn draw(&mut self, above: &str) {
        let (columns, rows) = terminal::size(std::io::stderr());
        let lines = self.lines(rows.saturating_sub(2).max(1));
        let mut text = if self.drawn > 0 { format!("\x1b[{}A\r\x1b[J", self.drawn) } else { String::new() };
        text.push_str(above);
        for line in &lines {
            // A line that wraps would take two.
            text.extend(line.chars().take(columns.saturating_sub(1)));
            text.push('\n');
        }
        self.drawn = lines.len();
        self.is_stale = false;
        // One write, so that the terminal never shows half of it. A closed standard error does not end the run.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Returns as many lines as fit, with the working processes first.
    fn lines(&self, room: usize) -> Vec<String> {
        let all: Vec<&Row> = self.rows.iter().collect();
        if all.len() <= room {
            return all.iter().map(|row| row.line(self.width)).collect();
        }
        let (over, open): (Vec<&Row>, Vec<&Row>) = all.into_iter().partition(|row| row.end.is_some());
        let shown: Vec<&Row> = open.iter().copied().take(room - 1).collect();
        let mut lines: Vec<String> = shown.iter().map(|row| row.line(self.width)).collect();
        let hidden = open.len() - shown.len();
        lines.push(format!("… and {hidden} more at work, {} ended", over.len()));
        lines
    }
}

impl Row {
    fn line(&self, width: usize) -> String {
        let mut line = format!("{:<width$}  ", self.name);
        let _ = match (&self.end, &self.progress) {
            (Some(Ended::Badly(how)), _) => write!(line, "{how}"),
            (Some(Ended::Well), None) => write!(line, "ended; {}", self.note),
            (None, None) => write!(line, "{}", self.note),
            (None, Some(progress)) if progress.done == 0 && progress.delivered == 0 => {
                write!(line, "{} {:>6} operations  {}", bar(progress), progress.total, self.note)
            }
            (end, Some(progress)) => write!(line, "{}", self.work(progress, end.is_some())),
        };
        line
    }

    fn work(&self, progress: &Progress, is_over: bool) -> String {
        let Progress { done, total, delivered, held } = progress;
        let last = if is_over { "done".to_owned() } else { format!("{held} held back  {}/s", self.rate) };
        let digits = total.to_string().len();
        format!("{} {done:>digits$}/{total} operations  {delivered:>6} delivered  {last}", bar(progress))
    }

    fn count(&mut self, progress: Progress, now: Time) {
        let (since, before) = self.since;
        let over = now.since(since);
        if over >= RATE_OVER || self.rate == 0 {
            let more = progress.delivered.saturating_sub(before) as f64;
            self.rate = (more / over.as_secs_f64().max(0.001)) as u64;
        }
        if over >= RATE_OVER {
            self.since = (now, progress.delivered);
        }
        self.progress = Some(progress);
    }

    /// Sets the rate to 0 if the client has delivered nothing for a while; returns true if that is a change.
    fn rest(&mut self, now: Time) -> bool {
        let rests = self.rate > 0 && now.since(self.since.0) >= 2 * RATE_OVER;
        if rests {
            self.rate = 0;
            self.since = (now, self.progress.map_or(0, |progress| progress.delivered));
        }
        rests
    }
}

fn bar(progress: &Progress) -> String {
    let full = (BAR as u64 * progress.done).checked_div(progress.total).unwrap_or(BAR as u64) as usize;
    format!("[{}{}]", "#".repeat(full.min(BAR)), ".".repeat(BAR - full.min(BAR)))
}

impl Show for Live {
    fn said(&mut self, number: usize, process: &Process, text: &str) {
        self.is_stale = true;
        if text.starts_with("warning: ") {
            let line = format!("{:<width$}  {}", process.name, printable(text), width = self.width);
            self.say(&line);
        } else {
            self.rows[number].note = printable(text);
        }
    }

    fn progressed(&mut self, number: usize, _process: &Process, progress: Progress, now: Time) {
        self.is_stale = true;
        self.rows[number].count(progress, now);
    }

    fn ended(&mut self, number: usize, process: &Process, death: &Death, was_told: bool) {
        self.is_stale = true;
        let last = last_line(death, was_told).map(|line| printable(&line));
        if let Some(line) = last.as_ref().filter(|_| !was_told) {
            let line = format!("{:<width$}  {}", process.name, red(line, self.color), width = self.width);
            self.say(&line);
        }
        self.rows[number].end = Some(last.map_or(Ended::Well, Ended::Badly));
    }

    fn notice(&mut self, text: &str) {
        let line = format!("{:<width$}  {text}", "run", width = self.width);
        self.say(&line);
    }

    fn tick(&mut self, now: Time) {
        for row in &mut self.rows {
            self.is_stale |= row.rest(now);
        }
        if self.is_stale && (self.drawn == 0 || now.since(self.drawn_at) >= DRAW_EVERY) {
            self.drawn_at = now;
            self.draw("");
        }
    }

    fn close(&mut self) {
        self.draw("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(progress: Option<Progress>, end: Option<Ended>) -> Row {
        Row { name: "c1".into(), note: "waiting".into(), progress, since: (Time::ZERO, 0), rate: 0, end }
    }

    #[test]
    fn a_row_tells_how_far_a_client_is() {
        let progress = Progress { done: 5, total: 10, delivered: 40, held: 3 };
        let mut at_work = row(None, None);
        at_work.count(progress, Time::from_micros(2_000_000));
        let half = "c1    [########........]  5/10 operations      40 delivered  ";
        assert_eq!(at_work.line(4), format!("{half}3 held back  20/s"));
        assert_eq!(row(Some(progress), Some(Ended::Well)).line(4), format!("{half}done"));
        assert_eq!(row(Some(progress), Some(Ended::Badly("died".into()))).line(4), "c1    died");
        assert_eq!(row(None, Some(Ended::Well)).line(4), "c1    ended; waiting");
        let nothing = row(Some(Progress::default()), None).line(4);
        assert_eq!(nothing, "c1    [################]      0 operations  waiting");
    }
}
