//! Access: addresses that other machines reach, and the keys of forwarders and members.

mod attempt;
mod clusters;
mod curve;
mod guarded;
mod identity;
mod machines;
mod refusal;
mod reload;
mod strangers;
