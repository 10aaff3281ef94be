//! Help for people at a prompt: completions, manual pages, and examples to copy.

pub(crate) mod completions;
pub(crate) mod examples;
pub(crate) mod man;
