//! Beside the path: pictures of a run, made from its histories: `groupcast diagram`.
//!
//! `sequence` puts the events of all members in one order that no cause contradicts, `stays` knows how long each
//! member held each message back, `layout` gives everything a place, and a file each draws: `svg`, `html` around it,
//! `text` for a terminal. `shiviz` writes what another program draws.

mod hover;
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
pub(crate) use words::{length, reason, time};
