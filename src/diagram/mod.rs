//! `groupcast diagram`: draws a run from its histories.
//!
//! `sequence` orders the events of all members causally, `stays` finds the time each message spent at each member,
//! `layout` computes positions, and one file draws each format: `svg`, `html` around it, and `text` for a terminal.
//! `shiviz` writes a log for ShiViz. `hover` describes a message at a member, also for [`crate::explain`].

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
