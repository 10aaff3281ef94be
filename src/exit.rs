//! The ends of a program: one table of exit codes for all programs, and failures that say what to do.

use std::fmt;
use std::process::ExitCode;

/// The reason for which a program ended. The number is its exit code, the same in every program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Done; every property that was asked for holds.
    Ok = 0,
    /// A property is violated.
    Violated = 1,
    /// It could not be decided whether a property holds.
    Undecided = 2,
    /// A flag or its value is wrong.
    Usage = 64,
    /// An input file is malformed.
    BadData = 65,
    /// An input file is missing or unreadable.
    NoInput = 66,
    /// A port is taken, a peer is missing or lost, an id is taken, something cannot be delivered.
    Unavailable = 69,
    /// A bug in this program.
    Bug = 70,
    /// An output file cannot be created.
    CannotCreate = 73,
    /// Reading or writing failed in mid-run.
    Io = 74,
    /// A wait reached its limit.
    TimedOut = 75,
    /// The other side does not permit it.
    Denied = 77,
    /// The configurations of the members disagree, or a setting cannot be used.
    Config = 78,
    /// SIGHUP.
    HungUp = 129,
    /// SIGINT.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

/// The table of exit codes, for every `--help`.
pub const HELP: &str = "\
Exit codes:
  0 ok                    1 a property is violated   2 undecided
  64 usage                65 bad data                66 no input
  69 unavailable (port taken, peer lost, id taken, undeliverable)
  70 bug                  73 cannot create           74 input or output failed
  75 timed out            77 permission denied       78 bad configuration
  129, 130, 143 interrupted";

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 16] = [
        Self::Ok,
        Self::Violated,
        Self::Undecided,
        Self::Usage,
        Self::BadData,
        Self::NoInput,
        Self::Unavailable,
        Self::Bug,
        Self::CannotCreate,
        Self::Io,
        Self::TimedOut,
        Self::Denied,
        Self::Config,
        Self::HungUp,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// Returns whether a signal asked the program to end.
    #[must_use]
    pub const fn is_asked_for(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }

    /// Returns the exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the end with this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.code() == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An end that is not success: the cause, its place, and the remedy.
///
/// Programs return it inside an [`anyhow::Error`], as the error itself or as the context of a cause.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// The exit code to end with.
    pub exit: Exit,
    /// The failure, in one line without a final stop.
    pub message: String,
    /// The place: several lines with a caret under it, ready to print.
    pub place: Option<String>,
    /// The remedy.
    pub help: Option<String>,
}

impl Failure {
    /// Returns a failure with a message alone.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), place: None, help: None }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the place.
    #[must_use]
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }
}

impl From<anyhow::Error> for Failure {
    /// Takes the failure from the top of an error, and adds the causes below it to its message.
    fn from(error: anyhow::Error) -> Self {
        let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        let failure = error.downcast::<Self>();
        let mut failure = failure.unwrap_or_else(|error| Self::new(Exit::Io, error.to_string()));
        for cause in causes {
            failure.message += &format!(": {cause}");
        }
        failure
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(place) = &self.place {
            write!(f, "\n{place}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn failure_of_an_error_has_its_cause_before_the_help() {
        let cause = std::io::Error::other("the disk is on fire");
        let context = Failure::new(Exit::CannotCreate, "cannot create x").help("choose another");
        let failure = Failure::from(Err::<(), _>(cause).context(context).unwrap_err());
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert_eq!(failure.to_string(), "cannot create x: the disk is on fire\n  help: choose another");
        let plain = Failure::new(Exit::NoInput, "nothing");
        assert_eq!(Failure::from(anyhow::Error::from(plain.clone())), plain);
        let bare = Failure::from(anyhow::Error::from(std::io::Error::other("broken")));
        assert_eq!(bare, Failure::new(Exit::Io, "broken"));
    }
}
