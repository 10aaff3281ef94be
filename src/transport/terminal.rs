//! The terminal of this process: whether there is one, its size, and single keys without echo.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::exit::{Exit, Failure};
use crate::talk;

/// The assumed size of a terminal that does not report one.
const USUAL_COLUMNS: usize = 80;
const USUAL_ROWS: usize = 24;

/// Checks that standard input and output are a terminal that can redraw a line. `what` needs one, `otherwise` is the way
/// that works everywhere.
///
/// # Errors
/// [`Exit::Usage`] if standard input or output is no terminal, or one that cannot redraw a line.
pub fn check(what: &str, otherwise: &str) -> Result<(), Failure> {
    let missing = if !io::stdin().is_terminal() {
        "standard input is none"
    } else if !io::stdout().is_terminal() {
        "standard output is none"
    } else if talk::is_dumb() {
        "this one cannot redraw a line (TERM=dumb)"
    } else {
        return Ok(());
    };
    let message = format!("{what} needs a terminal, and {missing}");
    Err(Failure::new(Exit::Usage, message).help(format!("{otherwise} and works everywhere")))
}

/// Returns the columns and rows of a screen; the usual number for one that is not reported.
#[must_use]
pub fn size(screen: impl AsFd) -> (usize, usize) {
    let told = tcgetwinsize(screen).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or_usual = |told: u16, usual| if told > 0 { told.into() } else { usual };
    (or_usual(told.0, USUAL_COLUMNS), or_usual(told.1, USUAL_ROWS))
}

/// Reads keys one by one, without echo, until it is dropped. Ctrl-C stays a signal.
pub struct Unechoed {
    before: Termios,
}

impl Unechoed {
    /// Sets the terminal up.
    ///
    /// # Errors
    /// [`Exit::Io`] if it has gone.
    pub fn begin() -> Result<Self, Failure> {
        let set_up = || {
            let before = tcgetattr(io::stdin())?;
            let mut modes = before.clone();
            modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::IEXTEN;
            modes.input_modes -= InputModes::IXON;
            modes.special_codes[SpecialCodeIndex::VMIN] = 1;
            modes.special_codes[SpecialCodeIndex::VTIME] = 0;
            // The group excludes a member that is stopped, and one that quits would leave the screen as it is.
            modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
            modes.special_codes[SpecialCodeIndex::VQUIT] = 0;
            tcsetattr(io::stdin(), OptionalActions::Drain, &modes)?;
            Ok(Self { before })
        };
        set_up()
            .map_err(|reason: io::Error| Failure::new(Exit::Io, format!("the terminal is gone: {reason}")))
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        // Without the terminal there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
