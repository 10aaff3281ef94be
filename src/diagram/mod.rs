//! `groupcast diagram`: draws a run from its histories.
//!
//! `sequence` orders the events of all members causally, `passages` has the way of each message through each member,
//! `layout` computes positions, and one file draws each format: `svg`, `html` around it, and `text` for a terminal.
//! `shiviz` writes a log for ShiViz. `cluster` has the marks of clusters. `hover` describes a message at a member, also for [`crate::explain`].

mod cluster;
pub(crate) mod hover;
mod html;
mod layout;
mod passages;
mod sequence;
mod shiviz;
mod svg;
mod text;
pub mod tool;
mod words;

pub(crate) use passages::{Passage, Passages};
pub(crate) use tool::find;
pub(crate) use words::place;
