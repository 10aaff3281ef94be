//! The terminal of this process: are there keys and a screen, how wide is it, and every key at once, unechoed.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use crate::exit::{Exit, Failure};
use crate::talk;

/// The width of a terminal that does not say how wide it is.
const USUAL_COLUMNS: usize = 80;
const USUAL_ROWS: usize = 24;

/// Checks that there is somebody to talk with.
///
/// # Errors
/// [`Exit::Usage`] if standard input or output is no terminal, or one that cannot redraw a line.
pub fn check() -> Result<(), Failure> {
    let missing = if !io::stdin().is_terminal() {
        "standard input is none"
    } else if !io::stdout().is_terminal() {
        "standard output is none"
    } else if talk::is_dumb() {
        "this one cannot redraw a line (TERM=dumb)"
    } else {
        return Ok(());
    };
    let message = format!("--interactive needs a terminal, and {missing}");
    Err(Failure::new(Exit::Usage, message)
        .help("--lines multicasts each line of standard input and works everywhere"))
}

/// How many columns and rows a screen has; the usual number of what it does not tell.
#[must_use]
pub fn size(screen: impl AsFd) -> (usize, usize) {
    let told = tcgetwinsize(screen).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or_usual = |told: u16, usual| if told > 0 { told.into() } else { usual };
    (or_usual(told.0, USUAL_COLUMNS), or_usual(told.1, USUAL_ROWS))
}

/// While it lives, keys come one by one and are not echoed. Ctrl-C is a signal as ever.
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
            // A member that is stopped is given up by its group, and one that quits leaves the screen as it is.
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
        // If the terminal has gone there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
