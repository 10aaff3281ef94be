//! A person at a terminal: `keys`, the `editor` of one line, and the `screen` on which lines appear above it.

pub(crate) mod editor;
pub(crate) mod keys;
pub(crate) mod screen;
