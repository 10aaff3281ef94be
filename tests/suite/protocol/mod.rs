//! The engines and the wire format, without processes: simulated, modelled, fuzzed and held to the vectors.

mod clusters;
mod datagrams;
mod flow_control;
mod folder;
mod fuzzed;
mod in_memory;
mod liars;
mod model;
mod order_scenarios;
mod reliability;
mod simulation;
mod views;
mod wire;
