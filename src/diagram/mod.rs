//! Beside the path: pictures of a run, made from its histories: `groupcast diagram`.
//!
//! What is said about a message at a member (`hover`) is what [`crate::explain`] says, too.
//!
//! `sequence` puts the events of all members in one order that no cause contradicts, `stays` knows how long each
//! member held each message back, `layout` gives everything a place, and a file each draws: `svg`, `html` around it,
//! `text` for a terminal. `shiviz` writes what another program draws.

pub(crate) mod hover;
mod html;
mod layout;
mod sequence;
mod shiviz;
mod stays;
mod svg;
mod text;
pub mod tool;
mod words;

pub(crate) use stays::{Stay, Stays};
pub(crate) use tool::find;
pub(crate) use words::{length, time};
