//! The report of a run as lines that begin with the name of a process: for pipes, logs and simple terminals.

use std::io::Write;
use std::time::Duration;

use super::{Show, last_line, red, words};
use crate::client::Progress;
use crate::engine::Time;
use crate::run::plan::Plan;
use crate::run::process::{Death, Process};
use crate::talk::printable;

/// The interval of progress reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Plain {
    width: usize,
    color: bool,
    quiet: bool,
    /// The latest progress of each process that has not been reported yet.
    news: Vec<Option<(String, Progress)>>,
    reported: Time,
}

impl Plain {
    pub(super) fn new(plan: &Plan, color: bool, quiet: bool) -> Self {
        let news = vec![None; plan.processes.len()];
        Self { width: plan.width(), color, quiet, news, reported: Time::ZERO }
    }

    /// Writes a line. A closed standard error does not end the run.
    fn line(&self, name: &str, text: &str) {
        let line = format!("{name:<width$} | {text}\n", width = self.width);
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

impl Show for Plain {
    fn said(&mut self, _number: usize, process: &Process, text: &str) {
        if !self.quiet {
            self.line(&process.name, &printable(text));
        }
    }

    fn progressed(&mut self, number: usize, process: &Process, progress: Progress, _now: Time) {
        self.news[number] = Some((process.name.clone(), progress));
    }

    fn ended(&mut self, number: usize, process: &Process, death: &Death, was_told: bool) {
        self.news[number] = None;
        match last_line(death, was_told) {
            Some(line) if !was_told => self.line(&process.name, &red(&printable(&line), self.color)),
            Some(line) if !self.quiet => self.line(&process.name, &line),
            _ => {}
        }
    }

    fn notice(&mut self, text: &str) {
        if !self.quiet {
            self.line("run", text);
        }
    }

    fn tick(&mut self, now: Time) {
        if now.since(self.reported) < REPORT_EVERY || self.quiet {
            return;
        }
        self.reported = now;
        let news: Vec<_> = self.news.iter_mut().filter_map(Option::take).collect();
        for (name, progress) in &news {
            self.line(name, &words(progress));
        }
    }
}
