//! A fault as a table of a scenario file: `[[faults]]` with `kill`, `starve` or `link`.

use std::ops::Range;

use rustix::process::Signal;
use serde::Deserialize;
use toml::Spanned;

use super::process::{self, Act, SIGNALS};
use super::{Fault, link, script};
use crate::nearest::one_of;
use crate::place::Flaw;
use crate::units::{exact_duration as time, parse_duration};

/// The most threads that keep the processors busy.
const MOST_THREADS: i64 = 1000;

/// The keys of a table, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    kill: Option<Spanned<String>>,
    starve: Option<Spanned<i64>>,
    link: Option<Spanned<String>>,
    of: Option<Spanned<String>>,
    after: Option<Spanned<String>>,
    signal: Option<Spanned<String>>,
    restart: Option<Spanned<String>>,
    #[serde(rename = "for")]
    lasts: Option<Spanned<String>>,
    dies: Option<Spanned<bool>>,
}

impl Table {
    /// Checks the keys against each other, and returns the fault. `place` is that of the table.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn fault(self, place: Range<usize>) -> Result<Fault, Flaw> {
        let (what, span, allowed): (_, _, &[&str]) = match (&self.kill, &self.starve, &self.link) {
            (Some(kill), None, None) => ("kill", kill.span(), &["after", "signal", "restart", "for", "dies"]),
            (None, Some(starve), None) => ("starve", starve.span(), &["after", "for"]),
            (None, None, Some(link)) => ("link", link.span(), &["of"]),
            _ => return Err(Flaw::new(place, "a fault has one of kill, link and starve")),
        };
        let span_of = |value: &Option<Spanned<String>>| value.as_ref().map(Spanned::span);
        let said = [
            ("of", span_of(&self.of)),
            ("after", span_of(&self.after)),
            ("signal", span_of(&self.signal)),
            ("restart", span_of(&self.restart)),
            ("for", span_of(&self.lasts)),
            ("dies", self.dies.as_ref().map(Spanned::span)),
        ];
        for (key, span) in said {
            if let Some(span) = span.filter(|_| !allowed.contains(&key)) {
                return Err(Flaw::new(span, format!("a fault with {what} has no {key}")));
            }
        }
        if let Some(link) = &self.link {
            let of = self.of.map(Spanned::into_inner);
            return parse_link(link).map(|fault| Fault::Link(link::Fault { of, ..fault }));
        }
        let duration = |value: &Option<Spanned<String>>| {
            value.as_ref().map(|text| checked(text, |text| parse_duration(text))).transpose()
        };
        let (after, restart, lasts) =
            (duration(&self.after)?, duration(&self.restart)?, duration(&self.lasts)?);
        let missing = |key: &str| Flaw::new(span.clone(), format!("a fault with {what} needs {key}"));
        let after = after.ok_or_else(|| missing("after"))?;
        let act = match (self.kill, self.starve) {
            (None, Some(starve)) => Act::Starve {
                threads: checked(&starve, |&number| threads(number))?,
                lasts: lasts.ok_or_else(|| missing("for"))?,
            },
            (kill, _) => {
                let process = kill.map(Spanned::into_inner).unwrap_or_default();
                let dies = self.dies.is_some_and(Spanned::into_inner);
                let place = self.signal.as_ref().map_or(0..0, Spanned::span);
                let sent = self.signal.map(|name| checked(&name, |name| signal(name))).transpose()?;
                match (sent, restart, lasts) {
                    (sent, None, None) => Act::Signal { process, signal: sent.unwrap_or(Signal::KILL), dies },
                    (None | Some(Signal::KILL), Some(pause), None) => Act::Restart { process, pause },
                    (Some(Signal::STOP), None, Some(lasts)) => Act::Pause { process, lasts },
                    (_, None, Some(_)) => return Err(Flaw::new(span, "only signal = \"STOP\" has a for")),
                    _ => return Err(Flaw::new(place, "only who is killed can be started again")),
                }
            }
        };
        Ok(Fault::Process(process::Fault { after, act }))
    }
}

/// Parses a fault of connections; a mistake in it is reported with its place in the file.
fn parse_link(link: &Spanned<String>) -> Result<link::Fault, Flaw> {
    script::parse_one(link.get_ref()).map_err(|mut flaw| {
        let (start, end) = (link.span().start + 1, link.span().end.saturating_sub(1));
        flaw.span = (start + flaw.span.start).min(end)..(start + flaw.span.end).min(end);
        flaw
    })
}

/// Returns the result of `check` for a value, or its objection with the place of the value.
fn checked<T, R>(value: &Spanned<T>, check: impl Fn(&T) -> Result<R, String>) -> Result<R, Flaw> {
    check(value.get_ref()).map_err(|objection| Flaw::new(value.span(), objection))
}

fn threads(number: i64) -> Result<u16, String> {
    let fits = (1..=MOST_THREADS).contains(&number);
    if fits { Ok(number as u16) } else { Err(format!("expected a number from 1 to {MOST_THREADS}")) }
}

fn signal(name: &str) -> Result<Signal, String> {
    let name = one_of(name.trim_start_matches("SIG"), &SIGNALS.map(|(name, _)| name))?;
    let signal = SIGNALS.into_iter().find(|(known, _)| *known == name);
    signal.map(|(_, signal)| signal).ok_or_else(|| "no signal".to_owned())
}

/// Formats a fault as a table of a scenario file.
pub(crate) fn text(fault: &Fault) -> String {
    let process::Fault { after, act } = match fault {
        Fault::Link(fault) => {
            let of = fault.of.as_ref().map_or_else(String::new, |of| format!("of = \"{of}\"\n"));
            return format!("[[faults]]\nlink = \"{fault}\"\n{of}");
        }
        Fault::Process(fault) => fault,
    };
    let (what, rest) = match act {
        Act::Signal { process, signal, dies } => {
            let dies = if *dies { "\ndies = true" } else { "" };
            (format!("kill = \"{process}\""), format!("signal = \"{}\"{dies}", process::name(*signal)))
        }
        Act::Pause { process, lasts } => {
            (format!("kill = \"{process}\""), format!("signal = \"STOP\"\nfor = \"{}\"", time(*lasts)))
        }
        Act::Restart { process, pause } => {
            (format!("kill = \"{process}\""), format!("restart = \"{}\"", time(*pause)))
        }
        Act::Starve { threads, lasts } => {
            (format!("starve = {threads}"), format!("for = \"{}\"", time(*lasts)))
        }
    };
    format!("[[faults]]\n{what}\nafter = \"{}\"\n{rest}\n", time(*after))
}
