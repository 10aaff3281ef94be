//! The rules that the sources and the documents keep.

mod order_costs;
mod tidy;
