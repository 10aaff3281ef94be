//! What all programs have in common on their command lines, and how each of them begins and ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
#[cfg(feature = "known-bad")]
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser};

use crate::defect::{Defect, Defects};
use crate::exit::{Exit, Failure};
use crate::memory;
use crate::talk::{Color, Level, Talk};
use crate::transport::signals;
use crate::wire::Window;

/// How much a program says, and in which colours.
#[derive(Args, Clone, Debug)]
pub struct Voice {
    /// Say nothing but errors
    #[arg(short, long, env = "GROUPCAST_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, env = "GROUPCAST_VERBOSE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub verbose: bool,
    /// Use colours on standard error
    #[arg(long, value_name = "WHEN", env = "GROUPCAST_COLOR", hide_env = true, default_value = "auto")]
    pub color: Color,
}

impl Voice {
    /// The voice of the program that people know as `name`.
    #[must_use]
    pub fn talk(&self, name: &str) -> Talk {
        let level = match (self.quiet, self.verbose) {
            (true, false) => Level::Quiet,
            (false, true) => Level::Verbose,
            // One of both may come from the environment, so that the other takes it back.
            (true, true) | (false, false) => Level::Normal,
        };
        Talk::new(name, level, self.color)
    }
}

/// An engine broken on purpose, in test builds.
#[derive(Args, Clone, Debug, Default)]
pub struct KnownBad {
    /// Let the engines do this wrong
    #[cfg(feature = "known-bad")]
    #[arg(long, value_name = "NAME", env = "GROUPCAST_KNOWN_BAD", hide = true, value_parser = PossibleValuesParser::new(Defect::ALL.map(|(name, _)| name)))]
    known_bad: Option<String>,
}

impl KnownBad {
    /// What was asked for, by name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        #[cfg(feature = "known-bad")]
        return self.known_bad.as_deref();
        #[cfg(not(feature = "known-bad"))]
        None
    }

    /// What was asked for.
    #[must_use]
    pub fn defects(&self) -> Defects {
        let chosen = Defect::ALL.into_iter().find(|(name, _)| self.name() == Some(*name));
        chosen.map_or(Defects::NONE, |(_, defect)| Defects::only(defect))
    }
}

/// Where the forwarder and the router listen.
#[derive(Args, Clone, Debug)]
pub struct Address {
    /// Where the forwarder and the router listen
    #[arg(
        long,
        value_name = "HOST",
        env = "GROUPCAST_CONNECT",
        hide_env = true,
        default_value = "127.0.0.1"
    )]
    pub connect: String,
    /// First of the four ports: in, out, sync, router
    #[arg(long, value_name = "PORT", env = "GROUPCAST_PORT_BASE", hide_env = true, default_value_t = DEFAULT_PORT_BASE, value_parser = port_base())]
    pub port_base: u16,
}

/// The first port when none is given.
pub const DEFAULT_PORT_BASE: u16 = 5559;

/// Accepts a first port that leaves room for the other three.
#[must_use]
pub fn port_base() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..=65532)
}

/// A duration on a command line: `250ms`, `60s`, `2min`; a bare number is seconds.
///
/// # Errors
/// What is wrong with it, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds)
            .map_err(|_| "a duration is not negative and not endless".to_owned());
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; write for example 60s, 250ms or 2min"))
}

/// A factor above zero.
///
/// # Errors
/// What is wrong with it, for people.
pub fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(factor),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// A send window: messages, bytes with a unit, or both with a comma between.
///
/// # Errors
/// What is wrong with it, for people.
pub fn window(text: &str) -> Result<Window, String> {
    let mut window = Window::default();
    for part in text.split(',').map(str::trim) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = UNITS.iter().find(|(unit, _)| *unit == part[digits.len()..].trim_start());
        match (digits.parse::<u64>(), unit) {
            (Ok(messages @ 1..), _) if digits == part => window.messages = messages,
            (Ok(count @ 1..), Some((_, size))) => {
                window.bytes = usize::try_from(count.saturating_mul(*size)).unwrap_or(usize::MAX);
            }
            _ => return Err("write for example 1000 (messages), 256KiB, or both: 1000,256KiB".to_owned()),
        }
    }
    Ok(window)
}

/// What a number of bytes can be counted in.
const UNITS: [(&str, u64); 5] =
    [("B", 1), ("kB", 1000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20)];

/// The id of a member, or the name of a group.
///
/// # Errors
/// What is wrong with it, for people.
pub fn id(text: &str) -> Result<String, String> {
    crate::script::check_id(text).map(|()| text.to_owned())
}

/// Runs a program: parses its arguments, does its work, says how it failed, and maps all of it to an exit code.
pub fn main<P: Parser>(voice: fn(&P) -> Talk, work: fn(&P, &Talk) -> Result<Exit, Failure>) -> ExitCode {
    signals::end_with_parent();
    memory::keep();
    let arguments = match P::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            let printed = error.print();
            return if exit == Exit::Ok && printed.is_err() { Exit::Io.into() } else { exit.into() };
        }
    };
    let talk = voice(&arguments);
    match catch_unwind(AssertUnwindSafe(|| work(&arguments, &talk))) {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(failure)) => {
            talk.fail(&failure);
            failure.exit.into()
        }
        Err(_) => {
            talk.fail(
                &Failure::new(Exit::Bug, "this is a bug in groupcast")
                    .help("please report it with the lines above and the command that you ran"),
            );
            Exit::Bug.into()
        }
    }
}

/// Prints a result line on standard output.
///
/// A reader that has gone away (a closed pipe) wants no more results: that is no failure.
///
/// # Errors
/// [`Exit::Io`] if standard output cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
