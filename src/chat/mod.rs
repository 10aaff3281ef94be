//! The replicated chat, pure: operations, which servers multicast in a cluster, and the state that follows from them.
//!
//! [`operation`] is what travels, [`place`] where it stands in the order, [`state`] the groups, posts and users that
//! follow, [`session`] who is there, [`view`] what others are shown.

pub mod operation;
pub mod place;
pub mod session;
pub mod state;
#[cfg(test)]
mod tests;
pub mod view;
