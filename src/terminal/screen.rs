//! At a terminal: lines above, the line being typed below.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::editor::{Editor, Typed};
use super::keys::{Key, Keys};
use crate::lock::lock;
use crate::transport::stdio::Output;
use crate::transport::terminal;

/// Moves to the beginning of the row, and erases it.
const ERASE: &str = "\r\x1b[K";
/// Moves to the upper left, and erases everything.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The screen, shared by its clones.
#[derive(Clone)]
pub(crate) struct Screen {
    shared: Arc<Mutex<State>>,
    output: Arc<Output>,
}

struct State {
    keys: Keys,
    editor: Editor,
    is_open: bool,
    /// The lines to print before the edited line is drawn again.
    printed: String,
    is_stale: bool,
}

impl Screen {
    /// Returns an open prompt.
    pub(crate) fn new(output: Output, prompt: String) -> Self {
        let (keys, editor) = (Keys::default(), Editor::new(prompt));
        let state = State { keys, editor, is_open: true, printed: String::new(), is_stale: true };
        Self { shared: Arc::new(Mutex::new(state)), output: Arc::new(output) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Prints whole lines above the line being typed.
    pub(crate) fn print(&self, lines: &str) {
        let mut state = self.state();
        state.printed += lines;
        state.is_stale = true;
    }

    /// Processes typed bytes. Returns the lines that they finish, `None` for a request to end.
    pub(crate) fn typed(&self, bytes: &[u8]) -> Vec<Option<String>> {
        let mut state = self.state();
        state.is_stale = true;
        bytes.iter().filter_map(|&byte| state.push(byte)).collect()
    }

    /// Writes another prompt before the line.
    #[cfg(feature = "web")]
    pub(crate) fn set_prompt(&self, prompt: String) {
        let mut state = self.state();
        state.editor.set_prompt(prompt);
        state.is_stale = true;
    }

    /// Ends the input line.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_open = false;
        state.is_stale = true;
    }

    /// Brings the terminal up to date.
    pub(crate) fn show(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.is_stale) {
            let (columns, _) = terminal::size(io::stdout());
            let line = if state.is_open { state.editor.draw(columns) } else { String::new() };
            self.output.write(format!("{ERASE}{}{line}", state.printed).as_bytes());
            state.printed.clear();
        }
    }

    pub(crate) fn output(&self) -> &Output {
        &self.output
    }
}

impl State {
    fn push(&mut self, byte: u8) -> Option<Option<String>> {
        let key = self.keys.push(byte)?;
        if key == Key::ClearScreen {
            self.printed.insert_str(0, CLEAR);
        }
        match self.editor.press(key) {
            Typed::Line(line) => Some(Some(line)),
            Typed::End => Some(None),
            Typed::Nothing => None,
        }
    }
}
