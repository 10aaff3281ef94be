//! The verdict on a run: its outcome compared with the expected one.

use serde_json::{Value, json};

use super::judge::Judgement;
use super::plan::Settings;
use super::scenario::Expect;
use super::supervisor::Outcome;
use crate::exit::Exit;
use crate::fault::report::Report;
use crate::talk::{list, printable};
use crate::units::duration;

/// The verdict on a run.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) exit: Exit,
    why: String,
}

impl Verdict {
    /// Compares the outcome and the judgement, which only a complete run has, with the expectation.
    pub(super) fn new(settings: &Settings, outcome: &Outcome, judgement: Option<&Judgement>) -> Self {
        if let Some(exit) = outcome.interrupted {
            return Self { exit, why: "partial results are kept".to_owned() };
        }
        let (exit, why) = found(settings, outcome, judgement);
        match (&settings.expect, is_met(&settings.expect, outcome, judgement)) {
            _ if outcome.faults.iter().any(|fault| !fault.has_acted()) => {
                let idle = outcome.faults.iter().filter(|fault| !fault.has_acted());
                let names: Vec<&str> = idle.map(Report::fault).collect();
                let why = format!("never acted: {}; {why}", names.join(", "));
                Self { exit: if exit == Exit::Ok { Exit::Undecided } else { exit }, why }
            }
            (Expect::Pass, _) => Self { exit, why },
            (_, true) => Self { exit: Exit::Ok, why: format!("as expected: {why}") },
            (expect, false) => {
                let exit = if exit == Exit::Ok { Exit::Violated } else { exit };
                Self { exit, why: format!("{} was expected: {why}", expect.words()) }
            }
        }
    }

    pub(super) const fn word(&self) -> &'static str {
        match self.exit {
            Exit::Ok => "PASS",
            Exit::Undecided => "UNDECIDED",
            exit if exit.is_asked_for() => "INTERRUPTED",
            _ => "FAIL",
        }
    }

    /// Formats the verdict as a line, in colour or not.
    pub(super) fn line(&self, color: bool) -> String {
        let (on, off) = match self.exit {
            _ if !color => ("", ""),
            Exit::Ok => ("\x1b[1;32m", "\x1b[0m"),
            exit if exit == Exit::Undecided || exit.is_asked_for() => ("\x1b[1;33m", "\x1b[0m"),
            _ => ("\x1b[1;31m", "\x1b[0m"),
        };
        format!("{on}{}{off}  {}", self.word(), printable(&self.why))
    }

    /// Formats the verdict as the fields of a summary.
    pub(super) fn json(&self) -> Value {
        json!({"v": 1, "event": "summary", "verdict": self.word(), "exit": self.exit.code(), "why": self.why})
    }
}

/// Returns the verdict without regard to the expectation.
fn found(settings: &Settings, outcome: &Outcome, judgement: Option<&Judgement>) -> (Exit, String) {
    if let Some(death) = &outcome.culprit {
        return (death.end.exit(), format!("{} died: {}", death.name, death.how()));
    }
    let (multicasts, took) = (settings.multicasts(), duration(outcome.took));
    let again = match outcome.sent_again {
        0 => String::new(),
        1 => "; 1 packet was sent again".to_owned(),
        count => format!("; {count} packets were sent again"),
    };
    let lost = match outcome.undeliverable {
        0 => String::new(),
        1 => "; a message to one member is undeliverable".to_owned(),
        count => format!("; {count} messages to one member are undeliverable"),
    };
    let all = match settings.clients.len() {
        _ if settings.clients.iter().any(|client| !client.groups.is_empty()) => {
            "all clients of its group".to_owned()
        }
        1 => "the one client".to_owned(),
        2 => "both clients".to_owned(),
        count => format!("all {count} clients"),
    };
    match judgement {
        Some(judgement) if judgement.exit == Exit::Violated => {
            (Exit::Violated, format!("violated: {}", list(&judgement.violated)))
        }
        // A member that died may not have sent all its messages.
        Some(judgement) if judgement.exit == Exit::Ok && settings.survivors() < settings.clients.len() => {
            (Exit::Ok, format!("what was delivered is in order at all who went on, in {took}{again}{lost}"))
        }
        Some(judgement) if judgement.exit == Exit::Ok => {
            // No member had to die, so a member left before it had received its direct messages.
            let exit = if outcome.undeliverable == 0 { Exit::Ok } else { Exit::Unavailable };
            (exit, format!("{multicasts} multicasts, each delivered by {all}, in {took}{again}{lost}"))
        }
        _ => (
            Exit::Undecided,
            format!("{multicasts} multicasts in {took}{again}{lost}, and not everything could be judged"),
        ),
    }
}

fn is_met(expect: &Expect, outcome: &Outcome, judgement: Option<&Judgement>) -> bool {
    match (expect, &outcome.culprit, judgement) {
        (Expect::Died(name), Some(death), _) => name.as_ref().is_none_or(|name| *name == death.name),
        (Expect::Pass, None, Some(judgement)) => judgement.exit == Exit::Ok,
        (Expect::Undecided, None, Some(judgement)) => judgement.exit == Exit::Undecided,
        (Expect::Violated(name), None, Some(judgement)) => {
            let is_among =
                name.as_ref().is_none_or(|name| judgement.violated.iter().any(|violated| violated == name));
            judgement.exit == Exit::Violated && is_among
        }
        _ => false,
    }
}
