//! The rules that the sources and the documents keep.

#[cfg(feature = "known-bad")]
mod citations;
mod comments;
mod layers;
mod order_costs;
mod source;
mod tidy;
