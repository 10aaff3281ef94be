//! Access: addresses that other machines reach, and the keys of forwarders and members.

mod curve;
mod refusal;
